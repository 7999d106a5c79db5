"""Small things that happen at once, and what must hold of each, in whatever order its parts were done."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

from interleavings.world import Begun, Client, Scenario, World
from leveret.model import Quota
from model.machine import answers_alike
from model.reference import Reference
from support.subject11 import New

Q = ("a", "q")
FIRST = {"limit": 1}
CLAIM = ("change_matching", *Q, FIRST, None, 600)

Call = tuple[Any, ...]  # the name of a call of the reference, and its arguments

_judged: dict[str, bool] = {}


def new(id: str, ttl: int = 600, hide: int = 0) -> New:
    return New(b"x", id, ttl, hide)


def at_once(before: list[Call], *together: Call) -> Scenario:
    """Calls of a store: what they answer, and what is there then, is as if they had been made one after the other."""

    def scenario(world: World) -> Begun:
        first = world.client()
        for name, *args in before:
            getattr(first, name)(*args)
        callers = [(world.client(), call) for call in together]
        return [_caller(client, call) for client, call in callers], lambda: _check_order(world, first, before)

    return scenario


def _caller(client: Client, call: Call) -> Callable[[], object]:
    return lambda: client.call(*call)


def _check_order(world: World, client: Client, before: list[Call]) -> None:
    made = sorted(world.history, key=lambda call: call[0])
    final = _state(client)
    told = f"{before} {made} {final}"
    if told not in _judged:
        _judged[told] = any(_fits(before, order, final) for order in permutations(made))
    assert _judged[told], f"no order of these explains the answers:\n{made}\nand this:\n{final}"


def _state(each: Any) -> list[Any]:
    queues = [("a", queue) for queue in each.queues("a")]
    return [
        each.accounts(),
        each.totals(),
        [name for _, name in queues],
        *[each.select(*queue, {"limit": None, "match_hidden": True}) for queue in queues],
    ]


def _fits(before: list[Call], order: Any, final: list[Any]) -> bool:
    if any(later[1] < earlier[0] for number, earlier in enumerate(order) for later in order[number:]):
        return False  # what was over before another began was done before it
    reference = Reference()
    for name, *args in before:
        getattr(reference, name)(*args)
    for _, _, name, args, answer in order:
        if not answers_alike(getattr(reference, name)(*args), answer):
            return False
    return all(answers_alike(mine, its) for mine, its in zip(_state(reference), final, strict=False))


STORE: dict[str, Scenario] = {
    "two claims and one message": at_once([("put", *Q, [new("1")])], CLAIM, CLAIM),
    "a put, a claim and a delete": at_once([], ("put", *Q, [new("1")]), CLAIM, ("delete", *Q, ["1"])),
    "the last is deleted while another comes": at_once(
        [("put", *Q, [new("1")])], ("delete", *Q, ["1"]), ("put", *Q, [new("2")]), ("accounts",)
    ),
    "an account vanishes while it is made": at_once(
        [("put", *Q, [new("1")])], ("delete_accounts",), ("put", "a", "r", [new("2")]), ("totals",)
    ),
    "a queue is deleted while it is put to": at_once(
        [("put", *Q, [new("1")])], ("delete_queues", "a"), ("put", *Q, [new("2")]), ("pop", *Q, FIRST)
    ),
    "the sweep, a claim and a put at the end of a message": at_once(
        [("put", *Q, [new("1", ttl=1), new("2", ttl=1)]), ("advance", 1)],
        ("sweep",),
        ("put", *Q, [new("2")]),
        CLAIM,
    ),
    "a dead letter moves while another is put": at_once(
        [
            ("policy", *Q, {"max_deliveries": 1, "dead_letter": "dead"}),
            ("put", *Q, [new("1")]),
            ("change_matching", *Q, FIRST, None, 600),
            ("change", *Q, ["1"], None, 0),
            ("totals",),
        ],
        CLAIM,
        ("put", "a", "dead", [new("2")]),
        ("totals",),
    ),
    "a replacement, a claim and a pop": at_once(
        [("put", *Q, [new("1"), new("2")])], ("put", *Q, [new("1", hide=9)]), CLAIM, ("pop", *Q, FIRST)
    ),
    "two puts and room for one": at_once(
        [("quota", "a", Quota(messages=1))], ("put", *Q, [new("1")]), ("put", "a", "r", [new("2")])
    ),
    "two puts and a queue with room for one": at_once(
        [("policy", *Q, {"max_messages": 2}), ("put", *Q, [new("0")])],
        ("put", *Q, [new("1")]),
        ("put", *Q, [new("2")]),
    ),
}


def _check_polls(world: World) -> None:
    """Nobody waits for what is there; nothing was given to two; who hung up took nothing."""
    client = world.client()
    there = client.select(*Q, {"limit": None})
    taken = [message.id for poll in world.polls if poll.kind != "read" for found in poll.answers for message in found]
    assert len(taken) == len(set(taken)), f"{taken} were taken, one of them twice"
    for poll in world.polls:
        assert len(poll.answers) + poll.cancelled <= 1, "a poll was answered twice"
        passed = poll.filters.after is not None
        assert not (poll.waits and there and not passed), f"a {poll.kind} waits, and {there} is there"
    left = {message.id for message in client.select(*Q, {"limit": None, "match_hidden": True})}
    gone = {message.id for poll in world.polls if poll.kind == "pop" for found in poll.answers for message in found}
    assert not left & gone, "what was popped is there"


def polls(make: Callable[[World, Client], list[Callable[[], object]]]) -> Scenario:
    """Calls that polls wait for: no wake-up is lost, and no message is taken twice."""

    def scenario(world: World) -> Begun:
        return make(world, world.client()), lambda: _check_polls(world)

    return scenario


def _put(client: Client, *ids: str, hide: int = 0) -> Callable[[], object]:
    return lambda: client.put(*Q, [new(id, hide=hide) for id in ids])


def _hidden(world: World, client: Client) -> Callable[[], object]:
    client.put(*Q, [new("1", hide=50)])
    return lambda: world.client().change(*Q, ["1"], None, 0)


WAITERS: dict[str, Scenario] = {
    "a put while a poll is parked": polls(lambda world, client: [world.poll("claim").begin, _put(client, "1")]),
    "a put while a reader is parked": polls(lambda world, client: [world.poll("read").begin, _put(client, "1")]),
    "a put and two polls": polls(
        lambda world, client: [world.poll("claim").begin, world.poll("pop").begin, _put(client, "1")]
    ),
    "two puts and two polls": polls(
        lambda world, client: [
            world.poll("claim").begin,
            world.poll("claim").begin,
            _put(client, "1"),
            _put(world.client(), "2"),
        ]
    ),
    "a reader, a consumer and a put": polls(
        lambda world, client: [world.poll("read").begin, world.poll("pop").begin, _put(client, "1")]
    ),
    "a lease that is given back": polls(lambda world, client: [world.poll("claim").begin, _hidden(world, client)]),
    "a message that is hidden for a while": polls(
        lambda world, client: [world.poll("claim").begin, _put(client, "1", hide=5)]
    ),
    "one that passes by and one that does not": polls(
        lambda world, client: [
            world.poll("claim", after=1 << 59).begin,
            world.poll("claim").begin,
            _put(client, "1"),
        ]
    ),
}


def _leaves(world: World) -> Begun:
    """Two polls, of which the first hangs up while a message comes: then the other one gets it."""
    client, one, other = world.client(), world.poll("claim"), world.poll("claim")
    return [lambda: (one.begin(), other.begin(), client.put(*Q, [new("1")])), one.leave], lambda: _check_polls(world)


def _drains(world: World) -> Begun:
    """A poll is parked while the service drains: it does not wait."""
    poll = world.poll("claim")

    def check() -> None:
        _check_polls(world)
        assert not poll.waits, "a poll waits, and nothing waits any more"

    return [poll.begin, world.service.drain], check


WAITERS["a poll that leaves while it is woken"] = _leaves
WAITERS["a poll that is parked while all are drained"] = _drains
