"""One claim's lease: what it asks of the service, and what its answers mean for it. No I/O, no locks, no clock."""

from __future__ import annotations

import logging
import math
from typing import Final, TypeVar

from leveret.client.calls import Operation, Pause
from leveret.client.errors import LeaseLost, TooManyRequests, Unavailable
from leveret.client.operations import QueueCalls
from leveret.client.values import Backoff, Message, check_whole
from leveret.model import MAX_SECONDS

T = TypeVar("T")

_log = logging.getLogger("leveret.client")

_BETWEEN_TRIES: Final = 1.0  # seconds, to say that the work is done

# Of a lease that is kept: extended when a third is over, and tried again, where that failed, at a sixth.
EXTEND_AFTER: Final = 1 / 3
TRY_AGAIN_AFTER: Final = 1 / 6


class Lease:
    """A message that is this worker's, until it is done with it or the service says that it isn't any more.

    Only one of its operations may be under way at a time.
    """

    def __init__(self, calls: QueueCalls, message: Message, seconds: int, backoff: Backoff, keep: bool) -> None:
        self._calls = calls
        self.message = message
        self.seconds = seconds  # its length, when it is extended by itself
        self._backoff = backoff
        self.keep = keep
        self.lost = False
        self.over = False  # deleted or released
        self._receipt = message.receipt

    @property
    def held(self) -> bool:
        return not (self.lost or self.over)

    def delete(self) -> Operation[None]:
        self._check()
        if not (yield from self._told(self._calls.delete(self.message.id, self._receipt))):
            raise self._gone()
        self.over = True

    def finish(self) -> Operation[None]:
        """Delete it as the work is done, and try for as long as the lease may last: a server may be starting anew."""
        left = float(self.seconds)
        sent = False
        while True:
            try:
                yield from self.delete()
            except Unavailable as error:
                if left <= 0 or not self._calls.retries:
                    raise
                if isinstance(error, TooManyRequests):
                    pause = max(_BETWEEN_TRIES, error.retry_after or 0)
                else:
                    pause = _BETWEEN_TRIES
                    sent = sent or error.code not in {"unreachable", "untrusted"}
            except LeaseLost as error:
                if not (sent and error.code == "no-such-message"):
                    raise
                self.lost, self.over = False, True  # one of the tries was not in vain, though its answer was lost
                return
            else:
                return
            pause = min(left, pause)
            yield Pause(pause)
            left -= pause

    def release(self, seconds: int) -> Operation[None]:
        self._check()
        if not (yield from self._told(self._calls.release(self.message.id, seconds, self._receipt))):
            raise self._gone()
        self.over = True

    def extend(self, seconds: int) -> Operation[None]:
        check_whole(1, seconds=seconds)
        yield from self._hide(seconds, None)
        self.seconds = seconds

    def prolong(self) -> Operation[None]:
        """Extend it by its own length, with one request that is answered before it would be of no use."""
        yield from self._hide(self.seconds, max(1.0, self.seconds * TRY_AGAIN_AFTER))

    def give_back(self) -> Operation[None]:
        """Release it after a failure."""
        try:
            given = self._backoff(self.message) if callable(self._backoff) else self._backoff
            seconds = min(max(0, math.ceil(given)), MAX_SECONDS)
        except Exception:  # the error in the block is what matters, and not one in how long to wait after it
            _log.exception("the back-off of message '%s' is no number of seconds; it is 1", self.message.id)
            seconds = 1
        return self.release(seconds)

    def lost_error(self) -> LeaseLost:
        return LeaseLost(
            "lease-lost",
            None,
            f"the lease of '{self.message.id}' was lost; another worker may have the message: claim for longer, or "
            "extend it in time",
        )

    def _hide(self, seconds: int, patience: float | None) -> Operation[None]:
        self._check()
        call = self._calls.change(self.message.id, None, seconds, self._receipt, "attributes", patience)
        changed = yield from self._told(call)
        if changed is None:
            raise self._gone()
        self._receipt = changed.receipt or self._receipt

    def _told(self, operation: Operation[T]) -> Operation[T]:
        try:
            return (yield from operation)
        except LeaseLost:
            self.lost = True
            raise

    def _check(self) -> None:
        if self.over:
            raise LeaseLost("lease-over", None, f"'{self.message.id}' was deleted or released before by this claim")
        if self.lost:
            raise self.lost_error()

    def _gone(self) -> LeaseLost:
        self.lost = True
        return LeaseLost("no-such-message", 404, f"'{self.message.id}' is gone: it was deleted, or its ttl ended")
