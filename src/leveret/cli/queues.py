"""`leveret queues` and `leveret accounts`: what there is. Changes nothing."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from leveret.cli.client_options import Target, client_options
from leveret.cli.exits import Code, Ended
from leveret.cli.output import duration, print_json, print_table, printable, size
from leveret.client import Policy, QueueStats

COLUMNS = ["queue", "messages>", "visible>", "hidden>", "bytes>", "oldest>"]


@click.command
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each queue, one a line.")
@client_options
def queues(target: Target, as_json: bool) -> None:
    """List the queues of the account that have messages, with their counts.

    Exits with 3 where there are none.

    \b
    Examples:
      leveret queues
      leveret queues --account acme --json | jq -r .id
    """
    with target.client() as client:
        found = client.queue_stats(target.account)
    if not found:
        raise Ended(Code.NOTHING, f"account '{target.account}' has no queues")
    if as_json:
        for queue in found:
            print_json(stats_object(queue))
        return
    print_table(
        [*COLUMNS, "dropped>", "policy"],
        ((*counts(queue), _dropped(queue), _policy(queue)) for queue in found),
        elastic="policy",
    )


@click.command
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each account, one a line.")
@client_options
def accounts(target: Target, as_json: bool) -> None:
    """List the accounts that have messages, a name a line.

    Exits with 3 where there are none.

    \b
    Example:
      leveret accounts
    """
    empty = True
    with target.client() as client:
        for name in client.accounts():
            empty = False
            if as_json:
                print_json({"id": name})
            else:
                click.echo(name)
    if empty:
        raise Ended(Code.NOTHING, "there are no accounts")


def policy_object(policy: Policy) -> dict[str, Any]:
    """What is set of a policy."""
    return {name: value for name, value in asdict(policy).items() if value is not None}


def stats_object(queue: QueueStats) -> dict[str, Any]:
    """A queue in JSON, as the API has it."""
    return {
        "id": queue.name,
        "messages": queue.messages,
        "visible": queue.visible,
        "hidden": queue.hidden,
        "bytes": queue.bytes,
        "oldest": queue.oldest,
        "policy": policy_object(queue.policy),
        "dropped": queue.dropped,
    }


def counts(queue: QueueStats) -> tuple[str, ...]:
    """The cells below `COLUMNS`."""
    return (
        printable(queue.name),
        f"{queue.messages:,}",
        f"{queue.visible:,}",
        f"{queue.hidden:,}",
        size(queue.bytes),
        "" if queue.oldest is None else duration(queue.oldest),
    )


def _dropped(queue: QueueStats) -> str:
    return f"{queue.dropped:,}" if queue.dropped else ""


def _policy(queue: QueueStats) -> str:
    return " ".join(f"{name}={value}" for name, value in policy_object(queue.policy).items())
