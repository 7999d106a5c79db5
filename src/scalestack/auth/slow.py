"""How long whoever was refused often has to wait for a refusal. Knows no clock and no requests."""

from __future__ import annotations

import ipaddress
import threading
from functools import lru_cache

_MOST_ADDRESSES = 10_000  # remembered; beyond that the one that failed first is forgotten


class Failures:
    """Counts failures by address, or by name: some are answered at once, and what comes faster than `rate` waits."""

    def __init__(self, at_once: int, rate: float, longest: float) -> None:
        """`at_once` failures don't wait, where there were none before; `rate` per second after that; `longest` is the
        most seconds that one waits."""
        self._at_once = at_once
        self._rate = rate
        self._longest = longest
        self._paid: dict[str, float] = {}  # until when an address has used up its rate, by the monotonic clock
        self._lock = threading.Lock()  # guards the table

    def delay(self, address: str, now: float) -> float:
        """Count a failure, and answer how many seconds its refusal is to be held back."""
        network = network_of(address)
        with self._lock:
            paid = max(self._paid.pop(network, now), now) + 1 / self._rate
            waits = paid - now - self._at_once / self._rate
            # No debt beyond the longest wait, or else a flood would be felt for hours.
            self._paid[network] = min(paid, now + self._longest + self._at_once / self._rate)
            if len(self._paid) > _MOST_ADDRESSES:
                del self._paid[next(iter(self._paid))]
        return min(max(waits, 0.0), self._longest)


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """What one client has at the least: an IPv4 address, but 64 bits of an IPv6 address (RFC 6177 section 2)."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False).network_address)
