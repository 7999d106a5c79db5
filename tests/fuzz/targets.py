"""The targets by name, and where their inputs are. Knows nothing of atheris."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fuzz import batch, http_parser, query

CORPUS: Final = Path(__file__).parent / "corpus"


@dataclass(frozen=True)
class Target:
    """A function that is given bytes, and raises where what must hold doesn't."""

    name: str
    check: Callable[[bytes], None]
    longest: int  # bytes of an input
    rule: str  # what must hold

    @property
    def corpus(self) -> Path:
        """Inputs that reach something that no other reaches, and those that found a fault."""
        return CORPUS / self.name


TARGETS: Final = {
    target.name: target
    for target in (
        Target(
            "parser", http_parser.check, 6000, "the same requests wherever they are cut, with the shortcut or without"
        ),
        Target("query", query.check, 2048, "one route and what was sent, or refused with a 4xx"),
        Target("batch", batch.check, 4096, "decoded as JSON says it, and again from what it was decoded to, or a 400"),
    )
}
