"""Servers that are broken on purpose: the trials find each of them out, for the reason it is broken, and no other one.

A checker that can't fail proves nothing. Chance decides whether a fault shows in a round, so there may be several.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeAlias

import pytest

from faults.checker import Report
from faults.harm import Trial
from support import figures
from support.load import CLIENTS
from support.loopdevice import LoopDevice
from support.process import Process, leveret, process

MUTANTS = Path(__file__).parent / "mutants"
ROUNDS = 20  # at most, until a fault shows
SOUND_ROUNDS = 2  # that a server has to pass which is not broken
PUTS = 200  # acknowledged, until harm is done
# Deletes and claims that are undone are so where PUTs are; who claims together also gets what isn't the first.
UNDONE = ("duplicated", "early_redelivered")
TOGETHER = ("stale_accepted", "out_of_order")

Serve: TypeAlias = Callable[[str], AbstractContextManager[Process]]  # a server of the store with this URL


def sound(store: str) -> AbstractContextManager[Process]:
    return leveret("--store", store)


def mutant(name: str) -> Serve:
    program = str(MUTANTS / f"{name}.py")
    return lambda store: process(program, "serve", "--port", "0", "--store", store)


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[str]:
    return (f"sqlite:///{tmp_path}/{number}.db" for number in range(ROUNDS))


def found_out(name: str, rounds: Iterator[Report], kind: str, *others: str) -> None:
    """Until a round shows the fault. All that is found before and then is of its kind, or of others that it brings."""
    whole = Report()
    for number, report in zip(range(1, ROUNDS + 1), rounds, strict=False):
        whole.add(report)
        assert whole.kinds <= {kind, *others}, whole.violations
        if kind in whole.kinds:
            found = ", ".join(f"{len(getattr(whole, each))} {each.replace('_', ' ')}" for each in sorted(whole.kinds))
            figures.show("controls", f"{name}: found out in round {number} ({found})")
            return
    pytest.fail(f"{name}: nothing was found in {ROUNDS} rounds")


def passes(rounds: Iterator[Report]) -> None:
    for _, report in zip(range(SOUND_ROUNDS), rounds, strict=False):
        report.assert_whole()


# Without syncs.


def losses_of_power(device: LoopDevice, durability: str) -> Iterator[Report]:
    def serving() -> AbstractContextManager[Process]:
        return leveret("--store", f"sqlite:///{device.path}/queue.db", "--set", f"sqlite.durability={durability}")

    while True:
        for old in device.path.glob("queue.db*"):
            old.unlink()
        trial = Trial()
        with serving() as server:
            device.sync()  # the empty database is there; what may be lost is what is put into it
            trial.lose_power(server, device, PUTS)
        with serving() as server:
            yield trial.drain(server)


def test_a_server_that_does_not_sync_is_found_out_by_a_loss_of_power(device: LoopDevice) -> None:
    found_out("no syncs, loss of power", losses_of_power(device, "off"), "lost", *UNDONE)


# Answers before the commit.


def kills(serve: Serve, stores: Iterator[str]) -> Iterator[Report]:
    for store in stores:
        trial = Trial()
        with serve(store) as server:
            trial.kill(server, PUTS)
        with sound(store) as server:
            yield trial.drain(server)


def test_a_server_that_answers_before_it_commits_is_found_out_by_kills(stores: Iterator[str]) -> None:
    found_out("answers before COMMIT, kill -9", kills(mutant("answers_first"), stores), "lost", *UNDONE)


# Claims in two steps.


def loads(serve: Serve, stores: Iterator[str]) -> Iterator[Report]:
    for store in stores:
        trial = Trial()
        with serve(store) as server:
            with trial.clients.on(server.port, PUTS * CLIENTS) as load:
                load.wait()
            yield trial.drain(server)


def test_a_server_that_looks_and_then_claims_is_found_out_by_a_load(stores: Iterator[str]) -> None:
    rounds = loads(mutant("looks_then_claims"), stores)
    found_out("claims in two steps, load", rounds, "early_redelivered", *TOGETHER)


# And those that are not broken, in the same trials.


def test_a_server_that_syncs_passes(device: LoopDevice) -> None:
    passes(losses_of_power(device, "full"))


def test_a_server_that_commits_before_it_answers_passes(stores: Iterator[str]) -> None:
    passes(kills(sound, stores))


def test_a_server_that_claims_in_one_step_passes(stores: Iterator[str]) -> None:
    passes(loads(sound, stores))
