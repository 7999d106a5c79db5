"""A disk that is full, and one that fails: the store says so, keeps what it has, and goes on where it can."""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from faults.harm import Trial
from faults.history import Handed, History
from support import figures
from support.draining import ACCOUNT, drain, look
from support.loopdevice import LoopDevice, unavailable
from support.process import Process, leveret
from support.queues import body_of
from support.strace import failing_syncs
from support.strace import unavailable as no_strace
from support.web import PATIENCE, Client, eventually

BODY = 100_000  # bytes
HIDE = 600  # seconds
QUEUE = "big"
VANISHED = 300  # queues


class Worker:
    """One client of a server whose disk is full or not."""

    def __init__(self, history: History, client: Client, size: int) -> None:
        self._history = history
        self._size = size
        self.client = client

    def put(self) -> bool:
        """One more message; answers whether it was stored. If not, it was said why."""
        id = str(len(self._history.of(QUEUE)))
        body = hashlib.shake_128(id.encode()).hexdigest(self._size // 2).encode()
        put = self._history.put(QUEUE, (id, body))
        answer = self.client("PUT", f"/v1.1/{ACCOUNT}/{QUEUE}/{id}?ttl=0", body)
        if answer.status == 201:
            put.ok()
            return True
        assert answer.status == 507, answer
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json["code"] == "store-full"
        put.fail()
        return False

    def fill(self) -> None:
        """Put until no more is taken."""
        while self.put():
            pass

    def ids(self) -> list[str]:
        """What is there, hidden or not."""
        answer = self.client("GET", f"/v1.1/{ACCOUNT}/{QUEUE}?match_hidden=true&detail=id")
        assert answer.status == 200, answer
        ids: list[str] = answer.json
        return ids

    def claim(self) -> None:
        claim = self._history.claim(QUEUE, HIDE)
        answer = self.client("POST", f"/v1.1/{ACCOUNT}/{QUEUE}?limit=1&hide={HIDE}&detail=all")
        assert answer.status == 200, answer
        claim.ok([Handed(each["id"], body_of(each["body"]), each["receipt"]) for each in answer.json])

    def delete(self, ids: Sequence[str]) -> None:
        for id in ids:
            delete = self._history.delete(QUEUE, [id])
            answer = self.client("DELETE", f"/v1.1/{ACCOUNT}/{QUEUE}/{id}")
            assert answer.status == 204, answer
            delete.ok()

    def everything_but_put_works(self) -> None:
        for _ in range(10):
            self.claim()
        self.delete(self.ids()[5:15])  # some that are claimed, and some that are not


@contextmanager
def on_a_disk_of(megabytes: int, folder: Path) -> Iterator[LoopDevice]:
    if reason := unavailable():
        pytest.skip(reason)
    with LoopDevice(folder, megabytes) as device:
        yield device


@pytest.fixture
def history() -> History:
    return History()


@contextmanager
def working(folder: Path, history: History, end: int = signal.SIGTERM, size: int = BODY) -> Iterator[Worker]:
    """A server that stores in `folder`, and a worker."""
    with leveret("--store", f"sqlite:///{folder}/queue.db") as server:
        with closing(Client(server.port)) as client:
            yield Worker(history, client, size)
        server.signal(end)
        assert server.wait() == (0 if end == signal.SIGTERM else -end)


def fill(device: LoopDevice) -> Path:
    """A file of somebody else, which takes all the room that is left."""
    filler = device.path / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in [1 << 20, 1 << 12]:
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return filler


def show(what: str, history: History, worker: Worker) -> None:
    """Judge it, with all that is there taken out."""
    refused = sum(operation.outcome == "failed" for operation in history.of(QUEUE))
    report = drain(history, worker.client)
    report.assert_whole()
    figures.show("disk-full", f"{what}: {refused:,} PUTs refused, {report.summary}")


@pytest.mark.parametrize(("megabytes", "size"), [(64, 100_000), (128, 1_000_000)])
def test_a_full_disk_refuses_puts_and_nothing_else(tmp_path: Path, history: History, megabytes: int, size: int) -> None:
    with on_a_disk_of(megabytes, tmp_path) as device, working(device.path, history, size=size) as worker:
        worker.fill()
        worker.everything_but_put_works()
        look(history, worker.client, QUEUE).assert_whole()
        worker.delete(worker.ids())
        show(f"bodies of {size:,} bytes", history, worker)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_server_starts_on_a_full_disk(device: LoopDevice, history: History, end: int) -> None:
    with working(device.path, history, end) as worker:
        worker.fill()
    for _ in range(2):
        with working(device.path, history, end) as worker:
            look(history, worker.client, QUEUE).assert_whole()
            worker.everything_but_put_works()
            worker.fill()  # what little is free by now
    with working(device.path, history) as worker:
        show(f"started again after {signal.Signals(end).name}", history, worker)


def test_puts_work_again_when_enough_has_been_deleted(device: LoopDevice, history: History) -> None:
    with working(device.path, history) as worker:
        worker.fill()
        ids = worker.ids()
        worker.delete(ids[: len(ids) // 2])
        eventually(worker.put)
        show("half of it deleted", history, worker)


def test_puts_work_again_when_somebody_else_makes_room(device: LoopDevice, history: History) -> None:
    with working(device.path, history) as worker:
        for _ in range(20):
            assert worker.put()
        filler = fill(device)
        worker.fill()
        worker.everything_but_put_works()
        filler.unlink()
        eventually(worker.put)
        show("filled by another program", history, worker)


def test_a_store_that_keeps_house_on_a_full_disk_goes_on(device: LoopDevice, history: History) -> None:
    with working(device.path, history) as worker:
        for _ in range(20):
            assert worker.put()
        for number in range(VANISHED):  # without a rest, in which they would be freed, and then a stop: no log is left
            path = f"/v1.1/{ACCOUNT}/queue-{number:0200}/1"
            assert worker.client("PUT", path, b"x").status == 201
            assert worker.client("DELETE", path).status == 204
    fill(device)
    with working(device.path, history) as worker:
        assert worker.client("GET", f"/v1.1/{ACCOUNT}/none?wait=1").status == 404  # nobody asks for anything meanwhile
        worker.everything_but_put_works()
        show("much to free when it starts", history, worker)


# fsync.

traced = pytest.mark.skipif(bool(no_strace()), reason=no_strace() or "strace is there")


def assert_ended_by_a_failed_sync(server: Process) -> None:
    assert server.popen.wait(PATIENCE) == 74
    assert server.popen.stderr is not None
    (said,) = server.popen.stderr.read().splitlines()
    assert "fsync" in said or "disk I/O error" in said


def looked_at_anew(trial: Trial, store: str, what: str) -> None:
    trial.history.crash()
    with leveret("--store", store) as server:
        report = trial.drain(server)
    report.assert_whole()
    figures.show("sync-fails", f"{what}: exit code 74, {report.summary}")


@traced
@pytest.mark.parametrize("after", [0, 1, 50])
def test_a_failed_fsync_ends_the_server_and_nothing_is_acknowledged_any_more(tmp_path: Path, after: int) -> None:
    trial = Trial()
    store = f"sqlite:///{tmp_path}/queue.db"
    with (
        leveret("--store", store) as server,
        failing_syncs(server.popen.pid, after),
        trial.clients.on(server.port, 1) as load,
    ):
        load.wait_for_failure()
        assert_ended_by_a_failed_sync(server)
    looked_at_anew(trial, store, f"sync {after + 1} under load")


@traced
def test_a_failed_fsync_while_nobody_waits_ends_the_server_too(tmp_path: Path) -> None:
    """That of the database itself: what is in its log moves there when there is time for it."""
    trial = Trial()
    store = f"sqlite:///{tmp_path}/queue.db"
    with leveret("--store", store) as server, failing_syncs(server.popen.pid, of=[tmp_path / "queue.db"]):
        with trial.clients.on(server.port, 100) as load:
            load.wait()
        assert_ended_by_a_failed_sync(server)
    looked_at_anew(trial, store, "sync of the checkpoint, when idle")
