"""From a URL to a client: a server's address, or a store that is opened in this process, without a server."""

# ruff: noqa: PLC0415 - what reaches a service is loaded by who uses it: a server needs no HTTP client, and a client of
# a server no store.

from __future__ import annotations

from typing import TYPE_CHECKING

from leveret.client.aio import AsyncClient
from leveret.client.calls import Retry
from leveret.client.client import Client
from leveret.client.errors import InvalidUrl, Unavailable

if TYPE_CHECKING:
    from leveret.store.base import Store

DEFAULT_URL = "http://127.0.0.1:8080"  # where `leveret serve` listens

_KNOWN = (
    "http://host:port, https://host:port, unix:///path/to.sock, sqlite:///relative.db, sqlite:////absolute.db and "
    "memory:// are known"
)


def connect(url: str = DEFAULT_URL, *, timeout: float = 30.0, retries: int = 3, durability: str = "full") -> Client:
    """A client of the service at `url`: `http://host:port`, `https://host:port`, `unix:///path/to.sock`; or of the
    queues in a file, `sqlite:///relative.db` or `sqlite:////absolute.db`, or in memory, `memory://`, which are
    then this client's alone.

    `timeout` is the seconds in which a server has to be reached, and then to answer, beside what a call waits for a
    message. `retries` is how often a call is repeated that may be. `durability` of a file is full, normal or off, as
    in the server's settings. `InvalidUrl` for another URL, and `Unavailable` for a file that can't be opened, such as
    one that a server has open; a server is asked nothing yet.
    """
    retry = _checked(timeout, retries)
    if _is_local(url):
        from leveret.client.local import LocalTransport

        return Client(LocalTransport(_store(url, durability)), retry)
    from leveret.client.http import HttpTransport

    return Client(HttpTransport(_remote(url), timeout), retry)


def connect_async(
    url: str = DEFAULT_URL, *, timeout: float = 30.0, retries: int = 3, durability: str = "full"
) -> AsyncClient:
    """As `connect`, for asyncio. It is to be used in one event loop, and closed there: `async with` does that."""
    retry = _checked(timeout, retries)
    if _is_local(url):
        from leveret.client.local import AsyncLocalTransport

        return AsyncClient(AsyncLocalTransport(_store(url, durability)), retry)
    from leveret.client.http import AsyncHttpTransport

    return AsyncClient(AsyncHttpTransport(_remote(url), timeout), retry)


def _checked(timeout: float, retries: int) -> Retry:
    if not timeout > 0:
        raise ValueError(f"timeout is {timeout!r}; more than 0 seconds are expected")
    if retries < 0:
        raise ValueError(f"retries is {retries!r}; 0 or more are expected")
    return Retry(retries)


def _is_local(url: str) -> bool:
    return url == "memory://" or url.startswith("sqlite://")


def _remote(url: str) -> str:
    if not url.startswith(("http://", "https://", "unix://")):
        raise InvalidUrl(f"'{url}' can't be connected to; {_KNOWN}")
    return url


def _store(url: str, durability: str) -> Store:
    from leveret.store.base import Unusable
    from leveret.store.memory import MemoryStore
    from leveret.store.sqlite import Durability, SqliteStore, path_of
    from leveret.store.sqlite import InvalidUrl as NoFile

    if url == "memory://":
        return MemoryStore()
    try:
        # A small program is not to take room from the disk that it may never need.
        return SqliteStore(path_of(url), Durability(durability), reserve=0)
    except NoFile as error:
        raise InvalidUrl(f"'{url}' can't be connected to: {error}; {_KNOWN}") from error
    except Unusable as error:
        raise Unavailable("store-unusable", None, str(error)) from error
