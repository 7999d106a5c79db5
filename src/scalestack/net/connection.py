"""One accepted socket, owned by one loop thread. Knows how long it may stay silent; knows nothing of what it says."""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Callable
from typing import Protocol, cast

from scalestack.event.deadlines import Handle
from scalestack.event.loops import LoopThread


class Census(Protocol):
    """Who keeps count of connections."""

    def opened(self, connection: Connection) -> None: ...

    def closed(self, connection: Connection) -> None: ...


class Connection(asyncio.Protocol):
    """Base of the protocols that a listener serves.

    A subclass that overrides `connection_made` or `connection_lost` calls on to these. It says with `expect` how long
    the peer may take to do what comes next, and overrides `timed_out` and `drain` where closing is not the answer.
    """

    # Slots, as there are many connections, and each request looks at several of these.
    __slots__ = (
        "__weakref__", "_clock", "_deadline", "_ends", "_own", "_timer", "_timer_at", "census", "identity",
        "peer", "thread", "transport",
    )  # fmt: skip

    def __init__(self, thread: LoopThread) -> None:
        self.thread = thread
        self.transport: asyncio.Transport
        self.peer = "?"  # the peer's address, for logs and limits: an IP address, or "unix"
        self.identity: object = None  # what is remembered of who the peer is, by whoever asks for that
        self.census: Census | None = None  # set by the listener that accepted this
        self._ends: list[Callable[[], object]] | None = None
        self._own = own = thread.own
        self._clock = own.clock
        self._deadline = math.inf
        self._timer: Handle | None = None
        self._timer_at = math.inf

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        if self.census is not None:
            self.census.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline = math.inf
        if self._timer is not None:
            self._own.deadlines.discard(self._timer, self)
            self._timer = None
        if self.census is not None:
            self.census.closed(self)
        ends, self._ends = self._ends, None
        for end in ends or ():
            end()

    def on_end(self, call: Callable[[], object]) -> None:
        """Call `call` once, on the connection's loop, when it is lost."""
        if self._ends is None:
            self._ends = []
        self._ends.append(call)

    def is_answering(self) -> bool:
        """Whether the peer waits for something that was begun for it."""
        return True

    def expect(self, seconds: float) -> None:
        """Call `timed_out` in so many seconds, unless this is called again before; `math.inf` for never.

        Costs nothing in the common case: `due` looks at the deadline of the moment when it is called.
        """
        self._deadline = deadline = self._clock() + seconds
        if deadline < self._timer_at:
            deadlines = self._own.deadlines
            if self._timer is not None:
                deadlines.discard(self._timer, self)
            self._timer_at = deadline
            self._timer = deadlines.add(seconds, self)

    def due(self) -> None:
        """It is called by the thread's deadlines."""
        self._timer = None
        self._timer_at = math.inf
        left = self._deadline - self._clock()
        if left <= 0:
            self._deadline = math.inf
            self.timed_out()
        elif left < math.inf:
            self._timer_at = self._deadline
            self._timer = self._own.deadlines.add(left, self)

    def timed_out(self) -> None:
        """The peer did not do in time what was expected of it."""
        self.transport.abort()

    def drain(self) -> None:
        """The server is about to stop: finish what is under way, begin nothing, and close."""
        self.transport.close()


ConnectionFactory = Callable[[LoopThread], Connection]


def peer_name(sock: socket.socket, address: object) -> str:
    """The address that logs and limits know a peer by: without its port, which is another for each connection."""
    if sock.family in {socket.AF_INET, socket.AF_INET6} and isinstance(address, tuple):
        return str(address[0])
    return "unix"
