"""`leveret stats`: how queues grow and shrink, as top shows processes. Changes nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.live import Live

from leveret.cli.client_options import Target, client_options, queues_argument
from leveret.cli.numbers import number
from leveret.cli.output import make_table, print_json, print_table
from leveret.cli.queues import COLUMNS, counts, stats_object
from leveret.client import Client, Policy, QueueStats

_RATES = ["messages/s>", "bytes/s>"]


@dataclass(frozen=True)
class Sample:
    """All queues at one moment, and how fast each grew since the moment before."""

    at: float  # monotonic seconds
    queues: Sequence[QueueStats]
    rates: dict[str, tuple[float, float]]  # queue -> messages and bytes per second; empty for the first sample

    def rows(self) -> Iterator[tuple[str, ...]]:
        for queue in self.queues:
            yield (*counts(queue), *(f"{rate:+,.0f}" if rate else "" for rate in self.rates.get(queue.name, (0, 0))))

    def object(self, now: datetime) -> dict[str, Any]:
        found = []
        for queue in self.queues:
            entry = stats_object(queue)
            if queue.name in self.rates:
                entry["messages_per_second"], entry["bytes_per_second"] = self.rates[queue.name]
            found.append(entry)
        return {"time": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"), "queues": found}


def take(client: Client, account: str, names: Sequence[str], before: Sample | None, now: float) -> Sample:
    """What the service says now. A queue that was named or seen is shown though it is empty."""
    found = {queue.name: queue for queue in client.queue_stats(account, list(names) or None)}
    seen = [queue.name for queue in before.queues] if before is not None else []
    for name in [*names, *seen]:
        found.setdefault(name, QueueStats(name, 0, 0, 0, 0, None, Policy(), 0))
    rates = {}
    if before is not None and now > before.at:
        earlier = {queue.name: (queue.messages, queue.bytes) for queue in before.queues}
        for name, queue in found.items():
            messages, size = earlier.get(name, (0, 0))
            passed = now - before.at
            rates[name] = ((queue.messages - messages) / passed, (queue.bytes - size) / passed)
    return Sample(now, [found[name] for name in sorted(found)], rates)


def samples(
    client: Client,
    account: str,
    names: Sequence[str],
    interval: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> Iterator[Sample]:
    """One now, and then one each interval."""
    sample = take(client, account, names, None, clock())
    while True:
        yield sample
        sleep(max(0.0, sample.at + interval - clock()))
        sample = take(client, account, names, sample, clock())


@click.command
@queues_argument
@click.option("--once", is_flag=True, help="Print it once, and end.")
@click.option("--interval", type=number(0.1), default=2.0, metavar="SECONDS", help="How often; 2 by default.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object each time, one a line.")
@client_options
def stats(target: Target, queues: tuple[str, ...], once: bool, interval: float, as_json: bool) -> None:
    """Watch the counts of the account's queues, or of each QUEUE, until Ctrl-C.

    messages/s and bytes/s say how fast a queue grows, or shrinks where they are negative.

    \b
    Examples:
      leveret stats
      leveret stats jobs mails --interval 10
      leveret stats --once --json | jq '.queues[].messages'
    """
    with target.client() as client:
        found = samples(client, target.account, queues, interval)
        if once or as_json or not sys.stdout.isatty():
            for sample in found:
                if as_json:
                    print_json(sample.object(datetime.now(UTC)))
                else:
                    print_table([*COLUMNS, *([] if once else _RATES)], _cut(sample, once))
                if once:
                    return
                sys.stdout.flush()
        with Live(console=Console(), auto_refresh=False, screen=True) as live:
            for sample in found:
                live.update(make_table([*COLUMNS, *_RATES], sample.rows()), refresh=True)


def _cut(sample: Sample, once: bool) -> Iterator[tuple[str, ...]]:
    for row in sample.rows():
        yield row[: len(COLUMNS)] if once else row
