"""`make bench-peers`: Leveret beside what a user would pick instead, in one run.

What is not installed is left out, with a line that says how to get it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import record, servers
from bench.options import Options, count, end_with
from bench.peers import disk, kinds, plot, report, syncs
from bench.peers.load import Load, LoadFailed, Pressure
from bench.peers.peer import Peer
from bench.peers.processes import NotReady, Server
from bench.peers.talks import BODY, Unexpected

SERVER_CPU, LOAD_CPU = servers.CORES
RESULTS = record.RESULTS / "peers.json"
DOCUMENT = Path("docs/performance.md")
PLOT = Path("docs/assets/peers.svg")


class Bench:
    """Rounds of all peers, and what came of them."""

    def __init__(self, peers: Sequence[Peer], rounds: int, pressure: Pressure) -> None:
        self._pressure = pressure
        self._present = [peer for peer in peers if not peer.missing()]
        if not self._present:
            raise ValueError(f"nothing is there to be measured; to have {peers[0].name}: {peers[0].missing()}")
        self.raw: dict[str, Any] = {
            "rounds": rounds,
            "seconds": pressure.seconds,
            "connections": pressure.connections,
            "body": len(BODY),
            "peers": {peer.name: _described(peer) for peer in peers},
            "disk": {"sync_ms": []},
            "syncs": {},
            "measured": [],
            "failures": [],
        }

    def run(self) -> None:
        if not syncs.missing():
            for peer in self._present:
                self._attempt(0, peer, self._count)
        for number in range(self.raw["rounds"]):
            with _folder() as folder:
                self.raw["disk"]["file_system"] = disk.file_system(Path(folder))
                self.raw["disk"]["sync_ms"].append(disk.sync_ms(Path(folder)))
            # Each is the first once in a while, and so has its turn on a disk that is at rest.
            at = number * max(1, len(self._present) // self.raw["rounds"]) % len(self._present)
            for peer in self._present[at:] + self._present[:at]:
                self._attempt(number + 1, peer, self._measure)

    def _attempt(self, number: int, peer: Peer, work: Callable[[int, Peer, Server, Path], None]) -> None:
        """One that fails doesn't take the minutes of the others with it."""
        print(f"round {number}: {peer.name}", file=sys.stderr)
        try:
            with _folder() as folder, peer.running(Path(folder), SERVER_CPU) as server:
                work(number, peer, server, Path(folder))
        except (NotReady, LoadFailed, Unexpected, OSError, subprocess.SubprocessError) as error:
            print(f"round {number}: {peer.name}: {error}", file=sys.stderr)
            self.raw["failures"].append({"round": number, "peer": peer.name, "error": str(error)})

    def _count(self, number: int, peer: Peer, server: Server, folder: Path) -> None:
        pressure = Pressure(1, self._pressure.connections, LOAD_CPU)
        self.raw["syncs"][peer.name] = syncs.count(peer, server, pressure, folder)

    def _measure(self, number: int, peer: Peer, server: Server, folder: Path) -> None:
        self._workload(number, peer, server, "publish")
        peer.publish(server, self._pressure)  # taking may be faster than publishing
        self._workload(number, peer, server, "consume")
        if peer.pops:
            peer.publish(server, self._pressure)
            self._workload(number, peer, server, "pop")

    def _workload(self, number: int, peer: Peer, server: Server, workload: str) -> None:
        before = server.cpu_seconds()
        found: Load = getattr(peer, workload)(server, self._pressure)
        used = round(server.cpu_seconds() - before, 3)
        run = {"round": number, "peer": peer.name, "workload": workload, **asdict(found), "server_cpu": used}
        self.raw["measured"].append(run)


def _folder() -> tempfile.TemporaryDirectory[str]:
    # Beside the repository: the folder for temporary files may be on no disk.
    return tempfile.TemporaryDirectory(dir=Path.cwd(), ignore_cleanup_errors=True)


def _described(peer: Peer) -> dict[str, str]:
    absent = peer.missing()
    told = {"missing": absent} if absent else {"version": peer.version()}
    return {"title": peer.title, "level": peer.level, "means": peer.means, "takes": peer.takes, **told}


def _render(raw: report.Raw) -> None:
    PLOT.write_text(plot.svg(raw))
    text = report.section(raw, str(PLOT.relative_to(DOCUMENT.parent)))
    DOCUMENT.write_text(report.replaced(DOCUMENT.read_text(), text))


def main() -> int:
    parser = Options("bench.peers", __doc__)
    parser.add_argument("--rounds", type=count, default=5)
    parser.add_argument("--seconds", type=count, default=2, help="per workload and round")
    parser.add_argument("--connections", type=count, default=64)
    parser.add_argument("--only", default="", metavar="A,B", help="some of them, for a look: nothing is written then")
    parser.add_argument("--render", action="store_true", help="write table and plot again, without measuring")
    given = parser.parse_args()
    try:
        if given.render:
            _render(json.loads(RESULTS.read_text()))
            return 0
        bench = Bench(kinds.chosen(given.only), given.rounds, Pressure(given.seconds, given.connections, LOAD_CPU))
        bench.run()
    except KeyError as error:
        print(f"bench.peers: {RESULTS} has no {error}: measure again, without --render", file=sys.stderr)
        return 2
    except (OSError, ValueError) as error:
        print(f"bench.peers: {error}", file=sys.stderr)
        return 2
    if not given.only:
        record.write("peers", bench.raw)
        _render(json.loads(RESULTS.read_text()))
    print(report.published(bench.raw), report.taken(bench.raw), report.compared(bench.raw), sep="\n\n")
    for name, peer in bench.raw["peers"].items():
        if "missing" in peer:
            print(f"{name} was left out; to have it: {peer['missing']}", file=sys.stderr)
    if syncs.missing():
        print(f"syncs were not counted; to have them: {syncs.missing()}", file=sys.stderr)
    failed = sum(run["failed"] for run in bench.raw["measured"])
    if failed:
        print(f"{failed} requests failed", file=sys.stderr)
    return 1 if failed or bench.raw["failures"] else 0


if __name__ == "__main__":
    end_with(main)
