"""Bytes in, requests out. Every case is fed whole, byte by byte, and with bytes left over."""

import itertools
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalestack.http.parser import ParserLimits, RequestParser
from scalestack.http.problem import HttpError

GET = b"GET / HTTP/1.1\r\nHost: a\r\n"
PUT = b"PUT / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = PUT + b"Transfer-Encoding: chunked\r\n\r\n"
LEFT_OVER = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"


class Fed:
    """What a parser made of some pieces."""

    def __init__(self, pieces, limits=None):
        self.requests = []
        self.continues = 0
        self.parser = RequestParser(limits or ParserLimits(), self.requests.append, self._expects_body)
        self.error = None
        try:
            for piece in pieces:
                taken = 0
                while taken < len(piece):
                    taken += self.parser.feed(piece[taken:])
        except HttpError as error:
            self.error = error

    def _expects_body(self):
        self.continues += 1

    @property
    def seen(self):
        return [
            (request.method, request.target, request.headers, request.body, request.keep_alive)
            for request in self.requests
        ]


def each_way(data):
    """Whole, byte by byte, and followed by the begin of something else."""
    yield Fed([data])
    yield Fed([data[index : index + 1] for index in range(len(data))])
    yield Fed([data + LEFT_OVER[:9], LEFT_OVER[9:]])


def the_request(data):
    """The one request in `data`, the same whichever way it is fed."""
    whole, bytewise, followed = each_way(data)
    for fed in (whole, bytewise, followed):
        assert fed.error is None
    assert len(whole.requests) == 1
    assert whole.seen == bytewise.seen == followed.seen[:1]
    if whole.requests[0].keep_alive:
        assert [request.path for request in followed.requests[1:]] == [b"/next"]
    else:
        assert len(followed.requests) == 1
    return whole.requests[0]


def the_refusal(data, requests=0):
    """The status with which `data` is refused, the same whichever way it is fed."""
    statuses = set()
    for fed in each_way(data):
        assert fed.error is not None, "it was accepted"
        assert len(fed.requests) == requests
        statuses.add(fed.error.status)
    assert len(statuses) == 1
    return statuses.pop()


def test_a_request_without_a_body():
    request = the_request(b"GET /a/b?c=d&e HTTP/1.1\r\nHost: a\r\nX-Y: z\r\n\r\n")
    assert (request.method, request.path, request.query_string) == (b"GET", b"/a/b", b"c=d&e")
    assert request.headers == [(b"Host", b"a"), (b"X-Y", b"z")]
    assert request.header(b"x-y") == b"z"
    assert request.header(b"x-z") is None
    assert request.body == b""
    assert request.keep_alive


def test_a_request_with_a_length():
    assert the_request(PUT + b"Content-Length: 5\r\n\r\nhello").body == b"hello"


def test_a_request_in_chunks():
    request = the_request(CHUNKED + b"5\r\nhello\r\n1;name=value\r\n \r\nA\r\nwide world\r\n0\r\n\r\n")
    assert request.body == b"hello wide world"


def test_trailers_do_not_pass_for_headers():
    request = the_request(CHUNKED + b"1\r\na\r\n0\r\nHost: other\r\nX-Trailer: y\r\n\r\n")
    assert request.header(b"x-trailer") is None
    assert request.header(b"host") == b"a"


@pytest.mark.parametrize(
    ("data", "keep_alive"),
    [
        (GET + b"\r\n", True),
        (GET + b"Connection: close\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", True),
    ],
)
def test_whether_the_connection_lives_on(data, keep_alive):
    assert the_request(data).keep_alive is keep_alive


def test_what_follows_a_last_request_is_not_listened_to():
    fed = Fed([GET + b"Connection: close\r\n\r\n" + LEFT_OVER, b"garbage", LEFT_OVER])
    assert len(fed.requests) == 1
    assert fed.error is None


def test_pipelined_requests_come_out_in_order():
    data = b"".join(b"PUT /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n%d" % (n, n) for n in range(10))
    for fed in each_way(data):
        assert [request.body for request in fed.requests[:10]] == [b"%d" % n for n in range(10)]


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"http://example.org/a?b", b"/a?b"),
        (b"HTTPS://example.org:8080/a", b"/a"),
        (b"http://example.org", b"/"),
        (b"http://example.org?b", b"/?b"),
    ],
)
def test_a_target_in_absolute_form_is_its_path(target, path):
    assert the_request(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n").target == path


def test_options_may_ask_of_the_server_as_a_whole():
    assert the_request(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").path == b"*"


def test_empty_lines_before_a_request_are_skipped():
    assert the_request(b"\r\n\r\n" + GET + b"\r\n").path == b"/"


def test_an_upgrade_is_ignored():
    assert the_request(GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n").path == b"/"


@pytest.mark.parametrize("order", [1, -1])
def test_the_body_of_a_request_for_an_upgrade_is_its_body_and_no_request(order):
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    lines = [b"Connection: Upgrade, HTTP2-Settings\r\n", b"Upgrade: h2c\r\n", b"Content-Length: %d\r\n" % len(smuggled)]
    request = the_request(PUT + b"".join(lines[::order]) + b"\r\n" + smuggled)
    assert (request.path, request.body) == (b"/", smuggled)


def test_an_upgrade_that_waits_for_the_go_ahead_and_others_behind_it():
    upgrade = PUT + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nhi"
    for fed in each_way(upgrade * 3):
        assert [request.body for request in fed.requests[:3]] == [b"hi"] * 3
        assert fed.continues == 3
        assert fed.error is None


def test_a_client_that_waits_for_the_go_ahead_is_told_once():
    data = PUT + b"Content-Length: 1\r\nExpect: 100-continue\r\n\r\na"
    for fed in each_way(data):
        assert fed.continues == 1
        assert fed.requests[0].body == b"a"


def test_nobody_waits_for_the_go_ahead_in_http_1_0():
    data = b"PUT / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\na"
    assert [fed.continues for fed in each_way(data)] == [0, 0, 0]


# What is ambiguous is refused, never guessed at.
BAD = {
    "two lengths that differ": PUT + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\naa",
    "two lengths that agree": PUT + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
    "a list of lengths": PUT + b"Content-Length: 1, 1\r\n\r\na",
    "a length and chunked": PUT + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and a length": PUT + b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
    "a length with a sign": PUT + b"Content-Length: +1\r\n\r\na",
    "a negative length": PUT + b"Content-Length: -1\r\n\r\na",
    "an empty length": PUT + b"Content-Length: \r\n\r\n",
    "a length with an underscore": PUT + b"Content-Length: 1_0\r\n\r\naaaaaaaaaa",
    "a length beyond 64 bits": PUT + b"Content-Length: 99999999999999999999999\r\n\r\na",
    "a bare LF after the request line": b"GET / HTTP/1.1\nHost: a\r\n\r\n",
    "a bare LF after a header": b"GET / HTTP/1.1\r\nHost: a\n\r\n",
    "a bare LF at the end of the head": b"GET / HTTP/1.1\r\nHost: a\r\n\n",
    "a bare LF before the request": b"\n" + GET + b"\r\n",
    "a bare CR before the request": b"\r\r\n" + GET + b"\r\n",
    "a bare CR in a header": GET + b"X: a\rb\r\n\r\n",
    "a folded header": GET + b"X: a\r\n b\r\n\r\n",
    "a space before the colon": b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    "a space before the first header": b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
    "a NUL in a header": GET + b"X: a\0b\r\n\r\n",
    "a control character in a header": GET + b"X: a\x01b\r\n\r\n",
    "an empty header name": GET + b": a\r\n\r\n",
    "a header name with a bracket": GET + b"X(Y: a\r\n\r\n",
    "a header without a colon": GET + b"nothing\r\n\r\n",
    "a chunk size with a plus": CHUNKED + b"+1\r\na\r\n0\r\n\r\n",
    "a chunk size with a minus": CHUNKED + b"-1\r\na\r\n0\r\n\r\n",
    "a chunk size with an underscore": CHUNKED + b"1_0\r\naaaaaaaaaaaaaaaa\r\n0\r\n\r\n",
    "a chunk size with 0x": CHUNKED + b"0x1\r\na\r\n0\r\n\r\n",
    "a chunk size with a space": CHUNKED + b"1 \r\na\r\n0\r\n\r\n",
    "a chunk size with a bare LF": CHUNKED + b"1\na\r\n0\r\n\r\n",
    "chunk data with a bare LF": CHUNKED + b"1\r\na\n0\r\n\r\n",
    "chunk data longer than its size": CHUNKED + b"1\r\nab\r\n0\r\n\r\n",
    "a last chunk with a bare LF": CHUNKED + b"0\r\n\n",
    "chunked twice": PUT + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked in two headers": PUT + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked that is not last": PUT + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "chunked in HTTP/1.0": b"PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "no Host": b"GET / HTTP/1.1\r\n\r\n",
    "two Hosts": GET + b"Host: a\r\n\r\n",
    "a method that HTTP does not know": b"FETCH / HTTP/1.1\r\nHost: a\r\n\r\n",
    "a method in lower case": b"get / HTTP/1.1\r\nHost: a\r\n\r\n",
    "a tab after the method": b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "a control character in the target": b"GET /a\x01b HTTP/1.1\r\nHost: a\r\n\r\n",
    "a raw byte in the target": b"GET /a\xffb HTTP/1.1\r\nHost: a\r\n\r\n",
    "a fragment in the target": b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
    "a target that is no path": b"GET a HTTP/1.1\r\nHost: a\r\n\r\n",
    "a target of another scheme": b"GET ftp://a/b HTTP/1.1\r\nHost: a\r\n\r\n",
    "an asterisk for GET": b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
    "no HTTP at all": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
def test_refused_with_400(data):
    assert the_refusal(data) == 400


OTHERWISE = {
    "another transfer coding": (501, PUT + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "something like chunked": (400, PUT + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    "a proxy's CONNECT": (501, b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a CONNECT to a path": (501, b"CONNECT / HTTP/1.1\r\nHost: a\r\nContent-Length: 31\r\n\r\n" + LEFT_OVER),
    "a CONNECT to a URL": (501, b"CONNECT http://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    "an upgrade in chunks": (501, CHUNKED[:-2] + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n1\r\na\r\n0\r\n\r\n"),
    "two credentials": (400, GET + b"Authorization: Bearer a\r\nauthorization: Bearer b\r\n\r\n"),
    "another expectation": (417, GET + b"Expect: miracles\r\n\r\n"),
    "HTTP/2.0": (505, b"GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
    "HTTP/2's preface": (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "HTTP/0.9": (505, b"GET /\r\n\r\n"),
}


@pytest.mark.parametrize(("status", "data"), OTHERWISE.values(), ids=OTHERWISE.keys())
def test_refused_with_a_status_of_its_own(status, data):
    assert the_refusal(data) == status


def test_a_refusal_leaves_the_requests_before_it():
    assert the_refusal(GET + b"\r\n" + b"nonsense\r\n\r\n", requests=1) == 400


SMALL = ParserLimits(max_target=64, max_head=512, max_headers=4, max_body=100)


def limited(data, step=None):
    step = step or len(data)
    return Fed([data[start : start + step] for start in range(0, len(data), step)], SMALL)


@pytest.mark.parametrize("step", [None, 1, 7])
class TestLimits:
    def test_a_target_at_its_limit(self, step):
        assert limited(b"GET /" + b"a" * 63 + b" HTTP/1.1\r\nHost: a\r\n\r\n", step).error is None

    def test_a_target_beyond_its_limit_is_414(self, step):
        assert limited(b"GET /" + b"a" * 64 + b" HTTP/1.1\r\nHost: a\r\n\r\n", step).error.status == 414

    def test_a_target_that_never_ends_is_414(self, step):
        fed = limited(b"GET /" + b"a" * 20_000, step)
        assert fed.error.status == 414

    def test_a_header_that_never_ends_is_431(self, step):
        assert limited(GET + b"X: " + b"a" * 20_000, step).error.status == 431

    def test_too_many_headers_are_431(self, step):
        assert limited(GET + b"X: y\r\n" * 4 + b"\r\n", step).error.status == 431

    def test_a_head_beyond_its_limit_is_431(self, step):
        assert limited(GET + b"X: " + b"y" * 600 + b"\r\n\r\n", step).error.status == 431

    def test_a_body_at_its_limit(self, step):
        assert limited(PUT + b"Content-Length: 100\r\n\r\n" + b"a" * 100, step).requests[0].body == b"a" * 100

    def test_a_length_beyond_the_limit_is_413_before_the_body_comes(self, step):
        fed = limited(PUT + b"Content-Length: 101\r\nExpect: 100-continue\r\n\r\n", step)
        assert (fed.error.status, fed.continues) == (413, 0)

    def test_chunks_beyond_the_limit_are_413(self, step):
        assert limited(CHUNKED + b"32\r\n" + b"a" * 50 + b"\r\n33\r\n" + b"a" * 51 + b"\r\n", step).error.status == 413

    def test_a_trailer_that_never_ends_is_refused(self, step):
        assert limited(CHUNKED + b"1\r\na\r\n0\r\nX: " + b"a" * 40_000, step).error.status == 431


def test_a_body_in_chunks_of_one_byte_is_no_attack():
    fed = Fed([CHUNKED + b"1\r\na\r\n" * 50_000 + b"0\r\n\r\n"], ParserLimits(max_body=50_000))
    assert fed.error is None
    assert len(fed.requests[0].body) == 50_000


def test_a_body_in_small_chunks_takes_no_more_memory_than_its_bytes():
    requests = []
    parser = RequestParser(ParserLimits(), requests.append, lambda: None)
    parser.feed(CHUNKED)
    tracemalloc.start()
    for _ in range(100):
        parser.feed(b"2\r\nab\r\n" * 1000)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken < 3 * 200_000
    parser.feed(b"0\r\n\r\n")
    assert requests[0].body == b"ab" * 100_000


def test_an_unfinished_head_and_body_are_known_as_such():
    requests = []
    parser = RequestParser(ParserLimits(), requests.append, lambda: None)
    assert (parser.in_head, parser.in_body) == (False, False)
    parser.feed(b"PUT / HT")
    assert (parser.in_head, parser.in_body) == (True, False)
    parser.feed(b"TP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na")
    assert (parser.in_head, parser.in_body) == (False, True)
    parser.feed(b"a")
    assert (parser.in_head, parser.in_body) == (False, False)
    assert len(requests) == 1


STREAM = (
    b"PUT /1?a=b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
    b"\r\nGET /2 HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n"
    + CHUNKED.replace(b" / ", b" /3 ")
    + b"2\r\nde\r\n0\r\nT: u\r\n\r\nGET http://h/4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
)


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
@settings(max_examples=300, deadline=None)
def test_where_the_bytes_are_cut_makes_no_difference(cuts):
    edges = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[start:end] for start, end in itertools.pairwise(edges)]
    assert Fed(pieces).seen == Fed([STREAM]).seen
    assert len(Fed(pieces).requests) == 4


@given(st.binary(max_size=200))
@settings(max_examples=500, deadline=None)
def test_no_bytes_do_more_than_be_refused(data):
    for prefix in (b"", GET, CHUNKED):
        whole = Fed([prefix + data])
        bytewise = Fed([bytes([byte]) for byte in prefix + data])
        assert whole.seen == bytewise.seen
        assert (whole.error is None) == (bytewise.error is None)


OWN_ORIGINS = [
    (b"a", b"http://a"),
    (b"a", b"https://a"),
    (b"a:8080", b"http://a:8080"),
    (b"a:80", b"http://a"),
    (b"A", b"https://a:443"),
    (b"[::1]:8080", b"http://[::1]:8080"),
]
FOREIGN_ORIGINS = [
    (b"a", b"http://b"),
    (b"a", b"http://a.b"),
    (b"a", b"http://ba"),
    (b"a:8080", b"http://a"),
    (b"a:443", b"http://a"),
    (b"127.0.0.1:8080", b"http://localhost:8080"),
    (b"a", b"null"),
    (b"a", b""),
    (b"a", b"a"),
]


@pytest.mark.parametrize(("host", "origin"), OWN_ORIGINS)
def test_what_a_page_of_the_same_host_sends_is_taken(host, origin):
    the_request(b"POST / HTTP/1.1\r\nHost: %b\r\nOrigin: %b\r\n\r\n" % (host, origin))


@pytest.mark.parametrize(("host", "origin"), FOREIGN_ORIGINS)
def test_what_a_page_of_another_origin_sends_is_not(host, origin):
    for fed in each_way(b"POST / HTTP/1.1\r\nHost: %b\r\norigin: %b\r\n\r\n" % (host, origin)):
        assert (fed.error.status, fed.error.code) == (403, "foreign-origin")


def test_unless_that_is_allowed():
    data = b"POST / HTTP/1.1\r\nHost: a\r\nOrigin: http://b\r\n\r\n"
    assert Fed([data], ParserLimits(cross_origin=True)).error is None
