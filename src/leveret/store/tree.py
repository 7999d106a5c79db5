"""The nodes of an order. Keeps one rule: a bound may be too wide, and a search looks in vain; it is never too tight.

Every node bounds what is below it, by absolute times, so that nothing needs to move when a time comes:

* `visible_min`: no message below that is still to expire is visible earlier; may be too low, never too high
* `expires_min`: no message below expires earlier; may be too low, never too high
* `expires_max`: no message below expires later; may be too high, never too low

Nodes that are still being filled have no `expires_max`: it would rise with every message, at every level.
"""

from __future__ import annotations

from array import array
from operator import attrgetter
from typing import Final, TypeAlias

from leveret.model import NEVER, Meta

WIDTH: Final = 16  # slots of a leaf, and children of an inner node
GONE: Final = -NEVER  # `expires` of a slot whose message was removed: expired at any time

_NO_TIMES: Final = array("d", [0.0] * WIDTH)

_visible_min = attrgetter("visible_min")
_expires_max = attrgetter("expires_max")


class Leaf:
    """Up to 16 messages that came one after the other."""

    __slots__ = (
        "base",
        "bodies",
        "created",
        "deliveries",
        "expires",
        "expires_max",
        "expires_min",
        "filling",
        "gone",
        "ids",
        "metas",
        "parent",
        "visible_at",
        "visible_min",
    )

    def __init__(self, base: int) -> None:
        self.base: int = base  # the sequence of slot 0
        self.parent: Node | None = None
        self.gone = 0  # slots whose message was removed
        self.filling = True  # more messages may be appended
        # An infinity of its own: threads that work on other leaves would pay for each look at the one that all share.
        self.visible_min = self.expires_min = self.expires_max = NEVER + 0.0
        self.ids: list[str] = []  # "" where the message was removed
        self.bodies: list[bytes] = []
        self.expires = array("d")
        self.visible_at: list[float] = []  # a list, as it is scanned most, and nearly all are the same 0
        # What is never searched has all its slots from the beginning, so that a new message costs less.
        self.created = _NO_TIMES[:]
        self.deliveries = [0] * WIDTH
        self.metas: dict[int, Meta] | None = None  # by slot; few messages have one

    @property
    def left(self) -> int:
        """How many messages are still there."""
        return len(self.ids) - self.gone

    def tighten(self, now: float) -> bool:
        """Make the bounds as tight as the messages are, as of `now`; whether that changed one."""
        low = NEVER
        for at, end in zip(self.visible_at, self.expires, strict=True):
            # What expires before it is visible never will be.
            if at < low and at < end and end > now:
                low = at
        return _tighten(self, low, NEVER if self.filling else max(self.expires))


class Node:
    """Up to 16 leaves, or inner nodes; all leaves of a tree are equally deep."""

    __slots__ = ("base", "children", "expires_max", "expires_min", "parent", "visible_min")

    def __init__(self, children: list[Tree]) -> None:
        self.base: int = children[0].base  # no sequence below is smaller, though it may be gone
        self.parent: Node | None = None
        self.children = children
        for child in children:
            child.parent = self
        self.visible_min: float = min(child.visible_min for child in children)
        self.expires_min: float = min(child.expires_min for child in children)
        self.expires_max: float = max(child.expires_max for child in children)

    def tighten(self, now: float) -> bool:
        """Make the bounds as tight as the children's, as of `now`; whether that changed one."""
        low = NEVER
        high = GONE
        for child in self.children:
            end = child.expires_max
            if end > now:
                if end > high:
                    high = end
                if child.visible_min < low:
                    low = child.visible_min
        return _tighten(self, low, high)


Tree: TypeAlias = Leaf | Node


def _tighten(node: Tree, low: float, high: float) -> bool:
    # Only ever tighter. A child that is wholly expired may have wider bounds than its parent, which left it out; were
    # the parent to take them over, its own parent's would be too tight for a message that is put below them later.
    changed = False
    if low > node.visible_min:
        node.visible_min = low
        changed = True
    if high < node.expires_max:
        node.expires_max = high
        changed = True
    return changed


def widen(node: Tree, visible_at: float, expires: float) -> None:
    """Let the bounds of `node` and of all above it take in a message with these times.

    Nodes above may have left out a node that was wholly expired: it goes in again with all that it has.
    """
    low = visible_at if visible_at < expires else NEVER
    above: Tree | None = node
    while above is not None:
        if low >= above.visible_min and above.expires_min <= expires <= above.expires_max:
            return
        if low < above.visible_min:
            above.visible_min = low
        else:
            low = above.visible_min
        if expires < above.expires_min:
            above.expires_min = expires
        if expires > above.expires_max:
            above.expires_max = expires
        above = above.parent


def narrow(leaf: Leaf, was_visible: float, was_expires: float) -> None:
    """Correct the bounds of a leaf and of its parent which were there for a message that has these times no more.

    Further up it is left to the search that finds nothing. For a whole queue of changed messages that is a look at one
    node in 256, while to correct every level here would burden each claim of the only message that is visible.
    """
    parent = leaf.parent
    if was_visible == leaf.visible_min and was_visible not in leaf.visible_at:
        low = min(leaf.visible_at)
        if low > was_visible:
            leaf.visible_min = low
            if parent is not None and parent.visible_min == was_visible:
                _tighten(parent, min(map(_visible_min, parent.children)), NEVER)
    if was_expires == leaf.expires_max and was_expires not in leaf.expires and not leaf.filling:
        leaf.expires_max = max(leaf.expires)
        if parent is not None and parent.expires_max == was_expires:
            _tighten(parent, GONE, max(map(_expires_max, parent.children)))


def correct(node: Tree, now: float) -> None:
    """Tighten the bounds of `node`, and those above it that depend on them."""
    above: Tree | None = node
    while above is not None and above.tighten(now):
        above = above.parent


def correct_expires_min(node: Tree) -> None:
    above: Tree | None = node
    while above is not None:
        if isinstance(above, Leaf):
            earliest = min((expires for expires in above.expires if expires != GONE), default=NEVER)
        else:
            earliest = min(child.expires_min for child in above.children)
        if earliest == above.expires_min:
            return
        above.expires_min = earliest
        above = above.parent
