"""Long requests: what may touch more than `PIECE` messages or names, as generators that give way to others by `yield`.

Knows no thread, no clock and no transaction: each piece is in one of whoever goes on with it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from typing import Any, Final, TypeAlias

from leveret.model import NEVER, Filters, QueueState, Want
from leveret.store.sqlite.directory import Directory
from leveret.store.sqlite.entries import QueueRecord
from leveret.store.sqlite.letters import Letters
from leveret.store.sqlite.lookups import ALL, LAST, PIECE, Row, Span
from leveret.store.sqlite.messages import Messages
from leveret.store.sqlite.requests import Kind, Request
from leveret.store.sqlite.rows import DELIVERIES, SEQUENCE, SOME, DamagedMessage, message, size_of
from leveret.store.sqlite.rows import messages as read_messages

SWEEP: Final = 2 * PIECE  # messages that a sweep frees at most, about
_BURIALS: Final = 200  # accounts or queues that are deleted in one go
_STATES: Final = 100  # queues that are described in one go
_LOOK: Final = 10  # what it costs to look at a queue, in messages freed

Steps: TypeAlias = Generator[None, None, Any]

_NOTHING: Final = Want.NOTHING


def is_long(request: Request, queue: QueueRecord) -> bool:
    """Whether a request to a queue may touch more messages than one piece holds."""
    kind = request.kind
    if kind < Kind.SELECT or kind is Kind.NEXT_VISIBLE or kind is Kind.POLICY:
        return False
    limit = request.what.limit
    return queue.messages > PIECE and (limit is None or limit > PIECE)


def most_deliveries(request: Request, queue: QueueRecord) -> int | None:
    """What is delivered so often is not for this request, which claims; None where that doesn't matter."""
    if request.kind is Kind.UPDATE_MATCHING and request.change.hide:
        return queue.policy.max_deliveries
    return None


def has_dead(rows: list[Row], most: int | None) -> bool:
    """Whether any of the rows was delivered so often."""
    return most is not None and any(each[DELIVERIES] >= most for each in rows)


def span_of(filters: Filters, place: int, last: int = LAST) -> Span:
    """Where to look, from `place` on, or all where that is `ALL`; nothing after `last`."""
    if filters.newest_first:
        return (ALL, last if place == ALL else min(place - 1, last))
    return (place, last)


def following(span: Span, filters: Filters, rows: list[Row]) -> Span:
    """Where to look after these rows."""
    place = rows[-1][SEQUENCE]
    return (span[0], place - 1) if filters.newest_first else (place, span[1])


def act(messages: Messages, request: Request, queue: QueueRecord, rows: list[Row], now: float) -> list[Any]:
    """Do to the rows that match what a request wants done; answers the messages."""
    if request.kind is Kind.SELECT:
        return read_messages(rows, queue.number)
    if request.kind is Kind.UPDATE_MATCHING:
        return messages.change(queue, rows, request.change, now)
    return messages.remove(queue, rows)


class LongRequests:
    """The steps of each long request to one shard."""

    def __init__(
        self,
        directory: Directory,
        messages: Messages,
        letters: Letters,
        last_sequence: Callable[[], int],  # the last that was given to a message
        swept: Callable[[float], None],  # told when the next sweep is due
    ) -> None:
        self._directory = directory
        self._messages = messages
        self._letters = letters
        self._last_sequence = last_sequence
        self._swept = swept
        self.read_last: set[int] = set()  # buried queues that somebody still reads

    def steps_of(self, request: Request) -> Steps:
        kind = request.kind
        if kind is Kind.SWEEP:
            return self._sweep(request.now)
        if kind is Kind.LIST_ACCOUNTS:
            return self._list_accounts(request, self._directory.accounts)
        if kind is Kind.DESCRIBE_ACCOUNTS:
            return self._list_accounts(request, self._directory.states)
        if kind is Kind.PLACE_OF_ACCOUNT:
            return self._place_of_account(request)
        if kind is Kind.LIST_QUEUES:
            return self._list_queues(request)
        if kind is Kind.DESCRIBE_QUEUES:
            return self._describe_queues(request)
        if kind is Kind.FIND_QUEUES:
            return self._states(request, request.what)
        if kind is Kind.DELETE_ACCOUNTS:
            return self._delete_accounts(request.what)
        if kind is Kind.DELETE_QUEUES:
            return self._delete_queues(request)
        if kind is Kind.DELETE_MATCHING and self._is_all(request):
            return self._delete_all(request)
        return self._match(request)

    def _match(self, request: Request) -> Steps:
        filters: Filters = request.what
        found: list[Any] = []
        request.found = found
        # What comes after now is not for this request, which might never come to an end otherwise.
        place = self._messages.place(self._directory.find(request.key), filters)
        span = span_of(filters, place, self._last_sequence())
        left = filters.limit
        room = filters.max_bytes
        looks = 0  # how many messages to look at, where there are dead letters among them
        while left is None or left > 0:
            queue = self._directory.find(request.key)
            limit = looks or (PIECE if left is None else min(left, PIECE))
            most = most_deliveries(request, queue)
            if most is None:
                looked_at = rows = self._piece(queue, request, span, limit, room, first=not found)
            else:
                looked_at = self._messages.rows(queue, filters, span, limit, Want.ATTRIBUTES)
                rows, dead = self._sort(looked_at, most, left, room, first=not found)
                if dead:
                    self._letters.bury(queue, dead, request.now)
                    looks = PIECE
                if len(rows) + len(dead) < len(looked_at):
                    left = len(rows)  # there was no room for more
                if request.want is Want.ALL:
                    rows = self._messages.whole(rows)
            done = act(self._messages, request, queue, rows, request.now)
            left = None if left is None else left - len(done)
            room = None if room is None else room - sum([size_of(each) for each in rows])
            if request.want is _NOTHING:
                if done and request.kind is Kind.SELECT:
                    return [SOME]
                done = [SOME] if done and not found else []
            found += done
            if len(looked_at) < limit or (room is not None and room < 0):
                break
            span = following(span, filters, looked_at)
            yield
        return found

    def _piece(
        self, queue: QueueRecord, request: Request, span: Span, limit: int, room: int | None, first: bool
    ) -> list[Row]:
        """The next rows, as many as there is room for, but one at least where it is the first."""
        rows = self._messages.rows(queue, request.what, span, limit, request.want, room)
        if not rows and first and room is not None:
            rows = self._messages.rows(queue, request.what, span, 1, request.want)
        return rows

    @staticmethod
    def _sort(
        rows: list[Row], most: int, left: int | None, room: int | None, first: bool
    ) -> tuple[list[Row], list[Row]]:
        """As many as are wanted and have room, and those among them that were delivered so often.

        One of these takes no room, as it isn't answered; but where there is none for it, nothing after it is looked at.
        """
        alive: list[Row] = []
        dead: list[Row] = []
        for each in rows:
            if len(alive) == left:
                break
            size = size_of(each)
            if room is not None and size > room and (alive or not first):
                break
            if each[DELIVERIES] >= most:
                dead.append(each)
                continue
            if room is not None:
                room -= size
            alive.append(each)
        return alive, dead

    def _is_all(self, request: Request) -> bool:
        queue = self._directory.find(request.key)
        filters: Filters = request.what
        return (
            not (filters.narrow or filters.newest_first or filters.max_bytes)
            and (filters.match_hidden or not queue.hidden)
            and (filters.limit is None or filters.limit >= queue.messages)
        )

    def _delete_all(self, request: Request) -> Steps:
        """All of a queue, at one stroke; who wants to see what it was reads it afterwards."""
        queue = self._directory.find(request.key)
        if not queue.messages:
            return []
        if not self._is_all(request):  # it was, when the request came
            return (yield from self._match(request))
        number = queue.number
        self._messages.bury(queue)
        if request.want is _NOTHING:
            return [SOME]
        self.read_last.add(number)
        try:
            found: list[Any] = []
            request.found = found
            after = 0
            while True:
                rows = self._messages.buried_rows(number, after, PIECE, request.want)
                for row in rows:
                    with suppress(DamagedMessage):  # it is gone, as it was to be
                        found.append(message(row, number))
                if len(rows) < PIECE:
                    return found
                after = rows[-1][SEQUENCE]
                yield
        finally:
            self.read_last.discard(number)
            self._directory.buried = True

    def _settle_all(self, now: float) -> Steps:
        """Have everything gone that expired, in all queues."""
        while self._free(now, SWEEP) <= now:
            yield

    def _free(self, now: float, budget: int) -> float:
        """Free up to `budget` expired messages, about; answers when the next expires."""
        while True:
            first = self._directory.first_due()
            if first is None:
                return NEVER
            due, key = first
            if due > now or budget <= 0:
                return due
            queue = self._directory.find(key)
            before = queue.messages
            self._messages.expire(queue, now)
            budget -= before - queue.messages + _LOOK

    def _sweep(self, now: float) -> Steps:
        due = self._free(now, SWEEP)
        self._swept(due)
        yield

    def _list_accounts(
        self, request: Request, look: Callable[[int | None, int], Iterable[list[tuple[Any, ...]]]]
    ) -> Steps:
        yield from self._settle_all(request.now)
        found: list[tuple[Any, ...]] = []
        for piece in look(*request.what):
            if found:
                yield
            found += piece
        return found

    def _place_of_account(self, request: Request) -> Steps:
        yield from self._settle_all(request.now)
        return self._directory.place_of_account(request.key[0])

    def _list_queues(self, request: Request) -> Steps:
        yield from self._settle_all(request.now)
        found: list[str] = []
        for piece in self._directory.queues(request.key[0], request.what):
            if found:
                yield
            found += piece
        return found

    def _describe_queues(self, request: Request) -> Steps:
        names = yield from self._list_queues(request)
        return (yield from self._states(request, names))

    def _states(self, request: Request, names: Iterable[str]) -> Steps:
        found: list[QueueState] = []
        for number, name in enumerate(names, 1):
            key = (request.key[0], name)
            while not self._messages.settle(self._directory.find(key), request.now):
                yield
            queue = self._directory.find(key)
            if queue.messages:
                found.append(
                    QueueState(
                        name,
                        queue.messages,
                        queue.hidden,
                        queue.bytes,
                        self._messages.oldest(queue),
                        queue.policy,
                        self._directory.dropped(queue),
                    )
                )
            if number % _STATES == 0:
                yield
        return found

    def _delete_accounts(self, names: Iterable[str]) -> Steps:
        left = list(names)
        while left:
            self._directory.bury_accounts(left[:_BURIALS])
            left = left[_BURIALS:]
            yield
        if self._messages.tally.on:
            # How many messages that were is said by the rows of the queues, which are gone through anyway.
            while self._directory.bury_queues(PIECE):
                yield

    def _delete_queues(self, request: Request) -> Steps:
        names = yield from self._list_queues(request)
        for number, name in enumerate(names):
            queue = self._directory.find((request.key[0], name))
            if queue.messages:
                self._messages.bury(queue)
            if number % _BURIALS == _BURIALS - 1:
                yield
        return names
