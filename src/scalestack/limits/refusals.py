"""Refusals of what is too much: counted, and held back for a moment, so that a flood of them costs next to nothing."""

from __future__ import annotations

import math
import random
import threading
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from scalestack.event.loops import LoopThread
from scalestack.event.pending import Answer, Pending
from scalestack.http.message import Response
from scalestack.http.problem import CONTENT_TYPE, HttpError
from scalestack.limits.budget import BYTES, REQUESTS, Budget, Excess, Limit
from scalestack.net.connection import Connection

_HOLD: Final = 0.5  # seconds that a refusal is held back, half of them at least: a busy loop goes round that slowly
_MOST_KEYS: Final = 10_000  # accounts and kinds that are counted apart


class Refusals:
    """Counts refusals, and says when each is to be sent. Any thread may call it."""

    def __init__(self) -> None:
        self._counted: Counter[tuple[str, str]] = Counter()
        self._count_lock = threading.Lock()  # guards the counts

    def counted(self) -> Mapping[tuple[str, str], int]:
        """How many there were, by account and kind. The first 10,000 have counts of their own, all others one for each
        kind, under an empty account. Counts never go down."""
        with self._count_lock:
            return dict(self._counted)

    def hold(
        self, account: str, kind: str, budget: Budget | None, connection: Connection | None = None
    ) -> Answer[None]:
        """Count a refusal; answers when it is to be sent. At once outside of loops, and where too many are held."""
        with self._count_lock:
            key = (account, kind)
            if key not in self._counted and len(self._counted) >= _MOST_KEYS:
                key = ("", kind)
            self._counted[key] += 1
        thread = LoopThread.current()
        if thread is None or budget is None or not budget.hold():
            return None

        def let_go() -> None:
            budget.let_go()
            held.resolve(None)

        def gone() -> bool:
            """Only a connection that ends calls it back: who sends more behind it is to be told, and read later."""
            if connection is None or not connection.transport.is_closing():
                return False
            timer.cancel()
            budget.let_go()
            return True

        held: Pending[None] = Pending(gone)
        held.parked = held.held_back = True
        # Not all for as long: those who were refused together would come again together, and be let in together.
        timer = thread.later(random.uniform(_HOLD / 2, _HOLD), let_go)  # noqa: S311 - nobody gains by guessing it
        return held


def detail_of(kind: str, limit: Limit) -> str:
    """Which limit it is that was met, in words."""
    per = "a second" if kind in (REQUESTS, BYTES) else "at once"
    return f"the account may have {limit.most:,.10g} {kind} {per} ({limit.setting})"


def refusal(excess: Excess) -> Response:
    """429 for what is too much (RFC 6585 section 4), with when to try again (RFC 9110 section 10.2.3)."""
    return _refusal(excess.kind, excess.limit, max(1, math.ceil(excess.wait)))


@lru_cache(maxsize=1024)
def _refusal(kind: str, limit: Limit, seconds: int) -> Response:
    error = HttpError(429, f"too-many-{kind}", f"{detail_of(kind, limit)}; try again in {seconds} s")
    return Response(429, error.body(), CONTENT_TYPE, ((b"Retry-After", b"%d" % seconds),))
