"""`leveret work`: a command for each message, as long as there are any, or a signal ends it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from typing import Any

import click

from leveret.cli.client_options import Target, client_options, queue_argument
from leveret.cli.exits import Code, Ended
from leveret.cli.guard import Guard
from leveret.cli.numbers import COUNT, LEASE, SECONDS, number
from leveret.cli.output import many, printable
from leveret.cli.workforce import Orders, Workforce


@click.command
@queue_argument
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
@click.option(
    "--concurrency", "-c", type=COUNT, default=1, metavar="N", help="How many commands at once; 1 by default."
)
@click.option("--seconds", type=LEASE, default=60, metavar="N", help="Of a lease, which is extended; 60 by default.")
@click.option("--timeout", type=number(0.001), metavar="SECONDS", help="End what takes longer.")
@click.option("--backoff", type=SECONDS, default=1, metavar="SECONDS", help="After the first failure; 1 by default.")
@click.option("--max-backoff", type=SECONDS, default=600, metavar="SECONDS", help="At most; 600 by default.")
@click.option("--until-empty", is_flag=True, help="End when there is nothing to claim, and nothing runs.")
@client_options
def work(target: Target, queue: str, command: tuple[str, ...], **options: Any) -> None:
    """Run COMMAND for each message of QUEUE, with its body on standard input.

    Where it exits with 0, the message is deleted. Else it is there again after a pause, which doubles with each
    failure, until the queue's policy (max-deliveries) sends it to the dead letters. While it runs, the lease is
    extended; where that is lost all the same, the command is ended.

    The command finds LEVERET_ID, LEVERET_QUEUE, LEVERET_ACCOUNT, LEVERET_SERVER, LEVERET_DELIVERIES and
    LEVERET_CONTENT_TYPE in its environment, and each header as LEVERET_HEADER_NAME. It finds LEVERET_KEY where that is
    the key that is used here; one from an option, a file or a profile is not passed on.

    SIGTERM and Ctrl-C let the commands end that are running; a second one ends them, and the exit code is 1. With
    --until-empty, what is hidden is left, and the exit code is 1 where the last attempt at a message failed.

    \b
    Examples:
      leveret work jobs -- ./resize.sh
      leveret work jobs --concurrency 8 --timeout 30 -- sh -c 'curl -sf --data-binary @- "$LEVERET_HEADER_URL"'
      leveret work jobs --until-empty -- cat
    """
    if shutil.which(command[0]) is None:
        raise Ended(Code.WRONG_USE, f"there is no command '{command[0]}' that can be run; nothing was claimed")
    orders = Orders(command, _environment(target, queue, os.environ), **options)
    ended = asyncio.run(_work(target, queue, orders))
    if ended.killed or (orders.until_empty and ended.failed):
        raise Ended(Code.FAILED, _sum(ended))
    click.echo(f"leveret: {_sum(ended)}", err=True)


def _environment(target: Target, queue: str, base: Mapping[str, str]) -> dict[str, str]:
    """What all commands are told. A key that was not given by the environment is nobody's but ours, and one that is for
    another server than this one must not be sent here by a command that finds both."""
    environ = dict(base)
    if environ.get("LEVERET_KEY") != target.key:
        environ.pop("LEVERET_KEY", None)
    if target.ca is not None:
        environ["LEVERET_CA"] = target.ca
    told = {"LEVERET_QUEUE": queue, "LEVERET_ACCOUNT": target.account, "LEVERET_SERVER": target.server}
    return {**environ, **told}


async def _work(target: Target, queue: str, orders: Orders) -> Workforce:
    # The guard is begun before the first command, and ends after the last.
    with Guard() as guard:
        return await _work_under(guard, target, queue, orders)


async def _work_under(guard: Guard, target: Target, queue: str, orders: Orders) -> Workforce:
    async with target.async_client() as client:
        workforce = Workforce(client.queue(target.account, queue), orders, say, guard=guard)
        loop = asyncio.get_running_loop()
        for number in _signals():
            loop.add_signal_handler(number, workforce.stop)
        try:
            await workforce.run()
        except OSError as error:
            raise Ended(Code.FAILED, f"'{orders.command[0]}' can't be run any more: {error.strerror}") from error
        return workforce


def say(line: str) -> None:
    """To people, on one line whatever a message's id is."""
    click.echo(f"leveret: {printable(line)}", err=True)


def _signals() -> Sequence[signal.Signals]:
    # Whoever started us with nohup wants us to go on.
    hangup = [signal.SIGHUP] if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN else []
    return [signal.SIGTERM, signal.SIGINT, *hangup]


def _sum(ended: Workforce) -> str:
    failed = f", {many(len(ended.failed), 'message')} failed" if ended.failed else ""
    killed = "; commands that were running were ended" if ended.killed else ""
    return f"{many(ended.done, 'message')} done{failed}{killed}"
