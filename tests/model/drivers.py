"""What the model is compared with: a store, or a server by both versions of the API, in the reference's words.

Each call is the `Reference`'s of the same name, and answers as it does, but for markers and receipts.
"""

from __future__ import annotations

import json
import math
import shutil
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from leveret.model import ROUNDING, AccountState, Change, Page, QueueState, Quota
from leveret.service import QueueConfig
from leveret.store.base import AccountFull, QueueFull, Store
from leveret.store.sqlite import Durability, SqliteStore
from model.reference import PLAIN
from support import subject
from support.queues import HttpSubject, serving_queues
from support.subject11 import HttpSubject11, New, Outcome, State, StoreSubject11
from support.web import Answer, eventually

ALL = {"detail": "all"}
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


def _json(body: bytes) -> Any:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return {"base64": b64encode(body).decode()}


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


class Quotas:
    """The `Allowances` of a server whose accounts have these quotas."""

    def __init__(self) -> None:
        self.by_account: dict[str, Quota] = {}

    def quota(self, account: str) -> Quota | None:
        return self.by_account.get(account)

    def enter_poll(self, account: str) -> Callable[[], object]:
        return lambda: None

    def refuse(self, account: str, error: Exception) -> Any:
        raise error


class HttpDriver:
    """A server with two loops and two connections. What v1.0 can't say is asked by v1.1, whatever `speak` was told."""

    versions: Sequence[str] = ("v1.0", "v1.1")
    restarts = False

    def __init__(self, store: Store, done: Callable[[], object] = lambda: None) -> None:
        self._store = store
        self._quotas = Quotas()
        self._version = "v1.1"
        self._opened = ExitStack()
        self._opened.callback(done)
        self._queues = self._opened.enter_context(serving_queues(store, threads=2, config=QueueConfig(page=PAGE)))
        self._queues.service.allow(self._quotas)
        self._clients = [self._queues.client() for _ in range(2)]
        for client in self._clients:
            self._opened.callback(client.close)

    def speak(self, version: str) -> None:
        self._version = version

    def restart(self, crash: bool) -> None:
        raise NotImplementedError("the trials with servers in processes kill them")

    def close(self) -> None:
        self._opened.close()

    def advance(self, seconds: float) -> None:
        self._queues.now = round(self._queues.now + seconds, 3)

    def quota(self, account: str, quota: Quota) -> None:
        self._quotas.by_account[account] = quota

    def sweep(self) -> None:
        subject.at_once(self._store.sweep(self._queues.now))

    def totals(self) -> list[AccountState]:
        found: list[AccountState] = subject.at_once(self._store.describe_accounts(Page(), self._queues.now))
        return found

    def _ask(
        self,
        version: str,
        method: str,
        names: Sequence[str],
        given: Mapping[str, Any],
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        client = self._clients.pop(0)
        self._clients.append(client)
        query = urlencode({name: said for name, said in given.items() if said is not None}, doseq=True)
        path = f"/{version}" + "".join("/" + quote(name, safe="") for name in names) + (f"?{query}" if query else "")
        sent: dict[str, Any] = {name: said.encode() for name, said in (headers or {}).items()}
        answer = client(method, path, body, sent)
        assert answer.status < 500, answer
        assert answer.status != 400, answer
        return answer

    def _seen(self, version: str, found: dict[str, Any]) -> Any:
        return HttpSubject._seen(found) if version == "v1.0" else HttpSubject11._seen(found)

    def _many(self, version: str, method: str, names: Sequence[str], given: Mapping[str, Any]) -> Any:
        answer = self._ask(version, method, names, given)
        return [] if answer.status == 404 else [self._seen(version, found) for found in answer.json]

    def _by_id(self, method: str, names: Sequence[str], ids: Sequence[str], given: Mapping[str, Any]) -> Any:
        """One by its own path, several by v1.1 together; all by v1.0 where that can say it."""
        version = "v1.1" if given.get("receipt") else self._version
        if len(ids) > 1 and version == "v1.1":
            found = self._ask(version, method, names, {**given, "id": ids}).json
            assert [each["id"] for each in found] == list(ids)
            return [self._outcome(version, each) for each in found]
        return [self._one(version, method, [*names, id], given) for id in ids]

    def _outcome(self, version: str, found: dict[str, Any]) -> Any:
        status = found.pop("status")
        return self._seen(version, found) if status == "done" else {"gone": None, "held": "held"}[status]

    def _one(self, version: str, method: str, names: Sequence[str], given: Mapping[str, Any]) -> Any:
        (receipt,) = given.get("receipt") or (None,)
        answer = self._ask(version, method, names, {**given, "receipt": receipt})
        if answer.status == 409:
            assert answer.json["code"] == "lease-lost"
            return "held"
        return None if answer.status == 404 else self._seen(version, answer.json)

    # The calls of the reference.

    def put(self, account: str, queue: str, messages: Sequence[New], only_new: bool = False) -> Any:
        """Of many, whether any is new: that is all that is answered."""
        first = messages[0]
        if len(messages) > 1:
            described = [
                {name: said for name, said in each._asdict().items() if said is not None} | {"body": _json(each.body)}
                for each in messages
            ]
            body, json_type = json.dumps({"messages": described}).encode(), {"Content-Type": "application/json"}
            answer = self._ask("v1.1", "PUT", (account, queue), {}, body, json_type)
            assert answer.status >= 400 or answer.json == [each.id for each in messages]
            outcome: Any = {201: True, 200: False}
        else:
            plain = not (only_new or first.content_type or first.headers)
            headers = {f"Leveret-Header-{name}": said for name, said in first.headers.items()}
            headers |= {"If-None-Match": "*"} if only_new else {}
            headers |= {} if first.content_type is None else {"Content-Type": first.content_type}
            given = {"ttl": first.ttl, "hide": first.hide}
            version = self._version if plain else "v1.1"
            answer = self._ask(version, "PUT", (account, queue, f"{first.id}"), given, first.body, headers)
            outcome = {201: ["created"], 204: ["replaced"], 412: ["exists"]}
        if answer.status in {409, 429}:
            return {"queue-full": "queue full", "account-full": "account full"}[answer.json["code"]]
        return outcome[answer.status]

    def get(self, account: str, queue: str, ids: Sequence[str]) -> Any:
        return self._by_id("GET", (account, queue), ids, ALL)

    def change(
        self,
        account: str,
        queue: str,
        ids: Sequence[str],
        ttl: int | None,
        hide: int | None,
        receipts: Sequence[str] | None = None,
    ) -> Any:
        given = {**ALL, "ttl": ttl, "hide": hide, "receipt": receipts}
        return self._by_id("POST", (account, queue), ids, given)

    def delete(self, account: str, queue: str, ids: Sequence[str], receipts: Sequence[str] | None = None) -> Any:
        return self._by_id("DELETE", (account, queue), ids, {**ALL, "receipt": receipts})

    def _matching(self, method: str, account: str, queue: str, filters: Mapping[str, Any], **given: Any) -> Any:
        asked = {**PLAIN, **filters}
        old = self._version == "v1.0" and asked["after"] is None and not asked["newest_first"]
        query = {
            **ALL,
            "limit": asked["limit"],
            "marker": asked["marker"],
            "after": asked["after"],
            "order": "lifo" if asked["newest_first"] else None,
            "match_hidden": "true" if asked["match_hidden"] else None,
            **given,
        }
        return self._many("v1.0" if old else "v1.1", method, (account, queue), query)

    def select(self, account: str, queue: str, filters: Mapping[str, Any]) -> Any:
        return self._matching("GET", account, queue, filters)

    def change_matching(
        self, account: str, queue: str, filters: Mapping[str, Any], ttl: int | None, hide: int | None
    ) -> Any:
        return self._matching("POST", account, queue, filters, ttl=ttl, hide=hide)

    def pop(self, account: str, queue: str, filters: Mapping[str, Any]) -> Any:
        return self._matching("DELETE", account, queue, filters)

    def _names(self, version: str, method: str, names: Sequence[str], limit: int | None, marker: str | None) -> Any:
        answer = self._ask(version, method, names, {"detail": "id", "limit": limit, "marker": marker})
        return [] if answer.status == 404 else answer.json

    def accounts(self, limit: int | None = None, marker: str | None = None) -> Any:
        return self._names("v1.0", "GET", (), limit, marker)

    def queues(self, account: str, limit: int | None = None, marker: str | None = None) -> Any:
        return self._names("v1.0", "GET", (account,), limit, marker)

    def delete_accounts(self, limit: int | None = None, marker: str | None = None) -> Any:
        return self._names(self._version, "DELETE", (), limit, marker)

    def delete_queues(self, account: str, limit: int | None = None, marker: str | None = None) -> Any:
        return self._names(self._version, "DELETE", (account,), limit, marker)

    def policy(self, account: str, queue: str, change: Mapping[str, Any] | None) -> Any:
        answer = self._ask("v1.1", "PATCH", (account, queue), {}, json.dumps(change).encode())
        assert answer.status == 200, answer
        return answer.json

    def _states(self, account: str, given: Mapping[str, Any]) -> Any:
        answer = self._ask("v1.1", "GET", (account,), {**ALL, **given})
        return [] if answer.status == 404 else [State(**found) for found in answer.json]

    def states(self, account: str, limit: int | None = None, marker: str | None = None) -> Any:
        return self._states(account, {"limit": limit, "marker": marker})

    def states_of(self, account: str, names: Sequence[str]) -> Any:
        return self._states(account, {"id": names})
