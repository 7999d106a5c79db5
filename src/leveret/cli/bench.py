"""`leveret bench`: what a server does under a load, for whoever has to choose one. Leaves nothing behind."""

from __future__ import annotations

import asyncio
import math
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Final

import click

from leveret.cli.client_options import Target, client_options
from leveret.cli.exits import Code, Ended
from leveret.cli.load import (
    Address,
    Exchange,
    Plan,
    Script,
    Tallies,
    Tally,
    Unreachable,
    both_script,
    claim_script,
    parse_address,
    purge_script,
    put_script,
)
from leveret.cli.numbers import COUNT, number, whole
from leveret.cli.output import many, print_json, print_table
from leveret.cli.profile import ACCOUNT
from leveret.client import Unauthorized
from leveret.client.key import insecure
from scalestack.event.makers import loop_maker

_PATIENCE: Final = 30.0  # seconds beyond the end for the last answers
_FILL_PATIENCE: Final = 600.0  # seconds
_FILLERS: Final = 4  # connections that put what is claimed later
_FILL: Final = 500  # messages in a request, where that many are small enough
_FILL_BYTES: Final = 2 << 20


@dataclass(frozen=True)
class Figures:
    """One operation, measured."""

    requests: int
    messages: int
    per_second: float  # messages
    p50_ms: float
    p99_ms: float
    max_ms: float
    errors: int


def figures(tally: Tally, elapsed: float) -> Figures:
    return Figures(
        requests=len(tally.seconds),
        messages=tally.messages,
        per_second=round(tally.messages / elapsed, 1) if elapsed else 0.0,
        p50_ms=round(tally.percentile(0.50) * 1000, 3),
        p99_ms=round(tally.percentile(0.99) * 1000, 3),
        max_ms=round(tally.percentile(1.0) * 1000, 3),
        errors=tally.errors.total(),
    )


@click.command
@click.option(
    "--clients", type=COUNT, default=16, metavar="N", help="Connections, each with one request under way; 16."
)
@click.option("--seconds", type=number(0.1), default=5.0, metavar="N", help="How long; 5 by default.")
@click.option("--size", type=whole(0), default=100, metavar="BYTES", help="Of each body; 100 by default.")
@click.option("--batch", type=whole(1, 1000), default=1, metavar="N", help="Messages in each request; 1.")
@click.option("--mix", type=click.Choice(["put", "claim", "both"]), default="both", help="What the clients do.")
@click.option(
    "--fill", type=COUNT, default=20_000, metavar="N", help="For the mix claim: so many are put before; 20000."
)
@click.option("--json", "as_json", is_flag=True, help="Print all figures as one JSON object.")
@client_options
def bench(
    target: Target, clients: int, seconds: float, size: int, batch: int, mix: str, fill: int, as_json: bool
) -> None:
    """Put a load on a server, and print how many messages it does in a second and how long they take.

    Each client puts a message, claims one and deletes it (the mix both), or puts only, or claims and deletes only what
    was put before. It works in an account of its own, or in one that is named, with a queue of its own, and deletes all
    that it put. Messages are stored as the server stores all: a durable one syncs its disk.

    A key has to allow to send and to receive: for all accounts, or for the one that is named.

    \b
    Examples:
      leveret bench
      leveret bench --clients 64 --seconds 30 --size 1000
      leveret bench --mix put --batch 100 --json
    """
    address = parse_address(target.server, target.key, target.ca)
    name = f"leveret-bench-{secrets.token_hex(4)}"
    if target.key is not None and not address.is_private:
        click.echo(f"leveret: {insecure(target.server)}", err=True)
    plan = Plan(address, name if target.account == ACCOUNT else target.account, name, size, batch)
    if address.is_here and not as_json:
        click.echo(
            f"the load takes its share of the {os.cpu_count()} cores of this machine, where the server is", err=True
        )
    tallies = Tallies()
    with asyncio.Runner(loop_factory=loop_maker("auto")) as runner:
        try:
            elapsed = runner.run(measure(plan, tallies, mix, clients, seconds, fill))
        except Unreachable as error:
            raise Ended(Code.UNREACHABLE, f"{target.server} can't be reached: {error}") from error
    found = {operation: figures(tally, elapsed) for operation, tally in tallies.items()}
    if as_json:
        setup = {"server": target.server, "mix": mix, "clients": clients, "size": size, "batch": batch}
        measured = {operation: asdict(row) for operation, row in found.items()}
        print_json({**setup, "seconds": round(elapsed, 3), "operations": measured})
    else:
        click.echo(
            f"{target.server}: {many(clients, 'client')}, {elapsed:.1f} s, bodies of {many(size, 'byte')}, "
            f"{many(batch, 'message')} a request"
        )
        _print(found)
    errors = [(count, what) for tally in tallies.values() for what, count in tally.errors.items()]
    for count, what in sorted(errors, reverse=True)[:5]:
        click.echo(f"leveret: {many(count, 'error')}: {what}", err=True)
    if not any(row.messages for row in found.values()):
        raise Ended(Code.FAILED, "nothing was done")


def _print(found: dict[str, Figures]) -> None:
    print_table(
        ["operation", "messages/s>", "messages>", "requests>", "p50 ms>", "p99 ms>", "max ms>", "errors>"],
        (
            (
                operation,
                f"{row.per_second:,.0f}",
                f"{row.messages:,}",
                f"{row.requests:,}",
                f"{row.p50_ms:.2f}",
                f"{row.p99_ms:.2f}",
                f"{row.max_ms:.2f}",
                f"{row.errors:,}",
            )
            for operation, row in found.items()
        ),
    )


async def measure(plan: Plan, tallies: Tallies, mix: str, clients: int, seconds: float, fill: int) -> float:
    """Run the load, and clean up, whatever happens; answers how many seconds it took."""
    clock = time.perf_counter
    await _ask_for_leave(plan)
    try:
        if mix == "claim":
            await _fill(plan, fill)
        start = clock()

        def going() -> bool:
            return clock() - start < seconds

        def script(client: int) -> Script:
            if mix == "put":
                return put_script(plan, tallies, str(client), going)
            if mix == "claim":
                return claim_script(plan, tallies, going)
            return both_script(plan, tallies, str(client), going)

        await run_clients(plan.address, clients, script, tallies, going, seconds + _PATIENCE)
        return clock() - start
    finally:
        await run_clients(plan.address, 1, lambda _: purge_script(plan), Tallies(), lambda: False, _PATIENCE)


async def _ask_for_leave(plan: Plan) -> None:
    """Do what is done at the end, of which there is nothing yet: a load of refusals would measure nothing."""
    tallies = Tallies()
    await run_clients(plan.address, 1, lambda _: purge_script(plan), tallies, lambda: False, _PATIENCE)
    for what in tallies["purge"].errors:
        if what.startswith("401 "):
            raise Unauthorized("unauthenticated", 401, what)
        if what.startswith("403 "):
            raise Ended(
                Code.REFUSED,
                f"the key doesn't allow to put, claim and delete in account '{plan.account}'; --account names another",
            )


async def _fill(plan: Plan, count: int) -> None:
    """Put what is claimed later, in large requests."""
    requests = math.ceil(count / max(1, min(_FILL, _FILL_BYTES // max(1, plan.size))))
    tallies = Tallies()
    large = replace(plan, batch=math.ceil(count / requests))
    numbers = iter(range(requests))

    def lacking() -> bool:
        """Asked before each request."""
        return not tallies["put"].errors and next(numbers, None) is not None

    await run_clients(
        plan.address,
        min(_FILLERS, requests),
        lambda client: put_script(large, tallies, f"fill{client}", lacking),
        tallies,
        lambda: False,
        _FILL_PATIENCE,
    )
    if tallies["put"].errors:
        raise Ended(Code.FAILED, f"nothing to claim could be put: {next(iter(tallies['put'].errors))}")


async def run_clients(
    address: Address,
    clients: int,
    script: Callable[[int], Script],
    tallies: Tallies,
    going: Callable[[], bool],
    patience: float,
) -> None:
    """Run a script on each of so many connections; one that breaks is made anew while it is going.

    `Unreachable` where not even the first could be made. After `patience` seconds, what has no answer is given up.
    """
    exchanges: dict[int, Exchange] = {}

    async def run(client: int) -> None:
        finished = False
        while not finished:
            exchanges[client] = exchange = await address.connect(lambda: Exchange(script(client), tallies))
            finished = await exchange.ended or not going()

    running = [asyncio.ensure_future(run(client)) for client in range(clients)]
    _, late = await asyncio.wait(running, timeout=patience)
    for exchange in exchanges.values():
        exchange.give_up()
    for task in late:
        task.cancel()
    ended = await asyncio.gather(*running, return_exceptions=True)
    unreachable = [error for error in ended if isinstance(error, Unreachable)]
    if unreachable:
        if not exchanges:
            raise unreachable[0]
        tallies["connect"].errors[str(unreachable[0])] += len(unreachable)
