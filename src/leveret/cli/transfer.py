"""Messages as lines of a file, and how far a copy has come. Speaks to no server."""

from __future__ import annotations

import base64
import binascii
import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from leveret.cli.exits import Code, Ended
from leveret.client import Draft
from leveret.model import MAX_SECONDS, check_name

BATCH: Final = 1000  # messages in a request
BATCH_BYTES: Final = 2 << 20  # of bodies in a request, but for the last of them

_TAKEN: Final = frozenset({"id", "body", "ttl", "hide", "content_type", "headers"})
# What the service itself gives to a message: it stands in an export, and an import passes it by.
_GIVEN: Final = frozenset({"created", "deliveries", "marker", "receipt"})
_PIECE: Final = 1 << 16  # bytes; for the search for the last line


class BadLine(ValueError):
    """A line that is no message; its text says why."""


def parse_line(line: bytes, id: str) -> Draft:
    """The message that a line describes, with `id` where it names none; `BadLine` where it describes none."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadLine(f"is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise BadLine("is no JSON object")
    for name in found:
        if name not in _TAKEN and name not in _GIVEN:
            raise BadLine(f"has an unknown member '{name}'; known are {', '.join(sorted(_TAKEN | _GIVEN))}")
    if "body" not in found:
        raise BadLine("has no body")
    if not isinstance(found.get("id", ""), str):
        raise BadLine("has an id that is no text")
    try:
        content_type = _text(found.get("content_type"), "content_type")
        body, implied = _body(found["body"])
        return Draft(
            body=body,
            id=check_name("message", found.get("id", id)),
            ttl=_seconds(found, "ttl"),
            hide=_seconds(found, "hide"),
            content_type=implied if content_type is None else content_type,
            headers=_headers(found.get("headers")),
        )
    except UnicodeEncodeError as error:
        raise BadLine("holds half of a surrogate pair, which is no text") from error
    except BadLine:
        raise
    except ValueError as error:  # of a name
        raise BadLine(f"can't be used: {error}") from error


def _body(value: Any) -> tuple[bytes, str | None]:
    """The bytes of a body, and the content type that goes without saying: as the API has it."""
    if isinstance(value, str):
        return value.encode(), None
    if isinstance(value, dict) and list(value) == ["base64"]:
        try:
            return base64.b64decode(value["base64"], validate=True), None
        except (binascii.Error, TypeError, ValueError) as error:
            raise BadLine("has a body that is not valid base64") from error
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(), "application/json"


def _seconds(found: dict[str, Any], name: str) -> int | None:
    value = found.get(name)
    if value is None or (type(value) is int and 0 <= value <= MAX_SECONDS):
        return value
    raise BadLine(f"has a {name} of {value!r}; whole seconds from 0 to {MAX_SECONDS} are expected")


def _text(value: Any, name: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise BadLine(f"has a {name} that is no text")


def _headers(value: Any) -> dict[str, str] | None:
    if value is None:
        return None
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise BadLine("has headers that are no object of texts")
    return value or None


@dataclass(frozen=True)
class Reached:
    """How far an import has come, and of what."""

    server: str
    account: str
    queue: str
    token: str  # what the ids begin with that lines without one are given: the same each time they are read
    offset: int = 0  # bytes of the file that are done
    line: int = 0  # lines that are done

    @classmethod
    def nothing(cls, server: str, account: str, queue: str) -> Reached:
        return cls(server, account, queue, secrets.token_hex(8))

    def id_of(self, line: int) -> str:
        """The id of a line that names none."""
        return f"{self.token}-{line:012}"

    def at(self, offset: int, line: int) -> Reached:
        return replace(self, offset=offset, line=line)

    def save(self, file: Path) -> None:
        """Write it as a whole or not at all, whatever happens meanwhile."""
        beside = file.with_name(f"{file.name}.new")
        with beside.open("w") as stream:
            json.dump(asdict(self), stream)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(file)

    @classmethod
    def load(cls, file: Path) -> Reached:
        """`Ended` where the file is not one that `save` wrote; FileNotFoundError where there is none."""
        try:
            found = cls(**json.loads(file.read_bytes()))
            if type(found.offset) is int and type(found.line) is int:
                return found
        except (ValueError, TypeError):
            pass
        raise Ended(Code.WRONG_USE, f"{file}: does not say how far an import has come; remove it to begin anew")


def last_line(stream: BinaryIO) -> tuple[bytes, int]:
    """The last whole line of a file, and the offset of its end; (b"", 0) where there is none."""
    end = stream.seek(0, os.SEEK_END)
    tail = b""
    at = end
    while at > 0:
        step = min(_PIECE, at)
        at -= step
        stream.seek(at)
        tail = stream.read(step) + tail
        last = tail.rfind(b"\n")
        before = tail.rfind(b"\n", 0, last) if last >= 0 else -1
        if before >= 0 or (last >= 0 and at == 0):
            return tail[before + 1 : last], at + last + 1
    return b"", 0


@contextmanager
def progress(what: str, total: float | None, console: Console | None = None) -> Iterator[Callable[[float], None]]:
    """A bar on standard error while the block runs, where that is a terminal; what it gives tells it what is done."""
    console = console or Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)
