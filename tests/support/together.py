"""Many calls of a store at once: in one turn of a loop, so that a store that gathers has them in one batch."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from scalestack.event.loops import LoopThread
from scalestack.event.pending import Pending
from support.web import PATIENCE


def together(loop: LoopThread, *calls: Callable[[], Any]) -> list[Any]:
    """The answers, or errors, of calls that are made in one turn of a loop."""
    answers: list[Future[Any]] = [Future() for _ in calls]

    def run() -> None:
        for call, answered in zip(calls, answers, strict=True):
            pending = call()
            assert isinstance(pending, Pending)
            pending.listen(lambda value, error, answered=answered: answered.set_result(error or value))

    loop.call(run).result(PATIENCE)
    return [answered.result(PATIENCE) for answered in answers]
