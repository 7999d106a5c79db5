"""Killed at each single write and sync of its files, and so in between any two of them: nothing acknowledged is lost.

With `LEVERET_KILL_WRITES` it is each one of them, up to so many; without it, some.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, closing, suppress
from itertools import product
from pathlib import Path

import pytest

from faults.harm import Trial
from faults.history import Take
from leveret.store.sqlite.wal import Log
from support import figures, web
from support.load import SHARED, Call, Client, Connection, Load, own
from support.process import Process, leveret
from support.strace import killing, unavailable
from support.web import eventually

WRITES = int(os.environ.get("LEVERET_KILL_WRITES", "0"))
SUFFIXES = ("", "-wal", "-shm", "-journal", "-reserve")
WRITE, SYNC = "pwrite64", "fdatasync"

pytestmark = [
    pytest.mark.alone,
    pytest.mark.timeout(120 + 20 * WRITES),
    pytest.mark.skipif(bool(unavailable()), reason=unavailable() or "strace is there"),
]


def work(trial: Trial, server: Process, log: Path) -> None:
    """The same for each: all kinds of requests, then a checkpoint, then all again; until the server is dead."""
    client, load = Client(trial.history, 0), Load()

    def do(*calls: Call) -> None:
        client.exchange(connection, load, calls)

    def do_all(queue: str) -> None:
        do(client.put(queue))
        do(*(client.put(queue) for _ in range(10)))
        do(client.put_many(queue, 20))
        do(claim := client.claim(queue, 6))
        assert isinstance(claim.operation, Take)
        held = [(got.id, got.receipt or "") for got in claim.operation.got]
        do(client.hide(queue, *held[0], 60))
        do(client.hide(queue, *held[1], 0))
        do(client.delete(queue, [held[2][0]], [held[2][1]]))
        do(client.delete(queue, [id for id, _ in held[3:]], [receipt for _, receipt in held[3:]]))
        do(client.pop(queue, 3))

    def checkpointed() -> bool:
        return server.popen.poll() is not None or not log.exists() or log.stat().st_size == 0

    try:
        with Connection(server.port) as connection:
            do_all(SHARED)
            eventually(checkpointed)
            do_all(own(0))
    except OSError:  # it is dead
        return


def is_killed(trial: Trial, store: Path, call: str, number: int) -> str:
    """When it was killed: at its "start", at "work", or, where there was no such call any more, never."""
    paths = [store.with_name(store.name + suffix) for suffix in SUFFIXES]
    with ExitStack() as stack:
        try:
            server = stack.enter_context(leveret("--store", f"sqlite:///{store}", under=killing(call, number, paths)))
        except AssertionError as error:
            if str(error):  # who is killed says nothing
                raise
            return "start"
        work(trial, server, paths[1])
        server.signal(signal.SIGTERM)
        code = server.wait()
    trial.history.crash()
    assert code in {0, -signal.SIGKILL}
    return "work" if code else ""


def looked_at(trial: Trial, store: Path, when: str) -> None:
    """Start it anew, and see what is there. It is killed, so that it leaves a log to whoever comes next."""
    with leveret("--store", f"sqlite:///{store}") as server:
        trial.drain(server).assert_whole(when)
        server.signal(signal.SIGKILL)
        server.wait()


def killed_at_each(tried: Mapping[str, Iterable[int]], store: Path, trial: Trial, *, anew: bool) -> Counter[str]:
    """Until a call is not made so often any more; answers how often it was killed, by call and when."""
    kills: Counter[str] = Counter()
    for call, some in tried.items():
        when = ""
        for number in range(1, WRITES + 1) if WRITES else some:
            if anew:
                for old in store.parent.glob(f"{store.name}*"):
                    old.unlink()
            when = is_killed(trial, store, call, number)
            looked_at(trial, store, f"after it was killed at {call} {number}")
            if not when:
                break
            kills[call] += 1
            kills[when] += 1
        assert kills[call], f"it never was killed at {call}"
        assert not WRITES or not when, f"more than {WRITES} times {call}"
    return kills


def said(kills: Counter[str]) -> str:
    others = kills["ftruncate"] + kills["unlink"] + kills["fallocate"]
    where = f"{kills[WRITE]:,} writes, {kills[SYNC]:,} syncs and {others} other calls"
    return f"killed at {where}, {kills['start']:,} of them while it started"


def test_nothing_is_lost_where_it_is_killed_at_a_call(tmp_path: Path) -> None:
    """On one database, whose log is what the one before has left."""
    tried = {WRITE: [2, 13, 34, 55, 144, 233, 377], SYNC: [3, 8, 13, 21], "ftruncate": [1], "unlink": [1]}
    store = tmp_path / "queue.db"
    trial = Trial()
    looked_at(trial, store, "at first")
    kills = killed_at_each(tried, store, trial, anew=False)
    figures.show("kill-at-each-write", f"{said(kills)}; {trial.report.summary}")


def test_a_database_that_was_never_finished_is_made_anew(tmp_path: Path) -> None:
    """Killed while the file is made; in the long form on until all that is done with it."""
    tried = {WRITE: [1, 21], SYNC: [1, 5], "ftruncate": [1], "unlink": [1], "fallocate": [1]}
    trial = Trial()
    kills = killed_at_each(tried, tmp_path / "queue.db", trial, anew=True)
    figures.show("kill-at-each-write", f"a new database each time: {said(kills)}; {trial.report.summary}")


# How much of a last transaction came, and where the start that recovers from it is killed.
TORN = [24, 24 + 4096, 4144, 3 * 4120 + 140]
WHILE_IT_RECOVERS = [(WRITE, 1), (WRITE, 2), (WRITE, 3), (SYNC, 1), (SYNC, 2), ("ftruncate", 1), ("ftruncate", 2)]


def test_a_start_that_is_killed_while_it_recovers_from_a_torn_log_leaves_a_file_that_starts(tmp_path: Path) -> None:
    left, store = tmp_path / "left.db", tmp_path / "queue.db"
    url = f"sqlite:///{store}"
    with leveret("--store", url) as server, closing(web.Client(server.port)) as client:
        for number in range(10):
            assert client("PUT", f"/v1.1/a/q/{number}", b"x" * 3000).status == 201
        server.signal(signal.SIGKILL)
        server.wait()
    for end in ("", "-wal"):
        shutil.copy(f"{store}{end}", f"{left}{end}")
    with Path(f"{left}-wal").open("r+b") as log:
        log.truncate(log.seek(0, os.SEEK_END) - 1)
        whole = Log(log.fileno()).end
    started = 0
    for torn, (call, number) in product(TORN, WHILE_IT_RECOVERS):
        for old in tmp_path.glob("queue.db*"):
            old.unlink()
        for end in ("", "-wal"):
            shutil.copy(f"{left}{end}", f"{store}{end}")
        os.truncate(f"{store}-wal", whole + torn)
        paths = [store.with_name(store.name + suffix) for suffix in SUFFIXES]
        with suppress(AssertionError), leveret("--store", url, under=killing(call, number, paths)) as server:
            server.signal(signal.SIGKILL)
        with leveret("--store", url) as server, closing(web.Client(server.port)) as client:
            assert client("GET", "/v1.1/a/q?detail=id").json == [f"{number}" for number in range(9)]
            started += 1
    figures.show("kill-at-each-write", f"{started} starts killed in recovering from a torn log: each started again")
