"""`python -m bench.inprocess put`: one workload, for a profiler to look at."""

from __future__ import annotations

import argparse
import json
import sys
from itertools import count

from bench.inprocess.feeding import Unanswered, cpu, feed, rate
from bench.inprocess.requests import WORKLOADS, Place
from bench.inprocess.serving import serving
from leveret.store.sqlite.store import shard_of
from scalestack.config import ConfigError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.inprocess", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("--requests", type=int, default=100_000, help="of each thread")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--connections", type=int, default=0, help="of each thread; 16, with SQLite 256")
    parser.add_argument("--shared", action="store_true", help="all threads use one queue; else each has its account")
    parser.add_argument("--store", choices=("memory", "sqlite"), default="memory")
    parser.add_argument("--set", action="append", default=[], help="a setting for the server, as in 'leveret serve'")
    parser.add_argument("--json", action="store_true", help="print what was measured for a program")
    given = parser.parse_args()
    if min(given.requests, given.threads) < 1 or given.connections < 0:
        parser.error("--requests, --threads and --connections are positive numbers")
    if any("=" not in each for each in given.set):
        parser.error("--set takes section.key=value")
    settings = dict(each.split("=", 1) for each in given.set)
    pending = given.store == "sqlite"
    connections = given.connections or (256 if pending else 16)
    names = [account_in(0, 1)] * given.threads if given.shared else accounts(given.threads)
    places = [Place(name, "queue", f"{number}-") for number, name in enumerate(names)]
    try:
        with serving(given.store, given.threads, settings) as server:
            fed = feed(server, WORKLOADS[given.workload], places, given.requests, connections, pending)
    except ConfigError as error:
        parser.error(str(error))
    except Unanswered as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    if given.json:
        print(json.dumps({"rate": rate(fed), "cpu": cpu(fed)}))
    else:
        print(
            f"{given.workload}: {rate(fed):,.0f} requests/s with {given.threads} threads; {cpu(fed) * 1e6:.1f} µs each"
        )
    return 0


def accounts(number: int) -> list[str]:
    """So many accounts; where there are as many shards, each account is in another."""
    return [account_in(shard, number) for shard in range(number)]


def account_in(shard: int, shards: int) -> str:
    """An account that is in this one of so many shards."""
    return next(name for name in map("account-{}".format, count()) if shard_of(name, shards) == shard)


if __name__ == "__main__":
    sys.exit(main())
