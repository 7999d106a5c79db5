"""Millions of operations on accounts, queues and keys that come and go: memory, descriptors, threads and files stay."""

from __future__ import annotations

import os
import statistics
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from bench import processes
from support import churn
from support.churn import Churn
from support.figures import show
from support.process import leveret
from support.web import eventually

pytestmark = pytest.mark.alone

OPERATIONS: Final = int(os.environ.get("LEVERET_LEAK_OPERATIONS", "200000"))
WHOLE: Final = OPERATIONS >= 5_000_000  # the long form, in which each name is new
# What is remembered by name is bounded, and takes a million operations to fill: the short form uses few names again and
# again, and finds what leaks with each operation, connection and key.
NAMES: Final = OPERATIONS if WHOLE else 64
# Of the memory, from the second quarter to the last. In the short form, 10 bytes lost with each operation are 8 %.
SLOPE: Final = 0.01 if WHOLE else 0.08
# Operations before the first quarter begins: in the long form, until all that is remembered by name, up to so many
# names, was forgotten and learned anew.
WARM_UP: Final = 14_000_000 if WHOLE else 150_000
SAMPLES: Final = 64
LARGEST: Final = 16 << 20  # bytes of a file of the database, as it is empty in the end
# Python's own allocator takes a megabyte at a time, and gives it back once all of it is free: that is 5 % up and down
# by chance, in which 1 % can't be seen. That of the system is finer.
ALLOCATOR: Final = {"PYTHONMALLOC": "malloc", "MALLOC_ARENA_MAX": "1", "MALLOC_TRIM_THRESHOLD_": "131072"}
SETTINGS: Final = ("log.level=error", "sqlite.durability=off", "server.modules=metrics")


@pytest.mark.parametrize("store", ["memory", "sqlite"])
@pytest.mark.timeout(120 + (WARM_UP + OPERATIONS) // 4_000)
def test_memory_descriptors_threads_and_files_do_not_grow(
    tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ALLOCATOR.items():
        monkeypatch.setenv(name, value)
    url = "memory://" if store == "memory" else f"sqlite:///{tmp_path}/queue.db"
    words = [word for each in SETTINGS for word in ("--set", each)]
    with leveret("--store", url, "--data", str(tmp_path), "--auth", "keys", *words) as server:
        pid = server.popen.pid
        with closing(Churn(server.port, tmp_path, NAMES)) as driver:
            driver.run(WARM_UP)
            driver.connections()  # what is loaded when the metrics are first asked for is no leak
            memory = []
            for sample in range(1, SAMPLES + 1):
                driver.run(WARM_UP + OPERATIONS * sample // SAMPLES)
                memory.append(churn.memory(pid))
                if sample == SAMPLES // 4:
                    eventually(lambda: driver.connections() == driver.pipes)
                    descriptors, threads = processes.open_files(pid), churn.threads(pid)
            eventually(lambda: driver.connections() == driver.pipes)
            assert driver.parked() == 0, "polls of clients that are gone are still parked"
            eventually(lambda: processes.open_files(pid) <= descriptors)
            assert churn.threads(pid) <= threads
            quarter = SAMPLES // 4
            second, last = statistics.median(memory[quarter : 2 * quarter]), statistics.median(memory[-quarter:])
            slope = last / second - 1
            assert slope < SLOPE, f"memory, in KiB: {[each >> 10 for each in memory]}"
            files = {path.name: path.stat().st_size for path in tmp_path.glob("queue.db*")}
            files.pop("queue.db-reserve", None)  # it is as large as it is from the beginning
            assert all(size < LARGEST for size in files.values()), files
    what = ", ".join([f"{count:,} {name}" for name, count in driver.counts.items()])
    show(
        "leak",
        f"{store}: {driver.operations:,} operations ({what}): memory {100 * slope:+.2f} % from the second quarter "
        f"({second / (1 << 20):.1f} MiB) to the last; no more descriptors or threads",
    )
