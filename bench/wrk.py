"""Runs wrk, and reads what it says. Knows no server."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

# One line of JSON at the end, in place of what wrk prints for people.
_DONE = """
done = function(summary, latency, requests)
  local failed = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  io.write(string.format('\\n{"requests":%d,"micros":%d,"failed":%d,"refused":%d,"p50":%f,"p99":%f}\\n',
    summary.requests, summary.duration, failed, summary.errors.status,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
"""


class NoWrk(Exception):
    """wrk is not installed."""


@dataclass(frozen=True)
class Load:
    """What a load did to a server."""

    requests: int
    rate: float  # requests per second
    p50: float  # milliseconds
    p99: float  # milliseconds
    refused: int  # answers other than 2xx and 3xx
    failed: int  # requests without an answer
    seconds: float
    cpu: float  # seconds of processor time that wrk itself took


def find() -> str:
    """Where wrk is; `NoWrk` where it isn't."""
    wrk = shutil.which("wrk")
    if wrk is None:
        raise NoWrk("wrk is not installed; on Debian: apt-get install wrk")
    return wrk


def run(url: str, seconds: int, connections: int, script: str = "", cpu: int | None = None) -> Load:
    """Load `url` for so many seconds; `script` is Lua that makes the requests; `cpu` is where wrk is pinned to."""
    wrk = find()
    pin = ["taskset", "-c", str(cpu)] if cpu is not None and shutil.which("taskset") else []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requests.lua"
        file.write_text(script + _DONE)
        command = [*pin, wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(file), url]
        before = _children()
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        taken = _children() - before
    said = json.loads(output.strip().splitlines()[-1])
    return Load(
        requests=said["requests"],
        rate=said["requests"] / (said["micros"] / 1e6),
        p50=said["p50"],
        p99=said["p99"],
        refused=said["refused"],
        failed=said["failed"],
        seconds=said["micros"] / 1e6,
        cpu=taken,
    )


def _children() -> float:
    """Processor seconds of the processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
