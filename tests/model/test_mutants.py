"""The model finds what is wrong: each of these faults, made on purpose, within a bounded number of steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from leveret.frontend import v1_1
from leveret.model import Message
from leveret.store import records
from leveret.store.order import Order
from leveret.store.records import Records
from leveret.store.roll import Roll
from leveret.store.sqlite import store as sqlite_store
from leveret.store.sqlite.policies import Policies
from model import machine
from model.stores import http_memory, memory, sqlite
from support.figures import show

pytestmark = pytest.mark.alone

MOST = 20_000  # steps until it is found, or the model is no good

Mutate: TypeAlias = Callable[[pytest.MonkeyPatch], object]


def a_lease_ends_a_second_late(patch: pytest.MonkeyPatch) -> None:
    first = Order.first

    def late(self: Order, now: float) -> Any:
        found = first(self, now)
        return None if found is None or found[0].visible_at[found[1]] > now - 1 else found

    patch.setattr(Order, "first", late)


def a_receipt_is_good_when_its_lease_ends(patch: pytest.MonkeyPatch) -> None:
    holds = records.holds
    patch.setattr(records, "holds", lambda *args: holds(*args[:-1], math.nextafter(args[-1], 0)))


def a_receipt_survives_a_replacement(patch: pytest.MonkeyPatch) -> None:
    def held(leaf: Any, slot: int, receipt: str, now: float) -> bool:
        place, _, deliveries, *_ = [*receipt.split("."), "", ""]
        own = [f"{leaf.base + slot:x}", f"{leaf.deliveries[slot]:x}"]
        return leaf.visible_at[slot] > now and [place, deliveries] == own

    patch.setattr(records, "_is_held", held)


def a_message_is_there_when_it_expires(patch: pytest.MonkeyPatch) -> None:
    get = Records.get
    patch.setattr(Records, "get", lambda self, ids, now: get(self, ids, math.nextafter(now, 0)))


def the_sweep_forgets_the_bytes(patch: pytest.MonkeyPatch) -> None:
    pop = Records.pop_expired

    def forget(self: Records, now: float, budget: int) -> int:
        before, left = self.bytes, pop(self, now, budget)
        self.bytes = before
        return left

    patch.setattr(Records, "pop_expired", forget)


def the_newest_first_are_off_by_one(patch: pytest.MonkeyPatch) -> None:
    find = Order.find_back
    patch.setattr(
        Order,
        "find_back",
        lambda self, now, horizon, limit, before: find(self, now, horizon, limit, before and before + 1),
    )


def what_is_replaced_loses_its_place(patch: pytest.MonkeyPatch) -> None:
    def move(self: Records, leaf: Any, slot: int, draft: Any, now: float) -> None:
        self._remove(draft.id, leaf, slot, now)
        self._add(draft, now)

    patch.setattr(Records, "_replace", move)


def one_delivery_too_many(patch: pytest.MonkeyPatch) -> None:
    worn_out = Records.worn_out
    patch.setattr(Records, "worn_out", lambda self, filters, most, now: worn_out(self, filters, most + 1, now))


def a_replacement_counts_as_one_more(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Records, "growth", lambda self, drafts, now: (len(drafts), sum(len(each.body) for each in drafts)))


def what_comes_again_keeps_its_old_place(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Roll, "move_to_end", lambda self, entry: None)


def places_begin_anew_with_a_restart(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sqlite_store, "last_place", lambda connection: 0)


def policies_are_gone_with_a_restart(patch: pytest.MonkeyPatch) -> None:
    make = Policies.__init__

    def forget(self: Policies, *args: Any) -> None:
        make(self, *args)
        self._any = False

    patch.setattr(Policies, "__init__", forget)


def seconds_are_rounded_down(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Message, "hide", lambda self, now: max(0, math.floor(self.visible_at - now)))


def a_page_lacks_its_last(patch: pytest.MonkeyPatch) -> None:
    bound = v1_1._bound

    def short(*args: Any) -> Any:
        found = bound(*args)
        return replace(found, limit=max(1, found.limit - 1))

    patch.setattr(v1_1, "_bound", short)


MUTANTS: list[tuple[Mutate, Any]] = [
    (a_lease_ends_a_second_late, memory),
    (a_receipt_is_good_when_its_lease_ends, memory),
    (a_receipt_survives_a_replacement, memory),
    (a_message_is_there_when_it_expires, memory),
    (the_sweep_forgets_the_bytes, memory),
    (the_newest_first_are_off_by_one, memory),
    (what_is_replaced_loses_its_place, memory),
    (one_delivery_too_many, memory),
    (a_replacement_counts_as_one_more, memory),
    (what_comes_again_keeps_its_old_place, memory),
    (places_begin_anew_with_a_restart, sqlite),
    (policies_are_gone_with_a_restart, sqlite),
    (seconds_are_rounded_down, http_memory),
    (a_page_lacks_its_last, http_memory),
]


@pytest.fixture(scope="module")
def found() -> Iterator[list[int]]:
    """After how many steps each was found."""
    found: list[int] = []
    yield found
    if found:
        show(
            "model-mutants",
            f"{len(MUTANTS)} faults made on purpose: {len(found)} found, after {max(found):,} steps at most",
        )


@pytest.mark.parametrize(("mutate", "make"), MUTANTS, ids=[mutate.__name__ for mutate, _ in MUTANTS])
def test_a_fault_is_found(
    mutate: Mutate, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: list[int]
) -> None:
    mutate(monkeypatch)
    before = machine.Machine.steps
    with pytest.raises(AssertionError):
        machine.run(lambda: make(tmp_path), MOST, seed=0, find_only=True)
    found.append(machine.Machine.steps - before)
