"""Bad framing is refused with the connection, and anything ambiguous with it: the corpus, on sockets and on the parser.

A case is sent whole, cut in two, and behind requests that are like it; the parser is fed each byte by byte as well, and
cut at every place. Nothing behind a refusal may be done: the queue says what was.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from attacks.corpus import CORPUS
from attacks.exchange import Outcome, Target, expected, target
from attacks.framing import Case
from scalestack.http.parser import ParserLimits, RequestParser
from scalestack.http.problem import HttpError
from support.figures import show

CUTS = int(os.environ.get("LEVERET_SMUGGLING_CUTS", "1"))  # of each case, on sockets
ALL_CUTS = 400  # bytes of a case that is cut at every place before the parser


@pytest.fixture(scope="module")
def site() -> Iterator[Target]:
    with target() as running:
        yield running


def cuts(case: Case) -> list[int]:
    """Where a case is cut in two on a socket: spread over it, and one before the first byte of what follows it."""
    size = len(case.data)
    spread = {size * number // (CUTS + 1) for number in range(1, CUTS)} if size > CUTS else set(range(1, size))
    return sorted((spread | {len(case.sent)}) - {0, size})


def told(case: Case, outcome: Outcome, way: str) -> str:
    return f"{case.name} (RFC {case.section}), {way}:\n  it was {outcome}\n  and not {expected(case)}"


@pytest.mark.timeout(120 + 10 * CUTS)
def test_each_case_is_answered_as_the_standard_says_and_nothing_is_smuggled(site: Target) -> None:
    wrong = []
    exchanges = smuggled = 0
    for case in CORPUS:
        ways: list[tuple[str, dict[str, Any]]] = [("whole", {}), ("behind others like it", {"warm": True})]
        ways += [(f"cut at {cut}", {"cut": cut}) for cut in cuts(case)]
        ways += [(f"cut at {cut}, behind others", {"cut": cut, "warm": True}) for cut in cuts(case)[-1:]]
        for way, how in ways:
            exchanges += 1
            outcome = site.outcome(case, **how)
            smuggled += "smuggled" in outcome.messages
            if outcome != expected(case):
                wrong.append(told(case, outcome, way))
    found = f"{len(wrong):,} mismatches, {smuggled:,} smuggled requests done"
    show("smuggling", f"{len(CORPUS):,} cases in {exchanges:,} exchanges: {found}")
    assert not wrong, "\n".join(wrong)


class Parsed:
    """What a parser makes of some pieces."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self.requests: list[tuple[object, ...]] = []
        self.status: int | None = None
        parser = RequestParser(ParserLimits(), self._on_request, lambda: None)
        try:
            for piece in pieces:
                taken = 0
                while taken < len(piece):
                    taken += parser.feed(piece[taken:])
        except HttpError as error:
            self.status = error.status

    def _on_request(self, request: Any) -> None:
        self.requests.append((request.line, request.query, request.headers, request.body, request.keep_alive))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Parsed) and (self.requests, self.status) == (other.requests, other.status)

    __hash__ = None  # type: ignore[assignment]


def test_where_a_case_is_cut_makes_no_difference() -> None:
    for case in CORPUS:
        data = case.data
        whole = Parsed([data])
        if len(data) < 20_000:
            assert Parsed(data[index : index + 1] for index in range(len(data))) == whole, (case.name, "byte by byte")
        if len(data) <= ALL_CUTS:
            for cut in range(1, len(data)):
                assert Parsed([data[:cut], data[cut:]]) == whole, (case.name, f"cut at {cut}")


def test_there_are_enough_cases_and_each_names_its_section() -> None:
    assert len(CORPUS) >= 150
    assert all(case.section.startswith(("9110 ", "9112 ", "9113 ", "6454 ")) for case in CORPUS)
