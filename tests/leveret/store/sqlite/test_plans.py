"""Every statement finds what it wants by an index: none scans a table, and none sorts."""

from __future__ import annotations

import re
import sqlite3
from contextlib import suppress
from pathlib import Path

import pytest

from leveret.model import Change, Draft, Filters, Page, Quota, Want
from leveret.store.base import AccountFull
from support.disk import OpenStore
from support.subject import START as NOW

# Walks from one end that stop at once: of a table with one row, of what was buried, and of indexes in which everything
# is what is looked for.
BOUNDED = re.compile(
    r"SCAN (store|dead_queues|dead_accounts|(\d+ )?CONSTANT ROWS?|\d+-ROW VALUES CLAUSE"
    r"|policies USING COVERING INDEX policies_by_name"
    r"|queues USING (COVERING )?INDEX queues_(due|empty)|accounts USING (COVERING )?INDEX accounts_empty)"
)


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All that is executed, with its values."""
    seen: list[str] = []
    connect = sqlite3.connect

    def tracing(*args: object, **options: object) -> sqlite3.Connection:
        connection = connect(*args, **options)
        connection.set_trace_callback(seen.append)
        return connection

    monkeypatch.setattr(sqlite3, "connect", tracing)
    return seen


def everything(open_store: OpenStore) -> None:
    """Every operation, in every form that has a statement of its own."""
    store = open_store()
    store.count_activity(True)
    wants = [Want.ALL, Want.ATTRIBUTES, Want.NOTHING]
    filters = [
        Filters(limit, marker, hidden, None, newest_first, room)
        for limit in (1, 600, None)
        for marker in (None, "5")
        for hidden in (False, True)
        for newest_first, room in ((False, None), (True, 5))
    ]
    store.change_policy("a", "q", {"max_deliveries": 2, "dead_letter": "dead", "default_ttl": 5}, NOW)
    store.change_policy("b", "1", {"max_messages": 2}, NOW)
    changes = [Change(ttl, hide) for ttl in (None, 0, 700) for hide in (None, 0, 30)]
    now = NOW
    for count in (3, 700):
        for want in wants:
            for index, each in enumerate(filters):
                drafts = [Draft(f"{n}", b"x", 600 * (n % 2), n % 3) for n in range(count)]
                store.put("a", "q", drafts, now)
                store.put("a", "q", drafts[:2], now)
                store.put("a", "q", [Draft("1", b"", 5, 0, only_new=True)], now)
                store.change_policy("a", "q", {"dead_letter": "dead" if index % 2 else None}, now)
                store.put("b", f"{index}", [Draft("1", b"", 10, 0), Draft("2", b"", 0, 0)], now)
                store.get("a", "q", ["1", "none"], now, want)
                for change in changes:
                    store.update("a", "q", ["1", "2"], change, now, want)
                store.select("a", "q", each, now, want)
                store.next_visible("a", "q", each, now)
                store.update_matching("a", "q", each, changes[index % len(changes)], now, want)
                store.update("a", "q", ["1", "2"], Change(hide=5), now, want, ["0.0.0.0", "none"])
                store.delete("a", "q", ["1", "2"], now, want, ["0.0.0.0", "none"])
                store.describe_queues("b", Page(5, "1"), now)
                store.find_queues("a", ["q", "dead"], now)
                store.delete("a", "q", ["1"], now, want)
                store.delete("a", "q", ["1", "2"], now, want)
                store.delete_matching("a", "q", each, now, want)
                store.list_queues("b", Page(5, "1"), now)
                store.list_accounts(Page(5, "a"), now)
                store.describe_accounts(Page(5, "a"), now)
                with suppress(AccountFull):
                    store.put("b", "new", drafts[:2], now + 11, Quota(index, 5, 3))
                now += 11
                store.sweep(now)
    store.change_policy("b", "1", None, now)
    store.delete_queues("b", Page(limit=3), now)
    store.delete_accounts(Page(), now)
    store.close()


def test_no_statement_scans_or_sorts(open_store: OpenStore, path: Path, statements: list[str]) -> None:
    everything(open_store)
    texts = {re.sub(r"'[^']*'|\b\d[\d.e+]*", "?", text): text for text in statements}
    connection = sqlite3.connect(path)
    examined = 0
    for text in texts.values():
        if not text.startswith(("SELECT", "UPDATE", "DELETE", "INSERT")):
            continue
        if "sqlite_schema" in text or text.startswith("SELECT max("):  # once, at the start
            continue
        examined += 1
        for _, _, _, step in connection.execute(f"EXPLAIN QUERY PLAN {text}").fetchall():
            assert "TEMP B-TREE" not in step, (step, text)
            assert not step.startswith("SCAN") or BOUNDED.fullmatch(step), (step, text)
    connection.close()
    assert examined > 50
