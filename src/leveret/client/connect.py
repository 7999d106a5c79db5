"""From a URL to a client: a server's address, or a store that is opened in this process, without a server."""

# ruff: noqa: PLC0415 - what reaches a service is loaded by who uses it: a server needs no HTTP client, and a client of
# a server no store.

from __future__ import annotations

from typing import TYPE_CHECKING

from leveret.client.aio import AsyncClient
from leveret.client.calls import Retry
from leveret.client.client import Client
from leveret.client.errors import InvalidUrl, Unavailable
from leveret.client.key import authorization, warn_of
from leveret.client.place import Place, refuse_credentials

if TYPE_CHECKING:
    from leveret.store.base import Store

DEFAULT_URL = "http://127.0.0.1:8080"  # where `leveret serve` listens

_KNOWN = (
    "http://host:port, https://host:port, unix:///path/to.sock, sqlite:///relative.db, sqlite:////absolute.db and "
    "memory:// are known"
)


def connect(
    url: str = DEFAULT_URL,
    *,
    key: str | None = None,
    ca: str | None = None,
    timeout: float = 30.0,
    retries: int = 3,
    durability: str = "full",
) -> Client:
    """A client of the service at `url`: `http://host:port`, `https://host:port`, `unix:///path/to.sock`; or of the
    queues in a file, `sqlite:///relative.db` or `sqlite:////absolute.db`, or in memory, `memory://`, which are
    then this client's alone.

    `key` is the token by which a server knows who asks, a JSON Web Token among them; it is sent to this server alone,
    whatever that answers, and a file asks for none. Over plain http to another machine it can be read on its way, which
    is an `InsecureKey` warning. No environment variable is read: take it from where your program has its secrets, such
    as `os.environ["LEVERET_KEY"]`. `ca` is a file (PEM) or a directory with the authorities to be trusted for https,
    and no others; else those of the system are, or those that SSL_CERT_FILE names.

    `timeout` is the seconds in which a server has to be reached, and then to answer, beside what a call waits for a
    message; and for which, in all, a call is put off that comes too often. `retries` is how often a call is repeated
    that may be. `durability` of a file is full, normal or off, as in the server's settings. `InvalidUrl` for another
    URL, or one with a name or a password in it, and `Unavailable` for a file that can't be opened, such as one that a
    server has open; a server is asked nothing yet.
    """
    retry = _checked(timeout, retries)
    if _is_local(url):
        from leveret.client.local import LocalTransport

        return Client(LocalTransport(_store(url, durability)), retry)
    from leveret.client.http import HttpTransport

    place, secret = _remote(url, key)
    return Client(HttpTransport(place, timeout, secret, ca), retry)


def connect_async(
    url: str = DEFAULT_URL,
    *,
    key: str | None = None,
    ca: str | None = None,
    timeout: float = 30.0,
    retries: int = 3,
    durability: str = "full",
) -> AsyncClient:
    """As `connect`, for asyncio. It is to be used in one event loop, and closed there: `async with` does that."""
    retry = _checked(timeout, retries)
    if _is_local(url):
        from leveret.client.local import AsyncLocalTransport

        return AsyncClient(AsyncLocalTransport(_store(url, durability)), retry)
    from leveret.client.http import AsyncHttpTransport

    place, secret = _remote(url, key)
    return AsyncClient(AsyncHttpTransport(place, timeout, secret, ca), retry)


def _checked(timeout: float, retries: int) -> Retry:
    if not timeout > 0:
        raise ValueError(f"timeout is {timeout!r}; more than 0 seconds are expected")
    if retries < 0:
        raise ValueError(f"retries is {retries!r}; 0 or more are expected")
    return Retry(retries, patience=timeout)


def _is_local(url: str) -> bool:
    return url == "memory://" or url.startswith("sqlite://")


def _remote(url: str, key: str | None) -> tuple[Place, bytes | None]:
    """Where the server is, and the value of the Authorization header."""
    refuse_credentials(url)
    if not url.startswith(("http://", "https://", "unix://")):
        raise InvalidUrl(f"'{url}' can't be connected to; {_KNOWN}")
    place = Place.of(url)
    if key is None:
        return place, None
    value = authorization(key)
    warn_of(place, stacklevel=3)
    return place, value


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
