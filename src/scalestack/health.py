"""Whether a program lives, and whether it can work: for who routes requests to it. Tells anybody, and no secrets."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias, TypeVar, cast

from scalestack.http.message import Request, Response
from scalestack.http.problem import HttpError
from scalestack.http.router import PUBLIC, Route
from scalestack.http.server import HttpServer
from scalestack.log import Logger
from scalestack.module import Module, Needs, NoConfig

T = TypeVar("T")

# Called on a loop. `NotReady` says what is wrong; any value says that nothing is.
Check: TypeAlias = Callable[[], Awaitable[object]]

PATIENCE: Final = 1.0  # seconds that a check may take

_log = Logger("scalestack.health")

_HEADERS: Final = ((b"Cache-Control", b"no-store"),)
_WELL: Final = Response(200, b'{"status":"ok"}', b"application/json", _HEADERS)


class NotReady(Exception):
    """A check finds that the program can't work now. Anybody may read the text."""


class Health:
    """Named checks, all of which must pass for the program to be ready. Any thread may bring and take them."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._checks: Mapping[str, Check] = {}
        self._checks_lock = threading.Lock()  # guards changes of the checks; readers take them as they are

    def register(self, name: str, check: Check) -> None:
        """`ValueError` where the name is taken."""
        with self._checks_lock:
            if name in self._checks:
                raise ValueError(f"there is a check named '{name}' already")
            self._checks = {**self._checks, name: check}

    def deregister(self, name: str) -> None:
        """Harmless when called again."""
        with self._checks_lock:
            self._checks = {other: check for other, check in self._checks.items() if other != name}

    def live(self, request: Request) -> Response:
        """The process lives, and this loop of it: it answers."""
        return _WELL

    async def ready(self, request: Request) -> Response:
        """200 where all checks pass within their time; else 503, which names those that don't."""
        checks = self._checks
        found = await asyncio.gather(*(self._ask(name, check) for name, check in checks.items()))
        problems = [f"{name}: {problem}" for name, problem in zip(checks, found, strict=True) if problem]
        if problems:
            raise HttpError(503, "not-ready", f"not ready: {', '.join(problems)}", _HEADERS)
        return _WELL

    async def _ask(self, name: str, check: Check) -> str:
        """What is wrong; empty where nothing is."""
        try:
            async with asyncio.timeout(self._patience):
                await check()
        except NotReady as error:
            return str(error)
        except TimeoutError:
            return f"no answer within {self._patience:g} s"
        except Exception as error:
            _log.error("a check of health failed", check=name, exc_info=error)
            return "its check failed, and the log says why"
        return ""


class HealthModule(Module[NoConfig]):
    """Provides `Health`, and serves /health/live and /health/ready to anybody."""

    name = "health"
    depends = (HttpServer,)
    provides = (Health,)

    def __init__(self, config: NoConfig, needs: Needs) -> None:
        super().__init__(config, needs)
        self._http = needs[HttpServer]
        self._health = Health()
        self._routes = [
            Route("GET", "/health/live", self._health.live, action=PUBLIC),
            Route("GET", "/health/ready", self._health.ready, action=PUBLIC),
        ]

    def provider(self, interface: type[T]) -> T:
        return cast("T", self._health)

    def start(self) -> None:
        self._http.mount(self._routes)

    def stop(self) -> None:
        self._http.unmount(self._routes)
