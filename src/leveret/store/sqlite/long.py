"""Long requests: what may touch more than `PIECE` messages or names, as generators that give way to others by `yield`.

Knows no thread, no clock and no transaction: each piece is in one of whoever goes on with it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from typing import Any, Final, TypeAlias

from leveret.model import NEVER, Filters, Want
from leveret.store.sqlite.directory import Directory, QueueRecord
from leveret.store.sqlite.messages import PIECE, Messages, Row
from leveret.store.sqlite.requests import Kind, Request
from leveret.store.sqlite.rows import SEQUENCE, SOME, DamagedMessage, message

SWEEP: Final = 2 * PIECE  # messages that a sweep frees at most, about
_BURIALS: Final = 200  # accounts or queues that are deleted in one go
_LOOK: Final = 10  # what it costs to look at a queue, in messages freed

Steps: TypeAlias = Generator[None, None, Any]

_NOTHING: Final = Want.NOTHING


def is_long(request: Request, queue: QueueRecord) -> bool:
    """Whether a request to a queue may touch more messages than one piece holds."""
    if request.kind < Kind.SELECT or request.kind is Kind.NEXT_VISIBLE:
        return False
    limit = request.what.limit
    return queue.messages > PIECE and (limit is None or limit > PIECE)


def act(messages: Messages, request: Request, queue: QueueRecord, rows: list[Row], now: float) -> list[Any]:
    """Do to the rows that match what a request wants done; answers the messages."""
    if request.kind is Kind.SELECT:
        return [message(found) for found in rows]
    if request.kind is Kind.UPDATE_MATCHING:
        return messages.change(queue, rows, request.change, now)
    return messages.remove(queue, rows)


class LongRequests:
    """The steps of each long request to one shard."""

    def __init__(
        self,
        directory: Directory,
        messages: Messages,
        last_sequence: Callable[[], int],  # the last that was given to a message
        swept: Callable[[float], None],  # told when the next sweep is due
    ) -> None:
        self._directory = directory
        self._messages = messages
        self._last_sequence = last_sequence
        self._swept = swept
        self.read_last: set[int] = set()  # buried queues that somebody still reads

    def steps_of(self, request: Request) -> Steps:
        kind = request.kind
        if kind is Kind.SWEEP:
            return self._sweep(request.now)
        if kind is Kind.LIST_ACCOUNTS:
            return self._list_accounts(request)
        if kind is Kind.PLACE_OF_ACCOUNT:
            return self._place_of_account(request)
        if kind is Kind.LIST_QUEUES:
            return self._list_queues(request)
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
        last = self._last_sequence()
        after = self._messages.place(self._directory.find(request.key), filters.marker)
        left = filters.limit
        while left is None or left > 0:
            queue = self._directory.find(request.key)
            limit = PIECE if left is None else min(left, PIECE)
            rows = self._messages.rows(queue, after, limit, filters.match_hidden, request.want, last)
            done = act(self._messages, request, queue, rows, request.now)
            if request.want is _NOTHING:
                if done and request.kind is Kind.SELECT:
                    return [SOME]
                done = [SOME] if done and not found else []
            found += done
            if len(rows) < limit:
                break
            after = rows[-1][SEQUENCE]
            left = None if left is None else left - limit
            yield
        return found

    def _is_all(self, request: Request) -> bool:
        queue = self._directory.find(request.key)
        filters: Filters = request.what
        return (
            filters.marker is None
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
        self._directory.bury(queue)
        if request.want is _NOTHING:
            return [SOME]
        self.read_last.add(number)
        try:
            found: list[Any] = []
            request.found = found
            after = 0
            while True:
                rows = self._messages.all_rows(number, after, PIECE, request.want)
                for row in rows:
                    with suppress(DamagedMessage):  # it is gone, as it was to be
                        found.append(message(row))
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

    def _list_accounts(self, request: Request) -> Steps:
        yield from self._settle_all(request.now)
        found: list[tuple[int, str]] = []
        for piece in self._directory.accounts(*request.what):
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

    def _delete_accounts(self, names: Iterable[str]) -> Steps:
        left = list(names)
        while left:
            self._directory.bury_accounts(left[:_BURIALS])
            left = left[_BURIALS:]
            yield

    def _delete_queues(self, request: Request) -> Steps:
        names = yield from self._list_queues(request)
        for number, name in enumerate(names):
            queue = self._directory.find((request.key[0], name))
            if queue.messages:
                self._directory.bury(queue)
            if number % _BURIALS == _BURIALS - 1:
                yield
        return names
