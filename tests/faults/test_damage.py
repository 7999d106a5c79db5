"""Bytes of a database or of its log are changed: nothing false is handed out, and what is missing is said."""

from __future__ import annotations

import logging
import os
import random
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from faults.damages import (
    Base,
    Contents,
    Kept,
    Key,
    damage_file,
    damage_log,
    kept,
    make_bases,
    placed,
    places,
    queues,
)
from leveret.model import Filters, Page
from leveret.store.base import StoreError, StoreFailed, Unusable
from leveret.store.sqlite import Durability, SqliteStore
from leveret.store.sqlite.salvage import salvage
from support import figures
from support.subject import START as NOW
from support.subject import Silence, at_once
from support.web import PATIENCE

SALVAGED = 5  # one of so many that are refused
DAMAGES = int(os.environ.get("LEVERET_DAMAGES", "150"))

REFUSED = "refused"
STOPPED = "stopped while it was read"
WHOLE = "served whole"
REPORTED = "served with the damage reported"
LAST = "served without the last transaction, with a line in the log"
SHORT = "served as before the end of the log was cut off"
TIMES = "served with another time or count of deliveries"
SILENT = "silent"


@dataclass
class Found:
    """What came out of a store, and what it said."""

    messages: Contents = field(default_factory=dict)
    reported: set[Key] = field(default_factory=set)  # refused by an error of its own
    short: set[tuple[str, str]] = field(default_factory=set)  # queues of which a line said that something is missing
    log_said: bool = False
    refused: str = ""
    stopped: str = ""


class Lines(logging.Handler):
    """What the store writes into the log."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@contextmanager
def lines() -> Iterator[list[logging.LogRecord]]:
    logger, handler = logging.getLogger("leveret.store"), Lines()
    logger.addHandler(handler)
    before, logger.propagate = logger.propagate, False
    try:
        yield handler.records
    finally:
        logger.removeHandler(handler)
        logger.propagate = before


def look(path: Path, known: set[Key]) -> Found:
    """All that a store gives of what was ever put, in order and by id."""
    found = Found()
    broken: list[str] = []
    store = SqliteStore(path, Durability.FULL, broken=broken.append, reserve=0)
    with lines() as records:
        try:
            store.open(Silence(), NOW)
            _read(store, known, found)
        except Unusable as error:
            found.refused = str(error)
        except StoreFailed as error:
            found.stopped = str(error)
        finally:
            with suppress(StoreError):
                store.close()
    if broken:
        found.stopped = broken[0]
    for record in records:
        text = record.getMessage()
        if "not as many" in text:
            values = getattr(record, "values", None) or record.__dict__
            found.short.add((str(values.get("account", "")), str(values.get("queue", ""))))
        found.log_said = found.log_said or "is not whole" in text
    return found


def _read(store: SqliteStore, known: set[Key], found: Found) -> None:
    for account, queue in queues():
        listed: dict[str, Kept] = {}
        complete = True
        for hidden in (False, True):
            try:
                for message in store.select(account, queue, Filters(match_hidden=hidden), NOW):
                    listed[message.id] = kept(message)
            except StoreFailed:
                raise
            except StoreError:
                complete = False
        for id in {id for owner, name, id in known if (owner, name) == (account, queue)} | set(listed):
            key = (account, queue, id)
            try:
                (message_or_none,) = store.get(account, queue, [id], NOW)
            except StoreFailed:
                raise
            except StoreError:
                found.reported.add(key)
                continue
            if message_or_none is not None:
                found.messages[key] = kept(message_or_none)
            if id in listed:
                # What is found in two ways must be the same.
                if found.messages.get(key, listed[id]) != listed[id]:
                    found.messages[key] = (b"two of them", None, 0.0, 0.0, 0.0, 0)
                found.messages.setdefault(key, listed[id])
            elif message_or_none is not None and complete and not found.short:
                found.messages[key] = (b"not in order", None, 0.0, 0.0, 0.0, 0)


def outcome(base: Base, found: Found, where: str) -> str:
    """What it comes to, by name."""
    if found.refused:
        assert "\n" not in found.refused, found.refused
        return REFUSED
    if found.stopped:
        return STOPPED
    whole = base.states[-1]
    if found.messages == whole:
        return WHOLE
    if not found.reported and not found.short and found.messages in base.states:
        if where == "log cut":
            return SHORT
        return LAST if found.log_said else SILENT
    missing = whole.keys() - found.messages.keys()
    extra = found.messages.keys() - whole.keys()
    wrong = {key for key in whole.keys() & found.messages.keys() if whole[key][:2] != found.messages[key][:2]}
    unsaid = {key for key in missing - found.reported if key[:2] not in found.short}
    if extra or wrong or unsaid:
        return SILENT
    times = any(whole[key] != found.messages[key] for key in whole.keys() & found.messages.keys())
    if found.reported or missing:
        return REPORTED
    return TIMES if times else WHOLE


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> list[Base]:
    return make_bases(tmp_path_factory.mktemp("bases"))


def salvaged(path: Path, base: Base, where: str, ever: dict[Key, set[str]]) -> None:
    """What comes out of a file that is refused was put once; and it is all, where nothing is said to be lost: but for a
    log whose end was cut off, which nobody can tell from one that ends there. Names of queues have no checksum."""
    new = path.with_name("salvaged.db")
    for left in path.parent.glob("salvaged.db*"):
        left.unlink()
    try:
        whole = salvage(path, new).whole
    except Unusable:
        return  # nothing is left of it
    store = SqliteStore(new, Durability.OFF, reserve=0)
    store.open(Silence(), NOW)
    found = sorted(
        (message.id, repr(kept(message)[:2]))
        for account in at_once(store.list_accounts(Page(), NOW))
        for queue in at_once(store.list_queues(account, Page(), NOW))
        for message in at_once(store.select(account, queue, Filters(match_hidden=True), NOW))
    )
    store.close()
    bodies = {(key[2], message) for key, messages in ever.items() for message in messages}
    assert bodies.issuperset(found)
    if whole and where != "log cut":
        assert found == sorted((key[2], repr(message[:2])) for key, message in base.states[-1].items())


def test_a_server_says_it_in_one_line_and_ends(bases: list[Base], tmp_path: Path) -> None:
    base = next(base for base in bases if base.name == "logged")
    log = bytearray(base.log)
    log[len(log) // 2] ^= 1
    with placed(tmp_path, base.file, log) as path:
        command = [sys.executable, "-m", "leveret", "serve", "--port", "0", "--store", f"sqlite:///{path}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(
        r"leveret: \S+damaged\.db-wal is damaged, .*'leveret salvage \S+damaged\.db NEW'.*\n", done.stderr
    )


@pytest.mark.timeout(120 + DAMAGES)
def test_damage_is_told(bases: list[Base], tmp_path: Path) -> None:
    kinds = {base.name: places(base.file) for base in bases}
    known = {key for base in bases for state in base.states for key in state}
    ever: dict[Key, set[str]] = defaultdict(set)
    for base in bases:
        for state in (*base.states, base.before):
            for key, message in state.items():
                ever[key].add(repr(message[:2]))
    counts: Counter[str] = Counter()
    for number in range(DAMAGES):
        chance = random.Random(number)
        base = bases[number % len(bases)]
        file, log = bytearray(base.file), bytearray(base.log)
        if log and chance.random() < 0.7:
            where = damage_log(log, base.ends, chance)
        else:
            where = damage_file(file, kinds[base.name], chance)
        with placed(tmp_path, file, log) as path:
            found = look(path, known)
            result = outcome(base, found, where)
            if found.refused and number % SALVAGED == 0:
                salvaged(path, base, where, ever)
        counts[result] += 1
        if result == SILENT:
            print(f"damage {number}, to {where} of the base {base.name}, is silent")
    shown = ", ".join(f"{counts[name]:,} {name}" for name in (REFUSED, STOPPED, WHOLE, REPORTED, LAST, SHORT, TIMES))
    figures.show("damage", f"{DAMAGES:,} damaged copies: {shown}; {counts[SILENT]:,} silent")
    assert counts[SILENT] == 0
