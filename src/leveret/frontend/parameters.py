"""Query parameters of the REST front end, from text to values. Knows the contract's ranges; knows no requests."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Literal, TypeAlias

from leveret.model import MAX_SECONDS, Change, Filters, InvalidName, Page, Want, Wanted, check_name, place_of
from scalestack.http.message import parse_query
from scalestack.http.problem import HttpError


class Detail:
    """How much of each object an answer holds. Literals, as those of `leveret.model.Put` are."""

    NONE: Final = "none"
    ID: Final = "id"
    ATTRIBUTES: Final = "attributes"
    BODY: Final = "body"
    ALL: Final = "all"


Level: TypeAlias = Literal["none", "id", "attributes", "body", "all"]


@dataclass(frozen=True, eq=False)
class Accepted:
    """What a kind of request takes: its parameters, the details that it can give, and the one that it gives unasked."""

    names: frozenset[str]
    details: tuple[Level, ...]
    default: Level
    repeated: frozenset[str] = frozenset()  # those of the names that may be given more than once

    @cached_property
    def queries(self) -> Queries:
        """Those that threads share, which is enough for what is asked seldom."""
        return Queries(self)


_NAMES: Final[tuple[Level, ...]] = (Detail.NONE, Detail.ID, Detail.ALL)
_MESSAGES: Final[tuple[Level, ...]] = (Detail.NONE, Detail.ID, Detail.ATTRIBUTES, Detail.BODY, Detail.ALL)
_PAGE: Final = frozenset({"limit", "marker", "detail"})
_FILTERS: Final = _PAGE | {"match_hidden", "wait"}
_ATTRIBUTES: Final = frozenset({"ttl", "hide"})

NO_PARAMETERS: Final = Accepted(frozenset(), (), Detail.NONE)
LIST_NAMES: Final = Accepted(_PAGE, _NAMES, Detail.ID)
DELETE_NAMES: Final = Accepted(_PAGE, _NAMES, Detail.NONE)
LIST_MESSAGES: Final = Accepted(_FILTERS, _MESSAGES, Detail.ALL)
DELETE_MESSAGES: Final = Accepted(_FILTERS, _MESSAGES, Detail.NONE)
UPDATE_MESSAGES: Final = Accepted(_FILTERS | _ATTRIBUTES, _MESSAGES, Detail.NONE)
GET_MESSAGE: Final = Accepted(frozenset({"detail"}), _MESSAGES, Detail.ALL)
DELETE_MESSAGE: Final = Accepted(frozenset({"detail"}), _MESSAGES, Detail.NONE)
UPDATE_MESSAGE: Final = Accepted(_ATTRIBUTES | {"detail"}, _MESSAGES, Detail.NONE)
PUT_MESSAGE: Final = Accepted(_ATTRIBUTES, (), Detail.NONE)

# What v1.1 adds.
_BY_ID: Final = frozenset({"id"})
_MANY: Final = _FILTERS | {"after", "order", "id"}

LIST_QUEUES: Final = Accepted(_PAGE | _BY_ID, _NAMES, Detail.ID, repeated=_BY_ID)
READ_MANY: Final = Accepted(_MANY, _MESSAGES, Detail.ALL, repeated=_BY_ID)
DELETE_MANY: Final = Accepted(_MANY | {"receipt"}, _MESSAGES, Detail.NONE, repeated=_BY_ID | {"receipt"})
UPDATE_MANY: Final = Accepted(_MANY | _ATTRIBUTES | {"receipt"}, _MESSAGES, Detail.NONE, repeated=_BY_ID | {"receipt"})
FOLLOW: Final = Accepted(frozenset({"after", "match_hidden", "detail"}), _MESSAGES[1:], Detail.ALL)
DELETE_ONE: Final = Accepted(frozenset({"detail", "receipt"}), _MESSAGES, Detail.NONE)
UPDATE_ONE: Final = Accepted(_ATTRIBUTES | {"detail", "receipt"}, _MESSAGES, Detail.NONE)

MAX_LIMIT: Final = 2**63 - 1
MAX_MANY: Final = 1000  # ids in a request, and messages that are put by one
MAX_BODIES: Final = 8 << 20  # bytes of bodies in one answer of v1.1


@dataclass(frozen=True, slots=True)
class Parameters:
    """A request's parameters, checked, with the defaults of its kind."""

    page: Page
    filters: Filters
    change: Change
    wait: int  # seconds
    detail: Level
    want: Wanted  # what the detail takes of the messages
    match_hidden_given: bool = False
    ids: tuple[str, ...] = ()
    receipts: tuple[str, ...] = field(default=())

    @property
    def receipt(self) -> str | None:
        """The receipt for one message."""
        return self.receipts[0] if self.receipts else None


_WANTS: Final[dict[Level, Wanted]] = {
    Detail.NONE: Want.NOTHING,
    Detail.ID: Want.ATTRIBUTES,
    Detail.ATTRIBUTES: Want.ATTRIBUTES,
    Detail.BODY: Want.ALL,
    Detail.ALL: Want.ALL,
}


def parse(query: str, accepted: Accepted) -> Parameters:
    """The parameters of a query as it was sent; `HttpError` 400 for one that is unknown, repeated, or out of range."""
    return accepted.queries.parse(query)


class Queries:
    """The queries of one kind of request: what it has parsed before, it knows. Clients repeat themselves: a worker's
    claim has the same one every time. A plain dictionary, as threads look something up in one without waiting for each
    other; still, what is asked all the time each thread should have for itself."""

    __slots__ = ("_accepted", "_known")

    def __init__(self, accepted: Accepted) -> None:
        self._accepted = accepted
        self._known: dict[str, Parameters] = {}

    def parse(self, query: str) -> Parameters:
        """As `parse`."""
        try:
            return self._known[query]
        except KeyError:
            pass
        given = _parse(query, self._accepted)
        if len(query) <= _MEMORABLE:
            if len(self._known) >= _MEMORIES:
                self._known.clear()
            self._known[query] = given
        return given


def _parse(query: str, accepted: Accepted) -> Parameters:
    given: dict[str, str] = {}
    many: dict[str, list[str]] = {}
    for name, value in parse_query(query.encode("latin-1")):
        if name in accepted.repeated:
            many.setdefault(name, []).append(value)
            continue
        if name not in accepted.names:
            known = f"known are {', '.join(sorted(accepted.names))}" if accepted.names else "there are none"
            raise _bad("unknown-parameter", f"there is no parameter '{_shown(name)}' here; {known}")
        if name in given:
            raise _bad("repeated-parameter", f"the parameter '{name}' is given twice; it may be given once")
        given[name] = value
    limit = _whole("limit", given.get("limit"), 1, MAX_LIMIT)
    marker = given.get("marker")
    detail = _detail(given.get("detail"), accepted)
    after = _place(given.get("after"))
    if after is not None and marker is not None:
        raise _bad("bad-parameter", "marker and after are both given; only one of them can be")
    if "receipt" in given:
        many["receipt"] = [given["receipt"]]
    ids = _ids(many.get("id", []), given.keys() & _NOT_BY_ID)
    receipts = tuple(many.get("receipt", []))
    if "receipt" in accepted.repeated and receipts and len(receipts) != len(ids):
        raise _bad(
            "bad-parameter", f"there are {len(receipts)} receipts for {len(ids)} ids; each id takes one, or none"
        )
    return Parameters(
        page=Page(limit, marker),
        filters=Filters(
            limit,
            marker,
            _truth("match_hidden", given.get("match_hidden", "false")),
            after,
            _newest_first(given.get("order")),
        ),
        match_hidden_given="match_hidden" in given,
        ids=ids,
        receipts=receipts,
        change=Change(
            ttl=_whole("ttl", given.get("ttl"), 0, MAX_SECONDS), hide=_whole("hide", given.get("hide"), 0, MAX_SECONDS)
        ),
        wait=_whole("wait", given.get("wait"), 0, MAX_SECONDS) or 0,
        detail=detail,
        want=_WANTS[detail],
    )


_MEMORABLE: Final = 1024  # characters of a query that is worth to be remembered
_MEMORIES: Final = 1024  # of each kind of request
_NOT_BY_ID: Final = frozenset({"limit", "marker", "after", "order", "wait", "match_hidden"})


def _ids(given: list[str], others: Iterable[str]) -> tuple[str, ...]:
    if given and others:
        raise _bad("bad-parameter", f"id and {_listed(sorted(others))} are both given; ids take no filter")
    if len(given) > MAX_MANY:
        raise _bad("bad-parameter", f"there are {len(given)} ids; up to {MAX_MANY} may be in one request")
    try:
        return tuple([check_name("message", id) for id in given])
    except InvalidName as error:
        raise _bad("bad-name", str(error)) from error


def _place(marker: str | None) -> int | None:
    if marker is None:
        return None
    place = place_of(marker)
    if place is None:
        raise _bad(
            "bad-parameter", f"after is '{_shown(marker)}'; the marker of a message is expected, as it was given"
        )
    return place


def _newest_first(order: str | None) -> bool:
    if order is not None and order not in {"fifo", "lifo"}:
        raise _bad("bad-parameter", f"order is '{_shown(order)}'; fifo or lifo is expected")
    return order == "lifo"


def _whole(name: str, text: str | None, low: int, high: int) -> int | None:
    if text is None:
        return None
    # The length is looked at first: a number of a million digits takes long to convert.
    if text.isascii() and text.isdigit() and len(text) <= 20 and low <= int(text) <= high:
        return int(text)
    raise _bad("bad-parameter", f"{name} is '{_shown(text)}'; a whole number from {low} to {high} is expected")


def _truth(name: str, text: str) -> bool:
    lowered = text.lower()
    if lowered not in {"true", "false"}:
        raise _bad("bad-parameter", f"{name} is '{_shown(text)}'; true or false is expected")
    return lowered == "true"


def _detail(text: str | None, accepted: Accepted) -> Level:
    if text is None:
        return accepted.default
    for detail in accepted.details:
        if detail == text:
            return detail
    expected = _listed(accepted.details)
    raise _bad("bad-parameter", f"detail is '{_shown(text)}'; {expected} is expected")


def _bad(code: str, detail: str) -> HttpError:
    return HttpError(400, code, detail)


def _shown(text: str) -> str:
    return text if len(text) <= 40 else text[:40] + "…"


def _listed(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last
