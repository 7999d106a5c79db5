"""`leveret pop`: takes messages and deletes them at once."""

from __future__ import annotations

import click

from leveret.cli.client_options import Target, client_options, queue_argument
from leveret.cli.exits import Code, Ended
from leveret.cli.numbers import COUNT, SECONDS
from leveret.cli.output import message_object, print_json, write_body
from leveret.cli.transfer import BATCH


@click.command
@queue_argument
@click.option("--wait", type=SECONDS, default=0, metavar="SECONDS", help="Wait so long for a message.")
@click.option("--limit", type=COUNT, default=1, metavar="N", help="Take up to so many.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each message, one a line.")
@client_options
def pop(target: Target, queue: str, wait: int, limit: int, as_json: bool) -> None:
    """Take the first message of QUEUE, delete it, and print its body.

    What is printed is all that is left of it: `leveret claim` is for work that may fail. With --limit, each body
    ends its line. Exits with 3 where there is no message.

    \b
    Examples:
      leveret pop jobs --wait 20
      leveret pop jobs --limit 100 --json > taken.ndjson
    """
    with target.queue(queue) as there:
        left = limit
        while left and (messages := there.pop_many(min(left, BATCH), wait=wait if left == limit else 0)):
            left -= len(messages)
            for message in messages:
                if as_json:
                    print_json(message_object(message))
                else:
                    write_body(message.body, line=limit > 1)
    if left == limit:
        raise Ended(Code.NOTHING, f"there is no visible message in queue '{queue}'")
