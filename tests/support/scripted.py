"""Transports that answer from a script, for clients that ask no service."""

from __future__ import annotations

import json
from typing import Any

from leveret.client.calls import Call, Reply, Retry
from leveret.client.client import Client


def reply(status: int = 200, value: Any = None, **headers: str) -> Reply:
    body = b"" if value is None else json.dumps(value).encode()
    return Reply(status, {name.replace("_", "-"): text for name, text in headers.items()}, body)


def problem(status: int, code: str, **headers: str) -> Reply:
    return reply(status, {"status": status, "code": code, "detail": f"it is {code}"}, **headers)


def found(id: str, **members: Any) -> dict[str, Any]:
    """A message as a service describes it."""
    plain = {"ttl": 600, "hide": 0, "created": "2026-11-24T16:47:16.123456Z", "deliveries": 0, "marker": f"m{id}"}
    return {"id": id, **plain, "content_type": None, "headers": {}, "body": "", **members}


class Scripted:
    """Answers each call by the next of the script, or raises it; a function is called with the call."""

    def __init__(self, *script: Any) -> None:
        self.script = list(script)
        self.calls: list[Call] = []
        self.closed = False

    def send(self, call: Call) -> Reply:
        self.calls.append(call)
        assert self.script, f"{call.method} {call.target} was not expected"
        following = self.script.pop(0)
        if isinstance(following, BaseException):
            raise following
        answer: Reply = following(call) if callable(following) else following
        return answer

    def close(self) -> None:
        self.closed = True

    @property
    def asked(self) -> list[str]:
        return [f"{call.method} {call.target}" for call in self.calls]


class AsyncScripted(Scripted):
    async def send(self, call: Call) -> Reply:  # type: ignore[override]
        return super().send(call)

    async def close(self) -> None:  # type: ignore[override]
        super().close()


def scripted(*script: Any, retries: int = 3) -> tuple[Client, Scripted, list[float]]:
    """A client, the script of its transport, and the pauses that it makes, in seconds."""
    transport = Scripted(*script)
    pauses: list[float] = []
    return Client(transport, Retry(retries, spread=lambda: 1.0), pauses.append), transport, pauses
