"""The memory store: the contract, and what is particular to it: threads, and that depth costs nothing."""

from __future__ import annotations

import gc
import itertools
import random
import sys
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

import pytest

from leveret.model import HELD, Activity, Change, Draft, Filters, Message, Page, Quota
from leveret.store import accounts
from leveret.store.base import AccountFull, QueueFull
from leveret.store.memory import MemoryStore
from support.accounts_conformance import AccountsConformance
from support.conformance import StoreConformance
from support.conformance11 import V11Conformance, V11InterfaceConformance
from support.interface_conformance import CLAIM, NOW, Heard, StoreInterfaceConformance
from support.subject import Silence, StoreSubject
from support.subject11 import StoreSubject11


class TestMemoryStore(StoreConformance):
    @pytest.fixture
    def subject(self) -> StoreSubject:
        return StoreSubject(MemoryStore())


class TestMemoryStoreV11(V11Conformance):
    @pytest.fixture
    def subject(self) -> StoreSubject11:
        return StoreSubject11(MemoryStore())


class TestMemoryStoreInterfaceV11(V11InterfaceConformance):
    @pytest.fixture
    def make_store(self) -> type[MemoryStore]:
        return MemoryStore


class TestMemoryStoreAccounts(AccountsConformance):
    @pytest.fixture
    def make_store(self) -> type[MemoryStore]:
        return MemoryStore


class TestMemoryStoreInterface(StoreInterfaceConformance):
    @pytest.fixture
    def make_store(self) -> type[MemoryStore]:
        return MemoryStore


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    store.open(Silence(), NOW)
    return store


def run_together(*works: Callable[[], None]) -> None:
    """Each in a thread of its own, from the same moment on; what one raises is raised here."""
    start = threading.Barrier(len(works))
    problems: list[BaseException] = []

    def run(work: Callable[[], None]) -> None:
        try:
            start.wait(10)
            work()
        except BaseException as problem:
            problems.append(problem)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # so that threads change places within an operation, with the GIL too
    try:
        threads = [threading.Thread(target=run, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    if problems:
        raise problems[0]


def steps(call: Callable[[], Any]) -> int:
    """How many lines of Python the call runs: what it costs, whatever the machine is busy with."""
    count = 0

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    gc.disable()  # a collection would run, and count, what others left behind
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
        gc.enable()
    return count


def put(store: MemoryStore, *names: str, ttl: int = 600, hide: int = 0, now: float = NOW) -> None:
    store.put("a", "q", [Draft(name, b"x", ttl, hide) for name in names], now)


class TestThreads:
    def test_nothing_is_lost_and_nothing_claimed_twice(self, store: MemoryStore) -> None:
        each, writers, readers = 400, 3, 3
        claimed: list[list[str]] = [[] for _ in range(readers)]
        written = itertools.count()  # next() on it is atomic on every build
        finished = threading.Event()

        def write(writer: int) -> None:
            for n in range(each):
                put(store, f"{writer}.{n}")
            if next(written) == writers - 1:
                finished.set()

        def read(into: list[str]) -> None:
            while True:
                last_look = finished.is_set()
                for message in store.update_matching("a", "q", CLAIM, Change(hide=60), NOW):
                    into.append(message.id)
                    assert store.delete("a", "q", [message.id], NOW) != [None]
                    break
                else:
                    if last_look:
                        return

        run_together(
            *(lambda writer=writer: write(writer) for writer in range(writers)),
            *(lambda into=into: read(into) for into in claimed),
        )
        counts = Counter(itertools.chain(*claimed))
        assert counts == {f"{writer}.{n}": 1 for writer in range(writers) for n in range(each)}
        for into in claimed:
            for writer in range(writers):
                places = [int(name.split(".")[1]) for name in into if name.startswith(f"{writer}.")]
                assert places == sorted(places)
        assert store.list_accounts(Page(), NOW) == []

    def test_a_put_is_not_lost_while_its_queue_goes(self, store: MemoryStore) -> None:
        def churn(name: str) -> None:
            for _ in range(800):
                put(store, name)
                assert store.delete("a", "q", [name], NOW) != [None]

        run_together(*(lambda name=name: churn(name) for name in "1234"))
        assert store.list_accounts(Page(), NOW) == []

    def test_a_message_is_popped_or_deleted_with_its_queue_but_not_both(self, store: MemoryStore) -> None:
        popped: list[str] = []

        def write() -> None:
            for n in range(1500):
                put(store, f"{n}")

        def pop() -> None:
            for _ in range(1500):
                popped.extend(message.id for message in store.delete_matching("a", "q", CLAIM, NOW))

        def wipe() -> None:
            for n in range(300):
                if n % 2:
                    store.delete_queues("a", Page(), NOW)
                else:
                    store.delete_accounts(Page(), NOW)

        run_together(write, pop, wipe)
        assert len(popped) == len(set(popped))
        store.delete_accounts(Page(), NOW)
        put(store, "after")
        assert [message.id for message in store.select("a", "q", Filters(), NOW)] == ["after"]

    def test_sweeping_while_messages_come_forgets_none(self) -> None:
        store, heard = MemoryStore(), Heard()
        store.open(heard, NOW)

        def write(account: str) -> None:
            for n in range(400):
                store.put(account, f"{n % 5}", [Draft(f"{n}", b"", 1 + n % 3, 0)], NOW)

        def sweep() -> None:
            for n in range(300):
                store.sweep(NOW + n / 100)

        run_together(lambda: write("a"), lambda: write("b"), sweep)
        due = store.sweep(NOW + 10)
        while due is not None:
            assert due <= NOW + 10
            due = store.sweep(NOW + 10)
        assert not store._accounts
        assert not store._agenda._heap

    def test_a_limit_is_kept_by_all_who_put_together(self, store: MemoryStore) -> None:
        for n in range(60):
            queue = f"{n}"
            store.change_policy("a", queue, {"max_messages": 1}, NOW)

            def write(name: str, queue: str = queue) -> None:
                with suppress(QueueFull):
                    store.put("a", queue, [Draft(name, b"x", 600, 0)], NOW)

            run_together(*(lambda name=name: write(name) for name in "123"))
            assert len(store.select("a", queue, Filters(), NOW)) == 1

    def test_a_quota_is_kept_by_all_who_put_together(self, store: MemoryStore) -> None:
        for n in range(40):
            quota = Quota(messages=5, bytes=7, queues=2)

            def write(queue: str, account: str = f"{n}", quota: Quota = quota) -> None:
                for id in "1234":
                    with suppress(AccountFull):
                        store.put(account, queue, [Draft(id, b"x", 600, 0)], NOW, quota)

            run_together(*(lambda queue=queue: write(queue) for queue in "qrs"))
        assert {(state.messages, state.queues) for state in store.describe_accounts(Page(), NOW)} == {(5, 2)}

    def test_totals_are_right_after_all(self, store: MemoryStore) -> None:
        quota = Quota(messages=30, bytes=100, queues=5)
        store.change_policy("a", "q", {"max_deliveries": 1, "dead_letter": "dead"}, NOW)

        def work(chance: random.Random) -> None:
            for n in range(300):
                queue, now = chance.choice("qrs"), NOW + n / 20
                with suppress(AccountFull):
                    drafts = [Draft(chance.choice("12345"), b"x" * chance.randrange(5), chance.choice([0, 1, 3]), 0)]
                    store.put("a", queue, drafts, now, chance.choice([None, quota]))
                store.update_matching("a", queue, CLAIM, Change(hide=1), now)
                if n % 3 == 0:
                    store.delete("a", queue, chance.choices("12345", k=2), now)
                if n % 7 == 0:
                    store.sweep(now)
                if n % 40 == 0:
                    store.delete_queues("a", Page(limit=1), now)
                store.describe_accounts(Page(), now)

        run_together(*(lambda seed=seed: work(random.Random(seed)) for seed in range(3)))
        store.put("a", "r", [Draft("last", b"xy", 0, 0)], NOW + 15)  # they may have left nothing, and so no account
        for now in (NOW + 20, NOW + 200):
            states = store.describe_queues("a", Page(), now)
            totals = (len(states), sum(each.messages for each in states), sum(each.bytes for each in states))
            assert [(each.queues, each.messages, each.bytes) for each in store.describe_accounts(Page(), now)] == [
                totals
            ]

    def test_expired_messages_never_stand_in_the_way_while_they_are_swept(self, store: MemoryStore) -> None:
        for n in range(20):
            account = f"{n}"
            for queue in "qrs":
                store.put(account, queue, [Draft(f"{id}", b"", 1, 0) for id in range(700)], NOW)

            def write(account: str = account) -> None:
                store.put(account, "new", [Draft("1", b"", 0, 0)], NOW + 1, Quota(messages=1, queues=1))

            run_together(write, lambda: store.sweep(NOW + 1), lambda: store.sweep(NOW + 1))

    def test_activity_is_read_while_it_happens(self, store: MemoryStore) -> None:
        store.count_activity(True)
        finished = threading.Event()

        def work(account: str) -> None:
            for n in range(300):
                store.put(account, f"{n % 3}", [Draft("1", b"", 600, 0)], NOW)
                store.delete_queues(account, Page(limit=1), NOW)
            if account == "a":
                finished.set()

        def read() -> None:
            seen: dict[tuple[str, str], Activity] = {}
            while not finished.is_set():
                for account, queue, activity in store.activity():
                    before = seen.get((account, queue), Activity())
                    assert min(activity.since(before).put, activity.since(before).deleted) >= 0
                    seen[account, queue] = activity

        run_together(lambda: work("a"), lambda: work("b"), read)
        store.delete_accounts(Page(), NOW)
        for account in "ab":
            found = [activity for name, _, activity in store.activity() if name == account]
            assert sum(each.put for each in found) == sum(each.deleted for each in found) == 300

    def test_dead_letters_that_go_to_and_fro_are_neither_lost_nor_doubled(self, store: MemoryStore) -> None:
        names = [f"{n}" for n in range(60)]
        for queue, other in (("q", "dead"), ("dead", "q")):
            store.change_policy("a", queue, {"max_deliveries": 1, "dead_letter": other}, NOW)
        put(store, *names, ttl=0)

        def claim(queue: str) -> None:
            for n in range(150):
                store.update_matching("a", queue, Filters(limit=5), Change(hide=1), NOW + n)

        run_together(lambda: claim("q"), lambda: claim("dead"), lambda: claim("q"))
        left = [each for queue in ("q", "dead") for each in store.select("a", queue, Filters(match_hidden=True), NOW)]
        assert sorted(each.body for each in left) == [b"x"] * 60
        origins = [((each.meta and each.meta.headers) or {}).get("dead-letter-id", each.id) for each in left]
        assert sorted(origins) == sorted(names)
        states = store.describe_queues("a", Page(), NOW + 1000)
        assert sum(state.messages for state in states) == 60
        assert sum(state.hidden for state in states) == 0

    def test_one_receipt_is_good_for_one_deletion(self, store: MemoryStore) -> None:
        for n in range(60):
            put(store, f"{n}")
            (claimed,) = store.update_matching("a", "q", CLAIM, Change(hide=60), NOW)
            done: list[bool] = []

            def delete(claimed: Message = claimed, done: list[bool] = done) -> None:
                (deleted,) = store.delete("a", "q", [claimed.id], NOW, receipts=[claimed.receipt])
                done.append(deleted is not None and deleted is not HELD)

            run_together(delete, delete, lambda claimed=claimed: store.update("a", "q", [claimed.id], Change(), NOW))
            assert sorted(done) == [False, True]

    def test_counts_are_right_after_all(self, store: MemoryStore) -> None:
        def work(account: str) -> None:
            for n in range(200):
                store.put("a", "q", [Draft(f"{account}{n}", b"xy", 600, n % 2)], NOW)
                for found in store.update_matching("a", "q", Filters(limit=2), Change(hide=60), NOW):
                    if n % 3:
                        store.delete("a", "q", [found.id], NOW, receipts=[found.receipt])
                store.describe_queues("a", Page(), NOW)

        run_together(*(lambda name=name: work(name) for name in "xyz"))
        (state,) = store.describe_queues("a", Page(), NOW)
        found = store.select("a", "q", Filters(match_hidden=True), NOW)
        assert (state.messages, state.bytes) == (len(found), 2 * len(found))
        assert state.hidden == sum(each.visible_at > NOW for each in found)

    def test_expiry_and_return_of_a_queue_under_listing(self, store: MemoryStore) -> None:
        def write() -> None:
            for n in range(400):
                put(store, "1", ttl=1, now=NOW + n)
                assert store.get("a", "q", ["1"], NOW + n) != [None]

        def read() -> None:
            for n in range(400):
                assert store.list_queues("a", Page(), NOW + n) in ([], ["q"])
                store.list_accounts(Page(), NOW + n)

        run_together(write, read, read)


class TestCost:
    """Counted in lines that run, at two depths; the second is 512 times the first, and so has some levels more."""

    DEPTHS = (64, 32768)

    def costs(self, prepare: Callable[[MemoryStore, int], Callable[[], Any]]) -> tuple[int, int]:
        counts = []
        for depth in self.DEPTHS:
            store = MemoryStore()
            store.open(Silence(), NOW)
            counts.append(steps(prepare(store, depth)))
        return counts[0], counts[1]

    @pytest.mark.parametrize("hide", [0, 60])
    def test_put(self, hide: int) -> None:
        def prepare(store: MemoryStore, depth: int) -> Callable[[], Any]:
            put(store, *map(str, range(depth)), hide=hide)
            return lambda: put(store, "new")

        # At these depths it is the worst of all puts: one that adds a node at each level.
        shallow, deep = self.costs(prepare)
        assert deep < shallow + 150

    def test_put_within_a_quota(self) -> None:
        def prepare(store: MemoryStore, depth: int) -> Callable[[], Any]:
            quota = Quota(messages=depth + 1, bytes=10**9, queues=depth)
            put(store, *map(str, range(depth)))
            for n in range(depth // 64):
                store.put("a", f"{n}", [], NOW, quota)
            store.put("a", "q", [Draft("0", b"", 0, 0)], NOW, quota)
            return lambda: store.put("a", "q", [Draft("new", b"", 0, 0)], NOW, quota)

        shallow, deep = self.costs(prepare)
        assert deep < shallow + 150

    def test_a_put_that_is_refused_looks_at_no_queue_but_its_own(self) -> None:
        def prepare(store: MemoryStore, depth: int) -> Callable[[], Any]:
            quota = Quota(messages=depth)
            for n in range(depth // 8):
                store.put("a", f"{n}", [Draft(f"{id}", b"", 600, 0) for id in range(8)], NOW, quota)

            def refused() -> None:
                with pytest.raises(AccountFull):
                    store.put("a", "0", [Draft("new", b"", 0, 0)], NOW, quota)

            return refused

        shallow, deep = self.costs(prepare)
        assert deep == shallow

    def test_claim_behind_hidden_messages(self) -> None:
        def prepare(store: MemoryStore, depth: int) -> Callable[[], Any]:
            put(store, *map(str, range(depth - 1)), hide=60)
            put(store, "last")
            return lambda: store.update_matching("a", "q", CLAIM, Change(hide=60), NOW)

        shallow, deep = self.costs(prepare)
        assert deep < shallow + 250

    def test_claims_in_a_row_cost_the_same_everywhere(self, store: MemoryStore) -> None:
        put(store, *map(str, range(2048)))

        def claim() -> None:
            assert store.update_matching("a", "q", CLAIM, Change(hide=60), NOW)

        counts = [steps(claim) for _ in range(2048)]
        assert sum(counts[1024:]) < 1.1 * sum(counts[:1024])
        assert max(counts) < 300

    def test_get_and_delete(self) -> None:
        def prepare(store: MemoryStore, depth: int) -> Callable[[], Any]:
            put(store, *map(str, range(depth)))
            wanted = [str(depth // 2 + 3)]
            return lambda: (store.get("a", "q", wanted, NOW), store.delete("a", "q", wanted, NOW))

        shallow, deep = self.costs(prepare)
        assert deep < shallow + 10

    def test_listing_after_a_marker_in_the_middle(self) -> None:
        def prepare(store: MemoryStore, depth: int) -> Callable[[], Any]:
            put(store, *map(str, range(depth)))
            return lambda: store.select("a", "q", Filters(limit=3, marker=str(depth // 2)), NOW)

        shallow, deep = self.costs(prepare)
        assert deep < shallow + 100

    def test_mass_expiry(self) -> None:
        def prepare(store: MemoryStore, depth: int) -> Callable[[], Any]:
            put(store, *map(str, range(depth)), ttl=10)
            put(store, "last")
            return lambda: (
                store.list_queues("a", Page(), NOW + 10),
                store.update_matching("a", "q", CLAIM, Change(hide=60), NOW + 10),
                put(store, "new", now=NOW + 10),
                store.next_visible("a", "q", Filters(), NOW + 10),
            )

        shallow, deep = self.costs(prepare)
        assert deep < shallow + 1000

    def test_mass_reappearance(self) -> None:
        def prepare(store: MemoryStore, depth: int) -> Callable[[], Any]:
            put(store, *map(str, range(depth)), hide=10)
            assert store.update_matching("a", "q", CLAIM, Change(hide=60), NOW) == []
            return lambda: store.update_matching("a", "q", CLAIM, Change(hide=60), NOW + 10)

        shallow, deep = self.costs(prepare)
        assert deep < shallow + 200

    def test_a_sweep_is_bounded(self) -> None:
        def prepare(store: MemoryStore, depth: int) -> Callable[[], Any]:
            put(store, *map(str, range(depth)), ttl=10)
            return lambda: store.sweep(NOW + 10)

        _, deep = self.costs(prepare)
        assert deep < 20_000

    def test_a_page_of_queues_from_the_middle(self) -> None:
        def prepare(store: MemoryStore, depth: int) -> Callable[[], Any]:
            for n in range(depth // 8):
                store.put("a", f"{n}", [Draft("1", b"", 600, 0)], NOW)
            return lambda: store.list_queues("a", Page(3, f"{depth // 32}"), NOW)

        shallow, deep = self.costs(prepare)
        assert deep == shallow


class TestSpace:
    def test_queues_that_come_and_go_leave_nothing(self, store: MemoryStore) -> None:
        for n in range(2000):
            store.put("a", f"{n}", [Draft("1", b"", 600, 0)], NOW)
            store.delete("a", f"{n}", ["1"], NOW)
        assert not store._accounts
        assert len(store._agenda._heap) < 100

    def test_puts_that_are_refused_leave_nothing(self, store: MemoryStore) -> None:
        store.count_activity(True)
        for n in range(2000):
            with pytest.raises(AccountFull):
                store.put(f"{n}", f"{n}", [Draft("1", b"", 600, 0)], NOW, Quota(messages=0))
        assert not store._accounts
        assert len(store._agenda._heap) < 100

    def test_a_queue_due_ever_earlier_leaves_nothing(self, store: MemoryStore) -> None:
        for n in range(2000):
            put(store, f"{n}", ttl=10_000 - n)
        assert len(store._agenda._heap) < 100


def test_a_queue_that_is_gone_is_freed_with_its_account_and_not_left_to_the_collector(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The collector comes rarely, and so what is left to it is as good as lost where queues come and go."""
    monkeypatch.setattr(accounts, "_MOST_SEEN", 1)
    store = MemoryStore()

    def there() -> list[object]:
        return [each for each in gc.get_objects() if isinstance(each, accounts.Account | accounts.Queue)]

    gc.collect()
    gc.disable()
    try:
        before = there()  # of other tests
        for number in range(100):
            store.put(f"account-{number}", "jobs", (Draft("1", b"", 60, 0),), NOW)
            store.delete(f"account-{number}", "jobs", ("1",), NOW)
        left = {id(each) for each in there()} - {id(each) for each in before}
    finally:
        gc.enable()
    assert len(left) <= 2, "more than the one that the store remembers"
