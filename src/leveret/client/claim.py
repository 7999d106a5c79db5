"""A claimed message in a program that may wait. Knows its lease and its client; what is asked is the lease's."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from leveret.client.errors import Forbidden, LeaseLost, LeveretError, Unauthorized
from leveret.client.lease import Lease
from leveret.client.values import Message

if TYPE_CHECKING:
    from leveret.client.client import Client


class ClaimedMessage:
    """What a claim shows of its message and its lease."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease

    @property
    def message(self) -> Message:
        """The message as it was when it was claimed."""
        return self._lease.message

    @property
    def id(self) -> str:
        return self.message.id

    @property
    def body(self) -> bytes:
        return self.message.body

    @property
    def text(self) -> str:
        """The body as text; `UnicodeDecodeError` where it is not UTF-8."""
        return self.message.text

    def json(self) -> Any:
        """The body's value; `ValueError` where it is not JSON."""
        return self.message.json()

    @property
    def content_type(self) -> str | None:
        return self.message.content_type

    @property
    def headers(self) -> Mapping[str, str]:
        return self.message.headers

    @property
    def deliveries(self) -> int:
        """How often the message was claimed, this time included."""
        return self.message.deliveries

    @property
    def lost(self) -> bool:
        """Whether the service said that the lease is not this claim's any more: another worker may have the message."""
        return self._lease.lost

    @property
    def over(self) -> bool:
        """Whether this claim deleted the message, or released it."""
        return self._lease.over

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r}, {len(self.body)} bytes)"


class Claim(ClaimedMessage):
    """A message that is this worker's until the lease ends; what is done after that is a `LeaseLost`.

    A context manager. Left normally, the message is deleted, unless it was deleted or released within the block; where
    the service can't be reached, that is tried for as long as the lease may last.
    left by an exception, it is released, after the back-off of the claim. While the block runs, the lease is extended
    by itself, unless it was claimed with `keep=False`; where that fails because the lease was lost, `lost` is True, and
    the end of the block raises `LeaseLost`.
    """

    def __init__(self, client: Client, lease: Lease) -> None:
        super().__init__(lease)
        self._client = client
        self._lock = threading.Lock()  # held for each operation of the lease
        self._kept: int | None = None

    def delete(self) -> None:
        """The work is done. `LeaseLost` where the message may be another's by now, or is gone."""
        with self._lock:
            self._client.perform(self._lease.delete())

    def release(self, seconds: int = 0) -> None:
        """Give it back, for others to take in so many seconds; `LeaseLost` as for `delete`."""
        with self._lock:
            self._client.perform(self._lease.release(seconds))

    def extend(self, seconds: int) -> None:
        """Keep it for so many seconds more, from now on; `LeaseLost` as for `delete`."""
        with self._lock:
            self._client.perform(self._lease.extend(seconds))
        if self._kept is not None:  # from now on, and by its new length
            self._client.keeper.let_go(self._kept)
            self._kept = self._client.keeper.keep(self)

    @property
    def seconds(self) -> float:
        """How long the lease lasts from when it is extended by itself."""
        return self._lease.seconds

    def prolong(self) -> bool | None:
        """For `LeaseKeeper`, which says what it answers."""
        with self._lock:
            if not self._lease.held:
                return False
            try:
                self._client.perform(self._lease.prolong())
            except (LeaseLost, Unauthorized, Forbidden):
                return False
            except LeveretError:
                return None
            return True

    def __enter__(self) -> Self:
        if self._lease.keep and self._lease.held:
            self._kept = self._client.keeper.keep(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._kept is not None:
            self._client.keeper.let_go(self._kept)
            self._kept = None
        with self._lock:
            if self._lease.over:
                return
            if error is None:
                self._client.perform(self._lease.finish())
            elif not self._lease.lost:
                with suppress(LeveretError):  # the error within the block is what matters
                    self._client.perform(self._lease.give_back())
