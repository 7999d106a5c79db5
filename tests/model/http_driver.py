"""The model's driver of a server, by both versions of the API."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any
from urllib.parse import quote, urlencode

from leveret.model import AccountState, Page, Quota
from leveret.service import QueueConfig
from leveret.store.base import Store
from model.drivers import PAGE
from model.reference import PLAIN
from support import subject
from support.queues import HttpSubject, serving_queues
from support.subject11 import HttpSubject11, New, State
from support.web import Answer

ALL = {"detail": "all"}


def _json(body: bytes) -> Any:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return {"base64": b64encode(body).decode()}


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
