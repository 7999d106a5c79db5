"""Query parameters of the REST front end, from text to values. Knows the contract's ranges; knows no requests."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Final

from leveret.model import MAX_SECONDS, Change, Filters, Page, Want
from scalestack.http.message import parse_query
from scalestack.http.problem import HttpError


class Detail(Enum):
    """How much of each object an answer holds."""

    NONE = "none"
    ID = "id"
    ATTRIBUTES = "attributes"
    BODY = "body"
    ALL = "all"


@dataclass(frozen=True, eq=False)
class Accepted:
    """What a kind of request takes: its parameters, the details that it can give, and the one that it gives unasked."""

    names: frozenset[str]
    details: tuple[Detail, ...]
    default: Detail


_NAMES: Final = (Detail.NONE, Detail.ID, Detail.ALL)
_MESSAGES: Final = tuple(Detail)
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

MAX_LIMIT: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Parameters:
    """A request's parameters, checked, with the defaults of its kind."""

    page: Page
    filters: Filters
    change: Change
    wait: int  # seconds
    detail: Detail
    want: Want  # what the detail takes of the messages


_WANTS: Final = {
    Detail.NONE: Want.NOTHING,
    Detail.ID: Want.ATTRIBUTES,
    Detail.ATTRIBUTES: Want.ATTRIBUTES,
    Detail.BODY: Want.ALL,
    Detail.ALL: Want.ALL,
}


# Clients repeat themselves: a worker's claim has the same query string every time.
@lru_cache(maxsize=1024)
def parse(query: bytes, accepted: Accepted) -> Parameters:
    """The parameters in a query string; `HttpError` 400 for one that is unknown, repeated, or out of its range."""
    given: dict[str, str] = {}
    for name, value in parse_query(query):
        if name not in accepted.names:
            known = f"known are {', '.join(sorted(accepted.names))}" if accepted.names else "there are none"
            raise _bad("unknown-parameter", f"there is no parameter '{_shown(name)}' here; {known}")
        if name in given:
            raise _bad("repeated-parameter", f"the parameter '{name}' is given twice; it may be given once")
        given[name] = value
    limit = _whole("limit", given.get("limit"), 1, MAX_LIMIT)
    marker = given.get("marker")
    detail = _detail(given.get("detail"), accepted)
    return Parameters(
        page=Page(limit, marker),
        filters=Filters(limit, marker, _truth("match_hidden", given.get("match_hidden", "false"))),
        change=Change(
            ttl=_whole("ttl", given.get("ttl"), 0, MAX_SECONDS), hide=_whole("hide", given.get("hide"), 0, MAX_SECONDS)
        ),
        wait=_whole("wait", given.get("wait"), 0, MAX_SECONDS) or 0,
        detail=detail,
        want=_WANTS[detail],
    )


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


def _detail(text: str | None, accepted: Accepted) -> Detail:
    if text is None:
        return accepted.default
    for detail in accepted.details:
        if detail.value == text:
            return detail
    expected = _listed(detail.value for detail in accepted.details)
    raise _bad("bad-parameter", f"detail is '{_shown(text)}'; {expected} is expected")


def _bad(code: str, detail: str) -> HttpError:
    return HttpError(400, code, detail)


def _shown(text: str) -> str:
    return text if len(text) <= 40 else text[:40] + "…"


def _listed(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last
