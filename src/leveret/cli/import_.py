"""`leveret import`: the lines of a file into a queue, so that one which is read twice is the same message."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import BinaryIO

import click

from leveret.cli.client_options import Target, client_options, queue_argument
from leveret.cli.exits import Code, Ended
from leveret.cli.output import many
from leveret.cli.transfer import BATCH, BATCH_BYTES, BadLine, Reached, parse_line, progress
from leveret.client import BadRequest, Draft, Queue, TooLarge


@click.command("import")
@queue_argument
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--resume", is_flag=True, help="Go on where an import of FILE stopped.")
@click.option("--from-start", is_flag=True, help="Begin anew, although an import of FILE stopped midway.")
@client_options
def import_(target: Target, queue: str, file: Path | None, resume: bool, from_start: bool) -> None:
    """Put the messages of FILE or standard input into QUEUE: a JSON object a line, as `leveret export` writes them.

    A line has a body and, where wanted, id, ttl, hide, content_type and headers. While it runs, FILE.progress says how
    far it has come, for --resume. Ids are kept, so that a line that is put twice is one message. A line that is no
    message ends it with 1, and is named.

    \b
    Examples:
      leveret import jobs jobs.ndjson
      leveret import jobs jobs.ndjson --resume
      gunzip -c jobs.ndjson.gz | leveret import jobs
    """
    if resume and from_start:
        raise click.UsageError("--resume and --from-start are both given; one of them is expected")
    if file is not None and str(file) == "-":
        file = None
    if file is None and (resume or from_start):
        raise click.UsageError("--resume and --from-start are for a FILE; there is none")
    if file is None and sys.stdin.isatty():
        raise click.UsageError("there is no FILE; give it, or pipe lines in")
    reached = Reached.nothing(target.server, target.account, queue)
    with target.queue(queue) as there:
        if file is None:
            count = _Import(there, "standard input", reached, None).run(sys.stdin.buffer, None)
        else:
            sidecar = file.with_name(f"{file.name}.progress")
            with file.open("rb") as stream:
                reached = _begin(reached, sidecar, resume, from_start)
                size = os.fstat(stream.fileno()).st_size
                if size < reached.offset:
                    raise Ended(Code.WRONG_USE, f"{file} is shorter than what {sidecar} says was put of it")
                stream.seek(reached.offset)
                count = _Import(there, str(file), reached, sidecar).run(stream, size)
            sidecar.unlink(missing_ok=True)
    click.echo(f"put {many(count, 'message')} into queue '{queue}'", err=True)


def _begin(fresh: Reached, sidecar: Path, resume: bool, from_start: bool) -> Reached:
    """Where to begin, going by what an earlier import left."""
    if from_start or not sidecar.exists():
        fresh.save(sidecar)  # before the first message: the ids that are made must be the same next time
        return fresh
    if not resume:
        raise Ended(Code.WRONG_USE, f"{sidecar}: an import stopped midway; --resume goes on, --from-start begins anew")
    found = Reached.load(sidecar)
    for name in ("server", "account", "queue"):
        then, now = getattr(found, name), getattr(fresh, name)
        if then != now:
            raise Ended(Code.WRONG_USE, f"{sidecar}: the {name} was '{then}', and is '{now}' now")
    return found


class _Import:
    """Puts the lines of a stream, a batch at a time, and notes after each how far it has come."""

    def __init__(self, queue: Queue, name: str, reached: Reached, sidecar: Path | None) -> None:
        self._queue = queue
        self._name = name
        self._reached = reached
        self._sidecar = sidecar
        self._batch: list[Draft] = []
        self._bytes = 0
        self._count = 0

    def run(self, stream: BinaryIO, size: int | None) -> int:
        """Answers how many messages were put. What comes before a bad line is put."""
        offset, number = self._reached.offset, self._reached.line
        with progress("importing", size) as tell:
            for line in stream:
                if line.strip():
                    try:
                        draft = parse_line(line, self._reached.id_of(number + 1))
                    except BadLine as error:
                        self._flush(offset, number)
                        raise Ended(Code.FAILED, f"line {number + 1} of {self._name} {error}") from error
                    self._batch.append(draft)
                    self._bytes += len(draft.body)
                offset += len(line)
                number += 1
                if len(self._batch) == BATCH or self._bytes >= BATCH_BYTES:
                    self._flush(offset, number)
                    tell(offset)
            self._flush(offset, number)
        return self._count

    def _flush(self, offset: int, line: int) -> None:
        if self._batch:
            try:
                self._queue.put_many(self._batch)
            except (BadRequest, TooLarge) as error:
                lines = f"lines {self._reached.line + 1} to {line} of {self._name}"
                raise Ended(Code.FAILED, f"{lines}: {error}") from error
            self._count += len(self._batch)
            self._batch.clear()
            self._bytes = 0
        self._reached = self._reached.at(offset, line)
        if self._sidecar is not None:
            self._reached.save(self._sidecar)
