"""`leveret extend` and `leveret release`: what the holder of a receipt may do beside deleting the message."""

from __future__ import annotations

import click

from leveret.cli.client_options import Target, client_options, queue_argument
from leveret.cli.exits import Code, Ended
from leveret.cli.numbers import LEASE, SECONDS
from leveret.cli.output import message_object, print_json
from leveret.client import Message


@click.command
@queue_argument
@click.argument("id")
@click.option("--receipt", required=True, metavar="RECEIPT", help="Of the claim.")
@click.option("--seconds", type=LEASE, default=60, metavar="N", help="For how long, from now on; 60 by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the message as a JSON object.")
@client_options
def extend(target: Target, queue: str, id: str, receipt: str, seconds: int, as_json: bool) -> None:
    """Keep a claimed message of QUEUE for longer: its lease ends so many seconds from now.

    The receipt stays good. Exits with 3 where the message is gone, and with 5 where its lease is lost.

    \b
    Example:
      leveret extend jobs 42 --receipt 6a1f… --seconds 300
    """
    with target.queue(queue) as there:
        _answer(there.extend(id, seconds, receipt), queue, id, as_json)


@click.command
@queue_argument
@click.argument("id")
@click.option("--receipt", required=True, metavar="RECEIPT", help="Of the claim.")
@click.option("--seconds", type=SECONDS, default=0, metavar="N", help="Only after so many seconds; at once by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the message as a JSON object.")
@client_options
def release(target: Target, queue: str, id: str, receipt: str, seconds: int, as_json: bool) -> None:
    """Give a claimed message of QUEUE back, in its old place, for others to take.

    Exits with 3 where the message is gone, and with 5 where its lease is lost.

    \b
    Example:
      leveret release jobs 42 --receipt 6a1f… --seconds 30
    """
    with target.queue(queue) as there:
        _answer(there.change(id, hide=seconds, receipt=receipt), queue, id, as_json)


def _answer(message: Message | None, queue: str, id: str, as_json: bool) -> None:
    if message is None:
        raise Ended(Code.NOTHING, f"there is no message '{id}' in queue '{queue}'")
    if as_json:
        print_json(message_object(message))
