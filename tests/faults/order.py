"""First in, first out: what was acknowledged before another was asked for comes before it."""

from __future__ import annotations

import heapq
import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from faults.history import Got, Take
from faults.messages import Message

_MANY = 100  # takes without an answer, after which nothing certain is left to say


def disordered(messages: Iterable[Message]) -> Iterator[tuple[Message, Message]]:
    """Of messages as they came out, each that should have come before one that it follows."""
    latest: Message | None = None
    for message in messages:
        if latest is not None and _before(message, latest):
            yield message, latest
        if latest is None or (latest.put.began, latest.place) < (message.put.began, message.place):
            latest = message


def _before(one: Message, other: Message) -> bool:
    return one.place < other.place if one.put is other.put else one.put.ended < other.put.began


def passed_by(
    takes: Iterable[Take], unknown: Iterable[Take], messages: Mapping[str, Message]
) -> Iterator[tuple[Message, Take]]:
    """Each message that a claim or a pop passed by, though it was visible all the while, and its turn.

    A take that got no answer may have had as many as it asked for.
    """
    windows = sorted(
        [
            (start, end, message.put.ended, message.id)
            for message in messages.values()
            for start, end in message.visible()
        ]
    )
    lost_takes = sorted((take.began, take.limit) for take in unknown)
    begins = [began for began, _ in lost_takes]
    may_have = [0, *accumulate(limit for _, limit in lost_takes)]
    waiting: list[tuple[float, str, float]] = []  # those that are visible, the first put first
    told: set[str] = set()
    pushed = 0
    for take in sorted(takes, key=lambda each: each.began):
        while pushed < len(windows) and windows[pushed][0] <= take.began:
            _, end, acknowledged, id = windows[pushed]
            heapq.heappush(waiting, (acknowledged, id, end))
            pushed += 1
        allowance = may_have[bisect_right(begins, take.ended)]
        if allowance > _MANY:
            return
        bar = _bar(take, messages)
        aside: list[tuple[float, str, float]] = []  # visible for a part of the time: only few are under way at once
        passed = 0
        while waiting and waiting[0][0] < bar:
            acknowledged, id, end = heapq.heappop(waiting)
            if end < take.began:
                continue
            aside.append((acknowledged, id, end))
            if end > take.ended:
                passed += 1
                if passed > allowance:
                    if id not in told:
                        told.add(id)
                        yield messages[id], take
                    break
        for each in aside:
            heapq.heappush(waiting, each)


def _bar(take: Take, messages: Mapping[str, Message]) -> float:
    """What was acknowledged before this moment comes before the last that was taken."""
    if len(take.got) < take.limit:
        return math.inf
    return max((_put_began(each, messages) for each in take.got), default=-math.inf)


def _put_began(got: Got, messages: Mapping[str, Message]) -> float:
    message = messages.get(got.id)
    return -math.inf if message is None else message.put.began
