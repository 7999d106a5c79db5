"""What each loop thread counts of requests: by itself, and through real sockets."""

import threading

import pytest

from scalestack.event.pending import Pending
from scalestack.http.message import Request, Response
from scalestack.http.meter import BOUNDS, NO_ROUTE, Tally
from scalestack.http.router import Entry, Route, Router
from support.web import Client, Raw, eventually, serving

ROUTE = Route("GET", "/a/{name}", lambda request, name: Response(200, b"four"))
ENTRY = Router([ROUTE]).find("GET /a/b")[0]
GET = b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n"


def asked(method):
    return Request(method, b"/", [], b"", True, False)


def counts(tally):
    return {kind: sum(histogram.snapshot()[0]) for kind, histogram in tally.answers().items()}


def test_answers_are_counted_by_route_method_and_status():
    tally = Tally()
    for status in (200, 200, 404):
        tally.answered(ENTRY, asked(b"GET"), status, 0.001)
    tally.answered(Entry(b"HEAD", ROUTE.handler, ROUTE), asked(b"HEAD"), 200, 0.001)
    assert counts(tally) == {
        ("/a/{name}", b"GET", 200, False): 2,
        ("/a/{name}", b"GET", 404, False): 1,
        ("/a/{name}", b"HEAD", 200, False): 1,
    }


def test_seconds_fall_into_buckets_up_to_their_bound():
    tally = Tally()
    for seconds in (0.0001, 0.00011, 30.0, 31.0):
        tally.answered(ENTRY, asked(b"GET"), 200, seconds)
    (histogram,) = tally.answers().values()
    found, total = histogram.snapshot()
    assert (found[0], found[1], found[len(BOUNDS) - 1], found[-1]) == (1, 1, 1, 1)
    assert total == pytest.approx(61.00021)


def test_what_was_parked_is_counted_apart():
    tally = Tally()
    tally.answered(ENTRY, asked(b"GET"), 200, 20.0, parked=True)
    assert list(tally.answers()) == [("/a/{name}", b"GET", 200, True)]


def test_what_clients_make_up_has_no_series_of_its_own():
    tally = Tally()
    for number in range(100):
        tally.answered(None, asked(b"MADE%d" % number), 404, 0.001)
    tally.answered(None, asked(b"GET"), 404, 0.001)
    tally.answered(Entry(b"OPTIONS", ROUTE.handler, None), asked(b"OPTIONS"), 204, 0.001)
    assert counts(tally) == {
        (NO_ROUTE, b"other", 404, False): 100,
        (NO_ROUTE, b"GET", 404, False): 1,
        (NO_ROUTE, b"OPTIONS", 204, False): 1,
    }


def test_a_method_that_a_route_has_is_known():
    route = Route("BREW", "/pot", ROUTE.handler)
    tally = Tally()
    tally.answered(Router([route]).find("BREW /pot")[0], asked(b"BREW"), 418, 0.001)
    assert counts(tally) == {("/pot", b"BREW", 418, False): 1}


def test_it_can_be_read_while_it_counts():
    tally = Tally()
    done = threading.Event()

    def count():
        for number in range(20_000):
            tally.answered(ENTRY, asked(b"GET"), 200 + number % 300, 0.001)
        done.set()

    thread = threading.Thread(target=count)
    thread.start()
    while not done.is_set():
        counts(tally)
    thread.join()
    assert sum(counts(tally).values()) == 20_000


# On a connection.


class Door:
    """Answers when the test says so."""

    def __init__(self, parked):
        self.parked = parked
        self.waiting = []

    def __call__(self, request):
        pending = Pending(lambda: True)
        pending.parked = self.parked
        self.waiting.append((request.connection.thread, pending))
        return pending

    def open(self):
        eventually(lambda: self.waiting)
        thread, pending = self.waiting.pop()
        thread.post(pending.resolve, Response(200, b"opened"))


async def coroutine(request):
    return Response(202)


async def pieces():
    yield b"piece"
    yield b"piece"


def broken(request):
    raise ZeroDivisionError


door, gate = Door(parked=True), Door(parked=False)
ROUTES = [
    ROUTE,
    Route("PUT", "/echo", lambda request: Response(200, request.body)),
    Route("GET", "/door", door),
    Route("GET", "/gate", gate),
    Route("GET", "/coroutine", coroutine),
    Route("GET", "/stream", lambda request: Response(200, stream=pieces())),
    Route("GET", "/big", lambda request: Response(200, b"x" * 1_000_000)),
    Route("GET", "/broken", broken),
]


@pytest.fixture(params=["uvloop", "asyncio"])
def web(request):
    with serving(ROUTES, loop=request.param) as web:
        yield web


@pytest.fixture
def client(web):
    client = Client(web.port)
    yield client
    client.close()


@pytest.fixture
def thread(web):
    return web.network.loops.threads[0]


@pytest.fixture
def tally(thread):
    thread.own.tally = Tally()
    return thread.own.tally


def test_nothing_is_counted_where_nobody_wants_to_know(client, thread):
    assert client("GET", "/a/b").status == 200
    assert thread.own.tally is None


def test_counting_begins_on_connections_that_are_open(client, thread):
    client("GET", "/a/b")
    thread.own.tally = tally = Tally()
    client("GET", "/a/c")
    assert counts(tally) == {("/a/{name}", b"GET", 200, False): 1}


@pytest.mark.parametrize(
    ("path", "status"), [("/a/b", 200), ("/coroutine", 202), ("/stream", 200), ("/big", 200), ("/broken", 500)]
)
def test_each_way_to_an_answer_is_counted_once(client, tally, path, status):
    assert client("GET", path).status == status
    route = "/a/{name}" if path == "/a/b" else path
    assert counts(tally) == {(route, b"GET", status, False): 1}


def test_an_unknown_path_and_a_method_that_is_not_possible(client, tally):
    assert client("GET", "/nothing").status == 404
    assert client("DELETE", "/echo").status == 405
    assert counts(tally) == {(NO_ROUTE, b"GET", 404, False): 1, (NO_ROUTE, b"DELETE", 405, False): 1}


@pytest.mark.parametrize(("path", "opener"), [("/door", door), ("/gate", gate)])
def test_an_answer_that_came_later_is_parked_where_its_handler_says_so(web, tally, path, opener):
    with Raw(web.port) as raw:
        raw.send(GET % path.encode())
        opener.open()
        assert raw.answer().body == b"opened"
    assert counts(tally) == {(path, b"GET", 200, path == "/door"): 1}


def test_who_hung_up_is_not_counted(web, tally):
    with Raw(web.port) as raw:
        raw.send(GET % b"/door")
        eventually(lambda: door.waiting)
        door.waiting.clear()
    eventually(lambda: not web.network.connections)
    assert counts(tally) == {}


def test_what_is_no_request_is_counted_by_its_status(web, tally):
    with Raw(web.port) as raw:
        assert raw.send(b"nonsense\r\n\r\n").answer().status == 400
    assert (tally.refusals(), counts(tally)) == ({400: 1}, {})
