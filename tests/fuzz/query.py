"""The target `query`: a request's target leads to one route and to parameters that say what was sent, or is refused.

An input is a method, a space, and a target as it was sent: the route says which parameters it may have.
"""

# ruff: noqa: PT017 - a code of an error is a rule that is checked, where others would be raised

from __future__ import annotations

import re
import time
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from leveret.frontend.openapi import Operation
from leveret.frontend.parameters import FOLLOW, MAX_LIMIT, MAX_MANY, Accepted, Detail, Parameters, Queries, parse
from leveret.frontend.rest import Rest
from leveret.model import MAX_SECONDS, Want, check_name, marker_of
from leveret.service import QueueConfig, QueueService
from leveret.store.memory import MemoryStore
from scalestack.event.loops import Loops
from scalestack.event.makers import loop_maker
from scalestack.http.message import parse_query
from scalestack.http.problem import HttpError
from scalestack.http.router import Router

CODES: Final = {"unknown-parameter", "repeated-parameter", "bad-parameter", "bad-name", "bad-encoding"}

# The parser lets nothing else pass, which is a rule of its own target.
_LINE: Final = re.compile(rb"[A-Z-]+ (/[!\"$-~]*|\*(\?[!\"$-~]*)?)")

_ROUTES: Final = Rest(
    QueueService(MemoryStore(), time.time, QueueConfig(), Loops(1, loop_maker("asyncio")).threads[0])
).routes()
_REMEMBERING: Final = Router(_ROUTES)
_FRESH: Final = Router(_ROUTES)
_BY_ID: Final = {"limit", "marker", "after", "order", "wait", "match_hidden"}  # what can't be said beside ids


def check(data: bytes) -> None:
    """Route an input and read its parameters; `AssertionError` where a rule is broken."""
    if _LINE.fullmatch(data) is None:
        return
    line, _, query = data.decode("ascii").partition("?")
    accepted = _check_path(line)
    if accepted is not None:
        _check_query(query, accepted)
    if accepted is not None and "id" in accepted.names and line.startswith("GET "):
        _check_query(query, FOLLOW)


def _found(router: Router, line: str) -> tuple[object, tuple[str, ...]] | tuple[int, str]:
    try:
        entry, parameters = router.find(line)
    except HttpError as error:
        assert (error.status, error.code) in {
            (400, "bad-encoding"), (404, "unknown-path"), (405, "method-not-allowed"),
        }, error  # fmt: skip
        return error.status, error.code
    return (entry.method, entry.route and entry.route.path), parameters


def _check_path(line: str) -> Accepted | None:
    """What the route that a line leads to accepts; None where it leads to none."""
    _FRESH.paths.clear()
    found = _found(_FRESH, line)
    for _ in range(2):  # the second time it may be remembered
        assert _found(_REMEMBERING, line) == found, "what is remembered leads elsewhere"
    method, _, path = line.partition(" ")
    if path == "*" or isinstance(found[0], int):
        return None
    entry, parameters = _FRESH.find(line)
    route = entry.route
    assert entry.method == method.encode("latin-1"), "another method"
    given = [unquote_to_bytes(each.encode("latin-1")) for each in path.split("/")[1:]]
    if route is None:  # the answers to OPTIONS
        return None
    segments = route.path.split("/")[1:]
    assert len(segments) == len(given), "a path of another length"
    taken = iter(parameters)
    for segment, sent in zip(segments, given, strict=True):
        assert sent or path == "/", "an empty segment"
        expected = next(taken) if segment.startswith("{") else segment
        assert expected.encode() == sent, "another name than was sent"
    assert next(taken, None) is None, "a name that was not sent"
    if route.parameters:
        spelled = "".join("/" + "".join(f"%{byte:02X}" for byte in each) for each in given)
        _FRESH.paths.clear()
        assert _FRESH.find(f"{method} {spelled}") == (entry, parameters), "spelled otherwise it leads elsewhere"
    about = route.about
    return about.accepted if isinstance(about, Operation) else None


def _read(query: str, accepted: Accepted) -> Parameters | str:
    """The parameters, or with which code they are refused."""
    try:
        return Queries(accepted).parse(query)
    except HttpError as error:
        assert error.status == 400, error
        assert error.code in CODES, error
        return error.code


def _check_query(query: str, accepted: Accepted) -> None:
    found = _read(query, accepted)
    if isinstance(found, str):
        return
    assert parse(query, accepted) == found == parse(query, accepted), "what is remembered differs"
    pairs = parse_query(query.encode("latin-1"))
    _check_values(found, pairs, accepted)
    spelled = [(_spelled(name), _spelled(value)) for name, value in pairs]
    for order in (spelled, [*sorted(spelled, key=lambda pair: pair[0])]):
        again = "&".join(f"{name}={value}" for name, value in order)
        assert _read(again, accepted) == found, "spelled otherwise it says something else"
    for name, _ in pairs:
        if name not in accepted.repeated:
            assert _read(f"{query}&{quote(name)}=1", accepted) == "repeated-parameter", "it takes one twice"


def _spelled(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


def _check_values(found: Parameters, pairs: list[tuple[str, str]], accepted: Accepted) -> None:
    """Each parameter says what was sent, within its range; what was not sent has its default."""
    sent = dict(pairs)
    assert sent.keys() <= accepted.names, "one that is not known"
    assert all(name in accepted.repeated or count == 1 for name, count in _counts(pairs).items()), "one twice"

    for name, value, default, low, high in (
        ("limit", found.filters.limit, None, 1, MAX_LIMIT),
        ("ttl", found.change.ttl, None, 0, MAX_SECONDS),
        ("hide", found.change.hide, None, 0, MAX_SECONDS),
        ("wait", found.wait, 0, 0, MAX_SECONDS),
    ):
        if name in sent:
            assert value == int(sent[name]), f"another {name} than was sent"
            assert low <= value <= high, f"{name} is out of range"
        else:
            assert value == default, f"{name} was not sent"
    assert found.page.limit == found.filters.limit
    assert found.page.marker == found.filters.marker == sent.get("marker")
    assert found.filters.match_hidden == (sent.get("match_hidden", "").lower() == "true")
    assert found.match_hidden_given == ("match_hidden" in sent)
    assert found.filters.newest_first == (sent.get("order") == "lifo")
    assert found.detail == sent.get("detail", accepted.default)
    assert (found.want == Want.NOTHING) == (found.detail == Detail.NONE)
    after = found.filters.after
    assert (after is None) == ("after" not in sent)
    if after is not None:
        assert after >= 0
        assert int(marker_of(after), 16) == after == int(sent["after"], 16), "another place than was sent"
        assert "marker" not in sent, "a marker beside it"
    assert list(found.ids) == [value for name, value in pairs if name == "id"]
    assert list(found.receipts) == [value for name, value in pairs if name == "receipt"]
    assert len(found.ids) <= MAX_MANY
    if found.ids:
        assert not sent.keys() & _BY_ID, "ids beside a filter"
        for id in found.ids:
            check_name("message", id)
    if found.receipts and "receipt" in accepted.repeated:
        assert len(found.receipts) == len(found.ids)


def _counts(pairs: list[tuple[str, str]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name, _ in pairs:
        counts[name] = counts.get(name, 0) + 1
    return counts
