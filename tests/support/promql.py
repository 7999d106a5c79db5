"""What a PromQL expression asks for: metrics, the labels of their selectors, and those that it groups by."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
      | (?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
      | (?P<range>\[[^\]]*\])
      | (?P<number>(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?(?:ms|[smhdwy])?)
      | (?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
      | (?P<sign>=~|!~|!=|==|>=|<=|[-+*/%^<>=(){},@])""",
    re.VERBOSE | re.IGNORECASE,
)
_GROUPING = {"by", "without", "on", "ignoring", "group_left", "group_right"}
_WORDS = {"and", "or", "unless", "offset", "bool", "inf", "nan"}


@dataclass
class Asked:
    """`selected` has the labels of each metric's selectors, `grouped` what all metrics of the expression must have."""

    selected: dict[str, set[str]] = field(default_factory=dict)
    grouped: set[str] = field(default_factory=set)


def asked_for(expression: str) -> Asked:
    """`ValueError` for what is no PromQL."""
    tokens = []
    position = 0
    while position < len(expression):
        found = _TOKEN.match(expression, position)
        if found is None:
            raise ValueError(f"there is no token at {expression[position:]!r}")
        position = found.end()
        if found.lastgroup != "space":
            tokens.append((found.lastgroup, found[0]))
    asked = Asked()
    metric = ""
    braces: set[str] | None = None  # labels of the selector that is read now
    names: set[str] | None = None  # labels of the clause that is read now
    for (kind, text), (_, following) in zip(tokens, [*tokens[1:], ("sign", "")], strict=True):
        if text == "{":
            braces = asked.selected.setdefault(metric, set())
        elif text == "}":
            braces = None
        elif kind != "name":
            if text == ")":
                names = None
        elif braces is not None:
            braces.add(text)
        elif names is not None:
            names.add(text)
        elif text.lower() in _GROUPING:
            if following == "(":
                names = asked.grouped
        elif following not in {"(", "by", "without"} and text.lower() not in _WORDS:
            metric = text
            asked.selected.setdefault(metric, set())
    return asked
