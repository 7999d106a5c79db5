"""HTTP/1.1 on one connection, through real sockets."""

import asyncio
import gc
import threading
import time
import weakref
from contextlib import suppress

import pytest

from scalestack.event.loops import LoopThread
from scalestack.event.pending import Pending
from scalestack.http.message import Response
from scalestack.http.parser import ParserLimits
from scalestack.http.problem import HttpError
from scalestack.http.router import Route
from scalestack.http.server import HttpServer
from scalestack.http.timeouts import Timeouts
from support.web import PATIENCE, eventually, serving


class Door:
    """A handler that answers when the test says so."""

    def __init__(self, cancellable=True):
        self.waiting = []
        self.cancelled = []
        self.cancellable = cancellable

    def __call__(self, request, *parameters):
        pending = Pending((lambda: self.cancelled.append(request.path)) if self.cancellable else None)
        self.waiting.append((LoopThread.current(), pending))
        return pending

    def open(self, body=b"opened"):
        eventually(lambda: self.waiting)
        thread, pending = self.waiting.pop(0)
        thread.post(pending.resolve, Response(200, body))


def echo(request):
    return Response(200, request.body)


def broken(request):
    raise ZeroDivisionError


def refusing(request):
    raise HttpError(409, "conflict", "not like this")


async def coroutine(request):
    await asyncio.sleep(0)
    return Response(200, b"from a coroutine")


async def broken_coroutine(request):
    raise ZeroDivisionError


async def pieces():
    for number in range(3):
        await asyncio.sleep(0)
        yield b"piece %d\n" % number


async def broken_pieces():
    yield b"piece"
    raise ZeroDivisionError


async def flood():
    for _ in range(4096):
        yield b"x" * 65536


def ready_before(request):
    pending = Pending()
    pending.resolve(Response(200, b"ready"))
    return pending


door = Door()
gate = Door(cancellable=False)
ROUTES = [
    Route("PUT", "/echo", echo),
    Route("GET", "/echo", echo),
    Route("GET", "/path/{name}", lambda request, name: Response(200, name.encode())),
    Route("GET", "/broken", broken),
    Route("GET", "/refusing", refusing),
    Route("GET", "/coroutine", coroutine),
    Route("GET", "/broken-coroutine", broken_coroutine),
    Route("GET", "/stream", lambda request: Response(200, stream=pieces())),
    Route("GET", "/broken-stream", lambda request: Response(200, stream=broken_pieces())),
    Route("GET", "/flood", lambda request: Response(200, stream=flood())),
    Route("GET", "/ready", ready_before),
    Route("GET", "/huge", lambda request: Response(200, b"x" * 20_000_000)),
    Route("GET", "/big", lambda request: Response(200, b"x" * 1_000_000)),
    Route("GET", "/door", door),
    Route("GET", "/gate", gate),
]
GET = b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def web(request):
    with serving(ROUTES, threads=2, loop=request.param, parser_limits=ParserLimits(max_body=1 << 20)) as web:
        yield web


@pytest.fixture
def raw(web):
    with web.connect() as raw:
        yield raw


def test_an_answer_that_is_ready(raw):
    answer = raw.send(b"PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").answer()
    assert (answer.status, answer.body) == (200, b"hi")
    assert "date" in answer.headers


def test_a_connection_is_kept(raw):
    for number in range(3):
        assert raw.send(GET % (b"/path/%d" % number)).answer().body == b"%d" % number


def test_an_answer_to_head_has_no_body(raw):
    answer = raw.send(b"HEAD /path/name HTTP/1.1\r\nHost: a\r\n\r\n").answer(to_head=True)
    assert (answer.status, answer.headers["content-length"]) == (200, "4")
    assert raw.send(GET % b"/path/next").answer().body == b"next"


def test_http_1_0_is_answered_and_closed(raw):
    assert raw.send(b"GET /path/old HTTP/1.0\r\n\r\n").answer().body == b"old"
    assert raw.at_end()


def test_http_1_0_may_ask_to_be_kept(raw):
    request = b"GET /path/old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    assert raw.send(request).answer().headers["connection"] == "keep-alive"
    assert raw.send(request).answer().body == b"old"


def test_a_client_that_says_close_is_closed(raw):
    answer = raw.send(b"GET /path/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").answer()
    assert answer.headers["connection"] == "close"
    assert raw.at_end()


def test_a_coroutine_is_awaited(raw):
    assert raw.send(GET % b"/coroutine").answer().body == b"from a coroutine"


def test_a_pending_answer_that_is_there_already(raw):
    assert raw.send(GET % b"/ready" + GET % b"/path/next").answer().body == b"ready"
    assert raw.answer().body == b"next"


def test_pipelined_requests_are_answered_in_order(raw):
    raw.send(GET % b"/door" + GET % b"/path/1" + GET % b"/coroutine" + GET % b"/path/2")
    door.open()
    assert [raw.answer().body for _ in range(4)] == [b"opened", b"1", b"from a coroutine", b"2"]


def test_requests_that_come_while_one_waits_are_answered_after_it(raw):
    raw.send(GET % b"/door")
    eventually(lambda: door.waiting)
    raw.send(GET % b"/path/1").send(GET % b"/path/2")
    door.open()
    assert [raw.answer().body for _ in range(3)] == [b"opened", b"1", b"2"]


def test_more_than_fits_behind_a_waiting_request_is_read_later(raw):
    put = b"PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n" + b"x" * 50_000
    raw.send(GET % b"/gate")
    eventually(lambda: gate.waiting)
    sender = threading.Thread(target=raw.send, args=(put * 20,))
    sender.start()
    gate.open()
    assert raw.answer().body == b"opened"
    for _ in range(20):
        assert raw.answer().body == b"x" * 50_000
    sender.join()


@pytest.mark.parametrize("behind", [b"", GET % b"/path/never"], ids=["nothing parsed", "a request parsed"])
def test_who_sends_too_much_behind_a_wait_is_not_left_waiting_unheard(raw, behind):
    """Reading must go on while a request waits that ends with its client; so there can't be any amount behind it."""
    raw.send(GET % b"/door?flooded" + behind)
    eventually(lambda: door.waiting)
    door.cancelled.clear()
    sender = threading.Thread(target=_send_what_it_takes, args=(raw, b"x" * 200_000))
    sender.start()
    answer = raw.answer()
    assert (answer.status, answer.json["code"]) == (400, "too-much-pipelined")
    assert door.cancelled == [b"/door"]
    door.waiting.clear()
    sender.join()


def _send_what_it_takes(raw, data):
    with suppress(ConnectionError):
        raw.send(data)


def test_one_that_pipelines_without_end_leaves_others_their_turn():
    with serving(ROUTES, threads=1) as web, web.connect() as flood, web.connect() as other:
        stop = threading.Event()

        def send():
            while not stop.is_set():
                flood.send((GET % b"/path/a") * 4000)

        def read():
            with suppress(ConnectionError):
                while flood.socket.recv(1 << 20):
                    pass

        threads = [threading.Thread(target=target) for target in (send, read)]
        for thread in threads:
            thread.start()
        longest = 0.0
        for _ in range(50):
            began = time.monotonic()
            assert other.send(GET % b"/path/b").answer().body == b"b"
            longest = max(longest, time.monotonic() - began)
        stop.set()
        threads[0].join()
        flood.half_close()
        threads[1].join()
        assert longest < 1, f"another waited {longest:.1f} seconds"


def test_heads_that_end_with_the_begin_of_the_next_have_each_a_time_of_their_own():
    request = GET % b"/path/a"
    with (
        serving(ROUTES, timeouts=Timeouts(head=0.5, body=9, body_rate=500, idle=9, write=9)) as web,
        web.connect() as raw,
    ):
        raw.send(request[:10])
        end = time.monotonic() + 1.2  # more than twice as long as one head may take
        while time.monotonic() < end:
            assert raw.send(request[10:] + request[:10]).answer().body == b"a"


def test_what_is_half_closed_behind_much_that_is_pipelined_ends(raw):
    sender = threading.Thread(target=lambda: (raw.send((GET % b"/path/a") * 3000), raw.half_close()))
    sender.start()
    assert all(raw.answer().body == b"a" for _ in range(3000))
    assert raw.at_end()
    sender.join()


@pytest.mark.parametrize("last", [b"/path/b", b"/stream", b"/coroutine", b"/big"])
def test_answers_that_are_put_off_are_sent_before_those_that_are_not(raw, last):
    for _ in range(2):  # the second time, the first ones are known by their bytes
        raw.send(GET % b"/path/a").answer()
        raw.send(GET % b"/path/a" + GET % last)
        assert raw.answer().body == b"a"
        assert raw.answer().status == 200


def test_one_that_is_refused_behind_others_is_answered_last(raw):
    raw.send(GET % b"/path/a" + GET % b"/path/b" + b"nonsense\r\n\r\n")
    assert [raw.answer().body for _ in range(2)] == [b"a", b"b"]
    assert raw.answer().status == 400
    assert raw.at_end()


@pytest.mark.parametrize("times", [1, 2])
def test_a_client_that_sends_its_last_byte_with_its_request_is_answered(raw, times):
    for _ in range(times - 1):
        raw.send(GET % b"/path/a").answer()
    raw.send(GET % b"/path/b")
    raw.half_close()
    assert raw.answer().body == b"b"
    assert raw.at_end()


def test_an_answer_is_there_before_the_connection_is_closed(raw):
    raw.send(GET % b"/path/a" + (GET % b"/path/b").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert [raw.answer().body for _ in range(2)] == [b"a", b"b"]
    assert raw.at_end()


def test_a_thousand_pipelined_requests(raw):
    sender = threading.Thread(target=raw.send, args=((GET % b"/path/a") * 1000,))
    sender.start()
    assert all(raw.answer().body == b"a" for _ in range(1000))
    sender.join()


def test_a_client_that_hangs_up_cancels_its_wait(web):
    with web.connect() as raw:
        raw.send(GET % b"/door?hung-up")
        eventually(lambda: door.waiting)
        door.cancelled.clear()
    eventually(lambda: door.cancelled == [b"/door"])
    door.waiting.clear()


def test_a_client_that_sends_no_more_still_gets_its_answers(raw):
    raw.send(GET % b"/coroutine" + GET % b"/path/last").half_close()
    assert raw.answer().body == b"from a coroutine"
    assert raw.answer().body == b"last"
    assert raw.at_end()


def test_an_error_that_is_meant_is_a_problem_document(raw):
    answer = raw.send(GET % b"/refusing").answer()
    assert answer.status == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json == {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "code": "conflict",
        "detail": "not like this",
    }
    assert raw.send(GET % b"/path/next").answer().body == b"next"


@pytest.mark.parametrize("path", [b"/broken", b"/broken-coroutine"])
def test_an_error_that_is_not_meant_is_500_and_tells_nothing(raw, path):
    answer = raw.send(GET % path).answer()
    assert (answer.status, answer.json["code"]) == (500, "internal")
    assert "ZeroDivision" not in answer.text
    assert raw.send(GET % b"/path/next").answer().body == b"next"


def test_a_stream_is_sent_in_chunks(raw):
    answer = raw.send(GET % b"/stream" + GET % b"/path/next").answer()
    assert answer.headers["transfer-encoding"] == "chunked"
    assert answer.body == b"piece 0\npiece 1\npiece 2\n"
    assert raw.answer().body == b"next"


def test_a_stream_for_http_1_0_ends_with_the_connection(raw):
    raw.send(b"GET /stream HTTP/1.0\r\n\r\n")
    raw._file.readline()
    while raw._file.readline() != b"\r\n":
        pass
    assert raw._file.read() == b"piece 0\npiece 1\npiece 2\n"


def test_a_stream_that_fails_is_cut_so_that_nobody_takes_it_for_whole(raw):
    raw.send(GET % b"/broken-stream")
    with pytest.raises((ValueError, ConnectionResetError)):
        raw.answer()


def test_a_stream_is_not_made_faster_than_it_is_read(raw):
    raw.send(GET % b"/flood")
    total = sum(len(raw.socket.recv(1 << 16)) for _ in range(100))
    assert total > 0  # and the test ends here: 256 MB wait for nobody


def test_a_client_that_reads_slowly_gets_everything(raw):
    raw.send((GET % b"/big") * 20)
    assert all(len(raw.answer().body) == 1_000_000 for _ in range(20))


def test_a_client_is_told_to_go_on_with_its_body(raw):
    raw.send(b"PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    assert raw.answer().status == 100
    assert raw.send(b"hi").answer().body == b"hi"


def test_the_go_ahead_keeps_its_turn(raw):
    raw.send(GET % b"/door" + b"PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    door.open()
    assert raw.answer().body == b"opened"
    assert raw.answer().status == 100
    assert raw.send(b"hi").answer().body == b"hi"


def test_bad_framing_is_400_and_the_end(raw):
    answer = raw.send(GET % b"/path/good" + b"GET / HTTP/1.1\r\nHost : a\r\n\r\n" + GET % b"/path/never").answer()
    assert answer.body == b"good"
    refusal = raw.answer()
    assert (refusal.status, refusal.headers["connection"]) == (400, "close")
    assert raw.at_end()


def test_bad_framing_waits_its_turn(raw):
    raw.send(GET % b"/door" + b"nonsense\r\n\r\n")
    door.open()
    assert raw.answer().body == b"opened"
    assert raw.answer().status == 400
    assert raw.at_end()


def test_a_client_that_still_sends_can_read_why_it_is_refused(raw):
    raw.send(b"PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n")
    for _ in range(50):
        raw.send(b"x" * 10_000)
    assert raw.answer().status == 413


def test_unknown_paths_and_methods(raw):
    assert raw.send(GET % b"/nothing").answer().status == 404
    answer = raw.send(b"DELETE /echo HTTP/1.1\r\nHost: a\r\n\r\n").answer()
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS, PUT")


class TestTimeouts:
    @pytest.fixture
    def web(self):
        with serving(ROUTES, timeouts=Timeouts(head=0.1, body=0.1, body_rate=100, idle=0.1, write=0.1)) as web:
            yield web

    @staticmethod
    def dripped(raw, begin):
        """What comes back when a request goes on byte by byte."""
        raw.socket.settimeout(0.02)
        raw.send(begin)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                return raw.socket.recv(100)
            except TimeoutError:
                raw.send(b"x")
        return b""

    def test_a_connection_on_which_nothing_comes_is_closed(self, raw):
        assert raw.at_end()

    def test_an_idle_connection_is_closed(self, raw):
        assert raw.send(GET % b"/path/a").answer().status == 200
        assert raw.at_end()

    def test_a_head_that_does_not_end_is_408(self, raw):
        assert raw.send(b"GET / HTTP/1.1\r\nHost: ").answer().status == 408
        assert raw.at_end()

    def test_a_head_that_comes_byte_by_byte_is_408_although_each_byte_is_in_time(self, web):
        with web.connect() as raw:
            assert self.dripped(raw, b"GET / HTTP/1.1\r\nX: ").startswith(b"HTTP/1.1 408 ")

    def test_a_body_that_does_not_end_is_408(self, raw):
        assert raw.send(b"PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nh").answer().status == 408

    def test_a_body_that_comes_in_drops_is_408_although_each_drop_is_in_time(self, raw):
        begin = b"PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"
        assert self.dripped(raw, begin).startswith(b"HTTP/1.1 408 ")

    def test_a_client_that_reads_slowly_but_reads_is_not(self, web):
        with (
            serving(ROUTES, timeouts=Timeouts(head=9, body=9, body_rate=500, idle=9, write=0.5)) as web,
            web.connect() as raw,
        ):
            raw.send(GET % b"/huge")
            total, began = 0, time.monotonic()
            while total < 20_000_000:
                data = raw.socket.recv(100_000)
                assert data, f"it was cut after {total:,} bytes"
                total += len(data)
                if time.monotonic() - began < 1.2:  # more than twice as long as it may leave all unread
                    threading.Event().wait(0.005)

    def test_a_client_that_does_not_read_is_cut(self, web, raw):
        raw.send((GET % b"/big") * 100)
        eventually(lambda: web.network.connections == 1)
        eventually(lambda: web.network.connections == 0)

    def test_a_request_that_waits_has_no_deadline(self, web, raw):
        raw.send(GET % b"/door")
        eventually(lambda: door.waiting)
        for _ in range(2):  # others come, time out and go meanwhile
            with web.connect() as idle:
                assert idle.at_end()
        door.open()
        assert raw.answer().body == b"opened"


class TestDraining:
    def test_idle_connections_close_and_waiting_ones_are_answered_first(self):
        with serving(ROUTES) as web, web.connect() as idle, web.connect() as waiting, web.connect() as midway:
            assert idle.send(GET % b"/path/a").answer().status == 200
            waiting.send(GET % b"/door")
            midway.send(b"GET /path/mid")
            eventually(lambda: door.waiting and web.network.connections == 3)
            web.network.drain()
            assert idle.at_end()
            midway.send(b"way HTTP/1.1\r\nHost: a\r\n\r\n")
            assert midway.answer().headers["connection"] == "close"
            door.open()
            answer = waiting.answer()
            assert (answer.body, answer.headers["connection"]) == (b"opened", "close")
            assert waiting.at_end()
            web.network.settle(time.monotonic() + PATIENCE)
            assert web.network.connections == 0


def test_nothing_of_a_connection_is_left_to_the_garbage_collector():
    made = []

    class Watched(HttpServer):
        def connection(self, thread):
            connection = super().connection(thread)
            made.append(weakref.ref(connection))
            return connection

    gc.disable()
    try:
        with serving(ROUTES, server_class=Watched) as web:
            for request in (
                GET % b"/path/a",
                GET % b"/coroutine",
                GET % b"/stream",
                GET % b"/nothing",
                b"nonsense\r\n\r\n",
            ):
                with web.connect() as raw:
                    raw.send(request).answer()
            with web.connect() as raw:
                raw.send(GET % b"/door")
                eventually(lambda: door.waiting)
                door.waiting.clear()
            eventually(lambda: not any(connection() for connection in made))
            assert len(made) == 6
    finally:
        gc.enable()


def test_each_answer_is_logged_where_that_is_asked_for():
    logged = []
    with serving(ROUTES, access=lambda *entry: logged.append(entry)) as web:
        with web.connect() as raw:
            raw.send(GET % b"/path/a?b=c").answer()
            raw.send(b"nonsense\r\n\r\n").answer()
        eventually(lambda: len(logged) == 2)
    peer, method, target, status, sent, seconds = logged[0]
    assert (peer, method, target, status, sent) == ("127.0.0.1", "GET", "/path/a?b=c", 200, 1)
    assert 0 < seconds < PATIENCE
    assert logged[1][3] == 400
