"""The power goes under load: `full` loses nothing acknowledged, `normal` no more than the last, `off` anything."""

import os
import random
import signal
from contextlib import closing, contextmanager

import pytest

from support.ledger import Ledger, assert_whole, drain, read
from support.load import QUEUES, load
from support.loopdevice import LoopDevice, unavailable
from support.process import leveret
from support.web import Client

CYCLES = int(os.environ.get("LEVERET_POWER_CYCLES", "20"))
CYCLES_OF_NORMAL = max(3, CYCLES // 10)
TRIES_TO_LOSE = 5
ACKNOWLEDGEMENTS = 300  # at most, until the power goes
DRAINED = 2  # queues in each cycle, so that what is to be checked doesn't grow


@pytest.fixture
def device(tmp_path):
    if reason := unavailable():
        pytest.skip(reason)
    with LoopDevice(tmp_path, 64) as device:
        yield device


def serving(device, durability):
    return leveret("--store", f"sqlite:///{device.path}/queue.db", "--set", f"sqlite.durability={durability}")


@contextmanager
def a_database_that_lost_power(device, durability):
    """A new one, once it is restarted: its server, and the ledger of what was done."""
    for old in device.path.glob("queue.db*"):
        old.unlink()
    ledger = Ledger()
    with serving(device, durability) as server:
        device.sync()  # the empty database is there; what may be lost is what is put into it
        lose_power(device, server, ledger)
    device.remount()
    with serving(device, durability) as server:
        yield server, ledger


def lose_power(device, server, ledger, notices=False):
    """Cut off the device under a load. A server that `notices` lives on until it can't store something."""
    with load(ledger, server.port, random.randint(1, ACKNOWLEDGEMENTS)) as running:
        running.wait()
        with running.dying():
            device.cut()
        if notices:
            running.wait_for_failure()
        server.signal(signal.SIGKILL)
    server.wait()


def look(server, ledger, examine, *more):
    with closing(Client(server.port)) as client:
        return examine(ledger, client, *more)


@pytest.mark.timeout(60 + 4 * CYCLES)
def test_full_loses_nothing_acknowledged(device):
    ledger = Ledger()
    for cycle in range(CYCLES):
        with serving(device, "full") as server:
            look(server, ledger, assert_whole, f"after loss of power {cycle}")
            for queue in random.sample(QUEUES, DRAINED):
                look(server, ledger, drain, queue)
            lose_power(device, server, ledger, notices=cycle % 2 == 1)
        device.remount()
    with serving(device, "full") as server:
        look(server, ledger, assert_whole, f"after loss of power {CYCLES}")


@pytest.mark.timeout(60 + 4 * CYCLES_OF_NORMAL)
def test_normal_keeps_all_up_to_some_moment(device):
    for _ in range(CYCLES_OF_NORMAL):
        with a_database_that_lost_power(device, "normal") as (server, ledger):
            seen = look(server, ledger, read)
            assert ledger.surprises + ledger.inconsistencies(seen) == []


def test_off_loses_what_was_acknowledged(device):
    """That the tests above would see a loss: here, there is one."""
    for _ in range(TRIES_TO_LOSE):
        with a_database_that_lost_power(device, "off") as (server, ledger):
            if ledger.losses(look(server, ledger, read)):
                return
    pytest.fail("nothing was lost, so a cut-off device loses nothing that hadn't been synced")
