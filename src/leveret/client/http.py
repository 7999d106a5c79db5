"""A service that is reached over HTTP, TCP or a Unix socket: calls as requests of httpx, and its errors as ours."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import httpx

from leveret.client.calls import Call, Reply, Unanswered, Unsent, Untrusted
from leveret.client.errors import ClientClosed
from leveret.client.place import Place, why_untrusted
from scalestack.http.message import header_text

_KEPT_ALIVE: Final = 30.0  # seconds that an idle connection is kept: less than a server keeps it
_LIMITS: Final = httpx.Limits(max_connections=None, max_keepalive_connections=100, keepalive_expiry=_KEPT_ALIVE)
_CONNECTED: Final = frozenset(
    {"connection.connect_tcp.complete", "connection.connect_unix_socket.complete", "connection.start_tls.complete"}
)


class HttpTransport:
    """For the blocking client."""

    def __init__(self, place: Place, timeout: float, key: bytes | None = None, ca: str | None = None) -> None:
        """`key` is the value of the Authorization header; `timeout` and `ca` as in `connect`."""
        self._place = place
        self._timeout = timeout
        self._headers = _headers(key)
        self._context = place.context(ca)
        self._closed = False
        self._open()

    def _open(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()  # guards the sockets
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        context = self._context
        uds = self._place.socket
        self._client = httpx.Client(
            base_url=self._place.url,
            transport=httpx.HTTPTransport(uds=uds, verify=context, limits=_LIMITS) if uds else None,
            verify=context,
            limits=_LIMITS,
            trust_env=not self._place.near,
            headers=self._headers,
            follow_redirects=False,  # the key is for this server alone
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

    def __init__(self, place: Place, timeout: float, key: bytes | None = None, ca: str | None = None) -> None:
        """`key` is the value of the Authorization header; `timeout` and `ca` as in `connect`."""
        self._place = place
        self._timeout = timeout
        self._closed = False
        self._sending: set[asyncio.Task[Any]] = set()
        self._ended: set[asyncio.Task[Any]] = set()  # those of them that `close` cancelled
        context = place.context(ca)
        uds = self._place.socket
        self._client = httpx.AsyncClient(
            base_url=self._place.url,
            transport=httpx.AsyncHTTPTransport(uds=uds, verify=context, limits=_LIMITS) if uds else None,
            verify=context,
            limits=_LIMITS,
            trust_env=not self._place.near,
            headers=_headers(key),
            follow_redirects=False,  # the key is for this server alone
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


def _headers(key: bytes | None) -> httpx.Headers:
    """Of every request. Their repr doesn't show the key."""
    headers = httpx.Headers({b"User-Agent": b"leveret-client", b"Accept": b"*/*"})
    if key is not None:
        headers["Authorization"] = key.decode()
    return headers


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
        untrusted = why_untrusted(error)
        if untrusted is not None:
            raise Untrusted(f"{place.shown} can't be trusted: {untrusted}") from None
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
            raise Unsent(f"{place.shown} can't be reached: {_said(error)}") from error
        if isinstance(error, httpx.TimeoutException):
            raise Unanswered(f"{place.shown} didn't answer in time") from error
        if isinstance(error, httpx.HTTPError):
            raise Unanswered(f"{place.shown} didn't answer: {_said(error)}") from error
        raise


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
