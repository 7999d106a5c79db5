"""`leveret salvage`: what can be read of a damaged database file, into a new one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from leveret.store.base import Unusable
from leveret.store.sqlite.salvage import Report
from leveret.store.sqlite.salvage import salvage as copy
from scalestack.config import ConfigError

_LOST = 1  # the exit code where not everything could be read
_NAMED = 10  # queues that lost messages


@click.command
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
def salvage(file: Path, new: Path) -> None:
    """Copy what can be read of the damaged database FILE, and of the log beside it, into a new one, NEW.

    FILE is only read, and no server may be running on it. Each message is compared with its checksum: one that is
    damaged is not copied, but named. Of several shards, salvage the one that is damaged, and put NEW in its place.

    Exits with 0 where all could be read, with 1 where something is lost, and with 2 where nothing was done.

    \b
    Example:
      leveret salvage queue.db salvaged.db
      leveret serve --store sqlite:///salvaged.db
    """
    console = Console(stderr=True)
    try:
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task("reading", total=None)
            report = copy(file, new, lambda done, of: bar.update(task, completed=done, total=of))
    except Unusable as error:
        raise ConfigError(str(error)) from error
    messages, size, queues = (
        _many(report.messages, "message"),
        _many(report.bytes, "byte"),
        _many(report.queues, "queue"),
    )
    click.echo(f"copied {messages} ({size}) of {queues} to {new}")
    for line in _losses(report):
        click.echo(line)
    if not report.whole:
        sys.exit(_LOST)


def _losses(report: Report) -> Iterator[str]:
    """What a person must know of it, a line for each thing."""
    if report.whole:
        yield "all could be read"
        return
    if report.missing:
        most = sorted(report.losses.items(), key=lambda loss: -loss[1])
        names = "".join(f"\n  {_printable(name)}: {count:,}" for name, count in most[:_NAMED])
        more = "\n  ..." if len(most) > _NAMED else ""
        yield f"lost: {_many(report.missing, 'message')}, by what the queues count{names}{more}"
    else:
        yield "lost: no message, by what the queues count"
    if report.damaged:
        names = "".join(f"\n  {_printable(name)}" for name in report.names)
        more = "\n  ..." if report.damaged > len(report.names) else ""
        yield f"damaged: {_many(report.damaged, 'message')}, not copied{names}{more}"
    if report.damaged_pages:
        yield f"damaged: {_many(report.damaged_pages, 'page')} of the file"
    if report.scanned:
        yield "searched: all of the file, for what was not in its place"
    if report.nameless:
        yield f"without a name: {_many(report.nameless, 'queue')}, now in accounts that are called 'salvaged...'"
    if report.log_outlived:
        yield "damaged: the log; some of what it had is not there, and some of what was deleted may be back"
    elif report.log_cut:
        yield "damaged: the end of the log; what was done last is not there"
    if report.detached:
        yield "not known: which part of which store it was; it is a store of its own now"


def _many(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
