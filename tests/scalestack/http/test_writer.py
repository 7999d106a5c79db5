"""Responses to bytes."""

import re

import pytest

from scalestack.http.message import Response
from scalestack.http.writer import Heads, encode, encode_chunk, encode_stream_head


def lines(data):
    head, _, body = data.partition(b"\r\n\r\n")
    return [line for line in head.decode().split("\r\n") if not line.startswith("Date: ")], body


def test_a_response_with_a_body():
    assert lines(encode(Response(200, b"hi", b"text/plain"))) == (
        ["HTTP/1.1 200 OK", "Content-Type: text/plain", "Content-Length: 2"],
        b"hi",
    )


def test_a_response_without_a_body_says_so():
    assert lines(encode(Response(201))) == (["HTTP/1.1 201 Created", "Content-Length: 0"], b"")


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_that_has_no_body_says_no_length(status):
    data = encode(Response(status))
    assert b"Content-Length" not in data
    assert data.endswith(b"\r\n\r\n")


def test_an_answer_to_head_keeps_the_length_and_leaves_the_body_out():
    assert lines(encode(Response(200, b"hi"), head=True)) == (["HTTP/1.1 200 OK", "Content-Length: 2"], b"")


def test_what_becomes_of_the_connection_is_said_where_it_is_not_the_rule():
    assert b"Connection" not in encode(Response(200))
    assert b"Connection: close\r\n" in encode(Response(200), keep_alive=False)
    assert b"Connection: keep-alive\r\n" in encode(Response(200), http10=True)


def test_headers_of_the_response():
    assert b"\r\nAllow: GET\r\n" in encode(Response(204, headers=((b"Allow", b"GET"),)))


@pytest.mark.parametrize("header", [(b"X", b"a\r\nY: b"), (b"X", b"a\nb"), (b"X\r\nY", b"a")])
def test_a_line_break_in_a_header_is_an_error(header):
    with pytest.raises(ValueError, match="line break"):
        encode(Response(200, headers=(header,)))


def test_a_stream_is_chunked_or_ends_with_the_connection():
    chunked, _ = lines(encode_stream_head(Response(200), keep_alive=True, http10=False))
    assert chunked == ["HTTP/1.1 200 OK", "Transfer-Encoding: chunked"]
    old, _ = lines(encode_stream_head(Response(200), keep_alive=True, http10=True))
    assert old == ["HTTP/1.1 200 OK", "Connection: close"]
    assert encode_chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"


def test_heads_are_made_once_a_second():
    heads = Heads(784111777.25, 10.0)
    assert heads.date == b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
    assert heads.until == 10.75
    assert heads.make(200, None) is heads.heads[200, None]


def test_heads_are_bounded():
    heads = Heads(0.0, 0.0)
    for number in range(10_000):
        heads.make(200, b"text/%d" % number)
    assert len(heads.heads) <= 512


def test_every_response_has_its_date():
    assert re.search(rb"\r\nDate: \w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT\r\n", encode(Response(200)))


def test_what_becomes_of_the_connection_is_said_of_a_response_without_a_body_too():
    data = encode(Response(204), keep_alive=False)
    assert data.endswith(b"\r\nConnection: close\r\n\r\n")
    assert data.count(b"\r\n\r\n") == 1
