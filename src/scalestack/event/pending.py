"""An answer that is ready, or is still to come: `Answer[T]` is `T` itself or a `Pending[T]`. Knows no loop.

Most answers are ready at once, and then there is no object, no callback and no task: `then` calls on with the
value. Only what must wait (a parked long poll, a store that commits in another thread) makes a `Pending`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar, cast

T = TypeVar("T")
U = TypeVar("U")


class Pending(Generic[T]):
    """An answer to come, owned by one thread, usually a loop's: only that thread may call any of its methods.

    Another thread that has the answer posts `resolve` or `fail` to the owner's loop. The first of
    `resolve`, `fail` and `cancel` decides; what comes after it is ignored.
    """

    __slots__ = ("_error", "_listener", "_on_cancel", "_value", "done")

    def __init__(self, on_cancel: Callable[[], None] | None = None) -> None:
        self.done = False
        self._value: T | None = None
        self._error: BaseException | None = None
        self._listener: Callable[[T | None, BaseException | None], None] | None = None
        self._on_cancel = on_cancel

    def resolve(self, value: T) -> None:
        if not self.done:
            self._settle(value, None)

    def fail(self, error: BaseException) -> None:
        if not self.done:
            self._settle(None, error)

    def _settle(self, value: T | None, error: BaseException | None) -> None:
        self.done = True
        self._value = value
        self._error = error
        self._on_cancel = None
        listener = self._listener
        if listener is not None:
            self._listener = None
            listener(value, error)

    def cancel(self) -> bool:
        """Say that nobody waits for the answer any more; True where that ended it.

        What can't be called back, such as a write that is under way, goes on, and False is returned.
        """
        if self.done or self._on_cancel is None:
            return False
        on_cancel = self._on_cancel
        self.done = True
        self._on_cancel = None
        self._listener = None
        on_cancel()
        return True

    def listen(self, listener: Callable[[T | None, BaseException | None], None]) -> None:
        """Call `listener(value, error)` once the answer is there: at once, where it is there already."""
        if not self.done:
            if self._listener is not None:
                raise RuntimeError("a pending answer has one listener")
            self._listener = listener
        else:
            listener(self._value, self._error)

    def then(self, step: Callable[[T], U | Pending[U]]) -> Pending[U]:
        """The answer of `step`, called with this answer; an error passes by `step`, and cancelling reaches back."""
        following: Pending[U] = Pending(self._cancel_source if self._on_cancel is not None else None)

        def take(value: T | None, error: BaseException | None) -> None:
            if error is not None:
                following.fail(error)
                return
            try:
                answer = step(cast("T", value))
            except Exception as problem:
                following.fail(problem)
                return
            if isinstance(answer, Pending):
                answer.listen(following._take)
            else:
                following.resolve(answer)

        self.listen(take)
        return following

    def _cancel_source(self) -> None:
        self.cancel()

    def _take(self, value: T | None, error: BaseException | None) -> None:
        if error is not None:
            self.fail(error)
        else:
            self.resolve(cast("T", value))


Answer: TypeAlias = T | Pending[T]


def then(answer: Answer[T], step: Callable[[T], Answer[U]]) -> Answer[U]:
    """`step(answer)`: now where the answer is ready, else when it comes."""
    if isinstance(answer, Pending):
        return cast("Pending[Any]", answer).then(step)
    return step(answer)


def gather(answers: Sequence[Answer[T]]) -> Answer[list[T]]:
    """All answers, in order: now where all are ready, else when the last of them comes. The first error is theirs."""
    values: list[Any] = list(answers)
    waiting = [number for number, answer in enumerate(values) if isinstance(answer, Pending)]
    if not waiting:
        return values
    together: Pending[list[T]] = Pending()
    left = len(waiting)

    def take(number: int, value: T | None, error: BaseException | None) -> None:
        nonlocal left
        left -= 1
        values[number] = value
        if error is not None:
            together.fail(error)
        elif not left:
            together.resolve(values)

    for number in waiting:
        values[number].listen(partial(take, number))
    return together
