"""`leveret put`: messages from the command line, a file or a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

import click

from leveret.cli.client_options import Target, client_options, queue_argument
from leveret.cli.numbers import SECONDS
from leveret.cli.transfer import BATCH, BATCH_BYTES
from leveret.client import Draft

_READ: Final = 1 << 20  # bytes read at once, at most


@click.command
@queue_argument
@click.argument("body", required=False)
@click.option("--file", "-f", type=click.Path(path_type=Path), metavar="FILE", help="Take the body from a file.")
@click.option("--lines", is_flag=True, help="Put each line of the file, or of what is piped in, as a message.")
@click.option("--id", metavar="ID", help="The message's id; one that is there is replaced. Made, if not given.")
@click.option("--ttl", type=SECONDS, metavar="SECONDS", help="How long it lives; 0 is for ever.")
@click.option("--hide", type=SECONDS, metavar="SECONDS", help="How long until it is visible.")
@click.option("--content-type", metavar="TYPE", help="What the body is, such as application/json.")
@click.option("--header", "headers", multiple=True, metavar="NAME=VALUE", help="A header to go with it; repeatable.")
@click.option("--new", is_flag=True, help="Only where the id is not there yet; else exit code 5.")
@client_options
def put(
    target: Target,
    queue: str,
    body: str | None,
    file: Path | None,
    lines: bool,
    id: str | None,
    headers: tuple[str, ...],
    new: bool,
    **attributes: Any,
) -> None:
    """Put a message at the end of QUEUE, and print its id.

    Its body is BODY, or a file's content, or what is piped in. With --lines, what comes through a pipe is put as soon
    as it is there, and the line ends are left out.

    \b
    Examples:
      leveret put jobs 'resize cat.jpg'
      leveret put jobs --file cat.jpg --content-type image/jpeg --header size=small --ttl 0
      tail -f access.log | leveret put log --lines
    """
    if body is not None and file is not None:
        raise click.UsageError("BODY and --file are both given; one of them is expected")
    if lines and (id is not None or new):
        raise click.UsageError("--id and --new are for one message, and not for --lines")
    if lines and body not in {None, "-"}:
        raise click.UsageError("--lines takes a file or a pipe, and no BODY")
    attributes["headers"] = parse_headers(headers)
    with target.queue(queue) as there:
        if lines:
            with _opened(file) as stream:
                for batch in batches(stream):
                    ids = there.put_many([Draft(line, **attributes) for line in batch])
                    click.echo("\n".join(ids))
            return
        if body is None or body == "-":
            with _opened(file) as stream:
                content = stream.read()
        else:
            content = body.encode(errors="surrogateescape")
        click.echo(there.put(content, id, only_new=new, **attributes))


def parse_headers(given: tuple[str, ...]) -> Mapping[str, str] | None:
    found = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not (name and separator):
            raise click.UsageError(f"--header is '{text}'; NAME=VALUE is expected")
        found[name] = value
    return found or None


def batches(stream: BinaryIO) -> Iterator[list[bytes]]:
    """The lines of a stream, as many together as are there, so that none waits for the next."""
    read = getattr(stream, "read1", stream.read)
    rest: list[bytes] = []  # of a line whose end has not come yet
    batch: list[bytes] = []
    size = 0
    while data := read(_READ):
        *complete, last = data.split(b"\n")
        for line in complete:
            whole = b"".join([*rest, line])
            rest.clear()
            if batch and (len(batch) == BATCH or size + len(whole) > BATCH_BYTES):
                yield batch
                batch, size = [], 0
            batch.append(whole)
            size += len(whole)
        if last:
            rest.append(last)
        if batch:
            yield batch
            batch, size = [], 0
    if rest:
        yield [b"".join(rest)]


def _opened(file: Path | None) -> BinaryIO:
    if file is not None and str(file) != "-":
        return file.open("rb")
    if sys.stdin.isatty():
        raise click.UsageError("there is no BODY; give it, or --file, or pipe it in")
    return sys.stdin.buffer
