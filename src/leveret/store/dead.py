"""What a message becomes that was delivered too often. Knows no store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from leveret.model import MAX_NAME, NEVER, Message, Meta, Policy, marker_of, timestamp

REASON: Final = "max-deliveries"


def dead_letter(
    message: Message, queue: str, target: Policy, taken: Callable[[str], bool], now: float
) -> tuple[str, float, Meta]:
    """The id, the expiry and the meta that it has in the dead letter queue, whose policy is `target`.

    It keeps its own expiry, unless the policy has one for it. Where its id is `taken` there, it gets another: a dead
    letter replaces none.
    """
    id = message.id
    headers = dict(message.meta.headers or {}) if message.meta else {}
    headers |= {
        "dead-letter-queue": queue,
        "dead-letter-reason": REASON,
        "dead-letter-deliveries": str(message.deliveries),
        "dead-letter-time": timestamp(now),
    }
    if taken(id):
        headers["dead-letter-id"] = id
        id = f"{id}.{marker_of(message.sequence)}"
        if len(id.encode()) > MAX_NAME or taken(id):
            id = f"{marker_of(message.sequence)}.{marker_of(int(now * 1_000_000))}"
    if target.default_ttl is None:
        expires = message.expires
    else:
        expires = now + target.default_ttl if target.default_ttl else NEVER
    return id, expires, replace(message.meta or Meta(), headers=headers)
