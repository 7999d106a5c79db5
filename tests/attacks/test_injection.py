"""Whatever a client sends, no control character of it comes back, but for those of a body, nor gets into a log.

Heads of answers, Location and Link, problem details, lists in JSON, server-sent events, the log in both its forms, and
the audit log: each is looked at for control characters (Unicode's Cc) after everything that can be sent was.
"""

from __future__ import annotations

import json
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pytest

from scalestack.http.message import header_text
from support.figures import show
from support.process import leveret
from support.web import PATIENCE, Answer, Raw, eventually

PAYLOADS: Final = (
    "a\r\nX-Injected: yes\r\n\r\nb",
    "a\nX-Injected: yes",
    "a\rX-Injected: yes",
    "a\0b",
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\x9b31mred",
    "a\x7fb",
    "a\x85b",
    "a\u2028b\u2029c",
    "\u202egnp.exe",
    'a"b\\c',
    "a\tb",
    "data: x\n\nevent: y",
    "%0d%0aX-Injected:%20yes",
    "\ud800",
)
TOKENLIKE: Final = ("Content-Type", "If-None-Match", "Last-Event-ID", "Accept", "Authorization", "Host", "Origin",
                    "User-Agent", "Expect", "Transfer-Encoding", "traceparent", "tracestate", "Leveret-Header-A",
                    "Connection", "Upgrade", "Range", "X-Forwarded-For", "Content-Length")  # fmt: skip


@dataclass
class Site:
    port: int
    key: str
    directory: Path
    found: list[str] = field(default_factory=list)
    sent: int = 0

    def ask(self, method: str, target: str, body: bytes = b"", headers: tuple[tuple[bytes, bytes], ...] = ()) -> bytes:
        """What comes back, byte for byte, up to the end of the connection."""
        self.sent += 1
        lines = [
            f"{method} {target} HTTP/1.1".encode("latin-1"),
            b"Connection: close",
            *(name + b": " + value for name, value in headers),
        ]
        given = {name.lower() for name, _ in headers}
        for name, value in {
            b"Host": b"a",
            b"Content-Length": b"%d" % len(body),
            b"Authorization": b"Bearer " + self.key.encode(),
        }.items():
            if name.lower() not in given:
                lines.append(name + b": " + value)
        with Raw(self.port) as raw:
            raw.send(b"\r\n".join([*lines, b"", body]))
            answer = b""
            while more := raw.socket.recv(65536):
                answer += more
        self.check(f"{method} {target[:100]}", answer)
        return answer

    def check(self, what: str, answer: bytes) -> None:
        head, _, body = answer.partition(b"\r\n\r\n")
        for line in head.split(b"\r\n"):
            if b"x-injected" in line.lower().partition(b":")[0] or controls(header_text(line).replace("\t", " ")):
                self.found.append(f"{what}: in the head: {line!r}")
        if b"json" in head.lower() and controls(body.decode()):
            self.found.append(f"{what}: in the body: {body!r}")


def controls(text: str) -> list[str]:
    return [char for char in text if unicodedata.category(char) == "Cc"]


def encoded(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


def create_key(directory: Path, *options: str) -> str:
    command = [sys.executable, "-m", "leveret", "keys", "create", *options, "--data", str(directory)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE).stdout.strip()


@pytest.fixture(params=["json", "text"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    key = create_key(tmp_path, "--allow", "admin")
    log = tmp_path / "log"
    settings = ["log.access=true", "log.level=debug", f"log.format={request.param}", "auth.failures=10000"]
    options = [option for each in settings for option in ("--set", each)]
    under = ("sh", "-c", f'exec "$0" "$@" 2>{log}')
    with leveret("--store", "memory://", "--auth", "keys", "--data", str(tmp_path), *options, under=under) as server:
        yield Site(server.port, key, tmp_path)


def in_paths(site: Site, payload: str) -> None:
    name = encoded(payload)
    for method in ("GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS"):
        for path in (
            f"/v1.1/{name}",
            f"/v1.1/a/{name}",
            f"/v1.1/a/q/{name}",
            f"/{name}",
            f"/v1.1/{name}/{name}/{name}",
        ):
            site.ask(method, path)


def in_queries(site: Site, payload: str) -> None:
    value = encoded(payload)
    for name in ("marker", "after", "limit", "detail", "order", "wait", "id", "receipt", "ttl", "match_hidden", value):
        for method, path in (("GET", "/v1.1/a/q"), ("POST", "/v1.1/a/q/1"), ("GET", "/v1.1/a")):
            site.ask(method, f"{path}?{name}={value}")
    for path in ("/v1.1/a/q", "/v1.1/a", "/v1.1"):  # which lead on by Link
        site.ask("GET", f"{path}?limit=1&marker={value}")


def in_headers(site: Site, payload: str) -> None:
    for encoding in ("utf-8", "latin-1"):
        value = payload.encode(encoding, "surrogatepass" if encoding == "utf-8" else "replace")
        for name in TOKENLIKE:
            for method, path in (("PUT", "/v1.1/a/q/1"), ("GET", "/v1.1/a/q?limit=1")):
                site.ask(method, path, headers=((name.encode(), value),))
        site.ask("PUT", "/v1.1/a/q/1", headers=((b"Leveret-Header-" + value, b"x"),))


def in_json(site: Site, payload: str) -> None:
    for message in (
        {"id": payload, "body": "x"},
        {"body": "x", "content_type": payload},
        {"body": "x", "headers": {payload: "x"}},
        {"body": "x", "headers": {"x": payload}},
        {"body": "x", payload: 1},
        {"body": "x", "ttl": payload},
        {"body": {"base64": payload}},
    ):
        site.ask("PUT", "/v1.1/a/q", json.dumps({"messages": [message]}).encode())
        line = json.dumps(message).encode()
        site.ask("PUT", "/v1.1/a/q", line, ((b"Content-Type", b"application/x-ndjson"),))
    site.ask("PUT", "/v1.1/a/q", json.dumps({payload: []}).encode())
    for policy in ({"dead_letter": payload}, {payload: 1}, {"max_messages": payload}):
        site.ask("PATCH", "/v1.1/a/q", json.dumps(policy).encode())
    raw = payload.encode("utf-8", "surrogatepass")
    site.ask("PUT", "/v1.1/a/q", b'{"messages":[{"id":"' + raw + b'","body":1}]}')
    site.ask("PATCH", "/v1.1/a/q", b'{"' + raw + b'":1}')


def read_back(site: Site) -> None:
    """All that was taken, in every form in which it is given back."""
    for query in ("", "?detail=id", "?detail=attributes", "?limit=1", "?detail=all&limit=1"):
        for path in ("/v1.1/a/q", "/v1.1/a", "/v1.1", "/v1.0/a/q", "/v1.0/a", "/v1.0"):
            site.ask("GET", path + query)
    ids: list[str] = json.loads(site.ask("GET", "/v1.1/a/q?detail=id").partition(b"\r\n\r\n")[2])
    for id in ids:
        site.ask("GET", f"/v1.1/a/q/{encoded(id)}?detail=body")
    with Raw(site.port) as raw:
        lines = ("Host: a", f"Authorization: Bearer {site.key}", "Accept: text/event-stream", "", "")
        raw.send("\r\n".join(("GET /v1.1/a/q HTTP/1.1", *lines)).encode())
        received = b""
        while received.count(b"\ndata: ") < len(ids):
            received += raw.socket.recv(65536)
    text = received.partition(b"\r\n\r\n")[2].decode()
    for line in text.replace("\r\n", "\n").split("\n"):  # those of the chunks are between events
        if controls(line) or not (line.startswith(("id: ", "data: ", ":", "retry: ")) or line == "" or _is_size(line)):
            site.found.append(f"in an event: {line!r}")


def _is_size(line: str) -> bool:
    return all(char in "0123456789abcdef" for char in line)


def in_logs(site: Site, form: str) -> int:
    """How many lines the logs have, after all of them were looked at."""
    site.ask("GET", "/v1.1/the-last/of/all")
    log = site.directory / "log"
    eventually(lambda: "the-last" in log.read_text(errors="replace"))
    audit = (site.directory / "audit.jsonl").read_bytes().decode()
    lines = log.read_bytes().decode().split("\n")[:-1]
    for line in lines + audit.split("\n")[:-1]:
        if controls(line):
            site.found.append(f"in a log: {line!r}")
    for line in audit.split("\n")[:-1] + (lines if form == "json" else []):
        json.loads(line)
    return len(lines) + audit.count("\n")


@pytest.mark.alone
@pytest.mark.timeout(180)
def test_nothing_that_is_sent_comes_back_as_a_control_character(site: Site, request: pytest.FixtureRequest) -> None:
    for number in range(3):
        site.ask("PUT", f"/v1.1/a/q/{number}")
        site.ask("PUT", f"/v1.1/{number}/q/1")
    for payload in PAYLOADS:
        in_paths(site, payload)
        in_queries(site, payload)
        in_headers(site, payload)
        in_json(site, payload)
    site.ask("PUT", "/v1.1/a/q/body", b"a\r\nX-Injected: yes\0\x1b[31m")
    read_back(site)
    form = request.node.callspec.params["site"]
    lines = in_logs(site, form)
    show(
        "injection",
        f"{len(PAYLOADS)} payloads in {site.sent:,} requests, {lines:,} lines of logs ({form}): "
        f"{len(site.found)} control characters came back",
    )
    assert not site.found, "\n".join(site.found[:50])


def test_a_body_comes_back_as_it_is(tmp_path: Path) -> None:
    body = "".join(PAYLOADS[:9]).encode("utf-8", "surrogatepass")
    with leveret("--store", "memory://", "--data", str(tmp_path)) as server, Raw(server.port) as raw:
        head = b"PUT /v1.1/a/q/1 HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
        assert raw.send(head % len(body) + body).answer().status == 201
        answer: Answer = raw.send(b"GET /v1.1/a/q/1?detail=body HTTP/1.1\r\nHost: a\r\n\r\n").answer()
        assert answer.body == body
