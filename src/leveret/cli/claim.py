"""`leveret claim`: takes messages, and says how to give them back or have them gone."""

from __future__ import annotations

import shlex

import click

from leveret.cli.client_options import Target, client_options, queue_argument
from leveret.cli.exits import Code, Ended
from leveret.cli.numbers import COUNT, LEASE, SECONDS
from leveret.cli.output import message_object, print_json, write_body
from leveret.cli.transfer import BATCH
from leveret.client import Message


@click.command
@queue_argument
@click.option(
    "--seconds", type=LEASE, default=60, metavar="N", help="How long it is hidden from others; 60 by default."
)
@click.option("--wait", type=SECONDS, default=0, metavar="SECONDS", help="Wait so long for a message.")
@click.option("--limit", type=COUNT, default=1, metavar="N", help="Take up to so many.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each message, one a line.")
@client_options
def claim(target: Target, queue: str, seconds: int, wait: int, limit: int, as_json: bool) -> None:
    """Take the first message of QUEUE: nobody else sees it until its lease ends.

    Its body goes to standard output; how to delete it, to standard error. A message that is not deleted in time
    is there again, in its old place. Exits with 3 where there is no message.

    \b
    Examples:
      leveret claim jobs --seconds 300 --wait 20
      leveret claim jobs --json | jq -r '.id, .receipt'
    """
    with target.queue(queue) as there:
        left = limit
        # An answer holds so many messages at most, and fewer where they are large.
        while left and (
            claims := there.claim_many(min(left, BATCH), seconds, wait=wait if left == limit else 0, keep=False)
        ):
            left -= len(claims)
            for claim in claims:
                if as_json:
                    print_json(message_object(claim.message))
                else:
                    write_body(claim.message.body, line=limit > 1)
                    click.echo(_how_to_go_on(target, queue, claim.message, seconds), err=True)
    if left == limit:
        raise Ended(Code.NOTHING, f"there is no message to claim in queue '{queue}'")


def _how_to_go_on(target: Target, queue: str, message: Message, seconds: int) -> str:
    words = ["leveret", "delete", *target.options, queue, message.id, "--receipt", message.receipt or ""]
    return f"claimed '{message.id}' for {seconds} s; when it is done: {shlex.join(words)}"
