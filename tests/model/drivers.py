"""What the model is compared with: a store, or a server by both versions of the API, in the reference's words.

Each call is the `Reference`'s of the same name, and answers as it does, but for markers and receipts.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from leveret.model import ROUNDING, AccountState, Change, Page, QueueState, Quota
from leveret.store.base import AccountFull, QueueFull, Store
from leveret.store.sqlite import Durability, SqliteStore
from model.reference import PLAIN
from support.subject11 import New, Outcome, State, StoreSubject11
from support.web import eventually

PAGE = 4  # objects in one answer of v1.1, so that answers are cut off


class Driver(Protocol):
    """Beside the calls of the reference."""

    versions: Sequence[str]  # of the API; none for a store
    restarts: bool

    def advance(self, seconds: float) -> None:
        """Move the clock on, which tells whole milliseconds: many small errors would add up to one that is seen."""

    def speak(self, version: str) -> None:
        """Make the calls that follow by this version."""

    def restart(self, crash: bool) -> None:
        """Close it and open it again; or open what a kill would have left."""

    def close(self) -> None: ...


class StoreDriver(StoreSubject11):
    """A store, asked in this thread."""

    versions: Sequence[str] = ()
    restarts = False

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._quotas: dict[str, Quota] = {}

    def speak(self, version: str) -> None:
        raise NotImplementedError("a store has no versions")

    def restart(self, crash: bool) -> None:
        raise NotImplementedError("what is in memory is gone with its process")

    def close(self) -> None:
        self._store.close()

    def advance(self, seconds: float) -> None:
        self.now = round(self.now + seconds, 3)

    def quota(self, account: str, quota: Quota) -> None:
        self._quotas[account] = quota

    def put(self, account: str, queue: str, messages: Sequence[New], only_new: bool = False) -> Any:  # type: ignore[override]
        drafts = [
            self._draft(f"{each.id}", each.body, each.ttl, each.hide, each.content_type, each.headers, only_new)
            for each in messages
        ]
        try:
            return self._settle(self._store.put(account, queue, drafts, self.now, self._quotas.get(account)))
        except QueueFull:
            return "queue full"
        except AccountFull:
            return "account full"

    def get(self, account: str, queue: str, ids: Sequence[str]) -> Any:  # type: ignore[override]
        return _plain(self.get_many(account, queue, ids))

    def change(  # type: ignore[override]
        self,
        account: str,
        queue: str,
        ids: Sequence[str],
        ttl: int | None,
        hide: int | None,
        receipts: Sequence[str] | None = None,
    ) -> Any:
        return _plain(self.change_many(account, queue, ids, ttl, hide, receipts))

    def delete(self, account: str, queue: str, ids: Sequence[str], receipts: Sequence[str] | None = None) -> Any:  # type: ignore[override]
        return _plain(self.delete_many(account, queue, ids, receipts))

    def _wanted(self, filters: Mapping[str, Any]) -> Any:
        given = {**PLAIN, **filters}
        most = given.pop("max_bytes")
        found = self._filters(**given)
        return type(found)(found.limit, found.marker, found.match_hidden, found.after, found.newest_first, most)

    def select(self, account: str, queue: str, filters: Mapping[str, Any]) -> Any:
        return self._many(self._store.select(account, queue, self._wanted(filters), self.now))

    def change_matching(
        self, account: str, queue: str, filters: Mapping[str, Any], ttl: int | None, hide: int | None
    ) -> Any:
        change = Change(ttl, hide)
        changed = self._store.update_matching(account, queue, self._wanted(filters), change, self.now)
        return self._many(changed, hid=bool(hide))

    def pop(self, account: str, queue: str, filters: Mapping[str, Any]) -> Any:  # type: ignore[override]
        return self._many(self._store.delete_matching(account, queue, self._wanted(filters), self.now))

    def accounts(self, limit: int | None = None, marker: str | None = None) -> Any:
        return self._settle(self._store.list_accounts(Page(limit, marker), self.now))

    def queues(self, account: str, limit: int | None = None, marker: str | None = None) -> Any:
        return self._settle(self._store.list_queues(account, Page(limit, marker), self.now))

    def delete_accounts(self, limit: int | None = None, marker: str | None = None) -> Any:
        return self._settle(self._store.delete_accounts(Page(limit, marker), self.now))

    def delete_queues(self, account: str, limit: int | None = None, marker: str | None = None) -> Any:
        return self._settle(self._store.delete_queues(account, Page(limit, marker), self.now))

    def states_of(self, account: str, names: Sequence[str]) -> list[State]:
        return self.states(account, names=names)

    def _state(self, state: QueueState) -> State:
        age = None if state.oldest is None else max(0, math.floor(self.now - state.oldest + ROUNDING))
        return super()._state(state)._replace(oldest=age)

    def totals(self) -> list[AccountState]:
        found: list[AccountState] = self._settle(self._store.describe_accounts(Page(), self.now))
        return found

    def sweep(self) -> None:
        self._settle(self._store.sweep(self.now))


class SqliteDriver(StoreDriver):
    """The durable store, which is closed and opened again, or killed, as far as one process can."""

    restarts = True

    def __init__(self, directory: Path, shards: int) -> None:
        self._directory = directory
        self._shards = shards
        self._lives = 0
        super().__init__(self._opened(self._home()))

    def _home(self) -> Path:
        return self._directory / f"{self._lives}"

    def _opened(self, home: Path) -> SqliteStore:
        home.mkdir(exist_ok=True)
        return SqliteStore(home / "queue.db", Durability.OFF, shards=self._shards, reserve=0)

    def restart(self, crash: bool) -> None:
        left, before = self._home(), self._store
        if not crash:
            before.close()
        else:
            self._lives += 1
            copy_whole(left, self._home())
        self.use(self._opened(self._home()))
        if crash:
            before.close()
            shutil.rmtree(left)

    def close(self) -> None:
        super().close()
        shutil.rmtree(self._home())


def _plain(outcomes: Sequence[Outcome]) -> list[Any]:
    return ["held" if each.status == "held" else each.message for each in outcomes]


def copy_whole(source: Path, target: Path) -> None:
    """Copy the files of a database as they are at one instant: again, where something was written meanwhile."""

    def state() -> list[tuple[str, int, int]]:
        found = [(file.name, file.stat()) for file in sorted(source.iterdir())]
        return [(name, stat.st_mtime_ns, stat.st_size) for name, stat in found]

    def copied() -> bool:
        shutil.rmtree(target, ignore_errors=True)
        before = state()
        shutil.copytree(source, target)
        return state() == before

    eventually(copied)
