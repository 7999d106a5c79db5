"""A service that is reached over HTTP, TCP or a Unix socket: calls as requests of httpx, and its errors as ours."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import httpx

from leveret.client.calls import Call, Reply, Unanswered, Unsent
from leveret.client.errors import ClientClosed, InvalidUrl
from scalestack.http.message import header_text

_KEPT_ALIVE: Final = 30.0  # seconds that an idle connection is kept: less than a server keeps it
_LIMITS: Final = httpx.Limits(max_connections=None, max_keepalive_connections=100, keepalive_expiry=_KEPT_ALIVE)
_CONNECTED: Final = frozenset(
    {"connection.connect_tcp.complete", "connection.connect_unix_socket.complete", "connection.start_tls.complete"}
)


@dataclass(frozen=True)
class Place:
    """Where a URL leads."""

    url: str
    socket: str | None = None  # path of a Unix socket
    near: bool = False  # whether it is this machine: then no proxy is asked

    @classmethod
    def of(cls, url: str) -> Place:
        """`InvalidUrl` for one that is none of http, https and unix."""
        parts = urlsplit(url)
        if parts.query or parts.fragment:
            raise InvalidUrl(f"'{url}' has a query or a fragment; the address alone is expected")
        if parts.scheme == "unix":
            if parts.netloc or not parts.path.startswith("/"):
                raise InvalidUrl(f"'{url}' names no socket; unix:///path/to.sock is expected")
            return cls("http://localhost", unquote(parts.path), near=True)
        try:
            host, _ = parts.hostname, parts.port
        except ValueError as error:
            raise InvalidUrl(f"'{url}' has no port that could be: {error}") from error
        if parts.scheme not in {"http", "https"} or not host:
            raise InvalidUrl(f"'{url}' names no server; http://host:port is expected")
        try:
            host.encode("idna")
        except UnicodeError as error:
            raise InvalidUrl(f"'{url}' has a host that can't be named so: {error}") from error
        version = re.search(r"/v\d+\.\d+(/|$)", parts.path)
        if version:
            raise InvalidUrl(f"'{url}' leads into the API; give the server alone: {url[: url.index(version[0])]}")
        return cls(url.rstrip("/"), near=_is_loopback(host))

    @property
    def shown(self) -> str:
        return f"unix://{self.socket}" if self.socket else self.url

    def context(self) -> ssl.SSLContext:
        # Without https none is used, and to load the authorities takes longer than all else.
        return (
            ssl.create_default_context() if self.url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        )


class HttpTransport:
    """For the blocking client."""

    def __init__(self, url: str, timeout: float) -> None:
        self._place = Place.of(url)
        self._timeout = timeout
        self._closed = False
        self._open()

    def _open(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()  # guards the sockets
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        context = self._place.context()
        uds = self._place.socket
        self._client = httpx.Client(
            base_url=self._place.url,
            transport=httpx.HTTPTransport(uds=uds, verify=context, limits=_LIMITS) if uds else None,
            verify=context,
            limits=_LIMITS,
            trust_env=not self._place.near,
            headers={"User-Agent": "leveret-client", "Accept": "*/*"},
        )

    def send(self, call: Call) -> Reply:
        if os.getpid() != self._pid:
            self._open()  # after a fork: on the other's connections the answers of both would be mixed up
        with _translated(self._place, lambda: self._closed):
            response = self._client.request(
                call.method,
                call.target,
                headers=list(call.headers),
                content=call.body,
                timeout=_timeout(call, self._timeout),
                extensions={"trace": self._trace},
            )
        return _reply(response)

    def close(self) -> None:
        self._closed = True
        with self._lock:
            sockets = list(self._sockets)
        for each in sockets:
            # What reads from it in another thread is woken by that, and by nothing else.
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._client.close()

    def _trace(self, event: str, info: dict[str, Any]) -> None:
        if event in _CONNECTED:
            connected = info["return_value"].get_extra_info("socket")
            with self._lock:
                self._sockets.add(connected)
            if self._closed:  # it came too late for `close`
                connected.close()
                raise ClientClosed.now()


class AsyncHttpTransport:
    """For the asynchronous client."""

    def __init__(self, url: str, timeout: float) -> None:
        self._place = Place.of(url)
        self._timeout = timeout
        self._closed = False
        self._sending: set[asyncio.Task[Any]] = set()
        self._ended: set[asyncio.Task[Any]] = set()  # those of them that `close` cancelled
        context = self._place.context()
        uds = self._place.socket
        self._client = httpx.AsyncClient(
            base_url=self._place.url,
            transport=httpx.AsyncHTTPTransport(uds=uds, verify=context, limits=_LIMITS) if uds else None,
            verify=context,
            limits=_LIMITS,
            trust_env=not self._place.near,
            headers={"User-Agent": "leveret-client", "Accept": "*/*"},
        )

    async def send(self, call: Call) -> Reply:
        task = asyncio.current_task()
        assert task is not None
        with _translated(self._place, lambda: self._closed):
            self._sending.add(task)
            try:
                response = await self._client.request(
                    call.method,
                    call.target,
                    headers=list(call.headers),
                    content=call.body,
                    timeout=_timeout(call, self._timeout),
                )
            except asyncio.CancelledError:
                if task not in self._ended:
                    raise
                self._ended.discard(task)
                task.uncancel()
                raise ClientClosed.now() from None
            finally:
                self._sending.discard(task)
        return _reply(response)

    async def close(self) -> None:
        self._closed = True
        self._ended |= self._sending
        for task in self._ended:
            task.cancel()  # to close its connection would not wake it
        await self._client.aclose()


def _timeout(call: Call, usual: float) -> httpx.Timeout:
    seconds = usual if call.patience is None else min(usual, call.patience)
    return httpx.Timeout(seconds, read=seconds + call.wait)


def _reply(response: httpx.Response) -> Reply:
    headers = {name.decode("latin-1").lower(): header_text(value) for name, value in response.headers.raw}
    return Reply(response.status_code, headers, response.content)


@contextmanager
def _translated(place: Place, is_closed: Callable[[], bool]) -> Iterator[None]:
    if is_closed():
        raise ClientClosed.now()
    try:
        yield
    except (httpx.HTTPError, RuntimeError, OSError) as error:
        if is_closed():
            raise ClientClosed.now() from error
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
            raise Unsent(f"{place.shown} can't be reached: {_said(error)}") from error
        if isinstance(error, httpx.TimeoutException):
            raise Unanswered(f"{place.shown} didn't answer in time") from error
        if isinstance(error, httpx.HTTPError):
            raise Unanswered(f"{place.shown} didn't answer: {_said(error)}") from error
        raise


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
