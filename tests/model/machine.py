"""Whatever is asked of a store or a server, in whatever order, it answers as the reference does: a state machine."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product, zip_longest
from typing import Any, NamedTuple

from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from leveret.model import Quota
from model.drivers import PAGE, Driver
from model.reference import Reference
from support import subject
from support.subject11 import New, Seen

NFC, NFD = "\u00e9", "e\u0301"  # the same letter, and two names
ACCOUNTS = ["a", NFC, NFD]
QUEUES = ["q", "\U0001f407", "dead ", NFD]
IDS = ["0", "1", "2", NFC, NFD, "%2e a+b?c=d#&", "...", "\u5154" * 85]
FOREIGN = ["0.0.0", "", "deadbeef", "1.2.3.4"]  # receipts that nobody gave
STEPS = 200  # of one history
CHECKED = 12  # steps between two looks at everything


class Pair(NamedTuple):
    """The same receipt or marker, in the words of the reference and of the driver."""

    ours: str
    theirs: str


# One draw each, with what is simple first, as that is what Hypothesis shrinks to.
# And most draws meet, since what is asked of an empty queue tells little.
wheres = st.sampled_from([("a", "q")] * 20 + [(account, queue) for queue in QUEUES for account in ACCOUNTS])
accounts = st.sampled_from(["a", *ACCOUNTS])
ids = st.sampled_from([*IDS[:4], *IDS[:3], *IDS])
some_ids = st.lists(ids, min_size=1, max_size=4, unique=True)
ttls = st.sampled_from([None, None, 9, 3, 0, 30])
hides = st.sampled_from([None, None, 4, 0, 1, 9])
holds = st.sampled_from([5, 1, 2, 10, 0])
wide = st.sampled_from(["accounts", "queues", "states"] * 3 + ["delete_queues", "delete_accounts"])
older = st.integers(0, 7)  # which of those that are known, from the latest on
shown = st.lists(st.tuples(older, older), min_size=1, max_size=3)  # of those claimed, and which receipt
filters = st.sampled_from(
    [
        {"limit": limit, "newest_first": lifo, "match_hidden": hidden, **size}
        for hidden, lifo, limit, size in product(
            [False, False, False, True],
            [False, False, True],
            [1, None, 2, 5],
            [{}, {}, {"max_bytes": 9}],
        )
    ]
)
starts = st.sampled_from([None] * 10 + IDS[:5] + list(range(8)))  # a marker, or which place to go on after
versions = st.sampled_from([0, 1])
limits = st.sampled_from([None, 1, 2, 7])
news = st.builds(
    New,
    body=st.sampled_from([b"1", b"", b"of six", "h\u00e4se".encode(), b"\xff\x00\r\n", b"x" * 40]),
    id=ids,
    ttl=ttls,
    hide=hides,
    content_type=st.sampled_from([None, None, "text/plain"]),
    headers=st.sampled_from([{}, {}, {"Trace": "1"}, {"X-Name": "h\u00e4se"}]),
)
FIRST = {"newest_first": False, "match_hidden": False}
quotas = st.builds(
    Quota,
    st.sampled_from([None, None, 9, 4]),
    st.sampled_from([None, None, 60, 9]),
    st.sampled_from([None, None, 1, 2]),
)
members = ["max_deliveries", "dead_letter", "default_ttl", "default_hide", "max_messages", "max_bytes"]
policies = st.dictionaries(st.sampled_from(["max_deliveries", *members]), st.integers(0, 3), max_size=3)  # of VALUES
VALUES: dict[str, list[Any]] = {
    "default_ttl": [None, 0, 4, 20],
    "default_hide": [None, 0, 2, 2],
    "max_deliveries": [1, 2, None, 3],
    "dead_letter": [None, "dead ", NFD, "\U0001f407"],
    "max_messages": [None, 5, 2, None],
    "max_bytes": [None, 6, 30, None],
}


CALLS: list[Any] = []  # strategies of calls, each as often as it is to be made


def often(times: int, **arguments: Any) -> Callable[[Any], Any]:
    """Make a method one of the calls. Rules of Hypothesis' own are all alike, and it leaves many of them out of a
    history for variety: then there are few that put, claim and finish, and hardly a dead letter."""

    def add(method: Any) -> Any:
        CALLS.extend([st.tuples(st.just(method.__name__), st.fixed_dictionaries(arguments))] * times)
        return method

    return add


class Machine(RuleBasedStateMachine):
    """A driver and the reference, of which the same is asked, step by step."""

    steps = 0  # of all histories so far

    def __init__(self, make: Callable[[], Driver]) -> None:
        super().__init__()
        self.driver: Any = make()
        self.reference = Reference()
        self.receipts: dict[tuple[str, ...], list[Pair]] = {}  # by path
        self.leases: dict[tuple[str, ...], tuple[str, ...]] = {}  # of the driver's receipts, the reference's
        self.markers: dict[tuple[str, str], list[Pair]] = {}
        self.old = False
        self.asked = 0

    def teardown(self) -> None:
        self.driver.close()

    # Both are asked

    def ask(self, name: str, *args: Any, where: tuple[str, str] | None = None) -> None:
        """Have both answer the same; pairs are said in the words of each."""
        Machine.steps += 1
        expected = getattr(self.reference, name)(*_said(args, 0))
        answer = getattr(self.driver, name)(*_said(args, 1))
        if name == "put" and isinstance(answer, bool):
            expected = "created" in expected
        assert answers_alike(expected, answer), f"{answer}\nwhere this was expected:\n{expected}"
        if where is not None:
            for ours, theirs in zip(_list(expected), _list(answer), strict=True):
                self._learn(where, ours, theirs)
        self.asked += 1
        if self.asked % CHECKED == 0:
            self.check()

    def _learn(self, where: tuple[str, str], ours: Any, theirs: Any) -> None:
        """Remember the marker and the receipt that were given."""
        if not isinstance(theirs, Seen):
            return
        self.markers.setdefault(where, []).append(Pair(ours.marker, theirs.marker))
        if theirs.receipt is not None:
            lease = (*where, ours.receipt)
            assert self.leases.setdefault((*where, theirs.receipt), lease) == lease, "a receipt of another lease"
            path = (*where, ours.id)
            self.receipts[path] = [*self.receipts.pop(path, []), Pair(ours.receipt, theirs.receipt)]  # the last is last

    def check(self) -> None:
        """That there is what the reference has, in all its order, and that it is described so."""
        both = (self.reference, self.driver)
        self.speak(0)
        names, found = [each.accounts() for each in both]
        assert found == names
        assert self.driver.totals() == self.reference.totals()
        for account in names:
            queues, found = [each.queues(account) for each in both]
            assert found == queues
            expected, answer = [each.states_of(account, QUEUES) for each in both]
            assert answer == expected, f"{answer}\nwhere this was expected:\n{expected}"
            for queue in queues:
                expected, answer = [each.select(account, queue, {"match_hidden": True}) for each in both]
                assert answers_alike(expected, answer), f"{answer}\nwhere this was expected:\n{expected}"

    def speak(self, version: int) -> None:
        if self.driver.versions:
            self.old = version == 0
            self.driver.speak(self.driver.versions[version])

    # What is drawn, in its terms

    def _filters(self, where: tuple[str, str], given: dict[str, Any], start: str | int | None) -> dict[str, Any]:
        found = dict(given)
        known = self.markers.get(where, [])
        if isinstance(start, str):
            found["marker"] = start
        elif start is not None and known:
            found["after"] = known[-1 - start % len(known)]
        if self.driver.versions:
            found.pop("max_bytes", None)
            if not self.old or "after" in found or found["newest_first"]:
                found["limit"] = min(found["limit"] or PAGE, PAGE)
        return found

    def _held(self, which: list[tuple[int, int]]) -> tuple[tuple[str, str], list[str], list[Pair]]:
        """Messages of one queue that were claimed, lately or before; and for each its last receipt, an older one,
        another's, or one that nobody gave."""
        paths = list(self.receipts)
        if not paths:
            return ("a", "q"), [IDS[0]], [Pair(FOREIGN[0], FOREIGN[0])]
        account, queue, _ = paths[-1 - which[0][0] % len(paths)]
        here = [path for path in paths if path[:2] == (account, queue)]
        found: dict[str, Pair] = {}
        for number, receipt in which:
            path = here[-1 - number % len(here)]
            own, others = self.receipts[path], self.receipts[here[0]]
            foreign = FOREIGN[receipt % len(FOREIGN)]
            choice = [own[-1], own[-1], own[-1], own[-1], own[-2:][0], own[-3:][0], others[-1], Pair(foreign, foreign)]
            found[path[-1]] = choice[receipt]
        return (account, queue), list(found), list(found.values())

    # The rules

    @often(6, where=wheres, new=news, only_new=st.sampled_from([False, False, False, True]), version=versions)
    def put(self, where: tuple[str, str], new: New, only_new: bool, version: int) -> None:
        self.speak(version)
        plain = self.driver.versions and self.old
        self.ask("put", *where, [New(*new[:4]) if plain else new], only_new and not plain)

    @often(3, where=wheres, new=news)
    def put_another(self, where: tuple[str, str], new: New) -> None:
        self.speak(1)
        self.ask("put", *where, [new], False)

    @often(3, where=wheres, many=st.lists(news, min_size=2, max_size=3))
    def put_many(self, where: tuple[str, str], many: list[New]) -> None:
        self.ask("put", *where, many, False)

    @often(2, where=wheres, some=some_ids, version=versions)
    def get(self, where: tuple[str, str], some: list[str], version: int) -> None:
        self.speak(version)
        self.ask("get", *where, some, where=where)

    @often(3, where=wheres, some=some_ids, ttl=ttls, hide=hides, version=versions)
    def change(self, where: tuple[str, str], some: list[str], ttl: int | None, hide: int | None, version: int) -> None:
        self.speak(version)
        self.ask("change", *where, some, ttl, hide, where=where)

    @often(4, which=shown, ttl=ttls, hide=hides)
    def change_held(self, which: list[tuple[int, int]], ttl: int | None, hide: int | None) -> None:
        where, some, receipts = self._held(which)
        self.ask("change", *where, some, ttl, hide, receipts, where=where)

    @often(3, which=shown)
    def delete_held(self, which: list[tuple[int, int]]) -> None:
        where, some, receipts = self._held(which)
        self.ask("delete", *where, some, receipts, where=where)

    @often(2, where=wheres, id=ids, version=versions)
    def delete(self, where: tuple[str, str], id: str, version: int) -> None:
        self.speak(version)
        self.ask("delete", *where, [id], where=where)

    @often(3, where=wheres, given=filters, start=starts, version=versions)
    def select(self, where: tuple[str, str], given: dict[str, Any], start: str | int | None, version: int) -> None:
        self.speak(version)
        self.ask("select", *where, self._filters(where, given, start), where=where)

    @often(4, where=wheres, given=filters, start=starts, version=versions, hold=holds)
    def claim(
        self, where: tuple[str, str], given: dict[str, Any], start: str | int | None, version: int, hold: int
    ) -> None:
        self.speak(version)
        self.ask("change_matching", *where, self._filters(where, given, start), None, hold, where=where)

    @often(6, where=wheres, hold=holds)
    def claim_next(self, where: tuple[str, str], hold: int) -> None:
        self.ask("change_matching", *where, {**FIRST, "limit": 1}, None, hold, where=where)

    @often(2, where=wheres, given=filters, start=starts, version=versions, ttl=ttls, hide=hides)
    def change_matching(
        self,
        where: tuple[str, str],
        given: dict[str, Any],
        start: str | int | None,
        version: int,
        ttl: int | None,
        hide: int | None,
    ) -> None:
        self.speak(version)
        self.ask("change_matching", *where, self._filters(where, given, start), ttl, hide, where=where)

    @often(2, where=wheres, given=filters, start=starts, version=versions)
    def pop(self, where: tuple[str, str], given: dict[str, Any], start: str | int | None, version: int) -> None:
        self.speak(version)
        given = {**given, "limit": min(given["limit"] or 9, 2 + 7 * version)}
        self.ask("pop", *where, self._filters(where, given, start), where=where)

    @often(3, where=wheres, which=policies)
    def set_policy(self, where: tuple[str, str], which: dict[str, int]) -> None:
        change = {name: VALUES[name][number] for name, number in which.items()} or None
        if change is None or change.get("dead_letter") != where[1]:  # which is refused
            self.ask("policy", *where, change)

    @often(1, account=accounts, quota=quotas)
    def set_quota(self, account: str, quota: Quota) -> None:
        self.ask("quota", account, quota)

    @often(3, account=accounts, limit=limits, after=st.integers(0, 9), what=wide, version=versions)
    def list_or_wipe(self, account: str, limit: int | None, after: int, what: str, version: int) -> None:
        self.speak(version)
        if what.endswith("accounts"):
            self.ask(what, limit, _name(ACCOUNTS, after))
        else:
            bounded = min(limit or PAGE, PAGE) if what == "states" else limit
            self.ask(what, account, bounded, _name(QUEUES, after))

    @often(3, seconds=st.sampled_from([1, 0.5, 0.25, 2, 5, 0.1, 0.001]))
    def pass_time(self, seconds: float) -> None:
        self.ask("advance", seconds)

    @often(4, which=st.sampled_from([0, 0, 0, 1, 2]), before=st.sampled_from([0, 0, 0.001]), held=st.booleans())
    def pass_time_to_an_end(self, which: int, before: float, held: bool) -> None:
        """And look at what ends then, at that instant."""
        ends = self.reference.ends()
        if ends:
            at, where, id = ends[which % len(ends)]
            self.ask("advance", max(0.0, at - self.reference.now - before))
            receipts = self.receipts.get((*where, id))
            if receipts and held:
                self.ask("change", *where, [id], None, None, [receipts[-1]], where=where)
            else:
                self.ask("get", *where, [id], where=where)

    @often(1)
    def sweep(self) -> None:
        self.ask("sweep")

    @often(1, crash=st.booleans(), queue=st.sampled_from(QUEUES), after=st.sampled_from(QUEUES))
    def restart(self, crash: bool, queue: str, after: str) -> None:
        """With something that has just been put, and something that is put at once."""
        if self.driver.restarts:
            self.ask("put", "a", queue, [New(b"", "0")], False)
            Machine.steps += 1
            self.driver.restart(crash)
            self.ask("put", "a", after, [New(b"", "1")], False)
            self.check()


class Mixed(Machine):
    """The machine with its one rule: any of the calls."""

    @rule(call=st.sampled_from(CALLS).flatmap(lambda each: each))
    def do(self, call: tuple[str, dict[str, Any]]) -> None:
        name, arguments = call
        getattr(self, name)(**arguments)


def run(make: Callable[[], Driver], steps: int, seed: int, find_only: bool = False) -> int:
    """Histories of so many steps together, those of the seed, and how many steps they had. `find_only`: a failure is
    not made smaller."""

    def machine() -> Machine:
        return Mixed(make)

    before = Machine.steps
    phases = [Phase.generate] if find_only else [Phase.generate, Phase.shrink]
    while (left := steps - (Machine.steps - before)) > 0:
        chosen = settings(
            max_examples=math.ceil(left / STEPS),
            stateful_step_count=min(STEPS, steps),
            database=None,
            deadline=None,
            phases=phases,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        )
        run_state_machine_as_test(seeded(seed)(machine), settings=chosen)
        seed += 1
    return Machine.steps - before


def _said(given: Any, which: int) -> Any:
    """Arguments with the word of each pair that is meant."""
    if isinstance(given, Pair):
        return given[which]
    if isinstance(given, New):
        return given
    if isinstance(given, list | tuple):
        return type(given)(_said(each, which) for each in given)
    if isinstance(given, dict):
        return {name: _said(each, which) for name, each in given.items()}
    return given


def answers_alike(expected: Any, answer: Any) -> bool:
    """Whether they say the same, but for what each has words of its own for."""
    return bool(_shown(answer, answer) == _shown(expected, answer))


def _name(names: Sequence[str], number: int) -> str | None:
    """One of them, or none."""
    return names[number] if number < len(names) else None


def _list(answer: Any) -> list[Any]:
    return answer if isinstance(answer, list) else [answer]


def _shown(answer: Any, by: Any) -> Any:
    """An answer without what each has words of its own for, and as the version shows it that answered."""
    if isinstance(answer, list):
        return [
            _shown(one, other)
            for one, other in zip_longest(answer, (by if isinstance(by, list) else [])[: len(answer)])
        ]
    if not isinstance(answer, Seen | subject.Seen):
        return answer
    if isinstance(by, subject.Seen):
        # A dead letter whose id was taken has another, and v1.0 doesn't show which it had.
        renamed = isinstance(answer, Seen) and "dead-letter-id" in answer.headers
        return (by.id if renamed else answer.id, *answer[1:4])
    id = answer.headers.get("dead-letter-id", answer.id)
    receipt = answer.receipt and "given"
    return answer._replace(id=id, created=round(answer.created, 3), marker="", receipt=receipt)
