"""`leveret policy`: the rules of a queue, to read and to change."""

from __future__ import annotations

from typing import Any, Final

import click

from leveret.cli.client_options import Target, client_options, queue_argument
from leveret.cli.numbers import NONE, whole_or_none
from leveret.cli.output import print_json, print_table
from leveret.cli.queues import policy_object
from leveret.model import MAX_SECONDS

_SECONDS: Final = whole_or_none(0, MAX_SECONDS)
_COUNT: Final = whole_or_none(1)


@click.command
@queue_argument
@click.option("--default-ttl", type=_SECONDS, metavar="N|none", help="How long messages live; 0 is for ever.")
@click.option("--default-hide", type=_SECONDS, metavar="N|none", help="How long until messages are visible.")
@click.option("--max-deliveries", type=_COUNT, metavar="N|none", help="How often a message is handed out.")
@click.option("--dead-letter", metavar="QUEUE|none", help="Where it goes then; it is dropped, if not given.")
@click.option("--max-messages", type=_COUNT, metavar="N|none", help="How many messages the queue holds.")
@click.option("--max-bytes", type=_COUNT, metavar="N|none", help="How many bytes of bodies the queue holds.")
@click.option("--remove", is_flag=True, help="Remove the whole policy.")
@click.option("--json", "as_json", is_flag=True, help="Print what is set, as a JSON object.")
@client_options
def policy(target: Target, queue: str, remove: bool, as_json: bool, **members: Any) -> None:
    """Change the policy of QUEUE, where an option says so, and print the one that is in force.

    A policy lasts though its queue is empty. "none" removes one of its rules.

    \b
    Examples:
      leveret policy jobs
      leveret policy jobs --max-deliveries 5 --dead-letter jobs-failed
      leveret policy jobs --default-ttl none
    """
    given = {name: None if value == NONE else value for name, value in members.items() if value is not None}
    if remove and given:
        raise click.UsageError("--remove removes the whole policy; no other option is expected beside it")
    with target.queue(queue) as there:
        if remove:
            there.remove_policy()
        found = there.set_policy(**given) if given else there.policy()
    if as_json:
        print_json(policy_object(found))
        return
    print_table(["rule", "value"], ((name, str(policy_object(found).get(name, "not set"))) for name in members))
