"""What one case of the corpus is: bytes for a connection, and all that may come of them. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

PUT: Final = b"PUT /v1.1/a/q/1 HTTP/1.1\r\nHost: a\r\n"
GET: Final = b"GET /v1.1/a/q/1 HTTP/1.1\r\nHost: a\r\n"
LENGTH: Final = PUT + b"Content-Length: 4\r\n"
CHUNKED: Final = PUT + b"Transfer-Encoding: chunked\r\n\r\n"
BODY: Final = b"body"
LAST: Final = b"0\r\n\r\n"
# What an attacker wants to be done, hidden where a body is, or behind what is refused.
SMUGGLED: Final = b"PUT /v1.1/a/q/smuggled HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
# Follows each case on its connection: it is answered where the case leaves the connection open, and else never done.
NEXT: Final = b"PUT /v1.1/a/q/next HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nnext"


@dataclass(frozen=True)
class Case:
    name: str
    section: str  # of RFC 9110 or 9112, which says what must come of it
    sent: bytes
    answers: tuple[int, ...]  # statuses, in order
    closes: bool  # the server ends the connection, and nothing behind the case is done
    stored: Mapping[str, bytes] = field(default_factory=dict)  # the messages there are afterwards: id and body
    half: bool = False  # the client sends no more after it

    @property
    def data(self) -> bytes:
        """All that the client sends."""
        return self.sent if self.half else self.sent + NEXT

    @property
    def statuses(self) -> tuple[int, ...]:
        """All that the client is answered."""
        return self.answers if self.closes else (*self.answers, 201)

    @property
    def messages(self) -> Mapping[str, bytes]:
        """All that is in the queue then."""
        return self.stored if self.closes else {**self.stored, "next": b"next"}


def refused(name: str, section: str, sent: bytes, status: int = 400) -> Case:
    """Nothing of it is done, and the connection ends with this status."""
    return Case(name, section, sent, (status,), closes=True)


def refused_behind(name: str, section: str, sent: bytes, status: int = 400, body: bytes = BODY) -> Case:
    """A PUT with this body is done, and what is behind it is refused."""
    return Case(name, section, sent, (201, status), closes=True, stored={"1": body})


def taken(name: str, section: str, sent: bytes, body: bytes = BODY) -> Case:
    """It is a PUT with this body, and the connection goes on behind it."""
    return Case(name, section, sent, (201,), closes=False, stored={"1": body})


def answered(name: str, section: str, sent: bytes, *statuses: int, **stored: bytes) -> Case:
    """It is answered so, and the connection goes on behind it."""
    return Case(name, section, sent, statuses, closes=False, stored=stored)


def ended(name: str, section: str, sent: bytes, *statuses: int, **stored: bytes) -> Case:
    """It is answered so, and the connection ends."""
    return Case(name, section, sent, statuses, closes=True, stored=stored)


def cut_off(name: str, section: str, sent: bytes) -> Case:
    """The client sends no more, though it began a request: nothing of it is done."""
    return Case(name, section, sent, (), closes=True, half=True)


def line(request_line: bytes) -> bytes:
    """A request of such a line."""
    return request_line + b"\r\nHost: a\r\n\r\n"
