"""How long `leveret serve` takes from the start of its process to its first answer, and what it imports on the way.

With bytecode, as an installation has it, and without, as where none may be written. The clock starts before the process
does, and stops when a client that tries the port all the time has the answer to a PUT, which with SQLite is synced.
"""

from __future__ import annotations

import compileall
import http.client
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from bench import processes, record, servers
from bench.options import Options, count, end_with

SOURCE: Final = Path(__file__).parent.parent / "src"
PATIENCE: Final = 20.0  # seconds that a server has to answer
_PAUSE: Final = 0.0005  # seconds between two tries of the port
_IMPORT: Final = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)")

SERVER_CPU, LOAD_CPU = servers.CORES


@dataclass(frozen=True)
class Kind:
    """What is started."""

    store: str  # memory, new file, existing file
    compiled: bool  # bytecode is there

    @property
    def name(self) -> str:
        return f"{self.store}, {'bytecode' if self.compiled else 'no bytecode'}"


@dataclass(frozen=True)
class Start:
    """One start, in seconds."""

    answered: float  # from before the process's start to the whole answer
    cpu: float  # of the server's processor time, until then


class Starter:
    """Starts servers, from a copy of the sources with bytecode or from one without."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        for compiled in (True, False):
            copy = self._sources(compiled)
            shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("__pycache__"))
            if compiled:
                compileall.compile_dir(copy, quiet=1)

    def _sources(self, compiled: bool) -> Path:
        return self._folder / ("compiled" if compiled else "bare")

    def environment(self, compiled: bool) -> dict[str, str]:
        # Nothing is written in either case: what is compiled is so already.
        return {**os.environ, "PYTHONPATH": str(self._sources(compiled)), "PYTHONDONTWRITEBYTECODE": "1"}

    def url(self, store: str) -> str:
        if store == "memory":
            return "memory://"
        if store == "existing file":
            return f"sqlite:///{self._folder}/existing.db"
        self._count += 1
        return f"sqlite:///{self._folder}/new-{self._count}.db"

    def start(self, kind: Kind) -> Start:
        """Start a server, and end it when it has answered."""
        port = free_port()
        command = [sys.executable, "-m", "leveret", "serve", "--port", str(port), "--store", self.url(kind.store)]
        command += ["--set", "log.level=warning"]
        began = time.perf_counter()
        process = subprocess.Popen(
            [*command, "--data", str(self._folder / "data")],
            stdout=subprocess.DEVNULL,
            env=self.environment(kind.compiled),
        )
        try:
            if SERVER_CPU is not None:
                os.sched_setaffinity(process.pid, {SERVER_CPU})
            put(port, began + PATIENCE)
            took = time.perf_counter() - began
            cpu = processes.cpu_seconds(process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)
        return Start(took, cpu)

    def imports(self) -> Counter[str]:
        """Microseconds that each package takes by itself, of one server with SQLite and with bytecode."""
        code = "import leveret.cli.serve, leveret.store.sqlite"
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-c", code],
            env=self.environment(compiled=True),
            capture_output=True,
            text=True,
            check=True,
        )
        return by_package(done.stderr)


def by_package(said: str) -> Counter[str]:
    """What `python -X importtime` said, added up: microseconds by package."""
    spent: Counter[str] = Counter()
    for line in said.splitlines():
        found = _IMPORT.match(line)
        if found:
            spent[found[2].partition(".")[0]] += int(found[1])
    return spent


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def put(port: int, until: float) -> None:
    """PUT a message as soon as somebody listens."""
    while True:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        try:
            client.connect()
        except ConnectionRefusedError:
            if time.perf_counter() > until:
                raise
            time.sleep(_PAUSE)
            continue
        try:
            client.request("PUT", "/v1.1/account/queue/id", b"x" * 100)
            answer = client.getresponse()
            answer.read()
            if answer.status not in {200, 201, 204}:
                raise RuntimeError(f"the first PUT got {answer.status}")
            return
        finally:
            client.close()


KINDS: Final = tuple(Kind(store, done) for done in (True, False) for store in ("memory", "new file", "existing file"))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = Options("bench.start", __doc__)
    parser.add_argument("--rounds", type=count, default=20)
    given = parser.parse_args(arguments)
    if LOAD_CPU is not None:
        os.sched_setaffinity(0, {LOAD_CPU})
    found: dict[Kind, list[Start]] = {kind: [] for kind in KINDS}
    # Beside the repository: the folder for temporary files may be on no disk.
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        starter = Starter(Path(folder))
        for kind in KINDS:
            starter.start(kind)  # what is on the disk is in memory from here on
        for _ in range(given.rounds):
            for kind in KINDS:
                found[kind].append(starter.start(kind))
        imports = starter.imports()
    _print(found, imports, given.rounds)
    rounds = {kind.name: {"answered": [each.answered for each in all_], "cpu": [each.cpu for each in all_]}
              for kind, all_ in found.items()}  # fmt: skip
    figures = {"unit": "seconds", "rounds": rounds, "imports_microseconds": dict(imports.most_common(20))}
    record.keep("start", figures, given.rounds)
    return 0


def _print(found: dict[Kind, list[Start]], imports: Counter[str], rounds: int) -> None:
    table = Table("store", "", "first answer ms", "min to max", "CPU ms", box=SIMPLE)
    for kind, starts in found.items():
        took = [1000 * each.answered for each in starts]
        table.add_row(
            kind.store,
            "bytecode" if kind.compiled else "no bytecode",
            f"{statistics.median(took):.0f}",
            f"{min(took):.0f} to {max(took):.0f}",
            f"{1000 * statistics.median(each.cpu for each in starts):.0f}",
        )
    print(f"from the start of the process to the answer to its first PUT; medians of {rounds} rounds")
    Console(width=120).print(table)
    largest = ", ".join(f"{name} {spent / 1000:.1f}" for name, spent in imports.most_common(10))
    print(f"imports, ms by package, {sum(imports.values()) / 1000:.0f} in all: {largest}")


if __name__ == "__main__":
    end_with(main)
