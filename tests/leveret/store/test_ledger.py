"""The ledger of what happened: a bounded number of queues, whose totals never go down."""

from __future__ import annotations

import threading

import pytest

from leveret.model import Activity
from leveret.store import ledger as module
from leveret.store.ledger import Ledger


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


def test_nothing_is_known_of_queues_that_were_never_counted(ledger: Ledger) -> None:
    assert ledger.read() == []


def test_what_an_owner_counts_is_read_while_it_counts_on(ledger: Ledger) -> None:
    counted = ledger.open(("a", "q"))
    counted.put += 2
    assert ledger.read() == [("a", "q", Activity(put=2))]
    counted.put += 1
    counted.dead += 1
    assert ledger.read() == [("a", "q", Activity(put=3, dead=1))]


def test_a_queue_that_is_closed_keeps_its_totals_and_goes_on_from_them(ledger: Ledger) -> None:
    ledger.open(("a", "q")).claimed += 2
    ledger.close(("a", "q"))
    assert ledger.read() == [("a", "q", Activity(claimed=2))]
    ledger.open(("a", "q")).claimed += 1
    ledger.add([(("a", "q"), Activity(deleted=5))])
    assert ledger.read() == [("a", "q", Activity(claimed=3, deleted=5))]


def test_queues_beyond_the_first_share_one_total(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUEUES", 2)
    ledger.add([(("a", name), Activity(put=1)) for name in "qrst"])
    counted = ledger.open(("a", "u"))
    counted.put += 1
    assert ledger.read() == [("a", "q", Activity(put=1)), ("a", "r", Activity(put=1)), ("", "", Activity(put=3))]
    counted.put += 1
    ledger.close(("a", "u"))
    assert ledger.read()[-1] == ("", "", Activity(put=4))


def test_totals_never_go_down_while_queues_come_and_go(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUEUES", 3)
    rounds, names = 400, "qrstu"
    done = threading.Event()

    def count(name: str) -> None:
        for _ in range(rounds):
            counted = ledger.open(("a", name))
            for _ in range(5):
                counted.put += 1
            ledger.close(("a", name))

    def read() -> None:
        before: dict[str, int] = {}
        while not done.is_set():
            found = {queue: each.put for _, queue, each in ledger.read()}
            assert all(found[name] >= put for name, put in before.items())
            before = found

    problems: list[BaseException] = []

    def watch() -> None:
        try:
            read()
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=count, args=(name,)) for name in names]
    watcher = threading.Thread(target=watch)
    for thread in (watcher, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    watcher.join()
    assert problems == []
    assert sum(each.put for _, _, each in ledger.read()) == 5 * rounds * len(names)
