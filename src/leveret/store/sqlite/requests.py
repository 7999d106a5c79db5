"""What is asked of a shard, and the way back to who asked. Knows no table and no thread."""

from __future__ import annotations

from enum import IntEnum
from threading import Lock
from typing import Any, Final

from leveret.model import Change, Want
from leveret.store.sqlite.directory import Key
from scalestack.event.loops import LoopThread
from scalestack.event.pending import Pending


class Kind(IntEnum):
    """What is to be done, and with what: the type of the request's `what`."""

    PUT = 1  # drafts
    GET = 2  # ids
    UPDATE = 3  # ids
    DELETE = 4  # ids
    SELECT = 5  # filters
    UPDATE_MATCHING = 6  # filters
    DELETE_MATCHING = 7  # filters
    NEXT_VISIBLE = 8  # filters
    LIST_QUEUES = 9  # a page
    DELETE_QUEUES = 10  # a page
    PLACE_OF_ACCOUNT = 11  # nothing; the account is the key's
    LIST_ACCOUNTS = 12  # a limit, or None, and the place after which to begin
    DELETE_ACCOUNTS = 13  # a list of names
    SWEEP = 14  # nothing


NOTHING: Final = Change()


class Request:
    """One operation, from who asks for it to the shard's thread and back."""

    __slots__ = ("change", "error", "key", "kind", "loop", "now", "pending", "value", "wake", "want", "what")

    def __init__(
        self, kind: Kind, key: Key, what: Any, now: float, want: Want = Want.ALL, change: Change = NOTHING
    ) -> None:
        self.kind = kind
        self.key = key
        self.what = what
        self.now = now
        self.want = want
        self.change = change
        self.value: Any = None
        self.error: BaseException | None = None
        # Who waits for the answer: a loop, by `pending`, or else a thread that is blocked, by `wake`.
        self.loop: LoopThread | None = None
        self.pending: Pending[Any] | None = None
        self.wake: Lock | None = None
