"""The tables of a database file, their version, and the steps from one version to the next. Knows no operation."""

from __future__ import annotations

import sqlite3
from typing import Final

from leveret.store.base import Unusable

APPLICATION_ID: Final = 0x4C657665  # "Leve", in the header of the file: `file` and others can tell whose it is
VERSION: Final = 3

# What is set for a queue lasts though the queue is empty, and so is not kept with it.
_POLICIES: Final = """
CREATE TABLE policies (
    number INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    queue TEXT NOT NULL,
    default_ttl INTEGER,          -- NULL, here and below: not set
    default_hide INTEGER,
    max_deliveries INTEGER,
    dead_letter TEXT,
    max_messages INTEGER,
    max_bytes INTEGER,
    dropped INTEGER NOT NULL      -- messages that were delivered too often, while there was no dead letter queue
);
CREATE UNIQUE INDEX policies_by_name ON policies (account, queue);
"""

# Messages are found in three ways, each by an index: by id; in order, those that are hidden apart from those that are
# not; and by the time at which they expire or reappear. A message's place in its queue is its row id.
_TABLES: Final = f"""
CREATE TABLE store (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    shard INTEGER NOT NULL,       -- which of the files of the store this is
    shards INTEGER NOT NULL,      -- how many there are
    identity TEXT NOT NULL,       -- the same in all of them
    next_sequence INTEGER NOT NULL -- larger than any that was given to a message
);
CREATE TABLE accounts (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    place INTEGER,                -- in the order of accounts; NULL where it has no queues, and so is not there
    queues INTEGER NOT NULL,      -- those that have messages
    messages INTEGER NOT NULL,    -- of all its queues
    bytes INTEGER NOT NULL        -- of their bodies
);
CREATE INDEX accounts_in_order ON accounts (place) WHERE place IS NOT NULL;
CREATE INDEX accounts_empty ON accounts (number) WHERE place IS NULL;
CREATE TABLE queues (
    number INTEGER PRIMARY KEY,
    account INTEGER NOT NULL,
    name TEXT NOT NULL,
    place INTEGER,                -- in the order of the account's queues; NULL where it has no messages
    messages INTEGER NOT NULL,
    hidden INTEGER NOT NULL,
    bytes INTEGER NOT NULL,       -- of bodies
    due REAL                      -- no message expires earlier; NULL: none does
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
    expires REAL,                 -- NULL: never
    hidden INTEGER NOT NULL,      -- 1 where visible_at is to come, as far as anybody has looked
    visible_at REAL NOT NULL,     -- in the past where hidden is 0; never short, so that a row keeps its size
    deliveries INTEGER NOT NULL,
    checksum INTEGER NOT NULL,    -- CRC-32 of queue, id, body and meta
    body BLOB NOT NULL,
    meta BLOB                     -- JSON
);
CREATE UNIQUE INDEX messages_by_id ON messages (queue, id);
CREATE INDEX messages_in_order ON messages (queue, hidden);
CREATE INDEX messages_hidden ON messages (queue, visible_at) WHERE hidden = 1;
CREATE INDEX messages_expiring ON messages (queue, expires);
-- What was deleted at one stroke, and still takes space: nothing refers to it.
CREATE TABLE dead_accounts (number INTEGER PRIMARY KEY);
CREATE TABLE dead_queues (number INTEGER PRIMARY KEY);
{_POLICIES}"""

# What an account holds is kept with it. Every row is written anew, so that none is short of a column.
_TOTALS: Final = """
ALTER TABLE accounts ADD COLUMN messages INTEGER NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
UPDATE accounts SET
    messages = (SELECT coalesce(sum(messages), 0) FROM queues WHERE account = accounts.number),
    bytes = (SELECT coalesce(sum(bytes), 0) FROM queues WHERE account = accounts.number);
"""

# The step from each older version to the next, by the version from which it leads.
_STEPS: Final[dict[int, str]] = {1: _POLICIES, 2: _TOTALS}


def prepare(connection: sqlite3.Connection, path: str, steps: dict[int, str] | None = None) -> bool:
    """Make the tables in a new file, or bring those of an older version up to date, at one stroke; True for a new one.

    `Unusable` for a file that is newer than this program, or is somebody else's.
    """
    steps = _STEPS if steps is None else steps
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (objects,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    new = not objects and not version
    if not new and application != APPLICATION_ID:
        raise Unusable(f"{path} is an SQLite database, but not one of Leveret's; give another file")
    if version > VERSION:
        raise Unusable(
            f"{path} has version {version} of the tables, and this Leveret knows up to {VERSION}: "
            "a newer Leveret has written it; use that one"
        )
    if version == VERSION:
        return False
    connection.execute("BEGIN IMMEDIATE")
    try:
        if new:
            _run(connection, _TABLES)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        else:
            for older in range(version, VERSION):
                _run(connection, steps[older])
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return new


def _run(connection: sqlite3.Connection, script: str) -> None:
    """Run statements one by one: `executescript` would end the transaction first."""
    statement = ""
    for part in script.split(";"):
        statement += part + ";"
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""
