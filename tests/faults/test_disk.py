"""A disk that is full, and one that fails: the store says so, keeps what it has, and goes on where it can."""

import hashlib
import os
import shutil
import signal
import subprocess
from contextlib import closing, contextmanager
from functools import partial

import pytest

from support.ledger import ACCOUNT, HIDE, Ledger, assert_whole, path_of, read
from support.load import load
from support.loopdevice import LoopDevice, unavailable
from support.process import leveret
from support.web import PATIENCE, Client, eventually

MEGABYTES = 64
BODY = 100_000  # bytes
WRITER = 0  # the only one, where there is no load
QUEUE = "big"


def body(size, queue, id):
    return hashlib.shake_128(f"{queue}/{id}".encode()).hexdigest(size // 2).encode()


class Worker:
    """One client of a server whose disk is full or not; a ledger keeps book of what it does."""

    def __init__(self, ledger, client):
        self._ledger = ledger
        self.client = client

    def put(self):
        """One more message; answers whether it was stored. If not, it was said why."""
        id = self._ledger.next_id(WRITER)
        self._ledger.begin_put(QUEUE, id)
        answer = self.client("PUT", path_of(QUEUE, id) + "?ttl=0", self._ledger.body(QUEUE, id))
        stored = self._ledger.end_put(QUEUE, id, answer.status)
        if not stored:
            assert answer.status == 507, answer
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json["code"] == "store-full"
        return stored

    def fill(self):
        """Put until no more is taken."""
        while self.put():
            pass

    def read(self):
        """What is there, all of which is there whole."""
        (messages,) = read(self._ledger, self.client).values()
        assert all(message.body == self._ledger.body(QUEUE, message.id) for message in messages)
        return messages

    def claim(self):
        began = self._ledger.begin_claim(QUEUE)
        answer = self.client("POST", f"/v1.0/{ACCOUNT}/{QUEUE}?limit=1&hide={HIDE}&detail=all")
        assert answer.status == 200, answer
        assert self._ledger.end_claim(QUEUE, began, answer) is not None

    def delete(self, messages):
        for message in messages:
            self._ledger.begin_delete(QUEUE, message.id)
            answer = self.client("DELETE", path_of(QUEUE, message.id))
            assert self._ledger.end_delete(QUEUE, message.id, answer.status), answer

    def everything_but_put_works(self):
        for _ in range(10):
            self.claim()
        self.delete(self.read()[5:15])  # some that are claimed, and some that are not


@contextmanager
def on_a_disk_of(megabytes, folder):
    if reason := unavailable():
        pytest.skip(reason)
    with LoopDevice(folder, megabytes) as device:
        yield device


@pytest.fixture
def device(tmp_path):
    with on_a_disk_of(MEGABYTES, tmp_path) as device:
        yield device


@pytest.fixture
def ledger():
    return Ledger(partial(body, BODY))


@contextmanager
def working(folder, ledger, end=signal.SIGTERM):
    """A server that stores in `folder`, and a worker."""
    with leveret("--store", f"sqlite:///{folder}/queue.db") as server:
        with closing(Client(server.port)) as client:
            yield Worker(ledger, client)
        server.signal(end)
        assert server.wait() == (0 if end == signal.SIGTERM else -end)


def fill(device):
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


@pytest.mark.parametrize(("megabytes", "size"), [(64, 100_000), (128, 1_000_000)])
def test_a_full_disk_refuses_puts_and_nothing_else(tmp_path, megabytes, size):
    ledger = Ledger(partial(body, size))
    with on_a_disk_of(megabytes, tmp_path) as device, working(device.path, ledger) as worker:
        worker.fill()
        worker.everything_but_put_works()
        assert_whole(ledger, worker.client)
        worker.delete(worker.read())
        assert_whole(ledger, worker.client)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_server_starts_on_a_full_disk(device, ledger, end):
    with working(device.path, ledger, end) as worker:
        worker.fill()
    for _ in range(2):
        with working(device.path, ledger, end) as worker:
            assert_whole(ledger, worker.client)
            worker.everything_but_put_works()
            worker.fill()  # what little is free by now


def test_puts_work_again_when_enough_has_been_deleted(device, ledger):
    with working(device.path, ledger) as worker:
        worker.fill()
        messages = worker.read()
        worker.delete(messages[: len(messages) // 2])
        eventually(worker.put)
        assert_whole(ledger, worker.client)


def test_puts_work_again_when_somebody_else_makes_room(device, ledger):
    with working(device.path, ledger) as worker:
        for _ in range(20):
            assert worker.put()
        filler = fill(device)
        worker.fill()
        worker.everything_but_put_works()
        filler.unlink()
        eventually(worker.put)
        assert_whole(ledger, worker.client)


# fsync.


@contextmanager
def failing_syncs(server, after=0, of=()):
    """From here on a server's fsyncs fail, all or those `of` some files; the first `after` of each thread do not."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("there is no strace")
    inject = f"inject=fsync,fdatasync:error=EIO:when={after + 1}+"
    command = [strace, "-f", "-p", str(server.popen.pid), "-e", "trace=fsync,fdatasync", "-e", inject]
    for path in of:
        command += ["-P", str(path)]
    tracer = subprocess.Popen([*command, "-o", os.devnull], stderr=subprocess.PIPE, text=True)
    with tracer:
        line = tracer.stderr.readline()
        while "Requested path" in line:  # it says where a path leads
            line = tracer.stderr.readline()
        if "attached" not in line:
            pytest.skip(f"strace can't trace here: {line.strip()}")
        try:
            yield
        finally:
            tracer.terminate()


def assert_ended_by_a_failed_sync(server):
    assert server.popen.wait(PATIENCE) == 74
    (said,) = server.popen.stderr.read().splitlines()
    assert "fsync" in said or "disk I/O error" in said


@pytest.mark.parametrize("after", [0, 1, 50])
def test_a_failed_fsync_ends_the_server_and_nothing_is_acknowledged_any_more(tmp_path, after):
    ledger = Ledger()
    store = f"sqlite:///{tmp_path}/queue.db"
    with leveret("--store", store) as server, failing_syncs(server, after), load(ledger, server.port, 1) as running:
        running.wait_for_failure()
        assert_ended_by_a_failed_sync(server)
    with leveret("--store", store) as server, closing(Client(server.port)) as client:
        assert_whole(ledger, client)


def test_a_failed_fsync_while_nobody_waits_ends_the_server_too(tmp_path):
    """That of the database itself: what is in its log moves there when there is time for it."""
    ledger = Ledger()
    store = f"sqlite:///{tmp_path}/queue.db"
    with leveret("--store", store) as server, failing_syncs(server, of=[tmp_path / "queue.db"]):
        with load(ledger, server.port, 100) as running:
            running.wait()
        assert_ended_by_a_failed_sync(server)
    with leveret("--store", store) as server, closing(Client(server.port)) as client:
        assert_whole(ledger, client)
