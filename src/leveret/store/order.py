"""The messages of one queue, in order. Keeps one rule: what is hidden, expired or gone is never scanned past twice.

An append-only tree, 16 wide. Leaves hold messages in slots, column by column, since a message then costs a few words
and no object of its own; a slot never moves, so a sequence number is its leaf's base and the slot. A leaf goes with its
last message, an inner node with its last child, and a root with one child gives way to it; nothing is rebalanced.

A search enters only nodes whose bounds (`tree`) allow a match, and corrects the bounds of those that had none. Changes
and removals correct the bounds near them that they were the reason for.
"""

from __future__ import annotations

from bisect import bisect_right
from operator import attrgetter
from typing import Final, TypeAlias

from leveret.model import NEVER, Meta
from leveret.store.tree import GONE, WIDTH, Leaf, Node, Tree, correct, correct_expires_min, narrow, widen

BEGINNING: Final = -1  # the sequence before every other

_base = attrgetter("base")
_visible_min = attrgetter("visible_min")

Place: TypeAlias = tuple[Leaf, int]  # a leaf and the slot in it
Popped: TypeAlias = tuple[str, float, int]  # the id, until when it was hidden, and the size of its body


class Order:
    """The messages of a queue, in the order of their coming. Its owner holds the queue's lock around each call."""

    __slots__ = ("_front", "_front_slot", "_last", "_never", "_next_sequence", "_root", "_until")

    def __init__(self, next_sequence: int = 0) -> None:
        self._next_sequence = next_sequence  # where no leaf is being filled
        self._root: Tree | None = None
        self._last: Leaf | None = None  # the leaf that is being filled
        # Where claims go on: before `_until`, no message is visible in a leaf before `_front` or a slot of it before
        # `_front_slot`.
        self._front: Leaf | None = None
        self._front_slot = 0
        self._never = NEVER + 0.0  # its own, as each leaf has one
        self._until = self._never

    @property
    def next_sequence(self) -> int:
        """Of the message that is appended next."""
        return self._next_sequence if self._last is None else self._last.base + len(self._last.ids)

    @property
    def expires_min(self) -> float:
        """No message expires earlier."""
        return NEVER if self._root is None else self._root.expires_min

    def append(
        self,
        id: str,
        body: bytes,
        created: float,
        expires: float,
        visible_at: float,
        meta: Meta | None,
    ) -> Leaf:
        """Add a message at the end; answers the leaf that holds it from now on."""
        leaf = self._last
        if leaf is None or len(leaf.ids) == WIDTH:
            leaf = self._grow()
        slot = len(leaf.ids)
        if meta is not None:
            if leaf.metas is None:
                leaf.metas = {}
            leaf.metas[slot] = meta
        leaf.ids.append(id)
        leaf.bodies.append(body)
        leaf.created[slot] = created
        leaf.expires.append(expires)
        leaf.visible_at.append(visible_at)
        if visible_at < leaf.visible_min or expires < leaf.expires_min:
            widen(leaf, visible_at, expires)
        return leaf

    def _grow(self) -> Leaf:
        """A new leaf at the end. What is full is closed, and gets its `expires_max`."""
        leaf = Leaf(self.next_sequence)
        self._last = leaf
        root = self._root
        if root is None:
            self._root = leaf
            return leaf
        last = root
        while isinstance(last, Node):
            last = last.children[-1]
        last.filling = False
        last.expires_max = max(last.expires)
        node: Tree = leaf
        parent = last.parent
        while parent is not None and len(parent.children) == WIDTH:
            parent.expires_max = max(child.expires_max for child in parent.children)
            node = Node([node])
            parent = parent.parent
        if parent is None:
            self._root = Node([root, node])
            return leaf
        parent.children.append(node)
        node.parent = parent
        widen(parent, NEVER, NEVER)
        return leaf

    def move(self, leaf: Leaf, slot: int, visible_at: float, expires: float) -> None:
        """Give a message other times, in its place."""
        was_visible = leaf.visible_at[slot]
        was_expires = leaf.expires[slot]
        column = leaf.visible_at
        column[slot] = visible_at
        leaf.expires[slot] = expires
        if visible_at < leaf.visible_min or expires < leaf.expires_min or expires > leaf.expires_max:
            widen(leaf, visible_at, expires)
        front = self._front
        if (
            visible_at < self._until
            and front is not None
            and (leaf.base < front.base or (leaf is front and slot < self._front_slot))
        ):
            # What lies before it is still not visible before `_until`: claims go on from here.
            self._front = leaf
            self._front_slot = slot
        # Claims go from the first slot to the last, which then tells that others need no change without a scan.
        if was_expires == leaf.expires_max or (
            was_visible == leaf.visible_min and column[-1] != was_visible and was_visible not in column
        ):
            narrow(leaf, was_visible, was_expires)

    def remove(self, leaf: Leaf, slot: int, now: float) -> None:
        leaf.gone += 1
        if leaf.gone == len(leaf.ids):
            self._unlink(leaf, now)
            return
        visible_at = leaf.visible_at
        expires = leaf.expires
        was_visible = visible_at[slot]
        was_expires = expires[slot]
        leaf.ids[slot] = ""
        leaf.bodies[slot] = b""
        visible_at[slot] = NEVER
        expires[slot] = GONE
        if leaf.metas is not None:
            leaf.metas.pop(slot, None)
        # For one that was hidden, as those that are done with are, `visible_min` may stay until its time comes.
        if was_expires == leaf.expires_max or (
            was_visible <= now
            and was_visible == leaf.visible_min
            and visible_at[-1] != was_visible
            and was_visible not in visible_at
        ):
            narrow(leaf, was_visible, was_expires)

    def _unlink(self, leaf: Leaf, now: float) -> None:
        if leaf is self._last:
            self._next_sequence = leaf.base + len(leaf.ids)
            self._last = None
        if leaf is self._front:
            self._front = None
        node: Tree = leaf
        parent = leaf.parent
        while parent is not None:
            parent.children.remove(node)
            node.parent = None
            if parent.children:
                break
            node, parent = parent, parent.parent
        if parent is None:
            self._root = None
            return
        # The bounds of what is gone need no correction where others below are the reason for them as well.
        if node.visible_min <= parent.visible_min or node.expires_max >= parent.expires_max:
            correct(parent, now)
        root = self._root
        while isinstance(root, Node) and len(root.children) == 1:
            (child,) = root.children
            root.children.clear()
            child.parent = None
            root = child
        self._root = root

    def clear(self) -> None:
        """Let go of everything, without leaving cycles to the garbage collector."""
        nodes: list[Tree] = [] if self._root is None else [self._root]
        self._root = self._last = self._front = None
        while nodes:
            node = nodes.pop()
            if isinstance(node, Node):
                nodes += node.children
                node.children.clear()

    def first(self, now: float) -> Place | None:
        """The first message that is visible: what a claim takes."""
        root = self._root
        if root is None or root.visible_min > now:
            return None
        leaf = self._front
        if leaf is None or self._until <= now:
            self._until = self._never
            self._front_slot = 0
            leaf = self._enter(root, now, now)
        while leaf is not None:
            self._front = leaf
            if leaf.visible_min <= now:
                visible_at = leaf.visible_at
                for slot in range(self._front_slot, len(visible_at)):
                    at = visible_at[slot]
                    if at > now:
                        if at < self._until:
                            self._until = at
                    elif leaf.expires[slot] > now:
                        self._front_slot = slot
                        return leaf, slot
                correct(leaf, now)
            if leaf.visible_min < self._until:
                self._until = leaf.visible_min
            self._front_slot = 0
            leaf = self._following(leaf, now, now)
        return None

    def find(self, now: float, horizon: float, limit: int | None, after: int = BEGINNING) -> list[Place]:
        """The messages after that sequence which expire after `now` and are visible at `horizon`, in order."""
        found: list[Place] = []
        start = 0
        if after == BEGINNING:
            leaf = None if self._root is None else self._enter(self._root, now, horizon)
        else:
            leaf = self._seek(after)
            if leaf is not None:
                start = max(0, after + 1 - leaf.base)
        while leaf is not None:
            if leaf.visible_min <= horizon and leaf.expires_max > now:
                before = len(found)
                visible_at = leaf.visible_at
                expires = leaf.expires
                for slot in range(start, len(visible_at)):
                    if visible_at[slot] <= horizon and expires[slot] > now:
                        found.append((leaf, slot))
                        if len(found) == limit:
                            return found
                if len(found) == before and start == 0:
                    correct(leaf, now)
            start = 0
            leaf = self._following(leaf, now, horizon)
        return found

    def find_back(self, now: float, horizon: float, limit: int | None, before: int | None) -> list[Place]:
        """As `find`, the other way round: the messages before that sequence, or all, the newest first."""
        found: list[Place] = []
        end: int | None = None
        root = self._root
        if root is None:
            return found
        if before is None:
            leaf = self._enter(root, now, horizon, back=True)
        else:
            leaf = self._seek(before)
            if leaf is not None:
                end = max(0, before - leaf.base)
        while leaf is not None:
            if leaf.visible_min <= horizon and leaf.expires_max > now:
                had = len(found)
                visible_at = leaf.visible_at
                expires = leaf.expires
                for slot in reversed(range(len(visible_at) if end is None else min(end, len(visible_at)))):
                    if visible_at[slot] <= horizon and expires[slot] > now:
                        found.append((leaf, slot))
                        if len(found) == limit:
                            return found
                if len(found) == had and end is None:
                    correct(leaf, now)
            end = None
            leaf = self._following(leaf, now, horizon, back=True)
        return found

    def next_visible(self, now: float, after: int = BEGINNING) -> float:
        """When the first of the messages after that sequence gets visible; `now` where one is, `NEVER` where none.

        Never too late. It may be too early where a message was changed or removed; then the next answer is later.
        """
        # The search corrects every bound that is not later than `now`.
        if self.find(now, now, 1, after):
            return now
        root = self._root
        if root is None or root.expires_max <= now:
            return NEVER
        if after == BEGINNING:
            # The message that the bounds speak of may have been removed while it was hidden.
            nearest = root
            while isinstance(nearest, Node):
                nearest = min(nearest.children, key=_visible_min)
            correct(nearest, now)
            return root.visible_min
        earliest = NEVER
        node: Tree | None = self._seek(after)
        if isinstance(node, Leaf):
            for slot in range(max(0, after + 1 - node.base), len(node.ids)):
                if now < node.expires[slot] > node.visible_at[slot] < earliest:
                    earliest = node.visible_at[slot]
        while node is not None and node.parent is not None:
            siblings = node.parent.children
            for sibling in siblings[siblings.index(node) + 1 :]:
                if sibling.visible_min < earliest and sibling.expires_max > now:
                    earliest = sibling.visible_min
            node = node.parent
        return earliest

    def pop_expired(self, now: float, budget: int) -> tuple[list[Popped], int]:
        """Remove expired messages; answers them and what is left of `budget`; a look at a slot or node costs 1."""
        popped: list[Popped] = []
        while budget > 0 and self._root is not None and self._root.expires_min <= now:
            node = self._root
            while isinstance(node, Node):
                budget -= 1
                for child in node.children:
                    if child.expires_min <= now:
                        node = child
                        break
                else:
                    correct_expires_min(node)
                    break
            if isinstance(node, Leaf):
                budget -= len(node.ids)
                due = [slot for slot, expires in enumerate(node.expires) if expires <= now and node.ids[slot]]
                popped += [(node.ids[slot], node.visible_at[slot], len(node.bodies[slot])) for slot in due]
                if len(due) == node.left:
                    self._unlink(node, now)
                    continue
                for slot in due:
                    self.remove(node, slot, now)
                correct_expires_min(node)
        return popped, budget

    def _enter(self, node: Tree, now: float, horizon: float, back: bool = False) -> Leaf | None:
        """The first leaf at or below `node` whose bounds allow a match, or the last, to go back from."""
        if isinstance(node, Leaf):
            return node
        leaf = self._among(node.children[::-1] if back else node.children, now, horizon, back)
        if leaf is None:
            node.tighten(now)
        return leaf

    def _among(self, nodes: list[Tree], now: float, horizon: float, back: bool) -> Leaf | None:
        """The first leaf at or below any of `nodes`, in their order, whose bounds allow a match."""
        for node in nodes:
            at = node.visible_min
            if at > horizon:
                if at < self._until:
                    self._until = at
            elif node.expires_max > now:
                leaf = self._enter(node, now, horizon, back)
                if leaf is not None:
                    return leaf
        return None

    def _following(self, node: Tree, now: float, horizon: float, back: bool = False) -> Leaf | None:
        """The first leaf after `node` whose bounds allow a match, or the last one before it."""
        parent = node.parent
        while parent is not None:
            siblings = parent.children
            index = siblings.index(node)
            leaf = self._among(siblings[:index][::-1] if back else siblings[index + 1 :], now, horizon, back)
            if leaf is not None:
                return leaf
            parent.tighten(now)
            node, parent = parent, parent.parent
        return None

    def _seek(self, sequence: int) -> Leaf | None:
        """The leaf that holds, or held, the sequence, else one next to where it was."""
        node = self._root
        while isinstance(node, Node):
            node = node.children[max(0, bisect_right(node.children, sequence, key=_base) - 1)]
        return node
