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


class Cancelled(Exception):
    """Nobody waited for the answer any more, and so it never came."""


class Pending(Generic[T]):
    """An answer to come, owned by one thread, usually a loop's: only that thread may call any of its methods.

    Another thread that has the answer posts `resolve` or `fail` to the owner's loop. The first of
    `resolve`, `fail` and `cancel` decides; what comes after it is ignored.
    """

    # As attributes of the class, so that to make one sets next to nothing: many are made.
    done = False
    _came = False  # the first value is there; it is done when all steps are
    _unwanted = False
    withdrawn = False  # what was asked for need not be done
    parked = False  # it comes when something happens outside: how long that takes says nothing of this process
    held_back = False  # it is a refusal, which is there already and comes later for the sake of whoever repeats it
    _steps: list[Callable[[Any], Any]] | None = None
    _listener: Callable[[T | None, BaseException | None], object] | None = None
    _on_cancel: Callable[[], object] | None = None
    _rescue: Callable[[BaseException], Any] | None = None
    _told: Callable[[BaseException], object] | None = None
    _value: T | None = None
    _error: BaseException | None = None

    def __init__(self, on_cancel: Callable[[], object] | None = None) -> None:
        if on_cancel is not None:
            self._on_cancel = on_cancel

    def resolve(self, value: T) -> None:
        if not self._came:
            self._came = True
            if self._steps is None:
                self._settle(value, None)
            else:
                self._go_on(value)

    def fail(self, error: BaseException) -> None:
        if not self._came:
            self._came = True
            self._settle(None, error)

    def _go_on(self, value: Any) -> None:
        """Take the steps, up to one whose answer is pending too."""
        steps = self._steps
        assert steps is not None
        self._on_cancel = None
        for number, step in enumerate(steps, 1):
            try:
                value = step(value)
            except Exception as problem:
                self._settle(None, problem)
                return
            if isinstance(value, Pending):
                self._steps = steps[number:]
                self._wait_for(value)
                return
        self._settle(value, None)

    def _wait_for(self, following: Pending[Any]) -> None:
        if self._unwanted and following.cancel():
            self._settle(None, Cancelled())
            return
        if following.parked:
            self.parked = True
        if not following.done:
            self._on_cancel = following.cancel
        following.listen(self._take)

    def _take(self, value: Any, error: BaseException | None) -> None:
        if self.done:
            return
        if error is not None:
            self._settle(None, error)
        else:
            self._go_on(value)

    def _settle(self, value: T | None, error: BaseException | None) -> None:
        if error is not None and self._rescue is not None:
            rescue, self._rescue = self._rescue, None
            self._steps = []  # an error has passed by all of them
            try:
                following = rescue(error)
            except Exception as problem:
                error = problem
            else:
                if isinstance(following, Pending):
                    self._wait_for(following)
                    return
                value, error = following, None
        if error is not None and self._told is not None and not isinstance(error, Cancelled):
            told, self._told = self._told, None
            told(error)
        self.done = True
        self._value = value
        self._error = error
        self._on_cancel = None
        self._steps = None  # a step may refer to this answer, and would keep it until garbage is collected
        listener = self._listener
        if listener is not None:
            self._listener = None
            listener(value, error)

    @property
    def unwanted(self) -> bool:
        """Whether it was to be cancelled, but could not be called back yet."""
        return self._unwanted

    def cancel(self) -> bool:
        """Say that nobody waits for the answer any more; True where that ended it.

        What can't be called back, such as a write that is under way, goes on, and False is returned. Where one of the
        steps that follow it would wait for something that can be called back, the answer is a `Cancelled` error.
        """
        if self.done:
            return False
        self._unwanted = True
        if not self._call_back():
            return False
        self.done = self._came = True
        self._on_cancel = None
        self._steps = None
        self._listener = None
        return True

    def _call_back(self) -> bool:
        """Undo what was asked for; False where that can't be done any more."""
        on_cancel = self._on_cancel
        return on_cancel is not None and on_cancel() is not False

    def withdraw(self) -> None:
        """Say that what was asked for need not be done, where it has not been begun: a look on behalf of nobody."""
        self.withdrawn = True

    def listen(self, listener: Callable[[T | None, BaseException | None], object]) -> None:
        """Call `listener(value, error)` once the answer is there: at once, where it is there already."""
        if not self.done:
            if self._listener is not None:
                raise RuntimeError("a pending answer has one listener")
            self._listener = listener
        else:
            listener(self._value, self._error)

    def otherwise(self, rescue: Callable[[BaseException], T | Pending[T]]) -> Pending[T]:
        """Where the answer is an error, the answer of `rescue`, called with it; steps that were to follow are left out.

        What it can't mend it raises. It is the same object, and there is one rescue, asked once.
        """
        if self.done and self._error is not None:
            error, self._error = self._error, None
            self.done = False
            self._rescue = rescue
            self._settle(None, error)
        else:
            self._rescue = rescue
        return self

    def overhear(self, tell: Callable[[BaseException], object]) -> Pending[T]:
        """Have `tell` hear of the error, where it comes to one, before whoever waits for the answer. It makes no other
        answer of it: it is the same object, and there is one who hears."""
        if self.done and self._error is not None:
            tell(self._error)
        else:
            self._told = tell
        return self

    def then(self, step: Callable[[T], U | Pending[U]]) -> Pending[U]:
        """The answer of `step`, called with this answer; an error passes by `step`, and cancelling reaches back.

        It is the same object: from here on its answer is that of `step`.
        """
        following = cast("Pending[U]", self)
        if self._listener is not None:
            raise RuntimeError("a pending answer has one listener, and this one has it already")
        if not self.done:
            if self._steps is None:
                self._steps = [step]
            else:
                self._steps.append(step)
        elif self._error is None:
            self.done = False
            self._steps = [step]
            self._go_on(self._value)
        return following


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
