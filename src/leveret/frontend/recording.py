"""What the audit log is told of the few things that it is to know. Knows no requests, and changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from leveret.model import Filters, Message, Page, Policy, Want, Wanted, marker_of

_MOST: Final = 100  # names in one line; of the others there is the number

Details = dict[str, Any]


def of_page(page: Page) -> Details:
    """Which names were meant."""
    return {"limit": page.limit, "marker": page.marker}


def of_filters(filters: Filters) -> Details:
    """Which messages were meant."""
    return {
        "marker": filters.marker,
        "after": None if filters.after is None else marker_of(filters.after),
        "match_hidden": filters.match_hidden or None,
    }


def of_names(deleted: list[str]) -> Details | None:
    """The names that were there; None where none was."""
    return {"deleted": len(deleted), "names": deleted[:_MOST]} if deleted else None


def of_messages(want: Wanted, deleted: Sequence[Message]) -> Details | None:
    """How many messages there were, where that was asked for: else a store answers only that there were any."""
    if not deleted:
        return None
    return {} if want is Want.NOTHING else {"deleted": len(deleted)}


def of_policy(policy: Policy) -> Details:
    """Nothing more: what was changed is known before."""
    return {}
