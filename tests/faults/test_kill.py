"""kill -9 under load, again and again on the same database: nothing acknowledged is lost.

`LEVERET_KILL_CYCLES` says how often; a thousand times see a million messages acknowledged.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from faults.harm import Trial
from support import figures
from support.load import QUEUES
from support.process import leveret

SHORT = 30
CYCLES = int(os.environ.get("LEVERET_KILL_CYCLES", SHORT))
PUTS = 2500 if CYCLES > SHORT else 700  # acknowledged, at most, until it is killed
DRAINED = 2  # queues in each cycle: the others live on


@pytest.mark.timeout(60 + 4 * CYCLES)
def test_nothing_acknowledged_is_lost_when_it_is_killed(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/queue.db"
    trial = Trial()
    for cycle in range(CYCLES):
        with leveret("--store", store) as server:
            trial.drain(server, random.sample(QUEUES, DRAINED)).assert_whole(f"after kill {cycle}")
            trial.kill(server, random.randint(1, PUTS))
    with leveret("--store", store) as server:
        trial.drain(server).assert_whole(f"after kill {CYCLES}")
    figures.show("kill", f"{CYCLES:,} kills, {trial.report.summary}")
