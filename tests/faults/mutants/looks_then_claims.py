"""A server that is broken on purpose: it claims by looking first, and hiding afterwards. Run as `leveret` is."""

from __future__ import annotations

from typing import Any

from leveret.cli import main
from leveret.model import Change, Filters, Message, Want
from leveret.store.sqlite import SqliteStore
from scalestack.event.pending import Answer, then


def update_matching(
    self: SqliteStore,
    account: str,
    queue: str,
    filters: Filters,
    change: Change,
    now: float,
    want: Any = Want.ALL,
) -> Answer[list[Message]]:
    def hide(found: list[Message]) -> Answer[list[Message]]:
        if not found:
            return []
        return then(self.update(account, queue, [each.id for each in found], change, now, want), present)

    return then(self.select(account, queue, filters, now), hide)


def present(changed: list[Message | None]) -> list[Message]:
    return [each for each in changed if each is not None]


if __name__ == "__main__":
    SqliteStore.update_matching = update_matching  # type: ignore[method-assign]
    main()
