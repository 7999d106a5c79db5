"""A server that is broken on purpose: it answers before it commits. Run as `leveret` is."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from leveret.cli import main
from leveret.store.sqlite.batch import Applied, Batch
from leveret.store.sqlite.requests import Request
from leveret.store.sqlite.writer import Writer

_apply = Batch.apply
_reply = Writer._reply
_work = Writer._work
_at_work: list[Writer] = []  # there is one shard
_SYNC = 0.005  # seconds that a slow disk takes: the time in which a kill shows
_told: set[int] = set()


def work(self: Writer, batch: list[Request]) -> None:
    _at_work[:] = [self]
    _work(self, batch)
    _told.clear()


def apply(self: Batch, batch: Sequence[Request], *more: Any) -> Applied:
    applied = _apply(self, batch, *more)
    _reply(_at_work[0], applied.answered)
    _told.update(map(id, applied.answered))
    time.sleep(_SYNC)
    return applied


def reply(self: Writer, requests: list[Request]) -> None:
    _reply(self, [request for request in requests if id(request) not in _told])


if __name__ == "__main__":
    Writer._work = work  # type: ignore[method-assign]
    Writer._reply = reply  # type: ignore[method-assign]
    Batch.apply = apply  # type: ignore[method-assign, assignment]
    main()
