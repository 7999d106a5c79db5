"""A load of many connections, each with one request under way: it measures the server, so it does little itself.

A script is a generator that yields what to ask and is sent the answer, so that a request costs no task and no future.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, cast
from urllib.parse import quote, urlsplit

import httptools

from leveret.cli.exits import Code, Ended
from leveret.client.key import authorization
from leveret.client.place import is_loopback, refuse_credentials, trusting, why_untrusted

Answer: TypeAlias = tuple[int, bytes]  # status and body


class Unreachable(Exception):
    """There is no connection to be had."""


@dataclass(slots=True)
class Ask:
    """A request, and which answers are none of an error."""

    operation: str  # what it counts as
    data: bytes
    fine: tuple[int, ...]


Script: TypeAlias = Generator[Ask, Answer, None]


@dataclass
class Tally:
    """What came of one kind of request."""

    seconds: list[float] = field(default_factory=list)  # that each answer took
    messages: int = 0
    errors: Counter[str] = field(default_factory=Counter)  # by what they say

    def percentile(self, part: float) -> float:
        """The time within which this part of all requests were answered, in seconds; 0.0 where there were none."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0


class Tallies(dict[str, Tally]):
    def __missing__(self, operation: str) -> Tally:
        self[operation] = Tally()
        return self[operation]


@dataclass(frozen=True)
class Address:
    """Where a server listens, and how requests to it begin."""

    host: str
    port: int
    authority: str  # as the Host header has it
    path: str | None  # of a Unix socket
    tls: ssl.SSLContext | None
    prefix: str  # of every target
    authorization: str = field(default="", repr=False)  # the header's value, with the key

    @property
    def is_here(self) -> bool:
        """Whether the load shares the server's machine."""
        return self.path is not None or is_loopback(self.host)

    @property
    def is_private(self) -> bool:
        """Whether nobody can read what is sent there."""
        return self.is_here or self.tls is not None

    async def connect(self, protocol: Callable[[], Exchange]) -> Exchange:
        loop = asyncio.get_running_loop()
        try:
            if self.path is not None:
                return (await loop.create_unix_connection(protocol, self.path))[1]
            return (await loop.create_connection(protocol, self.host, self.port, ssl=self.tls))[1]
        except UnicodeError as error:
            raise Unreachable(f"'{self.host}' is no name of a host") from error
        except OSError as error:
            raise Unreachable(why_untrusted(error) or error.strerror or str(error)) from error

    def request(self, method: str, target: str, body: bytes = b"", type: str = "") -> bytes:
        """A whole request."""
        kind = f"Content-Type: {type}\r\n" if type else ""
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        key = f"Authorization: {self.authorization}\r\n" if self.authorization else ""
        line = f"{method} {self.prefix}{target} HTTP/1.1\r\n"
        return f"{line}Host: {self.authority}\r\n{key}{kind}{length}\r\n".encode() + body


def parse_address(url: str, key: str | None = None, ca: str | None = None) -> Address:
    """`Ended` where the URL is none of a server; `key` and `ca` as in `leveret.connect`."""
    refuse_credentials(url)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Ended(Code.WRONG_USE, f"'{url}' is no URL: {error}") from error
    secret = "" if key is None else authorization(key).decode()
    if parts.scheme == "unix" and parts.path:
        return Address("localhost", 0, "localhost", parts.path, None, "", secret)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise Ended(Code.WRONG_USE, f"'{url}' is no server; http://, https:// or unix:// is expected")
    tls = trusting(ca) if parts.scheme == "https" else None
    path = parts.path.rstrip("/")
    return Address(parts.hostname, port or (443 if tls else 80), parts.netloc, None, tls, path, secret)


class Exchange(asyncio.Protocol):
    """One connection, and the script that is asked what to send on it."""

    def __init__(self, script: Script, tallies: Tallies, clock: Callable[[], float] = time.perf_counter) -> None:
        self._script = script
        self._tallies = tallies
        self._clock = clock
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._asked: Ask | None = None
        self._sent = 0.0
        self._transport: asyncio.Transport | None = None
        self._finished = False
        # Set when the connection is closed: whether the script came to its end.
        self.ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # which uvloop's do not derive from
        self._advance(None)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._count_error(f"what answers is no HTTP: {error}")
            assert self._transport is not None
            self._transport.abort()

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            return
        body = b"".join(self._body)
        self._body.clear()
        asked = self._asked
        if asked is None:
            return
        tally = self._tallies[asked.operation]
        tally.seconds.append(self._clock() - self._sent)
        if status not in asked.fine:
            tally.errors[_told(status, body)] += 1
        self._advance((status, body))

    def connection_lost(self, exc: Exception | None) -> None:
        self._count_error(f"the connection was lost{f': {exc}' if exc else ''}")
        if not self.ended.done():
            self.ended.set_result(self._finished)

    def give_up(self) -> None:
        """The answer comes too late."""
        self._count_error("no answer in time")
        if self._transport is not None:
            self._transport.abort()

    def _advance(self, answer: Answer | None) -> None:
        assert self._transport is not None
        try:
            self._asked = next(self._script) if answer is None else self._script.send(answer)
        except StopIteration:
            self._asked = None
            self._finished = True
            self._transport.close()
            return
        except (ValueError, KeyError, TypeError):  # of reading the answer
            self._count_error("what answers is no Leveret")
            self._transport.abort()
            return
        self._sent = self._clock()
        self._transport.write(self._asked.data)

    def _count_error(self, what: str) -> None:
        """What is under way has failed."""
        if self._asked is not None:
            self._tallies[self._asked.operation].errors[what] += 1
            self._asked = None


def _told(status: int, body: bytes) -> str:
    """What an error's answer says, in a few words."""
    try:
        return f"{status} {json.loads(body)['code']}"
    except (ValueError, KeyError, TypeError):
        return str(status)


@dataclass(frozen=True)
class Plan:
    """What to ask for."""

    address: Address
    account: str
    queue: str
    size: int  # bytes of a body
    batch: int  # messages in a request

    @property
    def _target(self) -> str:
        return f"/v1.1/{quote(self.account, safe='')}/{quote(self.queue, safe='')}"

    def putter(self, name: str) -> Callable[[], bytes]:
        """Makes requests that put a batch; `name` keeps the ids of connections apart."""
        body = b"x" * self.size
        if self.batch > 1:
            messages = {"messages": [{"body": body.decode(), "ttl": 0}] * self.batch}
            whole = self.address.request("PUT", self._target, json.dumps(messages).encode(), "application/json")
            return lambda: whole
        before, after = self.address.request("PUT", f"{self._target}/{name}-@?ttl=0", body).split(b"@", 1)
        numbers = iter(range(1 << 62))
        return lambda: b"%b%d%b" % (before, next(numbers), after)

    def claim(self) -> bytes:
        return self.address.request("POST", f"{self._target}?limit={self.batch}&hide={_LEASE}&detail=all")

    def deletes(self, claimed: list[dict[str, Any]]) -> list[tuple[int, bytes]]:
        """Requests that delete what was claimed, with their numbers of messages: a target has no room for all."""
        if self.batch == 1:
            return [
                (
                    1,
                    self.address.request(
                        "DELETE", f"{self._target}/{quote(one['id'])}?receipt={quote(one['receipt'])}"
                    ),
                )
                for one in claimed
            ]
        found: list[tuple[int, bytes]] = []
        words: list[str] = []
        for one in [*claimed, None]:
            if words and (one is None or len(words) * (len(words[0]) + 1) > _TARGET):
                found.append((len(words), self.address.request("DELETE", f"{self._target}?{'&'.join(words)}")))
                words = []
            if one is not None:
                words.append(f"id={quote(one['id'])}&receipt={quote(one['receipt'])}")
        return found

    def purge(self) -> bytes:
        return self.address.request("DELETE", f"{self._target}?match_hidden=true")


_LEASE: Final = 600  # seconds
_TARGET: Final = 7000  # bytes of a request's target, beside what it begins with


def put_script(plan: Plan, tallies: Tallies, name: str, going: Callable[[], bool]) -> Script:
    """Put, as long as it is going."""
    make = plan.putter(name)
    while going():
        status, _ = yield Ask("put", make(), (200, 201, 204))
        if status < 300:
            tallies["put"].messages += plan.batch


def claim_script(plan: Plan, tallies: Tallies, going: Callable[[], bool]) -> Script:
    """Claim and delete, as long as it is going, or until there is no more."""
    while going():
        status = yield from _claim_and_delete(plan, tallies)
        if status == 404:
            return


def both_script(plan: Plan, tallies: Tallies, name: str, going: Callable[[], bool]) -> Script:
    """Put, claim and delete, as long as it is going."""
    make = plan.putter(name)
    while going():
        status, _ = yield Ask("put", make(), (200, 201, 204))
        if status < 300:
            tallies["put"].messages += plan.batch
        yield from _claim_and_delete(plan, tallies)


def _claim_and_delete(plan: Plan, tallies: Tallies) -> Generator[Ask, Answer, int]:
    status, body = yield Ask("claim", plan.claim(), (200, 404))
    if status == 200:
        claimed = json.loads(body)
        tallies["claim"].messages += len(claimed)
        for count, request in plan.deletes(claimed):
            done, _ = yield Ask("delete", request, (200, 204))
            if done < 300:
                tallies["delete"].messages += count
    return status


def purge_script(plan: Plan) -> Script:
    """Delete all that is left; an answer may be about a part of it."""
    status = 200
    while status < 300:
        status, _ = yield Ask("purge", plan.purge(), (200, 204, 404))
