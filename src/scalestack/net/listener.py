"""Accepts connections and deals them evenly to the loop threads, within limits. Speaks no protocol."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import cycle

from scalestack.event.loops import Loops, LoopThread
from scalestack.log import Logger
from scalestack.net.address import Address, UnixAddress, bind, bound_address
from scalestack.net.connection import Connection, ConnectionFactory, peer_name
from scalestack.net.tls import Tls

_log = Logger("scalestack.net")

_OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_ACCEPTS_PER_WAKE = 64  # so that a flood of connections leaves the accepting loop time for its own
_SPARE = 32  # descriptors that connections leave to all else, which has to open files: keys, logs, what it connects to
_RETRY = 0.5  # seconds until accepting is tried again where descriptors ran out and no connection closes


@dataclass(frozen=True)
class Limits:
    max_connections: int  # over all listeners, as far as descriptors allow; more wait in the system's backlog
    max_per_address: int  # connections from one IP address, 0 for no limit; more are closed at once
    backlog: int  # connections that the system keeps waiting per listener
    handshake_timeout: float  # seconds for a TLS handshake
    peer_timeout: float = 60.0  # seconds without a sign of life, after which a TCP peer is taken for gone


class Listener:
    """One address that is listened on. Its sockets are accepted from by one loop thread."""

    def __init__(self, network: Network, address: Address, factory: ConnectionFactory, tls: Tls | None) -> None:
        self._network = network
        self._factory = factory
        self._tls = tls
        self._sockets = bind(address, network.limits.backlog, network.limits.peer_timeout)
        self._acceptor = network.loops.threads[0]
        self._accepting = False
        self._closed = False
        self._exhausted = False  # the last accept found no descriptor
        self.addresses = [bound_address(sock) for sock in self._sockets]

    def start(self) -> None:
        self._acceptor.call(self._resume).result()

    def resume(self) -> None:
        """Accept again, where that was paused. From any thread."""
        self._acceptor.post(self._resume)

    def close(self) -> None:
        """Accept no more. Connections that were accepted live on. Blocks; harmless when called again."""
        if self._closed:
            return
        self._acceptor.call(self._close).result()

    def _resume(self) -> None:
        if not self._accepting and not self._closed:
            self._accepting = True
            for sock in self._sockets:
                self._acceptor.loop.add_reader(sock.fileno(), self._accept, sock)

    def _pause(self) -> None:
        if self._accepting:
            self._accepting = False
            for sock in self._sockets:
                self._acceptor.loop.remove_reader(sock.fileno())

    def _close(self) -> None:
        for sock in self._sockets:
            self._accept(sock)  # those who connected in time are served
        self._pause()
        self._closed = True
        for sock, address in zip(self._sockets, self.addresses, strict=True):
            sock.close()
            if isinstance(address, UnixAddress):
                with contextlib.suppress(OSError):
                    address.path.unlink()

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_ACCEPTS_PER_WAKE):
            if not self._network.has_room():
                self._pause()
                return
            try:
                sock, address = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _OUT_OF_RESOURCES:
                    raise
                # The connection stays in the backlog and the socket stays readable: to look again at once would spin.
                if not self._exhausted:
                    self._exhausted = True
                    _log.warning("out of descriptors or memory; accepting is paused", error=os.strerror(error.errno))
                self._pause()
                self._acceptor.later(_RETRY, self._resume)
                return
            self._exhausted = False
            sock.setblocking(False)
            peer = peer_name(sock, address)
            if not self._network.admit(peer):
                sock.close()
                continue
            thread = self._network.next_thread()
            if thread is self._acceptor:
                self._adopt(thread, sock, peer)
            else:
                thread.post(self._adopt, thread, sock, peer)

    def _adopt(self, thread: LoopThread, sock: socket.socket, peer: str) -> None:
        connection = self._factory(thread)
        connection.census = self._network
        connection.peer = peer
        thread.loop.create_task(self._connect(thread, sock, connection))

    async def _connect(self, thread: LoopThread, sock: socket.socket, connection: Connection) -> None:
        tls = self._tls
        try:
            if tls is None:
                await thread.loop.connect_accepted_socket(lambda: connection, sock)
            else:
                await thread.loop.connect_accepted_socket(
                    lambda: connection,
                    sock,
                    ssl=tls.context,
                    ssl_handshake_timeout=self._network.limits.handshake_timeout,
                )
        except (TimeoutError, OSError, asyncio.CancelledError) as error:
            # A handshake that failed: the protocol never saw the connection.
            _log.debug("a connection failed before it began", peer=connection.peer, error=str(error))
            sock.close()
            if not hasattr(connection, "transport"):
                self._network.discharge(connection.peer)


class Network:
    """What all listeners share: the loops to deal to, the limits, and the connections that are open."""

    def __init__(self, loops: Loops, limits: Limits, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.loops = loops
        self.limits = limits
        self._monotonic = monotonic
        self._turn = cycle(loops.threads)
        self._listeners: list[Listener] = []
        self._census = threading.Condition()  # guards the counts below
        self._count = 0
        self._by_address: Counter[str] = Counter()
        self._most = limits.max_connections
        self._full = False
        self._told_full = False
        self._draining = False
        # Each thread adds and removes its own connections only.
        self._open: dict[LoopThread, set[Connection]] = {thread: set() for thread in loops.threads}

    @property
    def connections(self) -> int:
        """How many are open now."""
        return self._count

    def listen(self, address: Address, factory: ConnectionFactory, tls: Tls | None = None) -> Listener:
        """Begin to listen and to serve; `AddressError` where that can't be done."""
        if not self._listeners:
            self._most = min(self.limits.max_connections, _affordable())
        listener = Listener(self, address, factory, tls)
        self._listeners.append(listener)
        listener.start()
        return listener

    def next_thread(self) -> LoopThread:
        return next(self._turn)

    def has_room(self) -> bool:
        with self._census:
            full = self._full = self._count >= self._most
            tell = full and not self._told_full
            self._told_full |= full
        if tell:  # once: a server at its limit would say it with each connection
            by = "open files (ulimit -n)" if self._most < self.limits.max_connections else "net.max_connections"
            _log.warning("all connections that may be are open; more will wait", connections=self._most, limit=by)
        return not full

    def admit(self, peer: str) -> bool:
        """Count a connection from `peer`, unless it has too many already."""
        most = self.limits.max_per_address
        with self._census:
            if most and peer != "unix" and self._by_address[peer] >= most:
                return False
            self._by_address[peer] += 1
            self._count += 1
            return True

    def discharge(self, peer: str) -> None:
        """A connection that was admitted is gone."""
        with self._census:
            self._count -= 1
            self._by_address[peer] -= 1
            if not self._by_address[peer]:
                del self._by_address[peer]
            was_full = self._full
            self._full = False
            if not self._count:
                self._census.notify_all()
        if was_full:
            for listener in self._listeners:
                listener.resume()

    def opened(self, connection: Connection) -> None:
        self._open[connection.thread].add(connection)
        if self._draining:
            connection.drain()

    def closed(self, connection: Connection) -> None:
        self._open[connection.thread].discard(connection)
        self.discharge(connection.peer)

    def visit(self, call: Callable[[Collection[Connection]], object]) -> None:
        """Call `call` once on each loop, soon, with the connections that it has."""
        for thread, connections in self._open.items():
            thread.post(_with_all, connections, call)

    def drain(self) -> None:
        """Accept no more, and ask every connection to finish. Returns before they have."""
        self._draining = True
        for listener in self._listeners:
            listener.close()
        for thread, connections in self._open.items():
            thread.post(_for_each, connections, lambda connection: connection.drain())

    def settle(self, deadline: float) -> None:
        """Block until all connections are closed, or until `deadline` of the monotonic clock."""
        with self._census:
            self._census.wait_for(lambda: not self._count, timeout=max(0.0, deadline - self._monotonic()))

    def close(self, patience: float = 1.0) -> None:
        """Close what is still open, without waiting for the peers: at most `patience` seconds."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        for thread, connections in self._open.items():
            thread.post(_for_each, connections, lambda connection: connection.transport.abort())
        self.settle(self._monotonic() + patience)


def _affordable() -> int:
    """How many connections there are descriptors for, beside what is open now."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return sys.maxsize
    return max(1, soft - len(os.listdir("/dev/fd")) - _SPARE)  # noqa: PTH208 - they are counted, no paths are made


def _with_all(connections: set[Connection], call: Callable[[Collection[Connection]], object]) -> None:
    call(tuple(connections))


def _for_each(connections: set[Connection], action: Callable[[Connection], None]) -> None:
    for connection in tuple(connections):
        action(connection)
