"""Requests that are like ones before them: found to be exactly what the parser makes of them, or not found at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalestack.http.known import Known
from scalestack.http.message import Head, Response
from scalestack.http.parser import ParserLimits, RequestParser
from scalestack.http.problem import HttpError
from scalestack.http.router import Route, Router

HOST = b"Host: a\r\n"
DONE = Response(204)
ROUTER = Router(
    [
        Route(method, f"/v1/{{account}}/{{queue}}{more}", lambda request, *parameters: DONE)
        for method in ("GET", "PUT", "POST", "DELETE")
        for more in ("", "/{message}")
    ]
)
NOBODY = Head([])


def put(last="1", lines=HOST, body=b"body", query=""):
    return b"PUT /v1/a/q/%b%b HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n%b" % (
        last.encode("latin-1"),
        query.encode("latin-1"),
        lines,
        len(body),
        body,
    )


def get(last="1", lines=HOST):
    return b"GET /v1/a/q/%b HTTP/1.1\r\n%b\r\n" % (last.encode("latin-1"), lines)


class Connection:
    """What one connection knows of requests that were parsed; `paths` are where they led."""

    def __init__(self, *before, limits=None):
        self.known = Known()
        self.last = NOBODY
        self.parsed = []
        self.limits = limits or ParserLimits()
        self.router = ROUTER
        for data in before:
            self.parse(data)

    def parse(self, data):
        """What the parser makes of it, as does a connection: what is known from then on."""
        parser = RequestParser(self.limits, self.parsed.append, lambda: None, self.known)
        before = len(self.parsed)
        parser.feed(data)
        for request in self.parsed[before:]:
            self.router.find(request.line)
        return parser, self.parsed[before:]

    def recognize(self, data):
        longest = RequestParser(self.limits, self.parsed.append, lambda: None).longest
        found = self.known.recognize(data, self.last, self.router.paths, longest)
        if found is not None:
            self.last = found[0].head
        return found


def seen(request):
    return (request.line, request.query, request.headers, request.body, request.keep_alive, request.usual)


def test_one_that_differs_in_its_id_and_its_body_is_known():
    connection = Connection(put())
    for _ in range(2):  # by its lines, and then as the same as the last one
        request, entry, parameters = connection.recognize(put("other", body=b"BODY"))
        assert request.body == b"BODY"
        assert request.headers == [(b"Host", b"a"), (b"Content-Length", b"4")]
        assert (entry.method, parameters) == (b"PUT", ("a", "q", "other"))


def test_header_lines_are_known_on_other_paths():
    connection = Connection(get(), put(lines=b"X: y\r\nHost: a\r\n"))
    request, _, _ = connection.recognize(put().replace(b"Content-Length: 4\r\n\r\nbody", b"\r\n"))
    assert (request.line, request.body) == ("PUT /v1/a/q/1", b"")


def test_a_query_is_told_from_the_path():
    connection = Connection(put())
    request, _, parameters = connection.recognize(put(query="?ttl=1&x=/a?b"))
    assert (request.query, parameters) == ("ttl=1&x=/a?b", ("a", "q", "1"))


def test_requests_of_one_connection_may_take_turns():
    connection = Connection(put(), get())
    for data in (put("1"), get("2"), put("3"), get("4")):
        assert connection.recognize(data) is not None


@pytest.mark.parametrize(
    "data",
    [
        put(lines=b"Host: b\r\n"),
        put(body=b"longer"),
        put()[:-1],
        put() + b"x",
        put() + get(),
        put("a%2fb"),
        put("a b"),
        put("a#b"),
        put("a\tb"),
        put("a\x7fb"),
        put("\xe9"),
        put(""),
        put("1/2"),
        put(query="?a b"),
        put(query="?a#b"),
        put(query="?\xe9"),
        put(query="?\0"),
        put().replace(b"HTTP/1.1", b"HTTP/1.0"),
        put().replace(b"HTTP/1.1", b"http/1.1"),
        put().replace(b" HTTP/1.1", b"  HTTP/1.1"),
        put().replace(b" HTTP/1.1", b""),
        put().replace(b"PUT /", b"PUT  /"),
        put().replace(b"PUT ", b"HEAD "),
        put().replace(b"PUT ", b"put "),
        put().replace(b"PUT ", b"BREW "),
        put().replace(b"/v1/a/q", b"http://a/v1/a/q"),
        put().replace(b"/v1/a/q", b"/v2/a/q"),
        put().replace(b"\r\nHost", b"\nHost"),
        b"PUT /v1/a/q/1 HTTP/1.1\r\nHost: a",
        b"GET /v1/a/q/1 HTTP/1.1\r\nHost: a",
        b"GET /v1/a/q/1 HTTP/1.1\r\nHost: a\r\n",
        b"GET /v1/a/q/1 HTTP/1.1\r\nHost: a\r\n\r",
        b"GET /v1/a/q/1 HTTP/1.1\r\n",
        b"GET /v1/a/q/1 HTTP/1.1",
        put().replace(b"\r\n\r\n", b"\n\n"),
        b"\r\n" + put(),
        b" " + put(),
        b"\0",
        b"\n",
    ],
)
def test_what_is_unlike_it_is_left_to_the_parser(data):
    connection = Connection(put(), get())
    assert connection.recognize(data) is None
    connection.recognize(put())
    assert connection.recognize(data) is None  # also where the last one was known


@pytest.mark.parametrize(
    "lines",
    [
        HOST + b"Connection: close\r\n",
        HOST + b"Expect: 100-continue\r\n",
        HOST + b"Origin: http://a\r\n",
        HOST + b"Upgrade: x\r\nConnection: upgrade\r\n",
        HOST + b"X: " + b"x" * 1024 + b"\r\n",
    ],
)
def test_lines_that_decide_about_more_than_a_length_are_not_known(lines):
    connection = Connection(put(lines=lines))
    assert len(connection.known) == 0
    assert connection.recognize(put(lines=lines)) is None


def test_chunks_are_not_known():
    data = b"PUT /v1/a/q/1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"
    assert len(Connection(data).known) == 0


def test_what_is_refused_is_not_known():
    connection = Connection()
    with pytest.raises(HttpError):
        connection.parse(put(lines=HOST + HOST))
    assert len(connection.known) == 0


def test_what_comes_in_pieces_is_not_known():
    connection = Connection()
    parser = RequestParser(connection.limits, connection.parsed.append, lambda: None, connection.known)
    for start in range(0, len(put()), 50):
        parser.feed(put()[start : start + 50])
    assert len(connection.parsed) == 1
    assert len(connection.known) == 0


def test_limits_hold_for_what_is_known_too():
    connection = Connection(put(), limits=ParserLimits(max_target=200))
    assert connection.recognize(put("1" * 50)) is not None
    assert connection.recognize(put("1" * 150)) is None


def test_what_is_known_is_bounded():
    connection = Connection()
    for number in range(3000):
        connection.parse(get(lines=HOST + b"X: %d\r\n" % number))
    assert 0 < len(connection.known) <= 1024


def test_an_answer_to_head_is_never_usual():
    connection = Connection(get(), get().replace(b"GET", b"HEAD"))
    assert connection.recognize(get().replace(b"GET", b"HEAD")) is None


TEXT = st.text(st.characters(max_codepoint=0x1FF), max_size=8)
PIECES = st.sampled_from(["/", "?", "#", "%", "%41", " ", "\r\n", "\n", "\r", "\0", ":", "HTTP/1.1", " HTTP/1.1\r\n"])


@given(
    last=st.lists(TEXT | PIECES, max_size=4).map("".join),
    body=st.binary(max_size=8) | st.just(b"\r\n\r\n"),
    method=st.sampled_from([b"PUT", b"GET", b"POST", b"PATCH", b"HEAD"]),
    lines=st.lists(st.sampled_from([HOST, b"X: y\r\n", b"Content-Length: 4\r\n", b"\r\n", b" x\r\n"]), max_size=4),
    twice=st.booleans(),
    cut=st.integers(-120, 0),
)
def test_what_is_found_is_what_the_parser_finds(last, body, method, lines, twice, cut):
    """Whatever is sent: it is known as exactly what it would have been parsed to, or not at all."""
    connection = Connection(put(), get(), put().replace(b"PUT", b"POST"), put(lines=HOST + b"X: y\r\n"))
    if twice:
        assert connection.recognize(put()) is not None
    data = b"%b /v1/a/q/%b HTTP/1.1\r\n%b\r\n%b" % (method, last.encode("utf-8"), b"".join(lines), body)
    data = data[: len(data) + cut] or data
    found = connection.recognize(data)
    if found is not None:
        request, entry, parameters = found
        parser, parsed = Connection().parse(data)
        assert [seen(each) for each in parsed] == [seen(request)]
        assert parser.between
        assert (entry, parameters) == ROUTER.find(request.line)
