"""No JSON is more than refused: none is a 5xx, none is half done, and none takes more than linear time.

By every way that JSON comes in: many messages in one PUT, as an object and as lines; policies; a provider's keys and
the file of the server's own. What is taken as a body comes back as it was.
"""

from __future__ import annotations

import base64
import contextlib
import gc
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from leveret.frontend.publish import read_messages, read_policy
from scalestack.auth.keys.key import Damaged, parse_keys
from scalestack.http.problem import HttpError
from support.figures import show
from support.metered import Metered, metered
from support.web import Answer

SIZE: Final = 100_000  # bytes of what is timed, and then four times as much: what a processor's cache still holds
RATIO: Final = 6.0  # of the CPU time for four times as much
ROUNDS: Final = 5

# Values that may stand where a value does, each with whether it is JSON that all readers read alike.
BAD_VALUES: Final[dict[str, bytes]] = {
    "100,000 brackets": b"[" * 100_000,
    "100,000 closed brackets": b"[" * 100_000 + b"]" * 100_000,
    "100,000 objects in each other": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "100,000 objects that never end": b'{"a":' * 100_000,
    "brackets and objects in turn": b'[{"a":' * 50_000 + b"1" + b"}]" * 50_000,
    "a million digits": b"9" * 1_000_000,
    "5,000 digits": b"9" * 5_000,
    "minus a million digits": b"-" + b"9" * 1_000_000,
    "1e400": b"1e400",
    "-1e400": b"-1e400",
    "an exponent of a million digits": b"1e" + b"9" * 1_000_000,
    "NaN": b"NaN",
    "Infinity": b"Infinity",
    "-Infinity": b"-Infinity",
    "half a surrogate pair": rb'"\ud800"',
    "the other half": rb'"\udc00"',
    "a pair in the wrong order": rb'"\udc00\ud800"',
    "half a pair in a member's name": rb'{"\ud800":1}',
    "a member twice": b'{"a":1,"a":2}',
    "a member twice, deep": b'[[[{"a":1,"a":2}]]]',
    "a member twice, once escaped": rb'{"a":1,"\u0061":2}',
    "invalid UTF-8": b'"\xff"',
    "overlong UTF-8": b'"\xc0\xaf"',
    "a surrogate in UTF-8": b'"\xed\xa0\x80"',
    "UTF-8 that is cut off": b'"\xe2\x82"',
    "a NUL": b"\0",
    "a line's end in a text": b'"a\nb"',
    "a control character in a text": b'"a\x01b"',
    "a number with a plus": b"+1",
    "a number with leading zeros": b"01",
    "a number that ends with a point": b"1.",
    "a hexadecimal number": b"0x10",
    "a number with an underscore": b"1_0",
    "single quotes": b"'a'",
    "a comma too many": b"[1,]",
    "a comment": b"/* */ 1",
    "an escape that is none": rb'"\x41"',
    "an escape that is cut off": rb'"\u00"',
    "a text that never ends": b'"a',
    "True": b"True",
    "nothing": b"",
}
GOOD_VALUES: Final[dict[str, bytes]] = {
    "-0": b"-0",
    "-0.0": b"-0.0",
    "a number of 4,000 digits": b"1" * 4_000,
    "2^53 and 1": b"9007199254740993",
    "a pair": rb'"\ud83d\udc07"',
    "an escaped NUL": rb'"\u0000"',
    "U+2028": '"\u2028"'.encode(),
    "50 brackets": b"[" * 50 + b"]" * 50,
    "an empty name": b'{"":1}',
    "__proto__": b'{"__proto__":{"a":1}}',
    "a tiny number": b"1e-400",
}
# Whole documents, in place of the right one.
BAD_DOCUMENTS: Final[dict[str, bytes]] = {
    "nothing": b"",
    "spaces": b"   ",
    "UTF-16": '{"messages":[{"body":1}]}'.encode("utf-16"),
    "UTF-16 without a BOM": '{"messages":[{"body":1}]}'.encode("utf-16-le"),
    "UTF-32": '{"messages":[{"body":1}]}'.encode("utf-32-be"),
    "two BOMs before it": b'\xef\xbb\xbf\xef\xbb\xbf{"messages":[{"body":1}]}',
    "garbage behind it": b'{"messages":[{"body":1}]} x',
    "two of them": b'{"messages":[{"body":1}]}{"messages":[{"body":1}]}',
    "cut off": b'{"messages":[{"body":1}',
    "messages twice": b'{"messages":[{"body":1}],"messages":[]}',
    "a number": b"1",
    "a list": b'[{"body":1}]',
    "another member": b'{"messages":[{"body":1}],"more":1}',
    "gzip": b"\x1f\x8b\x08\x00",
}


def in_a_batch(value: bytes, member: str) -> bytes:
    """A batch whose second message has this value: the first must not be there either."""
    return b'{"messages":[{"id":"good","body":"x"},' + in_a_line(value, member) + b"]}"


def in_a_line(value: bytes, member: str) -> bytes:
    name = json.dumps(member).encode()
    return b"{" + name + b":" + value + (b"" if member == "body" else b',"body":1') + b"}"


MEMBERS: Final = ("body", "id", "ttl", "hide", "content_type", "headers", "else")
LINES: Final = {"Content-Type": "application/x-ndjson"}


@pytest.fixture(params=["memory", "sqlite"])
def site(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Metered]:
    with metered(tmp_path if request.param == "sqlite" else None) as running:
        yield running


def test_none_is_a_5xx_and_none_is_half_done(site: Metered, request: pytest.FixtureRequest) -> None:
    ask = site.client
    store = request.node.callspec.params["site"]
    wrong: list[str] = []
    asked = 0

    def refused(what: str, answer: Answer) -> None:
        nonlocal asked
        asked += 1
        if answer.status != 400:
            wrong.append(f"{what}: {answer}")

    for name, value in BAD_VALUES.items():
        for member in MEMBERS:
            refused(f"{name} as {member}", ask("PUT", "/v1.1/a/q", in_a_batch(value, member)))
        lines = b'{"id":"good","body":"x"}\n' + in_a_line(value, "body")
        refused(f"{name} in a line", ask("PUT", "/v1.1/a/q", lines, LINES))
        for policy in (value, b'{"max_messages":' + value + b"}", b'{"dead_letter":' + value + b',"default_ttl":1}'):
            refused(f"{name} in a policy", ask("PATCH", "/v1.1/a/q", policy))
    for name, document in BAD_DOCUMENTS.items():
        refused(name, ask("PUT", "/v1.1/a/q", document))
        refused(f"{name}, as a policy", ask("PATCH", "/v1.1/a/q", document))
    left = ask("GET", "/v1.1")
    show(
        "json",
        f"{store}: {len(BAD_VALUES) + len(BAD_DOCUMENTS)} kinds of bad JSON in {asked:,} requests: {len(wrong)} taken, "
        f"{0 if left.status == 404 else len(left.json)} accounts made",
    )
    assert not wrong, "\n".join(wrong)
    assert left.status == 404


def test_what_is_taken_comes_back_as_it_was(site: Metered) -> None:
    for name, value in GOOD_VALUES.items():
        assert site.client("PUT", "/v1.1/a/q", in_a_batch(value, "body")).status in {200, 201}, name
        (body,) = site.client("GET", "/v1.1/a/q?order=lifo&limit=1&detail=body").json
        given = json.loads(value)
        assert (body if isinstance(given, str) else json.loads(body)) == given, name


def test_a_bom_before_it_is_ignored(site: Metered) -> None:
    assert site.client("PUT", "/v1.1/a/q", b'\xef\xbb\xbf{"messages":[{"body":1}]}').status == 201


def test_a_body_is_any_bytes_and_comes_back_in_json_as_it_was(site: Metered) -> None:
    for name, value in {**BAD_VALUES, **BAD_DOCUMENTS}.items():
        assert site.client("PUT", "/v1.1/a/q/1", value).status in {201, 204}, name
        (message,) = site.client("GET", "/v1.1/a/q").json
        body = message["body"]
        assert (body.encode() if isinstance(body, str) else base64.b64decode(body["base64"])) == value, name


def _batch(messages: bytes) -> bytes:
    return b'{"messages":[' + messages + b"]}"


def _message(body: bytes) -> bytes:
    return _batch(b'{"body":' + body + b"}")


def _names(count: int) -> bytes:
    return b"{" + b",".join(b'"%d":1' % number for number in range(count)) + b"}"


# Of about so many bytes; what is refused half-way is what an attacker would choose.
TIMED: Final[dict[str, tuple[Callable[[bytes], object], Callable[[int], bytes]]]] = {
    "a long text": (lambda data: read_messages(data, None), lambda size: _message(b'"' + b"a" * size + b'"')),
    "escapes": (lambda data: read_messages(data, None), lambda size: _message(b'"' + rb"\u0061" * (size // 6) + b'"')),
    "line ends": (lambda data: read_messages(data, None), lambda size: _message(b'"' + rb"\n" * (size // 2) + b'"')),
    "surrogates": (
        lambda data: read_messages(data, None),
        lambda size: _message(b'"' + rb"\ud83d\udc07" * (size // 12) + b'"'),
    ),
    "half surrogates": (
        lambda data: read_messages(data, None),
        lambda size: _message(b'"' + rb"\ud83d" * (size // 6) + b'"'),
    ),
    "many members": (lambda data: read_messages(data, None), lambda size: _message(_names(size // 11))),
    "one member, many times": (
        lambda data: read_messages(data, None),
        lambda size: _message(b"{" + b",".join([b'"a":1'] * (size // 6)) + b"}"),
    ),
    "many members of a message": (lambda data: read_messages(data, None), lambda size: _batch(_names(size // 11))),
    "many numbers": (lambda data: read_messages(data, None), lambda size: _message(b"[" + b"1," * (size // 2) + b"1]")),
    "a number of digits": (lambda data: read_messages(data, None), lambda size: _message(b"1" * size)),
    "a fraction of digits": (lambda data: read_messages(data, None), lambda size: _message(b"0." + b"1" * size)),
    "an exponent of digits": (lambda data: read_messages(data, None), lambda size: _message(b"1e" + b"9" * size)),
    "numbers of 4,000 digits": (
        lambda data: read_messages(data, None),
        lambda size: _message(b"[" + b",".join([b"1" * 4000] * (size // 4000)) + b"]"),
    ),
    "brackets": (lambda data: read_messages(data, None), lambda size: _message(b"[" * size)),
    "many lists": (lambda data: read_messages(data, None), lambda size: _message(b"[" + b"[]," * (size // 3) + b"1]")),
    "base64": (
        lambda data: read_messages(data, None),
        lambda size: _message(b'{"base64":"' + b"QUFB" * (size // 4) + b'"}'),
    ),
    "base64 of garbage": (
        lambda data: read_messages(data, None),
        lambda size: _message(b'{"base64":"' + b"!" * size + b'"}'),
    ),
    "spaces": (lambda data: read_messages(data, None), lambda size: _message(b" " * size + b"1")),
    "empty lines": (lambda data: read_messages(data, b"application/x-ndjson"), lambda size: b"\n" * size + b"{}"),
    "lines": (lambda data: read_messages(data, b"application/x-ndjson"), lambda size: b'{"body":1}\n' * (size // 11)),
    "a content type of spaces": (
        lambda data: read_messages(data, None),
        lambda size: _batch(b'{"body":1,"content_type":"a/b' + b" " * size + b'"}'),
    ),
    "headers": (
        lambda data: read_messages(data, None),
        lambda size: _batch(b'{"body":1,"headers":' + _names(size // 11).replace(b":1", b':"1"') + b"}"),
    ),
    "a policy of many members": (read_policy, lambda size: _names(size // 11)),
    "a policy of brackets": (read_policy, lambda size: b"[" * size),
    "a policy of digits": (read_policy, lambda size: b'{"max_bytes":' + b"9" * size + b"}"),
    "a policy of one member, many times": (
        read_policy,
        lambda size: b"{" + b",".join([b'"max_bytes":1'] * (size // 14)) + b"}",
    ),
    "keys of many members": (parse_keys, lambda size: b'{"format":1,"keys":[' + _names(size // 11) + b"]}"),
    "keys of brackets": (parse_keys, lambda size: b'{"format":1,"keys":' + b"[" * size),
}


def seconds(parse: Callable[[bytes], object], data: bytes) -> float:
    """CPU time that one such takes: the least of a few, each long enough for the clock."""
    best = float("inf")
    for _ in range(ROUNDS):
        times = 0
        began = time.process_time()
        while (took := time.process_time() - began) < 0.002:
            with contextlib.suppress(HttpError, Damaged):
                parse(data)
            times += 1
        best = min(best, took / times)
    return best


@pytest.mark.alone
@pytest.mark.timeout(600)
def test_no_json_takes_more_than_linear_time() -> None:
    most, worst = 0.0, ""
    slow = []
    gc.collect()
    gc.disable()  # what it takes depends on all that is alive, which is the tests'
    try:
        for name, (parse, make) in TIMED.items():
            small, large = make(SIZE), make(4 * SIZE)
            ratio = seconds(parse, large) / seconds(parse, small)
            if ratio > RATIO:  # once more, as a machine that is busy may be the cause
                ratio = min(ratio, seconds(parse, large) / seconds(parse, small))
            if ratio > most:
                most, worst = ratio, name
            if ratio > RATIO:
                slow.append(f"{name}: {ratio:.1f} times as long")
    finally:
        gc.enable()
    show("json", f"{len(TIMED)} kinds, four times as large: {most:.1f} times the CPU time at most ({worst})")
    assert not slow, "\n".join(slow)


def test_a_provider_s_json_is_refused_alike() -> None:
    fetch = pytest.importorskip("scalestack.auth.jwt.fetch", reason="tokens need the extra `jwt`", exc_type=ImportError)
    for name, value in BAD_VALUES.items():
        with contextlib.suppress(fetch.FetchError):
            assert isinstance(fetch._object(value, "https://a"), dict), name


def test_the_file_of_keys_is_refused_alike() -> None:
    for value in (*BAD_VALUES.values(), *BAD_DOCUMENTS.values()):
        for document in (
            value,
            b'{"format":1,"keys":[' + (value.strip() or b"1") + b"]}",
            b'{"format":1,"keys":' + value + b"}",
        ):
            with pytest.raises(Damaged):
                parse_keys(document)


def test_the_interpreter_bounds_what_a_number_may_be() -> None:
    assert 0 < sys.get_int_max_str_digits() <= 4300
