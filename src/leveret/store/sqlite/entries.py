"""What is known in memory of an account or a queue. Plain values: who changes one sees that the file has it too."""

from __future__ import annotations

from leveret.model import NEVER, NO_POLICY, Activity


class AccountRecord:
    """An account, there or not: one without a `place` has no queues."""

    __slots__ = ("bytes", "changed", "counted", "messages", "name", "number", "place", "queues", "stored")

    def __init__(self, number: int, name: str) -> None:
        self.number = number
        self.name = name
        self.place: int | None = None
        self.queues = 0
        # Totals of its queues: expired messages that are still in the file are among them.
        self.messages = 0
        self.bytes = 0
        self.stored = False  # whether the file has a row of it
        self.changed = False
        self.counted = False  # its totals are others, which is written more cheaply than where its queues are


class QueueRecord:
    """A queue, there or not: one without a `place` has no messages."""

    __slots__ = (
        "account", "activity", "bytes", "changed", "counted_in", "due", "hidden", "messages", "name", "number", "place",
        "policy", "shows_at", "stored", "written",
    )  # fmt: skip

    def __init__(self, account: AccountRecord, number: int, name: str) -> None:
        self.account = account
        self.number = number
        self.name = name
        self.place: int | None = None
        self.messages = 0
        self.hidden = 0
        self.bytes = 0
        self.due = NEVER  # no message expires earlier
        self.shows_at = NEVER  # no hidden message is visible earlier
        self.policy = NO_POLICY
        self.stored = False
        self.changed = False
        self.written: tuple[int | None, float] = (None, NEVER)  # the place and the due time that the file has
        self.activity: Activity | None = None  # what was done to it in the transaction `counted_in`
        self.counted_in = 0
