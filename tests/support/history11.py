"""Long random histories of v1.1: whatever a service is asked for, it answers as the reference does."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from support.reference11 import Reference11
from support.subject11 import New, Outcome, Seen, Subject11

ACCOUNTS = ["a", "b"]
QUEUES = ["q", "dead", "other"]
IDS = [f"{number}" for number in range(8)]
FOREIGN = ["0.0.0", "", "deadbeef", "1.2.3.4"]  # receipts that nobody gave

Pair = tuple[str, str]  # the same thing, in the words of the reference and of the subject
Call = Callable[[Subject11, int], Any]  # with the number of the word to take of each pair


class History:
    """A subject and the reference, of which the same is asked, step by step."""

    def __init__(self, subject: Subject11, seed: int) -> None:
        self.reference = Reference11(subject.now)
        self.both: tuple[Subject11, Subject11] = (self.reference, subject)
        self.chance = random.Random(seed)
        self.receipts: list[tuple[str, str, str, Pair]] = []  # each with its message's path
        self.markers: list[tuple[str, str, Pair]] = []
        self.words: list[str] = []

    def step(self) -> None:
        words, call = self._any_call()
        self.words.append(f"{self.reference.now:.2f} {words}")
        expected, answer = call(self.both[0], 0), call(self.both[1], 1)
        answered = [f"{answer}", "where this was expected:", f"{expected}"]
        assert _plain(answer) == _plain(expected), "\n".join([*self.words[-40:], *answered])
        self._learn(words.split()[1], expected, answer)
        seconds = self.chance.choice([0, 0, 0, 0, 0.5, 1, 2, 5])
        for each in self.both:
            each.advance(seconds)

    def check_states(self) -> None:
        """That all queues are described as they are."""
        for account in ACCOUNTS:
            expected, answer = [each.states(account, names=QUEUES) for each in self.both]
            assert answer == expected, "\n".join([*self.words[-40:], f"{answer}", f"{expected}"])
            assert sorted(self.both[1].queues(account)) == self.both[0].queues(account)

    def _learn(self, path: str, expected: Any, answer: Any) -> None:
        """Remember the receipts and markers that were given."""
        account, queue, *_ = path.split("/")
        for ours, theirs in zip(_messages(expected), _messages(answer), strict=True):
            self.markers.append((account, queue, (ours.marker, theirs.marker)))
            if ours.receipt is not None:
                assert theirs.receipt is not None
                # Only an extension that changes nothing may answer with what was answered before.
                lease = ours.receipt.split(".")[0]
                given = [pair for *path, _, pair in self.receipts if path == [account, queue]]
                leases = {pair[0].split(".")[0] for pair in given if pair[1] == theirs.receipt}
                assert leases <= {lease}, "a receipt of another lease"
                self.receipts.append((account, queue, ours.id, (ours.receipt, theirs.receipt)))
        # The latest are the most interesting; of the older ones, some do.
        self.receipts = self.receipts[-60:]
        self.markers = self.markers[-60:]

    def _receipt(self, account: str, queue: str, id: str) -> Pair:
        """A receipt to show for a message: mostly one of its own, good or old."""
        own = [pair for *path, pair in self.receipts if path == [account, queue, id]]
        others = [pair for *path, pair in self.receipts if path[:2] == [account, queue] and path[2] != id]
        chosen = self.chance.random()
        if own and chosen < 0.6:
            return own[-1]
        if own and chosen < 0.8:
            return self.chance.choice(own)
        if others and chosen < 0.9:
            return self.chance.choice(others)
        foreign = self.chance.choice(FOREIGN)
        return foreign, foreign

    def _filters(self, account: str, queue: str) -> tuple[dict[str, Any], Pair | None]:
        """Filters without `after`, and that, which is a pair."""
        chance = self.chance
        filters: dict[str, Any] = {
            "limit": chance.choice([None, 1, 1, 2, 3, 5]),
            "newest_first": chance.random() < 0.3,
            "match_hidden": chance.random() < 0.25,
        }
        places = [pair for *path, pair in self.markers if path == [account, queue]]
        if places and chance.random() < 0.3:
            return filters, chance.choice(places)
        if chance.random() < 0.2:
            filters["marker"] = chance.choice(IDS)
        return filters, None

    def _any_call(self) -> tuple[str, Call]:
        chance = self.chance
        account = chance.choice(ACCOUNTS)
        queue = chance.choice(["q", "q", "q", "q", "dead", "other"])
        id = chance.choice(IDS)
        where = f"{account}/{queue}"
        kinds = {
            "put": 8, "put_many": 2, "get": 1, "list": 3, "claim": 6, "pop": 1, "change": 4, "delete": 3,
            "get_many": 1, "change_many": 2, "delete_many": 2, "policy": 0.7,
        }  # fmt: skip
        (kind,) = chance.choices(list(kinds), list(kinds.values()))
        ttl, hide = chance.choice([None, None, 0, 3, 9, 30]), chance.choice([None, None, 0, 1, 4, 9])
        if kind == "put":
            given = {**self._content(), "ttl": ttl, "hide": hide, "only_new": chance.random() < 0.2}
            return f"put {where}/{id} {given}", lambda each, _: each.put(account, queue, id, **given)
        if kind == "put_many":
            ids = chance.choices(IDS, k=chance.choice([1, 2, 3]))
            messages = [New(id=each, ttl=ttl, hide=hide, **self._content()) for each in dict.fromkeys(ids)]
            return f"put_many {where} {messages}", lambda each, _: each.put_many(account, queue, messages)
        if kind == "policy":
            change = self._policy_change(queue)
            return f"policy {where} {change}", lambda each, _: each.policy(account, queue, change)
        if kind in ("list", "claim", "pop"):
            filters, after = self._filters(account, queue)
            if kind == "claim":
                filters["hide"] = chance.choice([0, 1, 2, 5, 10])

            def match(each: Subject11, number: int) -> Any:
                place = None if after is None else after[number]
                return getattr(each, kind)(account, queue, after=place, **filters)

            return f"{kind} {where} {filters} {after}", match
        change = {} if "change" not in kind else {"ttl": ttl, "hide": hide}
        if kind.endswith("many"):
            ids = chance.sample(IDS, k=chance.choice([1, 2, 4]))
            pairs = [self._receipt(account, queue, each) for each in ids] if chance.random() < 0.6 else []
            if kind == "get_many":
                return f"get_many {where} {ids}", lambda each, _: each.get_many(account, queue, ids)

            def act_on_many(each: Subject11, number: int) -> Any:
                receipts = [pair[number] for pair in pairs] or None
                return getattr(each, kind)(account, queue, ids, receipts=receipts, **change)

            return f"{kind} {where} {ids} {change} {pairs}", act_on_many
        if kind == "get":
            return f"get {where}/{id}", lambda each, _: each.get(account, queue, id)
        pair = self._receipt(account, queue, id) if chance.random() < 0.7 else None

        def act(each: Subject11, number: int) -> Any:
            receipt = None if pair is None else pair[number]
            return getattr(each, kind)(account, queue, id, receipt=receipt, **change)

        return f"{kind} {where}/{id} {change} {pair}", act

    def _content(self) -> dict[str, Any]:
        chance = self.chance
        return {
            "body": f"{chance.randrange(10**6)}".encode() * chance.choice([0, 1, 1, 2]),
            "content_type": chance.choice([None, None, "text/plain"]),
            "headers": chance.choice([{}, {}, {"Trace": f"{chance.randrange(100)}"}]),
        }

    def _policy_change(self, queue: str) -> dict[str, int | str | None] | None:
        chance = self.chance
        if chance.random() < 0.15:
            return None
        values: dict[str, list[int | str | None]] = {
            "default_ttl": [None, 0, 4, 20],
            "default_hide": [None, 0, 2],
            "max_deliveries": [None, 1, 2, 3],
            "dead_letter": [None, *(name for name in QUEUES if name != queue)],
            "max_messages": [None, None, 2, 5],
            "max_bytes": [None, None, 6, 30],
        }
        names = chance.sample(list(values), k=chance.choice([0, 1, 2, 3]))
        return {name: chance.choice(values[name]) for name in names}


def _messages(answer: Any) -> list[Seen]:
    if isinstance(answer, Seen):
        return [answer]
    if isinstance(answer, Outcome):
        return _messages(answer.message)
    if isinstance(answer, list):
        return [message for each in answer for message in _messages(each)]
    return []


def _plain(answer: Any) -> Any:
    """An answer without what each has words of its own for."""
    if isinstance(answer, Seen):
        id = answer.headers.get("dead-letter-id", answer.id)
        # A store may make it a little later with each death, so that it is another message.
        created = round(answer.created, 3)
        return answer._replace(id=id, created=created, marker="", receipt=answer.receipt and "given")
    if isinstance(answer, Outcome):
        return answer._replace(message=_plain(answer.message))
    if isinstance(answer, list):
        return [_plain(each) for each in answer]
    return answer


def run(subject: Subject11, seed: int, steps: int) -> None:
    """A history of so many steps, with all queues described now and then."""
    history = History(subject, seed)
    for step in range(steps):
        history.step()
        if step % 7 == 0:
            history.check_states()
