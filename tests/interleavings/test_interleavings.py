"""Whatever goes on at once, in whatever order of its lines: no wake-up is lost, nothing is claimed twice, counts are
exact. And what is wrong on purpose is found."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from interleavings.scenarios import STORE, WAITERS
from interleavings.schedule import Shuffled, explore
from interleavings.world import Runner
from leveret.model import Change
from leveret.store.accounts import Queue
from leveret.store.memory import MemoryStore
from leveret.waiters import Look, Waiters, _Waiter
from support.figures import show

RUNS = int(os.environ.get("LEVERET_INTERLEAVINGS", "25"))  # of each scenario, in each of three ways
MOST = 4_000  # runs until what is wrong is found, or the search is no good
PREEMPTIONS = 2

SCENARIOS = {**STORE, **WAITERS}


@pytest.fixture(scope="module")
def counted() -> Iterator[dict[str, int]]:
    counted = {"explored": 0, "shuffled": 0, "parallel": 0}
    yield counted
    show(
        "interleavings",
        f"{len(SCENARIOS)} scenarios, {counted['explored']:,} schedules with up to {PREEMPTIONS} preemptions, "
        f"{counted['shuffled']:,} at random and {counted['parallel']:,} runs in parallel: "
        "0 lost wake-ups, 0 double claims, 0 wrong counts",
    )


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> Runner:
    return Runner(monkeypatch)


@pytest.mark.timeout(120 + RUNS // 5)
@pytest.mark.parametrize("name", SCENARIOS)
def test_it_holds_whoever_is_interrupted(name: str, runner: Runner, counted: dict[str, int]) -> None:
    choices: dict[int, int] = {}

    def run(schedule: Any) -> Any:
        choices.clear()
        choices.update(schedule.choices)
        return runner.scheduled(SCENARIOS[name], schedule)

    try:
        for _ in explore(run, PREEMPTIONS, RUNS):
            counted["explored"] += 1
    except AssertionError as error:
        error.add_note(f"by Interrupted({choices})")
        raise


@pytest.mark.timeout(120 + RUNS // 5)
@pytest.mark.parametrize("name", SCENARIOS)
def test_it_holds_by_any_schedule(name: str, runner: Runner, counted: dict[str, int]) -> None:
    for seed in range(RUNS):
        try:
            runner.scheduled(SCENARIOS[name], Shuffled(seed))
        except AssertionError as error:
            error.add_note(f"by Shuffled({seed})")
            raise
        counted["shuffled"] += 1


@pytest.mark.timeout(120 + RUNS // 5)
def test_it_holds_in_parallel(runner: Runner, counted: dict[str, int]) -> None:
    """On a free-threaded Python truly so; on one with a GIL the threads are switched as often as that can be."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with runner.parallel() as run:
            for name, scenario in SCENARIOS.items():
                if "for a while" in name:
                    continue  # that takes seconds where time passes by itself
                for _ in range(RUNS):
                    run(scenario)
                    counted["parallel"] += 1
    finally:
        sys.setswitchinterval(before)


# What is wrong on purpose


class SelectsThenUpdates(MemoryStore):
    """Claims what it has selected, by id, without a lock that covers both."""

    __slots__ = ()

    def update_matching(
        self, account: str, queue: str, filters: Any, change: Change, now: float, want: Any = "all"
    ) -> Any:
        found = self.select(account, queue, filters, now)
        return self.update(account, queue, [message.id for message in found], change, now)


class RetiresUnseen(MemoryStore):
    """Removes a queue that was empty a moment ago."""

    __slots__ = ()

    def _retire(self, queue: Queue) -> None:
        with self._directory_lock:
            if not queue.gone:
                self._remove_locked(queue)


class LooksOnce(Waiters):
    """Parks without a second look."""

    def park(self, key: Any, seconds: float, interest: Any, ended: Any = None) -> Any:
        look, self._look = self._look, self._only_sleep  # type: ignore[method-assign]
        try:
            return super().park(key, seconds, interest, ended)
        finally:
            self._look = look  # type: ignore[method-assign]

    def _only_sleep(self, waiter: _Waiter[Any]) -> None:
        waiter.seen = waiter.queue.wakes
        self._sleep(waiter, Look([], True))


class KeepsTheWakeUp(Waiters):
    """Does not pass a wake-up on."""

    def _pass_on(self, parked: Any) -> None: ...


class ForgetsTheDrain(Waiters):
    """Does not look whether all was drained meanwhile."""

    def drain(self) -> None:
        super().drain()
        with self._parked_lock:
            self._draining = False


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("two claims and one message", {"make_store": SelectsThenUpdates}),
    ("the last is deleted while another comes", {"make_store": RetiresUnseen}),
    ("a put while a poll is parked", {"make_waiters": LooksOnce}),
    ("a poll that leaves while it is woken", {"make_waiters": KeepsTheWakeUp}),
    ("a poll that is parked while all are drained", {"make_waiters": ForgetsTheDrain}),
]


@pytest.mark.alone
@pytest.mark.parametrize(("name", "made"), WRONG, ids=[next(iter(made.values())).__name__ for _, made in WRONG])
def test_what_is_wrong_is_found(name: str, made: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    runner = Runner(monkeypatch, **made)
    with pytest.raises(AssertionError):
        for _ in explore(lambda schedule: runner.scheduled(SCENARIOS[name], schedule), PREEMPTIONS, MOST):
            pass


def test_a_schedule_is_the_same_run_again(runner: Runner) -> None:
    scenario = SCENARIOS["two puts and two polls"]
    once, again = [runner.scheduled(scenario, Shuffled(7)) for _ in range(2)]
    assert once == again
    assert len(once) > 100
