"""`leveret purge`: empties a queue, once a person has said yes."""

from __future__ import annotations

import sys

import click

from leveret.cli.client_options import Target, client_options, queue_argument
from leveret.cli.exits import Code, Ended
from leveret.cli.output import many


@click.command
@queue_argument
@click.option("--yes", "-y", is_flag=True, help="Don't ask.")
@client_options
def purge(target: Target, queue: str, yes: bool) -> None:
    """Delete all messages of QUEUE, hidden ones too, after asking.

    Without a terminal to ask on, --yes is needed. Exits with 3 where the queue is empty.

    \b
    Examples:
      leveret purge jobs
      leveret purge jobs --yes
    """
    if not yes and not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask on; --yes deletes all messages without asking")
    with target.queue(queue) as there:
        if not yes:
            stats = there.stats()
            count = stats.messages if stats is not None else 0
            if count:
                where = f"queue '{queue}' of account '{target.account}' on {target.server}"
                if not click.confirm(f"Delete {many(count, 'message')} of {where}?", err=True):
                    raise Ended(Code.FAILED, "nothing was deleted")
        if not there.purge():
            raise Ended(Code.NOTHING, f"queue '{queue}' is empty")
