"""The order of one queue: its answers against a plain list, its shape, and its bounds."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from leveret.model import NEVER
from leveret.store.order import BEGINNING, Order, Place
from leveret.store.tree import GONE, WIDTH, Leaf, Node, Tree

NOW = 1000.0


def append(order: Order, id: str, visible_at: float = 0.0, expires: float = NEVER) -> Place:
    leaf = order.append(id, b"", NOW, expires, visible_at, None)
    return leaf, len(leaf.ids) - 1


def ids(places: list[Place]) -> list[str]:
    return [leaf.ids[slot] for leaf, slot in places]


def nodes(order: Order) -> Iterator[Tree]:
    left = [] if order._root is None else [order._root]
    while left:
        node = left.pop()
        yield node
        if isinstance(node, Node):
            left += node.children


def below(node: Tree) -> Iterator[tuple[float, float]]:
    """When each message below is visible, and when it expires."""
    if isinstance(node, Leaf):
        yield from ((at, end) for at, end in zip(node.visible_at, node.expires, strict=True) if end != GONE)
    else:
        for child in node.children:
            yield from below(child)


def check(order: Order, now: float) -> None:
    """That the tree is whole, and that no bound is too tight."""
    depths = set()
    for node in nodes(order):
        assert node.parent is not None or node is order._root
        depth, above = 0, node.parent
        while above is not None:
            depth, above = depth + 1, above.parent
        messages = list(below(node))
        assert messages, "an empty node is left"
        if isinstance(node, Leaf):
            depths.add(depth)
            assert node.left == len(messages)
            assert len(node.ids) <= WIDTH
        else:
            assert len(node.children) <= WIDTH
            assert all(child.parent is node for child in node.children)
        assert node.expires_min <= min(end for _, end in messages)
        for at, end in messages:
            if end > now:
                assert end <= node.expires_max
                assert at >= end or node.visible_min <= at
    assert len(depths) <= 1, "leaves at different depths"
    assert not isinstance(order._root, Node) or len(order._root.children) > 1


class TestSearch:
    def test_nothing_in_an_empty_order(self) -> None:
        order = Order()
        assert order.first(NOW) is None
        assert order.find(NOW, NOW, None) == []
        assert order.find(NOW, NEVER, None, 17) == []
        assert order.find_back(NOW, NEVER, None, None) == order.find_back(NOW, NEVER, 1, 17) == []
        assert order.next_visible(NOW) == NEVER
        assert order.pop_expired(NOW, 100) == ([], 100)
        assert order.expires_min == NEVER

    def test_sequences_start_where_told(self) -> None:
        order = Order(500)
        leaf, slot = append(order, "1")
        assert leaf.base + slot == 500
        assert order.next_sequence == 501

    @pytest.mark.parametrize("count", [1, WIDTH, WIDTH + 1, WIDTH**2, WIDTH**2 + 1, WIDTH**3 + 1])
    def test_order_at_every_height(self, count: int) -> None:
        order = Order()
        names = [str(n) for n in range(count)]
        for name in names:
            append(order, name)
        check(order, NOW)
        assert ids(order.find(NOW, NOW, None)) == names
        assert ids(order.find(NOW, NOW, 5, count // 2)) == names[count // 2 + 1 :][:5]

    def test_a_place_whose_message_is_gone_can_be_read_on_from(self) -> None:
        order = Order(100)
        places = [append(order, str(n)) for n in range(500)]
        for leaf, slot in places[50:400]:
            order.remove(leaf, slot, NOW)
        check(order, NOW)
        for sequence in (149, 150, 151, 300, 499):
            assert ids(order.find(NOW, NOW, 2, sequence)) == ["400", "401"]
        assert ids(order.find(NOW, NOW, 1, 20)) == ["0"]
        assert order.find(NOW, NOW, 1, 10_000) == []

    @pytest.mark.parametrize("count", [1, WIDTH, WIDTH + 1, WIDTH**2 + 1, WIDTH**3 + 1])
    def test_back_is_the_same_the_other_way_round(self, count: int) -> None:
        order = Order()
        for n in range(count):
            append(order, str(n), visible_at=NOW + n % 7 * 10, expires=NOW + 1 + n % 5 * 10)
        chance = random.Random(count)
        for now in (NOW, NOW + 15, NOW + 35):
            for horizon in (now, NEVER):
                forward = order.find(now, horizon, None)
                assert order.find_back(now, horizon, None, None) == forward[::-1]
                for _ in range(5):
                    before, limit = chance.randrange(count + 2), chance.choice([1, 2, 20])
                    older = [(leaf, slot) for leaf, slot in forward if leaf.base + slot < before]
                    assert order.find_back(now, horizon, limit, before) == older[::-1][:limit]
            check(order, now)

    def test_back_from_a_place_whose_message_is_gone(self) -> None:
        order = Order(100)
        places = [append(order, str(n)) for n in range(500)]
        for leaf, slot in places[50:400]:
            order.remove(leaf, slot, NOW)
        for sequence in (150, 151, 300, 499, 500):
            assert ids(order.find_back(NOW, NOW, 2, sequence)) == ["49", "48"]
        assert ids(order.find_back(NOW, NOW, 1, 10_000)) == ["499"]
        assert order.find_back(NOW, NOW, None, 100) == order.find_back(NOW, NOW, None, 5) == []

    def test_back_before_a_wholly_expired_beginning(self) -> None:
        order = Order()
        for n in range(1000):
            append(order, str(n), expires=NOW + (n >= 900))
        assert ids(order.find_back(NOW, NOW, 3, 902)) == ["901", "900"]
        assert order.find_back(NOW + 1, NOW + 1, 3, None) == []
        check(order, NOW + 1)

    def test_next_visible_after_a_place(self) -> None:
        order = Order()
        for n in range(600):
            append(order, str(n), visible_at=NOW + 1000 - n)
        assert order.next_visible(NOW) == NOW + 401
        order.move(*order.find(NOW, NEVER, None)[300], NOW + 1, NEVER)
        assert order.next_visible(NOW, 299) == NOW + 1
        assert order.next_visible(NOW, 300) == NOW + 401
        assert order.next_visible(NOW, 599) == NEVER
        assert order.next_visible(NOW + 1, 299) == NOW + 1

    def test_nothing_that_expired_gets_visible(self) -> None:
        order = Order()
        for n in range(WIDTH):
            append(order, str(n), expires=NOW + 10)
        last = append(order, "last", expires=NOW + 10)
        order.remove(*last, NOW)
        assert order.next_visible(NOW + 10) == NEVER


class TestShape:
    def test_a_queue_that_moves_on_stays_small(self) -> None:
        order = Order()
        waiting = [append(order, str(n)) for n in range(40)]
        for n in range(5000):
            order.remove(*waiting.pop(0), NOW)
            waiting.append(append(order, str(n)))
        check(order, NOW)
        assert len(list(nodes(order))) < 8

    def test_nothing_is_left_of_what_was_removed(self) -> None:
        order = Order()
        places = [append(order, str(n)) for n in range(3000)]
        random.Random(1).shuffle(places)
        for leaf, slot in places:
            order.remove(leaf, slot, NOW)
        assert order._root is order._last is order._front is None

    def test_clear_leaves_no_cycles(self) -> None:
        order = Order()
        for n in range(1000):
            append(order, str(n))
        inner = [node for node in nodes(order) if isinstance(node, Node)]
        order.clear()
        assert order.find(NOW, NEVER, None) == []
        assert not any(node.children for node in inner)

    def test_the_expired_are_popped_in_pieces(self) -> None:
        order = Order()
        for n in range(1000):
            append(order, str(n), expires=NOW + n % 2 * 100)
        popped: list[str] = []
        pieces = 0
        while order.expires_min <= NOW:
            piece = [id for id, _, _ in order.pop_expired(NOW, 100)[0]]
            assert len(piece) <= 100 + WIDTH
            popped += piece
            pieces += 1
        check(order, NOW)
        assert pieces > 5
        assert popped == [str(n) for n in range(0, 1000, 2)]
        assert order.expires_min == NOW + 100

    def test_messages_after_a_wholly_expired_tail_are_found(self) -> None:
        order = Order()
        append(order, "hidden", visible_at=NOW + 50)
        for n in range(WIDTH * 3 - 1):
            append(order, str(n), expires=NOW)
        last = [append(order, str(n), expires=NOW) for n in range(100, 103)]
        for leaf, slot in last:
            order.remove(leaf, slot, NOW)
        assert order.first(NOW) is None
        append(order, "new")
        check(order, NOW)
        assert ids(order.find(NOW, NOW, None)) == ["new"]


@pytest.mark.parametrize("seed", [*range(8), 222, 228])  # the last two have found something
def test_any_sequence_of_calls_answers_as_a_list_does(seed: int) -> None:
    chance = random.Random(seed)
    now = NOW
    order = Order()
    there: dict[int, tuple[Place, float, float]] = {}  # by sequence, in order: the place, visible_at, expires

    def expected(horizon: float, after: int = BEGINNING) -> list[Place]:
        return [p for n, (p, at, end) in there.items() if n > after and at <= horizon and end > now]

    names: dict[int, str] = {}
    growing = True
    for step in range(2500):
        if step % 500 == 0:
            growing = not growing or step == 0
        chosen = chance.random()
        visible_at = chance.choice([0.0, 0.0, now + chance.randrange(1, 30)])
        expires = now + chance.choice([NEVER, 3, 20, 100])
        alive = expected(NEVER)
        if chosen < (0.6 if growing else 0.2):
            place = append(order, str(step), visible_at, expires)
            there[order.next_sequence - 1] = (place, visible_at, expires)
            names[order.next_sequence - 1] = str(step)
        elif chosen < 0.75 and alive:
            leaf, slot = chance.choice(alive[:20] + alive[-20:]) if chance.random() < 0.5 else chance.choice(alive)
            if growing and chance.random() < 0.7:
                order.move(leaf, slot, visible_at, expires)
                there[leaf.base + slot] = ((leaf, slot), visible_at, expires)
            else:
                order.remove(leaf, slot, now)
                del there[leaf.base + slot]
        elif chosen < 0.85:
            found = order.first(now)
            assert ([] if found is None else [found]) == expected(now)[:1]
            if found is not None:
                order.move(*found, now + 10, there[found[0].base + found[1]][2])
                there[found[0].base + found[1]] = (found, now + 10, there[found[0].base + found[1]][2])
        elif chosen < 0.95:
            horizon = chance.choice([now, NEVER])
            limit = chance.choice([None, 1, 3])
            after = chance.choice([BEGINNING, chance.randrange(order.next_sequence + 2)])
            assert order.find(now, horizon, limit, after) == expected(horizon, after)[:limit]
            before = chance.choice([None, after])
            older = [p for p in expected(horizon) if before is None or p[0].base + p[1] < before]
            assert order.find_back(now, horizon, limit, before) == older[::-1][:limit]
            will_be = [at for n, (_, at, end) in there.items() if n > after and now < end and at < end]
            exact = min(will_be, default=NEVER)
            answer = order.next_visible(now, after)
            assert answer == now if exact <= now else now < answer <= exact
        elif chosen < 0.98:
            now += chance.choice([0.5, 1, 4])
        else:
            # A piece may be spent on correcting bounds alone, but some piece is the last.
            popped = [id for id, _, _ in order.pop_expired(now, 40)[0]]
            while chance.random() < 0.5 and order.expires_min <= now:
                popped += [id for id, _, _ in order.pop_expired(now, 40)[0]]
            expired = {n for n, (_, _, end) in there.items() if end <= now}
            gone = {n for n in expired if names[n] in popped}
            assert len(gone) == len(popped)
            assert gone == expired or order.expires_min <= now
            there = {n: kept for n, kept in there.items() if n not in gone}
        if step % 20 == 0:
            check(order, now)
    check(order, now)
