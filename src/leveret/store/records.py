"""The messages of one queue, by id and in order: drafts in, messages out. Knows no lock, no signal and no other queue.

Each call is for the holder of the queue's lock. What was handed out is a copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from leveret.model import NEVER, Change, Draft, Filters, Message, Put
from leveret.store.order import BEGINNING, Order, Place
from leveret.store.tree import Leaf

_UNKNOWN: Final = -NEVER

# By names of this module: on CPython 3.11 `Put.CREATED` takes ten times as long, and `Message(...)` twice as long.
_CREATED: Final = Put.CREATED
_REPLACED: Final = Put.REPLACED
_new: Final = object.__new__


class Records:
    """One queue's messages. A message that has expired at `now` is not there, swept or not."""

    __slots__ = ("_order", "_witness", "alive_until", "by_id")

    def __init__(self, next_sequence: int = 0) -> None:
        self.by_id: dict[str, Leaf] = {}  # all that take space, expired ones included; read by others, changed here
        self._order = Order(next_sequence)
        # The message with the sequence `_witness` is there, and expires at `alive_until`: one comparison then tells
        # that the queue is not empty, and spares a call of `alive`.
        self._witness = BEGINNING
        self.alive_until = _UNKNOWN

    @property
    def next_sequence(self) -> int:
        return self._order.next_sequence

    @property
    def expires_min(self) -> float:
        """No message expires earlier."""
        return self._order.expires_min

    def alive(self, now: float) -> bool:
        """Whether any message is there."""
        if now < self.alive_until:
            return True
        found = self._order.find(now, NEVER, 1)
        if not found:
            return False
        leaf, slot = found[0]
        self._witness = leaf.base + slot
        self.alive_until = leaf.expires[slot]
        return True

    def put(self, drafts: Iterable[Draft], now: float) -> list[Put]:
        order = self._order
        index = self.by_id
        done: list[Put] = []
        for draft in drafts:
            key = draft.id
            expires = now + draft.ttl if draft.ttl else NEVER
            visible_at = now + draft.hide if draft.hide else 0.0
            leaf = index.get(key)
            if leaf is not None:
                slot = leaf.ids.index(key)
                if leaf.expires[slot] > now:
                    self._replace(leaf, slot, draft, expires, visible_at, now)
                    done.append(_REPLACED)
                    continue
                # It is not there any more, so the new one is not in its place.
                self._remove(key, leaf, slot, now)
            index[key] = leaf = order.append(key, draft.body, now, expires, visible_at, draft.meta)
            if expires >= self.alive_until:
                self._witness = leaf.base + len(leaf.ids) - 1
                self.alive_until = expires
            done.append(_CREATED)
        return done

    def _replace(self, leaf: Leaf, slot: int, draft: Draft, expires: float, visible_at: float, now: float) -> None:
        leaf.bodies[slot] = draft.body
        leaf.created[slot] = now
        leaf.deliveries[slot] = 0
        if draft.meta is not None:
            if leaf.metas is None:
                leaf.metas = {}
            leaf.metas[slot] = draft.meta
        elif leaf.metas is not None:
            leaf.metas.pop(slot, None)
        self._move(leaf, slot, visible_at, expires)

    def get(self, ids: Sequence[str], now: float) -> list[Message | None]:
        found: list[Message | None] = []
        for key in ids:
            leaf = self.by_id.get(key)
            if leaf is None:
                found.append(None)
                continue
            slot = leaf.ids.index(key)
            found.append(_message(leaf, slot) if leaf.expires[slot] > now else None)
        return found

    def update(self, ids: Sequence[str], change: Change, now: float) -> list[Message | None]:
        return [None if place is None else self._change(*place, change, now) for place in self._places(ids, now)]

    def delete(self, ids: Sequence[str], now: float) -> list[Message | None]:
        deleted: list[Message | None] = []
        for key in ids:
            leaf = self.by_id.get(key)
            if leaf is None:
                deleted.append(None)
                continue
            slot = leaf.ids.index(key)
            if leaf.expires[slot] > now:
                deleted.append(_message(leaf, slot))
                self._remove(key, leaf, slot, now)
            else:
                deleted.append(None)
        return deleted

    def select(self, filters: Filters, now: float) -> list[Message]:
        return [_message(leaf, slot) for leaf, slot in self._matching(filters, now)]

    def update_matching(self, filters: Filters, change: Change, now: float) -> list[Message]:
        changed: list[Message] = []
        for leaf, slot in self._matching(filters, now):
            changed.append(self._change(leaf, slot, change, now))
        return changed

    def delete_matching(self, filters: Filters, now: float) -> list[Message]:
        deleted: list[Message] = []
        for leaf, slot in self._matching(filters, now):
            deleted.append(_message(leaf, slot))
            self._remove(leaf.ids[slot], leaf, slot, now)
        return deleted

    def next_visible(self, filters: Filters, now: float) -> float | None:
        if filters.match_hidden:
            return None
        at = self._order.next_visible(now, self._sequence(filters.marker, now))
        return None if at == NEVER else at

    def pop_expired(self, now: float, budget: int) -> int:
        """Free the space of what expired, and answer what is left of `budget`, as `Order.pop_expired` does."""
        popped, budget = self._order.pop_expired(now, budget)
        for key in popped:
            del self.by_id[key]
        return budget

    def clear(self) -> None:
        self.by_id.clear()
        self._order.clear()

    def _places(self, ids: Iterable[str], now: float) -> Iterable[Place | None]:
        for key in ids:
            leaf = self.by_id.get(key)
            slot = -1 if leaf is None else leaf.ids.index(key)
            yield None if leaf is None or leaf.expires[slot] <= now else (leaf, slot)

    def _sequence(self, marker: str | None, now: float) -> int:
        if marker is None:
            return BEGINNING
        (place,) = self._places((marker,), now)
        return BEGINNING if place is None else place[0].base + place[1]

    def _matching(self, filters: Filters, now: float) -> list[Place]:
        if filters.limit == 0:
            return []
        if filters.limit == 1 and filters.marker is None and not filters.match_hidden:
            place = self._order.first(now)
            return [] if place is None else [place]
        horizon = NEVER if filters.match_hidden else now
        return self._order.find(now, horizon, filters.limit, self._sequence(filters.marker, now))

    def _change(self, leaf: Leaf, slot: int, change: Change, now: float) -> Message:
        ttl = change.ttl
        hide = change.hide
        if hide is None:
            visible_at = leaf.visible_at[slot]
        elif hide:
            visible_at = now + hide
            leaf.deliveries[slot] += 1
        else:
            visible_at = 0.0
        expires = leaf.expires[slot] if ttl is None else now + ttl if ttl else NEVER
        self._move(leaf, slot, visible_at, expires)
        return _message(leaf, slot)

    def _move(self, leaf: Leaf, slot: int, visible_at: float, expires: float) -> None:
        self._order.move(leaf, slot, visible_at, expires)
        if leaf.base + slot == self._witness:
            self.alive_until = expires

    def _remove(self, key: str, leaf: Leaf, slot: int, now: float) -> None:
        del self.by_id[key]
        if leaf.base + slot == self._witness:
            self.alive_until = _UNKNOWN
        self._order.remove(leaf, slot, now)


def _message(leaf: Leaf, slot: int) -> Message:
    message = _new(Message)
    message.id = leaf.ids[slot]
    message.body = leaf.bodies[slot]
    message.sequence = leaf.base + slot
    message.created = leaf.created[slot]
    message.expires = leaf.expires[slot]
    message.visible_at = leaf.visible_at[slot]
    message.deliveries = leaf.deliveries[slot]
    message.meta = None if leaf.metas is None else leaf.metas.get(slot)
    return message
