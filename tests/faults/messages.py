"""What a history says of each message of one queue: when it was certainly there, and when it certainly was hidden.

Where something may have been so or not, it is not certain, and nothing is concluded from it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from faults.history import Answer, Change, Drain, Got, Operation, Put, Take

TOLERANCE = 0.25  # seconds by which clocks may differ


class Touch(NamedTuple):
    """What was asked of one message by its id."""

    change: Change
    receipt: str | None
    answer: Answer | None  # None where it is unknown

    @property
    def may_have_done(self) -> bool:
        return self.answer in {None, "done"}


class Setter(NamedTuple):
    """What set, or may have set, until when a message is hidden."""

    of: Operation
    seconds: float
    certain: bool

    @property
    def began(self) -> float:
        return self.of.began

    @property
    def ended(self) -> float:
        return self.of.ended


class Message:
    """One message."""

    __slots__ = ("_setters", "drained", "handed", "id", "mark", "place", "put", "there_since", "touches")

    def __init__(self, id: str, put: Put, place: int) -> None:
        self.id = id
        self.put = put
        self.place = place  # among those of its PUT
        self.mark = put.marks[place]
        self.there_since = put.ended if put.outcome == "ok" else math.inf  # since then it certainly was there
        # Made where they are needed: most have been put, and drained.
        self.handed: list[tuple[Take, Got]] = []
        self.touches: list[Touch] = []
        self.drained: list[tuple[Drain, Got]] = []
        self._setters: dict[str | None, list[Setter]] | None = None

    def __str__(self) -> str:
        return f"{self.id} in {self.put.queue}"

    def was_there(self, moment: float) -> None:
        self.there_since = min(self.there_since, moment)

    @property
    def ends(self) -> Iterator[Operation]:
        """What certainly took it out of the queue, or said so."""
        for take, _ in self.handed:
            if take.pops:
                yield take
        for touch in self.touches:
            if touch.change.seconds is None and touch.answer == "done":
                yield touch.change

    def may_have_ended(self, moment: float = math.inf, but: Change | None = None) -> bool:
        """Whether anybody may have taken it out by then, `but` for this change."""
        return (
            any(take.pops and take.began <= moment for take, _ in self.handed)
            or any(drain.began <= moment for drain, _ in self.drained)
            or any(
                change is not but and change.seconds is None and answer in {None, "done"} and change.began <= moment
                for change, _, answer in self.touches
            )
        )

    @property
    def gone_since(self) -> float:
        """Since when it certainly is not there any more."""
        gone = min((end.ended for end in self.ends), default=math.inf)
        for touch in self.touches:
            if touch.answer == "gone" and self.there_since < touch.change.began:
                gone = min(gone, touch.change.ended)
        return gone

    @property
    def hidden_without_a_receipt(self) -> bool:
        """A hide that shows no receipt may be anybody's, and ends any lease."""
        return any(touch.receipt is None and touch.change.seconds is not None for touch in self.touches)

    def setters(self, receipt: str | None) -> list[Setter]:
        """Of the lease with this receipt: its claim, and what has or may have moved its end."""
        if self._setters is None:
            self._setters = {}
            for take, got in self.handed:
                self._setters.setdefault(got.receipt, []).append(Setter(take, take.hide, certain=True))
            for touch in self.touches:
                change = touch.change
                if change.seconds is not None and touch.may_have_done:
                    moved = Setter(change, change.seconds, touch.answer == "done")
                    self._setters.setdefault(touch.receipt, []).append(moved)
        return self._setters.get(receipt, [])

    def all_setters(self) -> Iterator[Setter]:
        self.setters(None)
        assert self._setters is not None
        for setters in self._setters.values():
            yield from setters

    def visible(self) -> Iterator[tuple[float, float]]:
        """Between which moments it certainly was there, and nobody had hidden it."""
        if self.put.outcome != "ok":
            return
        steps = [(take.began, take.ended, take.hide, True) for take, _ in self.handed]
        steps += [(drain.began, drain.ended, math.inf, True) for drain, _ in self.drained]
        for change, _, answer in self.touches:
            if answer != "held":
                for_ever = change.seconds is None or answer == "gone"
                seconds = math.inf if for_ever else change.seconds or 0.0
                steps.append((change.began, change.ended, seconds, answer is not None))
        start = self.put.ended
        latest = -math.inf  # when all steps before had ended
        for began, ended, seconds, certain in sorted(steps):
            if start < began:
                yield start, began
            hidden = ended + seconds + TOLERANCE
            # A step that came after the others says anew until when it is hidden.
            start = hidden if certain and began > latest and start < math.inf else max(start, hidden)
            latest = max(latest, ended)
        if start < math.inf:
            yield start, math.inf


def in_force(setters: list[Setter], began: float, ended: float) -> list[Setter]:
    """Those that may have been the last before something that happened between these moments."""
    superseded = max((each.began for each in setters if each.certain and each.ended < began), default=-math.inf)
    return [each for each in setters if each.began <= ended and each.ended >= superseded]


def first_end(setters: Iterable[Setter]) -> float:
    """When what these have hidden may be visible, at the earliest."""
    return min((each.began + each.seconds for each in setters), default=-math.inf) - TOLERANCE


def last_end(setters: Iterable[Setter]) -> float:
    """When what these have hidden certainly is visible."""
    return max((each.ended + each.seconds for each in setters), default=-math.inf) + TOLERANCE
