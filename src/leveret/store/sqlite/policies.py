"""What is set for queues, whether or not they are there, and what was dropped under it."""

from __future__ import annotations

import sqlite3
from typing import Final

from leveret.model import NO_POLICY, Policy
from leveret.store.ledger import Key

_MEMBERS: Final = "default_ttl, default_hide, max_deliveries, dead_letter, max_messages, max_bytes"


class Policies:
    """The policies of one database file. Who calls what changes them holds a transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._execute = connection.execute
        self._any = self._execute("SELECT 1 FROM policies LIMIT 1").fetchone() is not None  # or there was one

    def get(self, key: Key) -> Policy:
        if not self._any:
            return NO_POLICY
        found = self._execute(f"SELECT {_MEMBERS} FROM policies WHERE account = ? AND queue = ?", key).fetchone()
        return NO_POLICY if found is None else Policy(*found)

    def set(self, key: Key, policy: Policy) -> None:
        """In place of what was set; no policy at all forgets as well what was dropped."""
        if not policy:
            self._execute("DELETE FROM policies WHERE account = ? AND queue = ?", key)
            return
        self._any = True
        values = (policy.default_ttl, policy.default_hide, policy.max_deliveries, policy.dead_letter,
                  policy.max_messages, policy.max_bytes)  # fmt: skip
        self._execute(
            f"INSERT INTO policies (account, queue, {_MEMBERS}, dropped) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0) "
            "ON CONFLICT (account, queue) DO UPDATE SET default_ttl = ?3, default_hide = ?4, max_deliveries = ?5, "
            "dead_letter = ?6, max_messages = ?7, max_bytes = ?8",
            (*key, *values),
        )

    def count_dropped(self, key: Key, count: int) -> None:
        """So many messages more were delivered too often, and had no dead letter queue."""
        self._execute("UPDATE policies SET dropped = dropped + ? WHERE account = ? AND queue = ?", (count, *key))

    def dropped(self, key: Key) -> int:
        found = self._execute("SELECT dropped FROM policies WHERE account = ? AND queue = ?", key).fetchone()
        return 0 if found is None else int(found[0])
