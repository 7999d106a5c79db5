"""Messages per second by single PUTs and by PUTs of many, over the same connections, durable, in one run."""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from bench import servers, wrk

BODY = 100  # bytes
MANY = 100  # messages in a request
SERVER_CPU, LOAD_CPU = servers.CORES

_SINGLE = """
local n = 0
local body = string.rep("x", %d)
request = function()
  n = n + 1
  return wrk.format("PUT", wrk.path .. "/" .. n, nil, body)
end
"""
_MANY = """
local n = 0
local rest = '","body":"' .. string.rep("x", %d) .. '"}'
local headers = {["Content-Type"] = "application/json"}
request = function()
  local parts = {}
  for i = 1, %d do
    n = n + 1
    parts[i] = '{"id":"' .. string.format("%%030d", n) .. rest
  end
  return wrk.format("PUT", nil, headers, '{"messages":[' .. table.concat(parts, ",") .. ']}')
end
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.publish", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=64)
    given = parser.parse_args()
    ratios: list[float] = []
    singles: list[float] = []
    many: list[float] = []
    try:
        for _ in range(given.rounds):
            # Beside the repository: the folder for temporary files may be on no disk.
            with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
                arguments = servers.leveret("--store", f"sqlite:///{folder}/queue.db", "--set", "event.threads=1")
                with servers.running(arguments, SERVER_CPU) as server:
                    load = (given.seconds, given.connections)
                    one = wrk.run(f"{server.url}/v1.1/a/single", *load, _SINGLE % BODY, LOAD_CPU)
                    hundred = wrk.run(f"{server.url}/v1.1/a/many", *load, _MANY % (BODY, MANY), LOAD_CPU)
            if one.refused or one.failed or hundred.refused or hundred.failed:
                print("bench: requests failed", file=sys.stderr)
                return 1
            singles.append(one.rate)
            many.append(hundred.rate * MANY)
            ratios.append(many[-1] / singles[-1])
    except wrk.NoWrk as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    print(f"{given.connections} connections, durable, bodies of {BODY} bytes; medians of {given.rounds} rounds")
    print(f"single PUTs: {statistics.median(singles):,.0f} messages/s; {MANY} in a PUT: {statistics.median(many):,.0f}")
    print(f"ratio: {statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
