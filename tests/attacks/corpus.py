"""All cases of request smuggling and framing, each with a name of its own."""

from __future__ import annotations

from typing import Final

from attacks.cases import chunks, codings, connections, lengths, lines, targets
from attacks.framing import Case

CORPUS: Final[tuple[Case, ...]] = (
    *lengths.CASES,
    *codings.CASES,
    *lines.CASES,
    *chunks.CASES,
    *targets.CASES,
    *connections.CASES,
)

assert len({case.name for case in CORPUS}) == len(CORPUS), "two cases have one name"
