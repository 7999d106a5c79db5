"""Messages and tables as people and programs read them. Writes to stdout; speaks to nobody."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from rich.box import SIMPLE
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from leveret.client import Message

_MANY: Final = 1000  # rows, beyond which a terminal gets them plain: to make them beautiful takes minutes
BODY: Final = 60  # characters of a body in a table


def body_object(body: bytes) -> str | dict[str, str]:
    """A body in JSON, as the API has it: text, or base64 where it is none."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode()}


def message_object(message: Message) -> dict[str, Any]:
    """A message in JSON, as the API has it."""
    found: dict[str, Any] = {
        "id": message.id,
        "ttl": message.ttl,
        "hide": message.hide,
        "created": message.created.isoformat().replace("+00:00", "Z"),
        "deliveries": message.deliveries,
        "marker": message.marker,
        "content_type": message.content_type,
        "headers": dict(message.headers),
    }
    if message.receipt is not None:
        found["receipt"] = message.receipt
    found["body"] = body_object(message.body)
    return found


def json_line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def print_json(value: object) -> None:
    """One line, which leaves at once: a program at the other end may be waiting for it."""
    write(json_line(value).encode() + b"\n")


def write(data: bytes) -> None:
    """Bytes as they are, at once."""
    stream = sys.stdout.buffer
    stream.write(data)
    stream.flush()


def write_body(body: bytes, *, line: bool = False) -> None:
    """A body as it is; as a line of its own where asked, and on a terminal, where the prompt comes next."""
    ended = body.endswith(b"\n") or not (line or sys.stdout.isatty())
    write(body if ended else body + b"\n")


def printable(text: str) -> str:
    """Text that moves no cursor: what can't be printed, as an escape."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode() for char in text
    )


def excerpt(body: bytes, length: int = BODY) -> str:
    """The beginning of a body, on one line."""
    # Four bytes at most make a character, and one that is cut in two would be shown as an escape.
    text = printable(body[: 4 * length + 4].decode(errors="backslashreplace"))
    return text if len(text) <= length and len(body) <= 4 * length else text[: length - 1] + "…"


def duration(seconds: float) -> str:
    """As people say it: 59s, 12m, 3h20m, 5d."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3600:02}h"


def ttl_of(message: Message) -> str:
    return duration(message.ttl) if message.ttl else "forever"


def age_of(message: Message, now: datetime) -> str:
    return duration((now - message.created).total_seconds())


def size(number: float) -> str:
    """Bytes, in the unit in which they have few digits."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def many(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def make_table(columns: Sequence[str], rows: Iterable[Sequence[str]], elastic: str = "") -> Table:
    """A table; columns that end with '>' stand to the right; `elastic` is cut where the line is too short."""
    table = Table(box=SIMPLE, pad_edge=False, show_edge=False)
    rows = list(rows)
    for number, column in enumerate(columns):
        name = column.removesuffix(">")
        table.add_column(
            name,
            justify="right" if column.endswith(">") else "left",
            no_wrap=name != elastic or column.endswith(">"),
            overflow="ellipsis",
            # What a person copies, or looks for, is never cut.
            min_width=max([cell_len(name), *(cell_len(row[number]) for row in rows)]) if number == 0 else None,
        )
    for row in rows:
        # As text, in which nothing is markup.
        table.add_row(*map(Text, row))
    return table


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], elastic: str = "") -> None:
    """On a terminal, as wide as that; else nothing is cut off, nor are lines filled up with blanks."""
    console = Console()
    rows = list(rows)
    if console.is_terminal and len(rows) <= _MANY:
        console.print(make_table(columns, rows, elastic))
    else:
        write("".join(f"{line}\n" for line in plain_lines(columns, rows)).encode(errors="backslashreplace"))


def plain_lines(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The lines of a table of any length, without colours and lines between."""
    right = [column.endswith(">") for column in columns]
    cells = [[column.removesuffix(">") for column in columns], *rows]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = []
        for text, width, to_right in zip(row, widths, right, strict=True):
            blanks = " " * (width - cell_len(text))
            padded.append(blanks + text if to_right else text + blanks)
        yield "  ".join(padded).rstrip()
