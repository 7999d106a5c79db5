"""What one account may use, and what it uses now. Knows no requests and no clock; any thread may call it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from scalestack.limits.bucket import Bucket

REQUESTS: Final = "requests"
BYTES: Final = "bytes"
CONNECTIONS: Final = "connections"
STREAMS: Final = "streams"

_MOST_HELD: Final = 1000  # refusals of one account that are held back at once; what is more is answered at once
_GRACE: Final = 5.0  # seconds; whoever was given a budget charges it within these, or what it charges may be forgotten


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit, and where it is set: for whoever reads a refusal."""

    most: float
    setting: str  # such as "limits.requests"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one account may use, by kind; what has no entry has no limit."""

    per_second: Mapping[str, Limit] = field(default_factory=dict)  # requests, and bytes of bodies, in and out
    at_once: Mapping[str, Limit] = field(default_factory=dict)  # connections, streams, and what a service adds
    burst: float = 2.0  # seconds' worth of what is limited per second that may come in no time


class Excess(NamedTuple):
    """Why something is refused."""

    kind: str
    limit: Limit
    wait: float  # seconds until there may be room; 0.0 where nobody knows


class Budget:
    """The use that one account makes of its limits."""

    __slots__ = (
        "_at_once",
        "_bytes",
        "_held",
        "_limits",
        "_lock",
        "_requests",
        "admits_all",
        "counts",
        "meters",
        "touched",
    )

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        buckets = {kind: Bucket(limit.most, limits.burst) for kind, limit in limits.per_second.items()}
        self._requests = buckets.get(REQUESTS)
        self._bytes = buckets.get(BYTES)
        self._at_once: Counter[str] = Counter()
        self._held = 0
        self._lock = threading.Lock()  # guards the buckets and the counts, for steps that change several
        self.touched = 0.0  # when it was last given out
        # What costs nothing where it has no limit.
        self.counts = CONNECTIONS in limits.at_once
        self.admits_all = self._requests is None and self._bytes is None and not self.counts
        self.meters = self._bytes is not None or STREAMS in limits.at_once  # whether it matters what is answered

    def admit(self, size: int, now: float, new_connection: bool) -> Excess | None:
        """Charge a request with a body of so many bytes, or say why it is refused: then nothing is charged."""
        limits = self._limits
        with self._lock:
            if new_connection:
                most = limits.at_once[CONNECTIONS]
                if self._at_once[CONNECTIONS] >= most.most:
                    return Excess(CONNECTIONS, most, 0.0)
            requests, sizes = self._requests, self._bytes
            before = 0.0
            if requests is not None:
                before = requests.used_until
                if wait := requests.take(1, now):
                    return Excess(REQUESTS, limits.per_second[REQUESTS], wait)
            if sizes is not None and (wait := sizes.take(size, now)):
                if requests is not None:
                    requests.used_until = before
                return Excess(BYTES, limits.per_second[BYTES], wait)
            if new_connection:
                self._at_once[CONNECTIONS] += 1
        return None

    def owe(self, size: int, now: float) -> None:
        """Charge bytes that are sent, whether there is room for them or not."""
        if self._bytes is not None:
            with self._lock:
                self._bytes.charge(size, now)

    def debt(self, now: float) -> float:
        """Seconds until it has bytes to send again; 0.0 where it has."""
        return 0.0 if self._bytes is None else self._bytes.wait(0, now)

    def enter(self, kind: str) -> Excess | None:
        """Count one more of a kind, or say why there may be no more of them at once."""
        limit = self._limits.at_once.get(kind)
        with self._lock:
            if limit is not None and self._at_once[kind] >= limit.most:
                return Excess(kind, limit, 0.0)
            self._at_once[kind] += 1
        return None

    def leave(self, kind: str) -> None:
        """Count one less; once for each that was let in."""
        with self._lock:
            self._at_once[kind] -= 1

    def hold(self) -> bool:
        """Count a refusal that is held back; False where too many are already."""
        with self._lock:
            if self._held >= _MOST_HELD:
                return False
            self._held += 1
        return True

    def let_go(self) -> None:
        """Count one less that is held back."""
        with self._lock:
            self._held -= 1

    def is_idle(self, now: float) -> bool:
        """Whether a new one would be no different."""
        with self._lock:
            buckets = (self._requests, self._bytes)
            return (
                self.touched + _GRACE <= now
                and not self._held
                and not any(self._at_once.values())
                and all(bucket is None or bucket.used_until <= now for bucket in buckets)
            )
