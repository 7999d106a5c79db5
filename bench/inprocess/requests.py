"""Requests as wrk sends them, as bytes. Knows no server; makes all of them before anything is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

BODY: Final = b"x" * 100
BACKLOG: Final = 1000  # messages that are in a queue beyond what a workload takes from it

_HEAD: Final = "%s %s HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n%s\r\n"


@dataclass(frozen=True)
class Place:
    """A queue, and whose ids these are: who shares a queue puts messages of its own."""

    account: str
    queue: str
    owner: str = ""

    @property
    def path(self) -> str:
        return f"/v1.1/{self.account}/{self.queue}"

    def id(self, number: int) -> str:
        return f"{self.owner}{number}"


def put(place: Place, number: int, body: bytes = BODY) -> bytes:
    target = f"{place.path}/{place.id(number)}"
    return (_HEAD % ("PUT", target, f"Content-Length: {len(body)}\r\n")).encode() + body


def get(place: Place, number: int) -> bytes:
    return (_HEAD % ("GET", f"{place.path}/{place.id(number)}", "")).encode()


def delete(place: Place, number: int) -> bytes:
    return (_HEAD % ("DELETE", f"{place.path}/{place.id(number)}", "")).encode()


def claim(place: Place, number: int = 0) -> bytes:
    return (_HEAD % ("POST", f"{place.path}?limit=1&hide=60&detail=all", "")).encode()


def poll(place: Place, number: int = 0) -> bytes:
    return (_HEAD % ("GET", f"{place.path}?wait=20&limit=1&detail=all", "")).encode()


@dataclass(frozen=True)
class Workload:
    """`count` requests, and those that make what these are to find."""

    before: Callable[[Place, int], list[bytes]]
    requests: Callable[[Place, int], list[bytes]]


def _nothing(place: Place, count: int) -> list[bytes]:
    return []


def _filled(place: Place, count: int) -> list[bytes]:
    return [put(place, number) for number in range(count)]


def _backlog(place: Place, count: int) -> list[bytes]:
    """As much as is claimed, so that no claim depends on what others put meanwhile."""
    theirs = Place(place.account, place.queue, f"{place.owner}backlog-")
    return _filled(theirs, count // 3 + BACKLOG)


def _each(make: Callable[[Place, int], bytes]) -> Callable[[Place, int], list[bytes]]:
    return lambda place, count: [make(place, number) for number in range(count)]


def _cycles(place: Place, count: int) -> list[bytes]:
    """A message is put, the first of the queue is claimed, and what was put is deleted; and so on."""
    steps: Iterable[Callable[[Place, int], bytes]] = (put, claim, delete)
    return [step(place, number) for number in range(-(-count // 3)) for step in steps][:count]


WORKLOADS: Final = {
    "put": Workload(_nothing, _each(put)),
    "get": Workload(_filled, _each(get)),
    "claim": Workload(_filled, _each(claim)),
    "delete": Workload(_filled, _each(delete)),
    "mix": Workload(_backlog, _cycles),
}
