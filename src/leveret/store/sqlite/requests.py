"""What is asked of a shard, and the way back to who asked. Knows no table and no thread."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from threading import Lock
from typing import Any, Final

from leveret.model import Change, Quota, Want, Wanted
from leveret.store.ledger import Key
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
    POLICY = 9  # the members that change, or None
    LIST_QUEUES = 10  # a page
    DELETE_QUEUES = 11  # a page
    DESCRIBE_QUEUES = 12  # a page
    FIND_QUEUES = 13  # names
    PLACE_OF_ACCOUNT = 14  # nothing; the account is the key's
    LIST_ACCOUNTS = 15  # a limit, or None, and the place after which to begin
    DELETE_ACCOUNTS = 16  # a list of names
    SWEEP = 17  # nothing
    DESCRIBE_ACCOUNTS = 18  # as for LIST_ACCOUNTS


NOTHING: Final = Change()
_ALL: Final = Want.ALL


class Request(Pending[Any]):
    """One operation, from who asks for it to the shard's thread and back.

    The shard's thread sets `value` or `error`, of which the loop that waits for it makes the answer.
    """

    # As attributes of the class, as those of `Pending` are, so that to make one sets little.
    want: Wanted = _ALL
    change: Change = NOTHING
    receipts: Sequence[str] | None = None  # one for each id, where only what they hold is meant
    quota: Quota | None = None  # of the account, for a put
    value: Any = None
    found: Sequence[Any] = ()  # by a long request, so far
    done_so_far = 0  # how much of it is committed
    redone = False  # it was tried again once
    error: BaseException | None = None
    # Who waits for the answer: a loop, or else a thread that is blocked.
    loop: LoopThread | None = None
    wake: Lock | None = None

    def __init__(
        self, kind: Kind, key: Key, what: Any, now: float, want: Wanted = _ALL, change: Change = NOTHING
    ) -> None:
        self.kind = kind
        self.key = key
        self.what = what
        self.now = now
        if want is not _ALL:
            self.want = want
        if change is not NOTHING:
            self.change = change
