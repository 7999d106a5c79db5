"""The messages of one queue, by id and in order: drafts in, messages out. Knows no lock, no signal and no other queue.

Each call is for the holder of the queue's lock. What was handed out is a copy.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

from leveret.model import (
    HELD,
    NEVER,
    Activity,
    BlankMessage,
    Change,
    Draft,
    Filters,
    Message,
    Meta,
    Outcome,
    Policy,
    Put,
    Want,
    Wanted,
    holds,
)
from leveret.store.base import queue_full
from leveret.store.hidden import Hidden
from leveret.store.order import BEGINNING, Order, Place
from leveret.store.tree import Leaf

_UNKNOWN: Final = -NEVER
# What is visible is so for a long time. An integer: of one as small, no thread of a free-threaded Python counts the
# references, and of 0.0 all threads would count them in the same place.
_SINCE_EVER: Final[float] = 0
_PURGE: Final = 1_000_000  # slots and nodes to look at in one go, where all is to be freed

# By names of this module: on CPython 3.11 `Put.CREATED` takes ten times as long, and `Message(...)` twice as long.
_CREATED: Final = Put.CREATED
_REPLACED: Final = Put.REPLACED
_EXISTS: Final = Put.EXISTS
_NOTHING: Final = Want.NOTHING
_SOME: Final = Message("", b"", 0, 0.0, NEVER, 0.0, 0, None)  # where it is enough to know that there was one


class Records:
    """One queue's messages. A message that has expired at `now` is not there, swept or not."""

    __slots__ = ("_hidden", "_order", "_witness", "activity", "alive_until", "by_id", "bytes")

    def __init__(self, next_sequence: int = 0) -> None:
        self.activity: Activity | None = None  # where what happens is counted, if it is
        self.by_id: dict[str, Leaf] = {}  # all that take space, expired ones included; read by others, changed here
        self.bytes = 0  # of their bodies
        self._hidden = Hidden()
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

    def put(self, drafts: Sequence[Draft], now: float) -> list[Outcome]:
        if len(drafts) == 1 and drafts[0].id not in self.by_id:  # as nearly always
            self._add(drafts[0], now)
            if self.activity is not None:
                self.activity.put += 1
            return [_CREATED]
        index = self.by_id
        done: list[Outcome] = []
        kept = 0  # drafts that were not put
        for draft in drafts:
            key = draft.id
            if key in index:
                leaf = index[key]
                slot = leaf.ids.index(key)
                if leaf.expires[slot] > now:
                    if draft.only_new:
                        done.append(_EXISTS)
                        kept += 1
                        continue
                    self._replace(leaf, slot, draft, now)
                    done.append(_REPLACED)
                    continue
                # It is not there any more, so the new one is not in its place.
                self._remove(key, leaf, slot, now)
                if self.activity is not None:
                    self.activity.expired += 1
            self._add(draft, now)
            done.append(_CREATED)
        if self.activity is not None:
            self.activity.put += len(done) - kept
        return done

    def _add(self, draft: Draft, now: float) -> None:
        """Put a message whose id is not there."""
        expires = now + draft.ttl if draft.ttl else NEVER
        visible_at = now + draft.hide if draft.hide else _SINCE_EVER
        key = draft.id
        body = draft.body
        self.by_id[key] = leaf = self._order.append(key, body, now, expires, visible_at, draft.meta)
        self.bytes += len(body)
        if visible_at:
            self._hidden.add(visible_at, now)
        if expires >= self.alive_until:
            self._witness = leaf.base + len(leaf.ids) - 1
            self.alive_until = expires

    def make_room(self, drafts: Sequence[Draft], policy: Policy, now: float) -> None:
        """`QueueFull` where the drafts are more than the policy allows; what has expired does not count."""
        most = math.inf if policy.max_messages is None else policy.max_messages
        most_bytes = math.inf if policy.max_bytes is None else policy.max_bytes
        if len(self.by_id) + len(drafts) > most or self.bytes + sum([len(draft.body) for draft in drafts]) > most_bytes:
            self.purge(now)
            messages, size = self.growth(drafts, now)
            # What makes a queue that is over its limit no fuller is always possible.
            if (0 < messages > most - len(self.by_id)) or (0 < size > most_bytes - self.bytes):
                raise queue_full(policy)

    def growth(self, drafts: Sequence[Draft], now: float) -> tuple[int, int]:
        """How many messages and bytes there will be more than now, once the drafts are put; less than 0 for fewer."""
        by_id = self.by_id
        if len(drafts) == 1 and drafts[0].id not in by_id:
            return 1, len(drafts[0].body)
        self.purge(now)  # what is expired is not replaced
        messages = size = 0
        sizes: dict[str, int] = {}  # of what is there, or will be, by id
        for draft in drafts:
            there = sizes.get(draft.id)
            if there is None and draft.id in by_id:
                leaf = by_id[draft.id]
                there = len(leaf.bodies[leaf.ids.index(draft.id)])
            if there is not None and draft.only_new:
                continue
            messages += there is None
            size += len(draft.body) - (there or 0)
            sizes[draft.id] = len(draft.body)
        return messages, size

    def bury(self, id: str, body: bytes, created: float, expires: float, meta: Meta) -> None:
        """Put a dead letter at the end."""
        # Later than it was: by this, receipts that it had in its old queue are no good.
        created = math.nextafter(created, NEVER)
        self.by_id[id] = leaf = self._order.append(id, body, created, expires, _SINCE_EVER, meta)
        self.bytes += len(body)
        if expires >= self.alive_until:
            self._witness = leaf.base + len(leaf.ids) - 1
            self.alive_until = expires

    def _replace(self, leaf: Leaf, slot: int, draft: Draft, now: float) -> None:
        expires = now + draft.ttl if draft.ttl else NEVER
        visible_at = now + draft.hide if draft.hide else _SINCE_EVER
        self.bytes += len(draft.body) - len(leaf.bodies[slot])
        leaf.bodies[slot] = draft.body
        # Always later than it was: by this, receipts of what was replaced are no good.
        leaf.created[slot] = max(now, math.nextafter(leaf.created[slot], NEVER))
        leaf.deliveries[slot] = 0
        if draft.meta is not None:
            if leaf.metas is None:
                leaf.metas = {}
            leaf.metas[slot] = draft.meta
        elif leaf.metas is not None:
            leaf.metas.pop(slot, None)
        self._move(leaf, slot, visible_at, expires, now)

    def get(self, ids: Sequence[str], now: float) -> list[Message | None]:
        index = self.by_id
        found: list[Message | None] = []
        for key in ids:
            if key not in index:  # not by `get`, which on free-threaded CPython 3.13 takes a lock
                found.append(None)
                continue
            leaf = index[key]
            slot = leaf.ids.index(key)
            found.append(_message(leaf, slot) if leaf.expires[slot] > now else None)
        return found

    def update(
        self, ids: Sequence[str], change: Change, now: float, receipts: Sequence[str] | None
    ) -> list[Message | None]:
        changed: list[Message | None] = []
        for number, place in enumerate(self._places(ids, now)):
            if place is None:
                changed.append(None)
            elif receipts is not None and not _is_held(*place, receipts[number], now):
                changed.append(HELD)
            else:
                changed.append(self._change(*place, change, now, counts=receipts is None))
        return changed

    def delete(
        self, ids: Sequence[str], now: float, receipts: Sequence[str] | None, want: Wanted = Want.ALL
    ) -> list[Message | None]:
        if receipts is not None:
            return [self._delete_held(id, receipt, now) for id, receipt in zip(ids, receipts, strict=True)]
        before = len(self.by_id)
        deleted: list[Message | None] = []
        for key in ids:
            if key not in self.by_id:
                deleted.append(None)
                continue
            leaf = self.by_id[key]
            slot = leaf.ids.index(key)
            if leaf.expires[slot] > now:
                deleted.append(_SOME if want is _NOTHING else _message(leaf, slot))
                self._remove(key, leaf, slot, now)
            else:
                deleted.append(None)
        if self.activity is not None:
            self.activity.deleted += before - len(self.by_id)
        return deleted

    def _delete_held(self, id: str, receipt: str, now: float) -> Message | None:
        (place,) = self._places((id,), now)
        if place is None:
            return None
        if not _is_held(*place, receipt, now):
            return HELD
        deleted = _message(*place)
        self._remove(id, *place, now)
        if self.activity is not None:
            self.activity.deleted += 1
        return deleted

    def select(self, filters: Filters, now: float) -> list[Message]:
        return [_message(leaf, slot) for leaf, slot in self._matching(filters, now)]

    def update_matching(self, filters: Filters, change: Change, now: float) -> list[Message]:
        places = self._matching(filters, now)
        if len(places) == 1:
            leaf, slot = places[0]
            return [self._change(leaf, slot, change, now)]
        return [self._change(leaf, slot, change, now) for leaf, slot in places]

    def delete_matching(self, filters: Filters, now: float) -> list[Message]:
        deleted: list[Message] = []
        for leaf, slot in self._matching(filters, now):
            deleted.append(_message(leaf, slot))
            self._remove(leaf.ids[slot], leaf, slot, now)
        if self.activity is not None:
            self.activity.deleted += len(deleted)
        return deleted

    def worn_out(self, filters: Filters, most: int, now: float) -> bool:
        """Whether what matches holds messages that were delivered `most` times."""
        return any(leaf.deliveries[slot] >= most for leaf, slot in self._matching(filters, now))

    def take_worn_out(self, filters: Filters, most: int, now: float, limit: int) -> list[Message]:
        """Remove up to `limit` such messages of what matches, and answer them."""
        taken: list[Message] = []
        for leaf, slot in self._matching(filters, now):
            if len(taken) == limit:
                break
            if leaf.deliveries[slot] >= most:
                taken.append(_message(leaf, slot))
                self._remove(leaf.ids[slot], leaf, slot, now)
        if self.activity is not None:
            self.activity.dead += len(taken)
        return taken

    def next_visible(self, filters: Filters, now: float) -> float | None:
        if filters.match_hidden:
            return None
        # For one that goes back it may be too early, which is harmless.
        after = BEGINNING if filters.newest_first else self._after(filters, now)
        at = self._order.next_visible(now, after)
        return None if at == NEVER else at

    # Counts, as of `now`; what has expired is to be freed first, by `purge`.

    def hidden(self, now: float) -> int:
        return self._hidden.count(now)

    def oldest(self, now: float) -> float | None:
        """When the first message, in order, was put."""
        found = self._order.find(now, NEVER, 1)
        return found[0][0].created[found[0][1]] if found else None

    def purge(self, now: float) -> None:
        """Free the space of all that expired: each message once, and mostly the sweep was before."""
        while self.expires_min <= now:
            self.pop_expired(now, _PURGE)

    def pop_expired(self, now: float, budget: int) -> int:
        """Free the space of what expired, and answer what is left of `budget`, as `Order.pop_expired` does."""
        popped, budget = self._order.pop_expired(now, budget)
        for key, visible_at, size in popped:
            del self.by_id[key]
            self.bytes -= size
            self._hidden.remove(visible_at, now)
        if self.activity is not None:
            self.activity.expired += len(popped)
        return budget

    def clear(self) -> None:
        self.by_id.clear()
        self._order.clear()
        self._hidden = Hidden()
        self.bytes = 0

    def _places(self, ids: Iterable[str], now: float) -> Iterable[Place | None]:
        for key in ids:
            if key not in self.by_id:
                yield None
                continue
            leaf = self.by_id[key]
            slot = leaf.ids.index(key)
            yield None if leaf.expires[slot] <= now else (leaf, slot)

    def _sequence(self, marker: str | None, now: float) -> int:
        if marker is None:
            return BEGINNING
        (place,) = self._places((marker,), now)
        return BEGINNING if place is None else place[0].base + place[1]

    def _after(self, filters: Filters, now: float) -> int:
        """The place after which to look."""
        return self._sequence(filters.marker, now) if filters.after is None else filters.after

    def _matching(self, filters: Filters, now: float) -> list[Place]:
        limit = filters.limit
        if limit == 0:
            return []
        if limit == 1 and not (
            filters.match_hidden or filters.newest_first or filters.marker is not None or filters.after is not None
        ):
            place = self._order.first(now)
            return [] if place is None else [place]
        horizon = NEVER if filters.match_hidden else now
        after = self._after(filters, now)
        if filters.newest_first:
            places = self._order.find_back(now, horizon, limit, None if after == BEGINNING else after)
        else:
            places = self._order.find(now, horizon, limit, after)
        return places if filters.max_bytes is None else _as_fit(places, filters.max_bytes)

    def _change(self, leaf: Leaf, slot: int, change: Change, now: float, counts: bool = True) -> Message:
        ttl = change.ttl
        hide = change.hide
        if hide is None:
            visible_at = leaf.visible_at[slot]
        elif hide:
            visible_at = now + hide
            if counts:
                leaf.deliveries[slot] += 1
                if self.activity is not None:
                    self.activity.claimed += 1
        else:
            visible_at = _SINCE_EVER
        expires = leaf.expires[slot] if ttl is None else now + ttl if ttl else NEVER
        self._move(leaf, slot, visible_at, expires, now)
        return _message(leaf, slot)

    def _move(self, leaf: Leaf, slot: int, visible_at: float, expires: float, now: float) -> None:
        was = leaf.visible_at[slot]
        if visible_at != was:
            if was > now:
                self._hidden.remove(was, now)
            if visible_at:
                self._hidden.add(visible_at, now)
        self._order.move(leaf, slot, visible_at, expires)
        if leaf.base + slot == self._witness:
            self.alive_until = expires

    def _remove(self, key: str, leaf: Leaf, slot: int, now: float) -> None:
        del self.by_id[key]
        if leaf.base + slot == self._witness:
            self.alive_until = _UNKNOWN
        self.bytes -= len(leaf.bodies[slot])
        if leaf.visible_at[slot] > now:
            self._hidden.remove(leaf.visible_at[slot], now)
        self._order.remove(leaf, slot, now)


def _is_held(leaf: Leaf, slot: int, receipt: str, now: float) -> bool:
    sequence = leaf.base + slot
    return holds(receipt, sequence, leaf.created[slot], leaf.deliveries[slot], leaf.visible_at[slot], now)


def _as_fit(places: list[Place], most: int) -> list[Place]:
    """The first of them, as many as have no more bytes together, and one at least."""
    size = 0
    for number, (leaf, slot) in enumerate(places):
        size += len(leaf.bodies[slot])
        if size > most and number:
            return places[:number]
    return places


def _message(leaf: Leaf, slot: int) -> Message:
    message: Message = BlankMessage()
    message.id = leaf.ids[slot]
    message.body = leaf.bodies[slot]
    message.sequence = leaf.base + slot
    message.created = leaf.created[slot]
    message.expires = leaf.expires[slot]
    message.visible_at = leaf.visible_at[slot]
    message.deliveries = leaf.deliveries[slot]
    message.meta = None if leaf.metas is None else leaf.metas.get(slot)
    return message
