"""kill -9 under load, again and again on the same database: nothing acknowledged is lost."""

import os
import random
import signal
from contextlib import closing

import pytest

from support.ledger import Ledger, assert_whole, drain
from support.load import QUEUES, load
from support.process import leveret
from support.web import Client

CYCLES = int(os.environ.get("LEVERET_KILL_CYCLES", "50"))
ACKNOWLEDGEMENTS = 300  # at most, until it is killed
DRAINED = 2  # queues in each cycle, so that what is to be checked doesn't grow


@pytest.mark.timeout(60 + 2 * CYCLES)
def test_nothing_acknowledged_is_lost_when_it_is_killed(tmp_path):
    store = f"sqlite:///{tmp_path}/queue.db"
    chance = random.Random()
    ledger = Ledger()
    for cycle in range(CYCLES):
        with leveret("--store", store) as server:
            with closing(Client(server.port)) as client:
                assert_whole(ledger, client, f"after kill {cycle}")
                for queue in chance.sample(QUEUES, DRAINED):
                    drain(ledger, client, queue)
            with load(ledger, server.port, chance.randint(1, ACKNOWLEDGEMENTS)) as running:
                running.wait()
                server.signal(signal.SIGKILL)
            assert server.wait() == -signal.SIGKILL
    with leveret("--store", store) as server, closing(Client(server.port)) as client:
        assert_whole(ledger, client, f"after kill {CYCLES}")
