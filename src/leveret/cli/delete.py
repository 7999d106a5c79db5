"""`leveret delete`: messages by their ids, and, with receipts, only what is still one's own."""

from __future__ import annotations

import click

from leveret.cli.client_options import Target, client_options, queue_argument
from leveret.cli.exits import Code, Ended
from leveret.cli.output import print_json
from leveret.cli.transfer import BATCH
from leveret.client import Outcome


@click.command
@queue_argument
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("--receipt", "receipts", multiple=True, metavar="RECEIPT", help="Of a claim; one for each ID, in order.")
@click.option("--json", "as_json", is_flag=True, help="Print what became of each, as a JSON object a line.")
@client_options
def delete(target: Target, queue: str, ids: tuple[str, ...], receipts: tuple[str, ...], as_json: bool) -> None:
    """Delete messages of QUEUE.

    With the receipt of a claim, only where the lease is still its own: else somebody else may be working on it. Exits
    with 3 where one is not there, and with 5 where a lease is lost; all others are deleted nevertheless.

    \b
    Examples:
      leveret delete jobs 42 43
      leveret delete jobs 42 --receipt 6a1f…
    """
    if receipts and len(receipts) != len(ids):
        raise click.UsageError(f"there are {len(ids)} IDs and {len(receipts)} --receipt; one for each is expected")
    outcomes: list[Outcome] = []
    with target.queue(queue) as there:
        for at in range(0, len(ids), BATCH):
            some = slice(at, at + BATCH)
            outcomes += there.delete_many(list(ids[some]), list(receipts[some]) if receipts else None)
    for id, outcome in zip(ids, outcomes, strict=True):
        if as_json:
            print_json({"id": id, "status": outcome.value})
    gone = [id for id, outcome in zip(ids, outcomes, strict=True) if outcome is Outcome.GONE]
    held = [id for id, outcome in zip(ids, outcomes, strict=True) if outcome is Outcome.HELD]
    said = []
    if held:
        said.append(f"the lease is lost of {_listed(held)}, which {'was' if len(held) == 1 else 'were'} left alone")
    if gone:
        said.append(f"there is no message {_listed(gone)} in queue '{queue}'")
    if said:
        raise Ended(Code.CONFLICT if held else Code.NOTHING, "; ".join(said))


def _listed(ids: list[str]) -> str:
    return ", ".join(f"'{id}'" for id in ids)
