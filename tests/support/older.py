"""Databases that older versions have written (tests/fixtures), and what is in each of them."""

from __future__ import annotations

import gzip
import math
from pathlib import Path
from typing import Any, Final

from leveret.model import Change, Filters, Meta, Page, Policy
from leveret.store.sqlite import SqliteStore
from support.subject import at_once

NOW: Final = 1_700_000_020.0  # some seconds after the last change
VERSIONS: Final = (1, 2, 3)
FILES: Final = {"closed": 1, "killed": 1, "shards": 2}  # how many shards each is of

_FIXTURES: Final = Path(__file__).parent.parent / "fixtures"
_MADE: Final = 1_700_000_000.0

# By account and queue, in order: id, body, meta, created, expires, hidden until, deliveries.
Contents = dict[tuple[str, str], list[tuple[Any, ...]]]


def unpack(version: int, name: str, folder: Path) -> Path:
    """The database of a version, in a folder; with its log, if it was left with one."""
    for each in (_FIXTURES / f"version-{version}").glob(f"{name}*.gz"):
        (folder / each.name.removesuffix(".gz")).write_bytes(gzip.decompress(each.read_bytes()))
    return folder / f"{name}.db"


def _expected() -> Contents:
    found: Contents = {}
    for number in range(4):
        account = f"account {number}"
        bodies = {"1": b"one", "2": bytes(range(256)) * 20, "ü": b""}
        found[account, "plain"] = [(id, body, None, _MADE, math.inf, 0.0, 0) for id, body in bodies.items()]
        found[account, "times"] = [
            ("lives", b"long", None, _MADE + 1, _MADE + 6001, 0.0, 0),
            ("hidden", b"later", None, _MADE + 1, math.inf, _MADE + 501, 0),
        ]
        meta = Meta("text/html", {"X-Number": str(number), "Name": "é"})
        found[account, "headers"] = [("1", b"<p>", meta, _MADE + 2, math.inf, 0.0, 0)]
        found[account, "leased"] = [
            (f"{each}", b"work %d" % each, None, _MADE + 3, math.inf, _MADE + 304 if each < 2 else 0.0, int(each < 2))
            for each in range(4)
        ]
    return found


CONTENTS: Final = _expected()
POLICIES: Final = {
    ("account 0", "leased"): Policy(max_deliveries=3, dead_letter="dead"),
    ("account 1", "empty"): Policy(default_ttl=60, default_hide=5),
}


def contents(store: SqliteStore) -> Contents:
    """All messages of a store, by `CONTENTS`' form; what has expired is not among them."""
    found: Contents = {}
    for account in at_once(store.list_accounts(Page(), NOW)):
        for queue in at_once(store.list_queues(account, Page(), NOW)):
            found[account, queue] = [
                (
                    each.id,
                    each.body,
                    each.meta,
                    each.created,
                    each.expires,
                    each.visible_at if each.visible_at > NOW else 0.0,
                    each.deliveries,
                )
                for each in at_once(store.select(account, queue, Filters(match_hidden=True), NOW))
            ]
    return found


def assert_whole(store: SqliteStore, version: int) -> None:
    """All that a version has written is in the store: in its order, with its totals, leases and policies."""
    assert contents(store) == CONTENTS
    assert list(contents(store)) == list(CONTENTS)
    for state in at_once(store.describe_accounts(Page(), NOW)):
        bodies = [row[1] for (account, _), rows in CONTENTS.items() for row in rows if account == state.name]
        assert (state.queues, state.messages, state.bytes) == (4, len(bodies), sum(map(len, bodies)))
    for key, policy in POLICIES.items():
        assert store.change_policy(*key, {}, NOW) == (policy if version > 1 else Policy())
    # A lease that began with the older version is held by who has its receipt.
    (held,) = at_once(store.get("account 3", "leased", ["0"], NOW))
    assert held is not None
    (extended,) = at_once(store.update("account 3", "leased", ["0"], Change(hide=284), NOW, receipts=[held.receipt]))
    assert extended is not None
    assert (extended.id, extended.deliveries) == ("0", 1)
