"""`leveret follow`: messages as they come. Takes nothing away from anybody."""

from __future__ import annotations

import click

from leveret.cli.client_options import Target, client_options, queue_argument
from leveret.cli.numbers import COUNT
from leveret.cli.output import excerpt, message_object, print_json, printable, write_body
from leveret.client import Message, Queue

_EXCERPT = 200  # characters of a body


@click.command
@queue_argument
@click.option("--after", metavar="MARKER", help="Begin after this marker, which --json shows.")
@click.option("--from-end", is_flag=True, help="Begin with the next message that comes.")
@click.option(
    "--visible",
    is_flag=True,
    help="Leave out, for good, what is hidden when its turn comes.",
)
@click.option("--limit", type=COUNT, metavar="N", help="End after so many.")
@click.option("--bodies", is_flag=True, help="Print the whole bodies, and nothing else; each ends its line.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each message, one a line.")
@client_options
def follow(
    target: Target,
    queue: str,
    after: str | None,
    from_end: bool,
    visible: bool,
    limit: int | None,
    bodies: bool,
    as_json: bool,
) -> None:
    """Print the messages of QUEUE, and then each that comes, until Ctrl-C.

    Nothing is taken: others see the same. It goes on by itself when the server was away.

    \b
    Examples:
      leveret follow log --from-end
      leveret follow log --bodies --after 60d5… | grep ERROR
    """
    if bodies and as_json:
        raise click.UsageError("--bodies and --json are both given; one of them is expected")
    if from_end and after is not None:
        raise click.UsageError("--after and --from-end are both given; one of them is expected")
    with target.queue(queue) as there:
        messages = there.follow(_end(there) if from_end else after, hidden=not visible)
        for count, message in enumerate(messages, 1):
            if as_json:
                print_json(message_object(message))
            elif bodies:
                write_body(message.body, line=True)
            else:
                click.echo(_line(message))
            if count == limit:
                return


def _end(queue: Queue) -> str | None:
    """The marker of the last message; None where there is none, and so everything is to come."""
    return next((message.marker for message in queue.messages(1, hidden=True, newest_first=True)), None)


def _line(message: Message) -> str:
    created = message.created.astimezone().isoformat(sep=" ", timespec="seconds")
    return f"{created}  {printable(message.id)}  {excerpt(message.body, _EXCERPT)}"
