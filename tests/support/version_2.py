"""A database file as version 2 of the tables had it: accounts without totals. What wrote it is not there any more."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from zlib import crc32

_TABLES = """
CREATE TABLE store (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    shard INTEGER NOT NULL,
    shards INTEGER NOT NULL,
    identity TEXT NOT NULL,
    next_sequence INTEGER NOT NULL
);
CREATE TABLE accounts (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    place INTEGER,
    queues INTEGER NOT NULL
);
CREATE INDEX accounts_in_order ON accounts (place) WHERE place IS NOT NULL;
CREATE INDEX accounts_empty ON accounts (number) WHERE place IS NULL;
CREATE TABLE queues (
    number INTEGER PRIMARY KEY,
    account INTEGER NOT NULL,
    name TEXT NOT NULL,
    place INTEGER,
    messages INTEGER NOT NULL,
    hidden INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    due REAL
);
CREATE UNIQUE INDEX queues_by_name ON queues (account, name);
CREATE INDEX queues_in_order ON queues (account, place) WHERE place IS NOT NULL;
CREATE INDEX queues_of_account_due ON queues (account, due) WHERE place IS NOT NULL;
CREATE INDEX queues_due ON queues (due) WHERE due IS NOT NULL;
CREATE INDEX queues_empty ON queues (number) WHERE place IS NULL;
CREATE TABLE messages (
    sequence INTEGER PRIMARY KEY,
    queue INTEGER NOT NULL,
    id TEXT NOT NULL,
    created REAL NOT NULL,
    expires REAL,
    hidden INTEGER NOT NULL,
    visible_at REAL NOT NULL,
    deliveries INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    body BLOB NOT NULL,
    meta BLOB
);
CREATE UNIQUE INDEX messages_by_id ON messages (queue, id);
CREATE INDEX messages_in_order ON messages (queue, hidden);
CREATE INDEX messages_hidden ON messages (queue, visible_at) WHERE hidden = 1;
CREATE INDEX messages_expiring ON messages (queue, expires);
CREATE TABLE dead_accounts (number INTEGER PRIMARY KEY);
CREATE TABLE dead_queues (number INTEGER PRIMARY KEY);

CREATE TABLE policies (
    number INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    queue TEXT NOT NULL,
    default_ttl INTEGER,
    default_hide INTEGER,
    max_deliveries INTEGER,
    dead_letter TEXT,
    max_messages INTEGER,
    max_bytes INTEGER,
    dropped INTEGER NOT NULL
);
CREATE UNIQUE INDEX policies_by_name ON policies (account, queue);
"""

# By account: queues, each with its messages, as their bodies and when they expire.
Contents = dict[str, dict[str, list[tuple[bytes, float | None]]]]


def make(path: Path, contents: Contents, version: int = 2) -> None:
    """A file of one shard that was closed properly. Version 1 is the same, without policies."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        execute = connection.execute
        execute("PRAGMA page_size = 4096")
        execute("PRAGMA auto_vacuum = INCREMENTAL")
        execute("PRAGMA journal_mode = WAL")
        connection.executescript(_TABLES)
        if version == 1:
            execute("DROP TABLE policies")
        execute("PRAGMA application_id = 0x4C657665")
        execute(f"PRAGMA user_version = {version}")
        execute("INSERT INTO store VALUES (1, 0, 1, 'identity', 1000)")
        number = sequence = 0
        for owner, (account, queues) in enumerate(contents.items(), 1):
            execute("INSERT INTO accounts VALUES (?, ?, ?, ?)", (owner, account, owner, len(queues)))
            for queue, messages in queues.items():
                number += 1
                size = sum(len(body) for body, _ in messages)
                due = min((expires for _, expires in messages if expires is not None), default=None)
                execute(
                    "INSERT INTO queues VALUES (?, ?, ?, ?, ?, 0, ?, ?)",
                    (number, owner, queue, number, len(messages), size, due),
                )
                for body, expires in messages:
                    sequence += 1
                    id = f"{sequence}"
                    check = crc32(body, crc32(id.encode(), number))
                    execute(
                        "INSERT INTO messages VALUES (?, ?, ?, 0.0, ?, 0, 0.0, 0, ?, ?, NULL)",
                        (sequence, number, id, expires, check, body),
                    )
        # An account and a queue that are no longer there, whose rows are still to be freed.
        execute("INSERT INTO accounts VALUES (99, 'gone', NULL, 0)")
        execute("INSERT INTO queues VALUES (99, 1, 'gone', NULL, 0, 0, 0, NULL)")
