"""The keys of a provider, fetched from where it says they are. Blocks; keeps nothing, and decides nothing of keys."""

from __future__ import annotations

import json
from collections.abc import Callable
from time import monotonic
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from scalestack.auth.jwt.config import JwtConfig, fault_of
from scalestack.auth.jwt.limit import FetchError, Line
from scalestack.values import clean

__all__ = ["MAX_BODY", "TIMEOUT", "FetchError", "fetch_keys"]

TIMEOUT: Final = 5.0  # seconds for all of it
MAX_BODY: Final = 1 << 20  # bytes of a document
_MAX_REDIRECTS: Final = 3
# Events of httpcore that give a stream (httpcore's documentation, "Extensions", "trace"). A proxy's are among them.
_OPENED: Final = frozenset({"connect_tcp.complete", "start_tls.complete"})


def fetch_keys(config: JwtConfig, line: Line, clock: Callable[[], float] = monotonic) -> list[Any]:
    """The keys, as the provider gave them; `FetchError` where there are none to be had. `clock`: seconds.

    Each step has a time limit, but a provider that sends a byte now and then can make one last for ever: who calls this
    must cut the line, which all sockets are put on.
    """
    fetch = _Fetch(line, clock)
    try:
        # Encoded, a small answer could be a huge one.
        with httpx.Client(headers={"Accept": "application/json", "Accept-Encoding": "identity"}) as client:
            url = config.jwks or _jwks_of(fetch.document(client, config.discovery), config)
            keys = fetch.document(client, url).get("keys")
    except httpx.HTTPError as error:
        raise FetchError(clean(f"{fetch.url}: {str(error) or type(error).__name__}")) from error
    except (httpx.InvalidURL, ValueError) as error:
        raise FetchError(clean(f"{fetch.url}: {error}")) from error
    if not isinstance(keys, list):
        raise FetchError(f'{clean(url)}: is no key set, {{"keys": [...]}}')
    return keys


def _jwks_of(found: dict[str, Any], config: JwtConfig) -> str:
    # OpenID Connect Discovery 1.0 section 4.3: else one could speak for another.
    if found.get("issuer") != config.issuer:
        raise FetchError(f"{config.discovery}: is not of {config.issuer}, to the letter")
    url = found.get("jwks_uri")
    if not isinstance(url, str):
        raise FetchError(f"{config.discovery}: has no jwks_uri")
    return url


class _Fetch:
    """One round of requests, which has one time limit."""

    def __init__(self, line: Line, clock: Callable[[], float]) -> None:
        self.url = ""  # the one that is being read
        self._line = line
        self._clock = clock
        self._end = clock() + TIMEOUT

    def document(self, client: httpx.Client, url: str) -> dict[str, Any]:
        """The JSON object at `url`."""
        encrypted = False
        for _ in range(_MAX_REDIRECTS + 1):
            self.url = url
            fault = fault_of(url)
            if fault is None and encrypted and urlsplit(url).scheme != "https":
                fault = "is not encrypted, unlike what led to it"
            if fault is not None:
                raise FetchError(f"{clean(url)} {fault}")
            encrypted = urlsplit(url).scheme == "https"
            extensions = {"trace": self._trace}
            with client.stream("GET", url, timeout=self._left(), extensions=extensions) as response:
                if response.has_redirect_location:
                    url = str(response.url.join(response.headers["location"]))
                    continue
                if response.status_code != httpx.codes.OK:
                    raise FetchError(f"{clean(url)}: answered {response.status_code}")
                return _object(self._body(response), url)
        raise FetchError(f"{clean(url)}: is redirected more than {_MAX_REDIRECTS} times")

    def _trace(self, event: str, values: dict[str, Any]) -> None:
        if event.partition(".")[2] in _OPENED:
            self._line.add(values["return_value"].get_extra_info("socket"))

    def _left(self) -> float:
        left = self._end - self._clock()
        if left <= 0:
            raise FetchError(f"{clean(self.url)}: did not answer within {TIMEOUT:.0f} seconds")
        return left

    def _body(self, response: httpx.Response) -> bytes:
        body = b""
        for piece in response.iter_raw():
            body += piece
            if len(body) > MAX_BODY:
                raise FetchError(f"{clean(self.url)}: has more than {MAX_BODY} bytes")
            self._left()
        return body


def _object(body: bytes, url: str) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise FetchError(f"{clean(url)}: is no JSON") from error
    if not isinstance(found, dict):
        raise FetchError(f"{clean(url)}: is no JSON object")
    return found
