"""A rate with a burst, kept as the time until which it is used up. Knows no clock, no lock and no accounts."""

from __future__ import annotations

from typing import Final

_GRAIN: Final = 1e-6  # seconds; a sum of many small costs is off by less


class Bucket:
    """Lets `rate` per second pass, and `burst` seconds' worth of that at once, where little passed before.

    The generic cell rate algorithm in the form of virtual scheduling (ITU-T I.371, annex A), with costs that differ.
    Whoever calls it from several threads guards it with a lock.
    """

    __slots__ = ("_burst", "_rate", "used_until")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self.used_until = 0.0  # it is full from then on

    def wait(self, amount: float, now: float) -> float:
        """Seconds until so much may pass; 0.0 where it may now. What is more than a burst may when the bucket is full:
        it leaves a debt, but would pass at no other time."""
        used = self.used_until - now
        if used <= 0:
            return 0.0
        wait = used + min(amount / self._rate, self._burst) - self._burst
        return wait if wait > _GRAIN else 0.0

    def take(self, amount: float, now: float) -> float:
        """Let so much pass, and answer 0.0; or the seconds that it has to wait, and then nothing has changed."""
        used_until = self.used_until
        cost = amount / self._rate
        if used_until <= now:
            self.used_until = now + cost
        elif used_until - now + cost <= self._burst:
            self.used_until = used_until + cost
        elif wait := self.wait(amount, now):
            return wait
        else:
            self.used_until = used_until + cost
        return 0.0

    def charge(self, amount: float, now: float) -> None:
        """So much has passed, though it be into debt."""
        self.used_until = max(self.used_until, now) + amount / self._rate
