"""A queue service over HTTP for a test, with a clock that only the test moves; and a `Subject` that speaks to it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal
from urllib.parse import quote, urlencode

from leveret.frontend.rest import Rest, translate
from leveret.service import QueueConfig, QueueService
from leveret.store.base import Store
from scalestack.clock import Clock
from scalestack.event.loops import Loops
from support.subject import START, Many, Names, Seen
from support.web import Answer, Client, serving


class Queues:
    """A running queue service."""

    def __init__(self) -> None:
        self.now = START
        self.service: QueueService
        self.port = 0

    def client(self) -> Client:
        return Client(self.port)


@contextmanager
def serving_queues(
    store: Store, threads: int = 1, config: QueueConfig | None = None, clock: Clock | None = None, **options: Any
) -> Iterator[Queues]:
    """Serve `store` over REST on a free port; by the time of `queues.now`, unless a clock is given."""
    queues = Queues()
    tell = clock or (lambda: queues.now)

    def routes(loops: Loops) -> Any:
        queues.service = QueueService(store, tell, config or QueueConfig(), loops.threads[0])
        queues.service.start()
        return Rest(queues.service).routes()

    with serving(routes, threads=threads, translate=translate, **options) as web:
        queues.port = web.port
        try:
            yield queues
        finally:
            queues.service.drain()
    store.close()


def path_of(*names: str) -> str:
    return "/v1.0" + "".join("/" + quote(name, safe="") for name in names)


def body_of(value: Any) -> bytes:
    """A body as it stands in JSON."""
    if isinstance(value, str):
        return value.encode()
    (text,) = value.values()

    return base64.b64decode(text, validate=True)


class HttpSubject:
    """A `Subject` whose every call is a request. Uses several connections in turn, so that all loops take part."""

    def __init__(self, queues: Queues, connections: int = 1) -> None:
        self._queues = queues
        self._clients = [queues.client() for _ in range(connections)]

    def close(self) -> None:
        for client in self._clients:
            client.close()

    def advance(self, seconds: float) -> None:
        self._queues.now += seconds

    def _ask(self, method: str, *names: str, body: bytes | None = None, **parameters: Any) -> Answer:
        given = {
            name: str(value).lower() if isinstance(value, bool) else value
            for name, value in parameters.items()
            if value is not None and value is not False
        }
        client = self._clients.pop(0)
        self._clients.append(client)
        answer = client(method, path_of(*names) + ("?" + urlencode(given) if given else ""), body)
        assert answer.status in {200, 201, 204, 404}, answer
        return answer

    @staticmethod
    def _seen(found: dict[str, Any]) -> Seen:
        assert list(found) == ["id", "ttl", "hide", "body"]
        return Seen(found["id"], found["ttl"], found["hide"], body_of(found["body"]))

    def _one(self, answer: Answer) -> Seen | None:
        return None if answer.status == 404 else self._seen(answer.json)

    def _many(self, answer: Answer) -> Many:
        return [] if answer.status == 404 else [self._seen(found) for found in answer.json]

    def _names(self, answer: Answer) -> Names:
        return [] if answer.status == 404 else answer.json

    def put(
        self, account: str, queue: str, id: str, body: bytes = b"body", ttl: int = 600, hide: int = 0
    ) -> Literal["created", "replaced"]:
        answer = self._ask("PUT", account, queue, id, body=body, ttl=ttl, hide=hide)
        return "created" if answer.status == 201 else "replaced"

    def get(self, account: str, queue: str, id: str) -> Seen | None:
        return self._one(self._ask("GET", account, queue, id, detail="all"))

    def update(self, account: str, queue: str, id: str, ttl: int | None = None, hide: int | None = None) -> Seen | None:
        return self._one(self._ask("POST", account, queue, id, detail="all", ttl=ttl, hide=hide))

    def delete(self, account: str, queue: str, id: str) -> Seen | None:
        return self._one(self._ask("DELETE", account, queue, id, detail="all"))

    def list(self, account: str, queue: str, **filters: Any) -> Many:
        return self._many(self._ask("GET", account, queue, detail="all", **filters))

    def update_matching(self, account: str, queue: str, **more: Any) -> Many:
        return self._many(self._ask("POST", account, queue, detail="all", **more))

    def delete_matching(self, account: str, queue: str, **filters: Any) -> Many:
        return self._many(self._ask("DELETE", account, queue, detail="all", **filters))

    def accounts(self, **page: Any) -> Names:
        return self._names(self._ask("GET", **page))

    def queues(self, account: str, **page: Any) -> Names:
        return self._names(self._ask("GET", account, **page))

    def delete_accounts(self, **page: Any) -> Names:
        return self._names(self._ask("DELETE", detail="id", **page))

    def delete_queues(self, account: str, **page: Any) -> Names:
        return self._names(self._ask("DELETE", account, detail="id", **page))
