"""What is too large is refused before it is held in memory, on fifty connections at once."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from support.figures import show
from support.process import Process, leveret
from support.web import Raw

CONNECTIONS = int(os.environ.get("LEVERET_OVERSIZED_CONNECTIONS", "50"))
MIB: Final = 1 << 20
HEAD: Final = 160 << 10  # http.max_head
BODY: Final = 256 << 10  # http.max_body of this server
SIZE: Final = 2 * MIB  # of what never ends: fifty would take 100 MiB, were they held
SLACK: Final = 24 * MIB  # that the allocator keeps; one of a free-threaded Python keeps more
PIECE: Final = 64 << 10  # bytes sent at a time

PUT: Final = b"PUT /v1.1/a/q/1 HTTP/1.1\r\nHost: a\r\n"
MANY: Final = b"PUT /v1.1/a/q HTTP/1.1\r\nHost: a\r\n"
CHUNKED: Final = PUT + b"Transfer-Encoding: chunked\r\n\r\n"

pytestmark = [pytest.mark.alone, pytest.mark.timeout(120 + 4 * CONNECTIONS)]


@dataclass(frozen=True)
class Oversized:
    sent: bytes
    status: int
    held: int = 3 * HEAD  # bytes that one connection may need of the server meanwhile


def _with_body(head: bytes, body: bytes, more: bytes = b"") -> bytes:
    return head + b"Content-Length: %d\r\n" % len(body) + more + b"\r\n" + body


KINDS: Final = {
    "a target": Oversized(b"GET /" + b"a" * SIZE, 414),
    "a query": Oversized(b"GET /v1.1/a/q?" + b"a=b&" * (SIZE // 4), 414),
    "a query of thousands of parameters": Oversized(
        b"GET /v1.1/a/q?" + b"id=a&" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 400
    ),
    "a method": Oversized(b"A" * SIZE, 400),
    "a header line": Oversized(PUT + b"X: " + b"y" * SIZE, 431),
    "a header's name": Oversized(PUT + b"X" * SIZE, 431),
    "the number of headers": Oversized(PUT + b"X: y\r\n" * 20_000 + b"\r\n", 431),
    "a head": Oversized(PUT + (b"X: " + b"y" * 8000 + b"\r\n") * 90 + b"\r\n", 431),
    "empty lines before a request": Oversized(b"\r\n" * (SIZE // 2), 431),
    "a length": Oversized(PUT + b"Content-Length: 9000000000\r\n\r\n" + b"a" * SIZE, 413),
    "a length with Expect": Oversized(PUT + b"Content-Length: 9000000000\r\nExpect: 100-continue\r\n\r\n", 413),
    "a body": Oversized(_with_body(PUT, b"a" * (BODY + 1)), 413),
    "chunks": Oversized(CHUNKED + (b"1000\r\n" + b"a" * 4096 + b"\r\n") * 256 + b"0\r\n\r\n", 413, 3 * BODY),
    "small chunks": Oversized(CHUNKED + b"1\r\na\r\n" * (BODY + 1) + b"0\r\n\r\n", 413, 3 * BODY),
    "a chunk": Oversized(CHUNKED + b"7fffffff\r\n" + b"a" * SIZE, 413, 3 * BODY),
    "a chunk's extension": Oversized(CHUNKED + b"1;a=" + b"b" * SIZE, 431),
    "extensions of chunks": Oversized(CHUNKED + (b"1;a=" + b"b" * 1000 + b"\r\na\r\n") * 1000, 431),
    "a trailer": Oversized(CHUNKED + b"0\r\nT: " + b"u" * SIZE, 431),
    "the number of trailers": Oversized(CHUNKED + b"0\r\n" + b"T: u\r\n" * 20_000 + b"\r\n", 431),
    "a batch": Oversized(_with_body(MANY, b'{"messages":[' + b",".join([b'{"body":1}'] * 1001) + b"]}"), 400, 4 * BODY),
    "a batch of lines": Oversized(
        _with_body(MANY, b'{"body":1}\n' * 1001, b"Content-Type: application/x-ndjson\r\n"), 400, 4 * BODY
    ),
    "a message's id": Oversized(_with_body(PUT.replace(b"q/1", b"q/" + b"a" * 256), b""), 400),
    "a queue's name": Oversized(_with_body(PUT.replace(b"q/1", b"q" * 256 + b"/1"), b""), 400),
    "an account's name": Oversized(_with_body(PUT.replace(b"/a/", b"/" + b"a" * 256 + b"/"), b""), 400),
    "a name in UTF-8": Oversized(_with_body(PUT.replace(b"q/1", b"q/" + b"%E2%82%AC" * 86), b""), 400),
    "a message's headers": Oversized(_with_body(PUT + b"Leveret-Header-A: " + b"b" * 9000 + b"\r\n", b""), 400),
    "a content type": Oversized(_with_body(PUT + b"Content-Type: a/" + b"b" * 300 + b"\r\n", b""), 400),
}


@pytest.fixture(scope="module")
def server() -> Iterator[Process]:
    with leveret("--store", "memory://", "--set", f"http.max_body={BODY}", "--set", "log.level=error") as running:
        yield running


def memory(server: Process, what: str) -> int:
    """Bytes that the server has now (VmRSS), or had at most (VmHWM)."""
    for line in Path(f"/proc/{server.popen.pid}/status").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) << 10
    raise LookupError(what)


def forget_peak(server: Process) -> None:
    Path(f"/proc/{server.popen.pid}/clear_refs").write_text("5")


def refused_with(port: int, data: bytes) -> int:
    """Send it as far as the server takes it: the status that comes first."""
    with Raw(port) as raw:
        with contextlib.suppress(OSError):  # it was refused, and the rest is not read any more
            for start in range(0, len(data), PIECE):
                raw.send(data[start : start + PIECE])
        return raw.answer().status


def test_what_is_too_large_is_refused_and_never_held(server: Process) -> None:
    sent = most = 0
    wrong = []
    with ThreadPoolExecutor(CONNECTIONS) as clients:
        # As many connections as there will be, so that what they cost by themselves is there already.
        list(clients.map(lambda _: refused_with(server.port, KINDS["a method"].sent), range(CONNECTIONS)))
        for name, kind in KINDS.items():
            forget_peak(server)
            before = memory(server, "VmRSS")
            statuses = set(clients.map(lambda data: refused_with(server.port, data), [kind.sent] * CONNECTIONS))
            grown = memory(server, "VmHWM") - before
            sent += len(kind.sent) * CONNECTIONS
            most = max(most, grown)
            if statuses != {kind.status}:
                wrong.append(f"{name}: answered {statuses}, not {kind.status}")
            if grown > CONNECTIONS * kind.held + SLACK:
                wrong.append(f"{name}: the server grew by {grown / MIB:.1f} MiB")
    show(
        "oversized",
        f"{len(KINDS)} kinds on {CONNECTIONS} connections at once, {sent / MIB:,.0f} MiB offered: {len(wrong)} taken "
        f"or held; the server grew by {most / MIB:.1f} MiB at most",
    )
    assert not wrong, "\n".join(wrong)
