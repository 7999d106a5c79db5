"""`leveret export`: the messages of a queue as lines of a file. Changes nothing but the file."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click

from leveret.cli.client_options import Target, client_options, queue_argument
from leveret.cli.exits import Code, Ended
from leveret.cli.output import json_line, many, message_object
from leveret.cli.transfer import last_line, progress
from leveret.client import Queue


@click.command
@queue_argument
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--resume", is_flag=True, help="Go on after the last whole line of FILE.")
@click.option("--overwrite", is_flag=True, help="Replace FILE where it is there.")
@client_options
def export(target: Target, queue: str, file: Path | None, resume: bool, overwrite: bool) -> None:
    """Copy the messages of QUEUE, hidden ones too, to FILE or standard output: a JSON object a line.

    Body, id, content type, headers, and what remains of ttl and hide, are kept; `leveret import` puts them into a queue
    again. The messages stay where they are.

    \b
    Examples:
      leveret export jobs jobs.ndjson
      leveret export jobs jobs.ndjson --resume
      leveret export jobs | gzip > jobs.ndjson.gz
    """
    if resume and overwrite:
        raise click.UsageError("--resume and --overwrite are both given; one of them is expected")
    to_file = file is not None and str(file) != "-"
    if resume and not to_file:
        raise click.UsageError("--resume goes on with a FILE; there is none")
    with target.queue(queue) as there:
        if file is None or not to_file:
            _copy(there, sys.stdout.buffer, None)
            return
        with _opened(file, resume, overwrite) as (stream, marker):
            count = _copy(there, stream, marker)
            os.fsync(stream.fileno())
    click.echo(f"copied {many(count, 'message')} of queue '{queue}' to {file}", err=True)


@contextmanager
def _opened(file: Path, resume: bool, overwrite: bool) -> Iterator[tuple[BinaryIO, str | None]]:
    """The file, at its end, and the marker after which to go on."""
    if resume and file.exists():
        with file.open("r+b") as stream:
            line, end = last_line(stream)
            marker = _marker(file, line) if end else None
            stream.truncate(end)  # a line that was begun is written anew
            stream.seek(end)
            yield stream, marker
        return
    try:
        opened = file.open("wb" if overwrite else "xb")
    except FileExistsError:
        raise Ended(
            Code.WRONG_USE, f"{file} is there already; --resume goes on with it, --overwrite replaces it"
        ) from None
    with opened as stream:
        yield stream, None


def _marker(file: Path, line: bytes) -> str:
    try:
        marker = json.loads(line)["marker"]
    except (ValueError, KeyError, TypeError):
        marker = None
    if not isinstance(marker, str):
        raise Ended(Code.WRONG_USE, f"{file}: its last line has no marker to go on after; it is no export of a queue")
    return marker


def _copy(queue: Queue, stream: BinaryIO, marker: str | None) -> int:
    stats = queue.stats()
    count = 0
    with progress("exporting", stats.messages if stats is not None and marker is None else None) as tell:
        for count, message in enumerate(queue.messages(after=marker, hidden=True), 1):
            stream.write(json_line(message_object(message)).encode() + b"\n")
            tell(count)
    stream.flush()
    return count
