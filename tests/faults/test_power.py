"""The power goes under load: `full` loses nothing acknowledged, and `normal` no more than the last of it.

`LEVERET_POWER_CYCLES` says how often. That `off` loses something is among the controls, in test_controls.py.
"""

from __future__ import annotations

import os
import random
from contextlib import AbstractContextManager, closing

import pytest

from faults.checker import Report, check
from faults.harm import Trial
from support import figures
from support.draining import listed, take_out
from support.load import QUEUES
from support.loopdevice import LoopDevice
from support.process import Process, leveret
from support.web import Client

CYCLES = int(os.environ.get("LEVERET_POWER_CYCLES", "12"))
CYCLES_OF_NORMAL = max(3, CYCLES // 10)
PUTS = 700  # acknowledged, at most, until the power goes
DRAINED = 2  # queues in each cycle: the others live on


def serving(device: LoopDevice, durability: str) -> AbstractContextManager[Process]:
    return leveret("--store", f"sqlite:///{device.path}/queue.db", "--set", f"sqlite.durability={durability}")


@pytest.mark.timeout(60 + 6 * CYCLES)
def test_full_loses_nothing_acknowledged(device: LoopDevice) -> None:
    trial = Trial()
    for cycle in range(CYCLES):
        with serving(device, "full") as server:
            trial.drain(server, random.sample(QUEUES, DRAINED)).assert_whole(f"after loss of power {cycle}")
            trial.lose_power(server, device, random.randint(1, PUTS), notices=cycle % 2 == 1)
    with serving(device, "full") as server:
        trial.drain(server).assert_whole(f"after loss of power {CYCLES}")
    figures.show("power", f"`full`: {CYCLES:,} losses of power, {trial.report.summary}")


@pytest.mark.timeout(60 + 6 * CYCLES_OF_NORMAL)
def test_normal_keeps_all_up_to_some_moment(device: LoopDevice) -> None:
    reports = Report()
    lost = 0
    for cycle in range(CYCLES_OF_NORMAL):
        for old in device.path.glob("queue.db*"):
            old.unlink()
        trial = Trial()
        with serving(device, "normal") as server:
            device.sync()  # the empty database is there; what may be lost is what is put into it
            trial.lose_power(server, device, random.randint(1, PUTS))
        with serving(device, "normal") as server, closing(Client(server.port)) as client:
            for queue in sorted({*trial.history.queues(), *listed(client)}):
                take_out(trial.history, client, queue)
        report = check(trial.history, may_lose_the_last=True)
        report.assert_whole(f"after loss of power {cycle}")
        reports.add(report)
        lost += len(check(trial.history).lost)
    figures.show(
        "power",
        f"`normal`: {CYCLES_OF_NORMAL:,} losses of power, {lost:,} of {reports.puts:,} acknowledged PUTs lost, "
        f"always the last ones; else {reports.summary.partition(': ')[2]}",
    )
