"""Takes all messages out of the queues of a server that nobody else uses, and has the checker judge them. REST v1.1."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Protocol

from faults.checker import Report, check
from faults.history import Counts, Found, History
from support.queues import body_of

ACCOUNT = "faults"
_PAGE = 1000  # messages taken at once


class Reply(Protocol):
    """What is read of an answer."""

    @property
    def status(self) -> int: ...
    @property
    def body(self) -> bytes: ...


class Ask(Protocol):
    """A client: one request, and its answer."""

    def __call__(self, method: str, path: str, body: bytes | None = None) -> Reply: ...


def listed(ask: Ask) -> dict[str, Counts]:
    """The queues that a server says it has, with what it counts."""
    reply = ask("GET", f"/v1.1/{ACCOUNT}?detail=all")
    if reply.status == 404:
        return {}
    assert reply.status == 200, reply
    return {
        each["id"]: Counts(each["messages"], each["hidden"], each["bytes"])
        for each in json.loads(reply.body)
        if each["messages"]
    }


def drain(history: History, ask: Ask, queues: Iterable[str] | None = None) -> Report:
    """Take all that these queues have, or all queues, be they known or only listed. What was logged of them is judged,
    and forgotten."""
    report = Report()
    for queue in sorted({*history.queues(), *listed(ask)}) if queues is None else queues:
        take_out(history, ask, queue)
        report.add(check(history, queue))
        history.forget(queue)
    return report


def look(history: History, ask: Ask, queue: str) -> Report:
    """Judge a queue as if it were drained, and leave all in it."""
    looked = history.copy()
    drain = looked.drain(queue)
    counts = listed(ask).get(queue)
    found: list[Found] = []
    after = ""
    while (reply := ask("GET", f"{_path(queue)}&limit={_PAGE}{after}")).status == 200:
        messages = json.loads(reply.body)
        found += _found(messages)
        after = f"&after={messages[-1]['marker']}"
    assert reply.status == 404, reply
    drain.ok(found, counts)
    return check(looked, queue)


def take_out(history: History, ask: Ask, queue: str) -> None:
    """Have all that a queue has in the history, and no longer on the server."""
    drain = history.drain(queue)
    counts = listed(ask).get(queue)
    found: list[Found] = []
    while (reply := ask("DELETE", f"{_path(queue)}&limit={_PAGE}")).status == 200:
        found += _found(json.loads(reply.body))
    assert reply.status == 404, reply
    drain.ok(found, counts)


def _path(queue: str) -> str:
    return f"/v1.1/{ACCOUNT}/{queue}?match_hidden=true&detail=all"


def _found(messages: list[dict[str, Any]]) -> list[Found]:
    return [Found(each["id"], body_of(each["body"]), each["hide"]) for each in messages]
