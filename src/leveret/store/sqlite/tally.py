"""What one shard counts and measures. Keeps one rule: nothing is told of a transaction before it is committed."""

from __future__ import annotations

from leveret.model import Activity
from leveret.store.base import COMMIT_SECONDS
from leveret.store.ledger import Key, Ledger
from scalestack.metrics.tally import Histogram


class Tally:
    """What a transaction did to messages, by queue, on its way to the ledger. For the shard's thread, but for `on`."""

    def __init__(self, ledger: Ledger) -> None:
        self.on = False  # whether to count; any thread may change it
        self.number = 1  # of the transaction
        self._ledger = ledger
        self._counted: dict[Key, Activity] = {}

    def of(self, key: Key) -> Activity:
        """What the transaction has done to a queue, to be counted on."""
        found = self._counted.get(key)
        if found is None:
            found = self._counted[key] = Activity()
        return found

    def commit(self) -> None:
        self.number += 1
        if self._counted:
            self._ledger.add(self._counted.items())
            self._counted.clear()

    def undo(self) -> None:
        self.number += 1
        self._counted.clear()


class Pace:
    """How a shard has committed. Its thread writes it, any thread reads it."""

    def __init__(self) -> None:
        self.batches = 0
        self.operations = 0
        self.batch_seconds = Histogram(COMMIT_SECONDS)
        self.commit_seconds = Histogram(COMMIT_SECONDS)
