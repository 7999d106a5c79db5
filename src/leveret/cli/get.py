"""`leveret get`: a message, or a look at a queue. Changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from leveret.cli.client_options import Target, client_options, queue_argument
from leveret.cli.exits import Code, Ended
from leveret.cli.numbers import whole
from leveret.cli.output import (
    age_of,
    duration,
    excerpt,
    message_object,
    print_json,
    print_table,
    printable,
    ttl_of,
    write_body,
)
from leveret.client import Message


@click.command
@queue_argument
@click.argument("id", required=False)
@click.option("--limit", type=whole(0), default=100, metavar="N", help="List so many, 100 by default; 0: all.")
@click.option("--after", metavar="MARKER", help="List what comes after this marker, which --json shows.")
@click.option("--hidden", is_flag=True, help="List hidden messages, too.")
@click.option("--newest-first", is_flag=True, help="List from the end.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each message, one a line.")
@client_options
def get(
    target: Target,
    queue: str,
    id: str | None,
    limit: int,
    after: str | None,
    hidden: bool,
    newest_first: bool,
    as_json: bool,
) -> None:
    """Print the body of message ID, byte for byte; without ID, list the messages of QUEUE.

    Exits with 3 where there is no such message, or none at all.

    \b
    Examples:
      leveret get jobs 42 > cat.jpg
      leveret get jobs --newest-first --limit 5
      leveret get jobs --json --limit 0 | jq .headers
    """
    with target.queue(queue) as there:
        if id is not None:
            message = there.get(id)
            if message is None:
                raise Ended(Code.NOTHING, f"there is no message '{id}' in queue '{queue}'")
            if as_json:
                print_json(message_object(message))
            else:
                write_body(message.body)
            return
        found = there.messages(limit or None, after=after, hidden=hidden, newest_first=newest_first)
        if as_json:
            empty = True
            for message in found:
                print_json(message_object(message))
                empty = False
        else:
            messages = list(found)
            empty = not messages
            if messages:
                _print(messages)
                _say_more(messages, limit)
        if empty:
            what = "message" if hidden else "visible message"
            raise Ended(Code.NOTHING, f"there is no {what}{' there' if after else ''} in queue '{queue}'")


def _print(messages: list[Message]) -> None:
    now = datetime.now(UTC)
    print_table(
        ["id", "age>", "ttl>", "hide>", "deliveries>", "body"],
        (
            (
                printable(message.id),
                age_of(message, now),
                ttl_of(message),
                duration(message.hide) if message.hide else "",
                str(message.deliveries),
                excerpt(message.body),
            )
            for message in messages
        ),
        elastic="body",
    )


def _say_more(messages: list[Message], limit: int) -> None:
    """Where the list was cut off, how to go on. To people only: it is not a part of the list."""
    if len(messages) == limit:
        click.echo(f"first {limit}; --after {messages[-1].marker} goes on, --limit 0 lists all", err=True)
