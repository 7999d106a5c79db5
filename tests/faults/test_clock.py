"""The system's clock jumps, under a running server and between two: what a server has promised moves by no second."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from support.faketime import WallClock, unavailable
from support.figures import show
from support.process import Process, leveret
from support.web import PATIENCE, Client, eventually

pytestmark = pytest.mark.alone

HOUR, DAY = 3_600, 86_400
JUMPS = [HOUR, -HOUR, DAY, -DAY]
ROUNDS = int(os.environ.get("LEVERET_CLOCK_ROUNDS", "1"))
Q = "/v1.1/acme/jobs"
LATE = 10  # seconds by which a busy machine may be late; a clock that is followed is off by 3,600

if reason := unavailable():
    pytest.skip(reason, allow_module_level=True)


@pytest.fixture
def wall(tmp_path: Path) -> WallClock:
    return WallClock(tmp_path)


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/queue.db"


@dataclass
class Running:
    """A server that all tests of a running one share, and its clock, which goes on from where the last one left it."""

    server: Process
    wall: WallClock
    client: Client
    queue: str = ""  # each test has one of its own


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("clock")
    wall = WallClock(folder)
    options = ["--store", f"sqlite:///{folder}/queue.db", "--data", str(folder)]
    with leveret(*options, under=wall.under) as server, closing(Client(server.port)) as client:
        yield Running(server, wall, client)


@pytest.fixture
def running(shared: Running) -> Running:
    return replace(shared, queue=f"/v1.1/acme/{uuid.uuid4().hex}")


def put(client: Client, path: str, parameters: str = "ttl=0") -> None:
    """A message whose body is its id."""
    id = path.rpartition("/")[2]
    assert client("PUT", f"{path}?{parameters}", id.encode()).status == 201


def claim(client: Client, hide: int, queue: str) -> Any:
    (message,) = client("POST", f"{queue}?limit=1&hide={hide}&detail=all").json
    return message


def ids_of(client: Client, queue: str, parameters: str = "") -> list[str]:
    found: list[str] = client("GET", f"{queue}?detail=id&match_hidden=true{parameters}").json
    return found


def attributes(client: Client, path: str) -> Any:
    return client("GET", f"{path}?detail=attributes").json


def date_of(client: Client) -> float:
    return parsedate_to_datetime(client("GET", "/").headers["date"]).timestamp()


# In a running server.


@pytest.mark.parametrize("jump", JUMPS)
def test_no_ttl_lease_or_delay_moves_when_the_clock_jumps(running: Running, jump: int) -> None:
    client, queue = running.client, running.queue
    put(client, f"{queue}/leased", "ttl=600")
    leased = claim(client, 600, queue)
    put(client, f"{queue}/delayed", "ttl=0&hide=600")
    running.wall.jump(jump)
    assert 600 - LATE <= attributes(client, f"{queue}/leased")["ttl"] <= 600
    assert 600 - LATE <= attributes(client, f"{queue}/delayed")["hide"] <= 600
    assert client("POST", f"{queue}?limit=1&hide=60").status == 404, "what is hidden was handed out"
    held = f"{queue}/leased?receipt={leased['receipt']}"
    assert client("POST", f"{held}&hide=600").status in {200, 204}, "its receipt is good no more"
    assert client("DELETE", held).status == 204


@pytest.mark.parametrize("jump", JUMPS)
def test_delays_and_expiry_end_in_their_time(running: Running, jump: int) -> None:
    client, queue = running.client, running.queue
    began = time.monotonic()
    put(client, f"{queue}/expires", "ttl=2")
    put(client, f"{queue}/delayed", "ttl=0&hide=1")
    assert claim(client, 600, queue)["id"] == "expires"
    running.wall.jump(jump)
    assert client("GET", f"{queue}?wait=60&detail=id").json == ["delayed"]
    assert 1 <= time.monotonic() - began < 1 + LATE
    eventually(lambda: ids_of(client, queue) == ["delayed"])
    assert 2 <= time.monotonic() - began < 2 + LATE


@pytest.mark.parametrize("jump", JUMPS)
def test_long_polls_end_in_their_time(running: Running, jump: int) -> None:
    with socket.create_connection(("127.0.0.1", running.server.port), PATIENCE) as poll:
        began = time.monotonic()
        poll.sendall(f"GET {running.queue}?wait=1 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        running.client("GET", "/")  # the poll was sent before, and is parked by now
        running.wall.jump(jump)
        assert poll.recv(65_536).startswith(b"HTTP/1.1 404 ")
        assert 1 <= time.monotonic() - began < 1 + LATE


def test_order_ids_and_created_go_on_steadily_whatever_the_clock_does(running: Running) -> None:
    client, queue = running.client, running.queue
    put(client, f"{queue}/first")
    made = []
    for number, jump in enumerate(JUMPS):
        running.wall.jump(jump)
        put(client, f"{queue}/{number}")
        made += client("PUT", f"{queue}-made", b'{"messages":[{"body":"x"}]}').json
    assert ids_of(client, queue) == ["first", "0", "1", "2", "3"]
    assert made == sorted(made), "a server's ids are in the order of time"
    created = [datetime.fromisoformat(each["created"]) for each in client("GET", f"{queue}?detail=attributes").json]
    assert created == sorted(created)
    assert (created[-1] - created[0]).total_seconds() < LATE, "`created` has jumped"


@pytest.mark.parametrize("jump", JUMPS)
def test_date_follows_the_system_clock_within_a_second(running: Running, jump: int) -> None:
    assert abs(date_of(running.client) - running.wall.time()) < LATE
    running.wall.jump(jump)
    began = time.monotonic()
    eventually(lambda: abs(date_of(running.client) - running.wall.time()) < LATE)
    assert time.monotonic() - began < LATE


@contextmanager
def guarded(wall: WallClock, folder: Path, *options: str) -> Iterator[Process]:
    """A server that asks for keys."""
    store, data = f"sqlite:///{folder}/queue.db", str(folder / "server")
    with leveret("--store", store, "--data", data, "--auth", "keys", *options, under=wall.under) as server:
        yield server


def command(folder: Path, *words: str, key: str = "") -> str:
    """What `leveret` says, with the system's clock as it is."""
    environ = os.environ | {"LEVERET_KEY": key, "LEVERET_SERVER__DATA": str(folder / "server")}
    arguments = [sys.executable, "-m", "leveret", *words]
    return subprocess.run(arguments, check=True, capture_output=True, text=True, env=environ).stdout.strip()


def test_keys_and_signed_urls_end_by_the_system_clock_as_they_were_made_by_it(wall: WallClock, tmp_path: Path) -> None:
    with guarded(wall, tmp_path) as server, closing(Client(server.port)) as client:
        key = command(tmp_path, "keys", "create", "--account", "acme", "--expires", "2h").splitlines()[0]
        url = command(tmp_path, "sign", "GET", "/v1.1/acme/jobs", "--expires", "10m", key=key)
        headers = {"Authorization": f"Bearer {key}"}

        def answers() -> tuple[int, int]:
            return client("GET", Q, headers=headers).status, client("GET", url).status

        assert answers() == (404, 404)
        wall.jump(HOUR)
        assert answers() == (404, 401), "an hour later the URL has expired, and the key has not"
        wall.jump(DAY)
        assert answers() == (401, 401), "a day later, both have"
        wall.jump(-DAY - HOUR)
        assert answers() == (404, 404)
        wall.jump(-DAY)
        assert answers() == (404, 404), "before it was made, none has expired"


def test_the_log_and_the_audit_log_have_the_times_of_the_system_clock(wall: WallClock, tmp_path: Path) -> None:
    trail = tmp_path / "audit.jsonl"
    with guarded(wall, tmp_path, "--set", f"audit.file={trail}", "--set", "log.format=json") as server:
        with closing(Client(server.port)) as client:
            key = command(tmp_path, "keys", "create", "--account", "acme", "--allow", "policy").splitlines()[0]
            for jump in JUMPS:
                wall.jump(jump)
                answer = client("PATCH", Q, b'{"default_ttl":60}', {"Authorization": f"Bearer {key}"})
                assert answer.status == 200
                last = json.loads(trail.read_text().splitlines()[-1])
                assert abs(datetime.fromisoformat(last["time"]).timestamp() - wall.time()) < PATIENCE
        wall.jump(DAY)
        server.signal(signal.SIGTERM)
        server.wait()
        assert server.popen.stderr is not None
        said = json.loads(server.popen.stderr.read().splitlines()[-1])
        assert abs(datetime.fromisoformat(said["timestamp"]).timestamp() - wall.time()) < PATIENCE


# Between two servers.


@contextmanager
def restarted(wall: WallClock, store: str, jump: int) -> Iterator[Client]:
    """A new server with the same database, when the clock has jumped."""
    wall.jump(jump)
    with leveret("--store", store, under=wall.under) as server, closing(Client(server.port)) as client:
        yield client
        server.signal(signal.SIGTERM)
        assert server.wait() == 0


def test_a_restart_after_a_jump_loses_nothing_and_keeps_the_order(wall: WallClock, store: str) -> None:
    with restarted(wall, store, 0) as client:
        for id in ("first", "second", "third"):
            put(client, f"{Q}/{id}")
        marker = attributes(client, f"{Q}/second")["marker"]
    expected = ["first", "second", "third"]
    for jump in JUMPS:
        with restarted(wall, store, jump) as client:
            assert client("GET", f"{Q}?detail=body").json == expected
            put(client, f"{Q}/{jump}")
            expected.append(str(jump))
            assert ids_of(client, Q) == expected
            assert ids_of(client, Q, f"&after={marker}") == expected[2:], "a marker is good for new ones, too"


def test_a_lease_of_before_a_restart_is_off_by_the_jump_and_its_holder_is_told(wall: WallClock, store: str) -> None:
    with restarted(wall, store, 0) as client:
        put(client, f"{Q}/{JUMPS[0]}")
        old = claim(client, 1_800, Q)
    for jump, following in zip(JUMPS, [*JUMPS[1:], 0], strict=True):
        with restarted(wall, store, jump) as client:
            claimed = client("POST", f"{Q}?limit=1&hide=60&detail=all")
            deleted = client("DELETE", f"{Q}/{jump}?receipt={old['receipt']}")
            if jump > 0:
                (new,) = claimed.json  # its time is over, by the clock
                assert (new["id"], new["deliveries"]) == (str(jump), 2)
                assert deleted.status == 409, "two hold it at once"
                assert client("DELETE", f"{Q}/{jump}?receipt={new['receipt']}").status == 204
            else:
                assert claimed.status == 404, "it was handed out twice at once"
                assert deleted.status == 204
            put(client, f"{Q}/{following}")
            old = claim(client, 1_800, Q)


def test_messages_from_the_future_are_like_any_others(wall: WallClock, store: str) -> None:
    with restarted(wall, store, DAY) as client:
        put(client, f"{Q}/1", "ttl=600")
        held = claim(client, 600, Q)
    with restarted(wall, store, -DAY) as client:
        found = attributes(client, f"{Q}/1")
        assert datetime.fromisoformat(found["created"]).timestamp() > wall.time() + HOUR
        assert 600 - LATE <= found["ttl"] - DAY <= 600, "times are stored as wall time: it is off by the jump"
        (queue,) = client("GET", "/v1.1/acme?detail=all").json
        assert queue["oldest"] == 0
        assert client("PUT", f"{Q}/1", b"replaced").status == 204
        assert client("DELETE", f"{Q}/1?receipt={held['receipt']}").status == 409, "it is another message now"
        again = claim(client, 60, Q)
        assert (again["body"], again["deliveries"]) == ("replaced", 1)
        assert client("PUT", f"{Q}/1", b"replaced").status == 204
        assert client("DELETE", f"{Q}/1?receipt={again['receipt']}").status == 409, "it is another message now"


# Again and again.


@pytest.mark.timeout(60 + 10 * ROUNDS)
def test_a_server_works_on_through_jumps_and_restarts(wall: WallClock, store: str) -> None:
    """Each round: three jumps under a running server, and one to the next. All goes by one order and by no clock."""
    chance = random.Random()
    expected: list[str] = []
    jumps = puts = 0
    latest = 0.0
    for number in range(ROUNDS):
        with restarted(wall, store, chance.choice(JUMPS)) as client:
            jumps += 1
            for step in range(3):
                assert ids_of(client, Q) == expected if expected else client("GET", Q).status == 404
                wall.jump(chance.choice(JUMPS))
                jumps += 1
                for more in range(15):
                    put(client, f"{Q}/{number}-{step}-{more}")
                    expected.append(f"{number}-{step}-{more}")
                    puts += 1
                began = time.monotonic()
                put(client, f"/v1.1/acme/late/{number}-{step}", "ttl=0&hide=1")
                (late,) = client("DELETE", "/v1.1/acme/late?wait=20&limit=1&detail=id").json
                assert late == f"{number}-{step}"
                took = time.monotonic() - began
                assert 1 <= took < 1 + LATE
                latest = max(latest, took - 1)
                taken = client("DELETE", f"{Q}?limit=14&detail=id").json
                assert taken == expected[:14]
                del expected[:14]
    show(
        "clock",
        f"{jumps:,} jumps of the wall clock by an hour or a day, {ROUNDS:,} of them between two servers; "
        f"{puts:,} acknowledged PUTs: 0 lost, 0 out of order; delays of a second ended {latest:.1f} s late at most",
    )
