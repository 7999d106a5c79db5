"""Claims without a service, time that passes when a test says so, and gates at which commands wait."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime

from leveret.client import LeaseLost, Message, Unavailable
from support.web import PATIENCE


def message(id="1", body=b"", deliveries=1, headers=None, content_type=None):
    return Message(id, body, 0, 60, datetime.now(UTC), deliveries, "m", content_type, headers or {}, "receipt")


def lost():
    return LeaseLost("lease-lost", 409, "the lease is lost")


def away():
    return Unavailable("unreachable", None, "it can't be reached")


async def until(condition):
    """Wait for what the kernel and other processes do; the test fails where it never is."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if condition():
                return
            await asyncio.sleep(0.001)


class Held:
    """A claim that notes what is done with it, or raises what it is told to."""

    def __init__(self, message, extending=(), settling=None):
        self.message = message
        self.done = []
        self._extending = list(extending)
        self._settling = settling

    async def extend(self, seconds):
        self.done.append(("extend", seconds))
        if self._extending and (error := self._extending.pop(0)):
            raise error

    async def delete(self):
        self.done.append("delete")
        if self._settling:
            raise self._settling

    async def release(self, seconds=0):
        self.done.append(("release", seconds))
        if self._settling:
            raise self._settling


class Source:
    """Hands out what it is given, in order; errors are raised. After that, there is nothing."""

    def __init__(self, *given):
        self.given = list(given)
        self.asked = 0
        self.idle = asyncio.Event()  # set when somebody waits for more

    async def claim(self, seconds, *, wait, keep):
        self.asked += 1
        if self.given:
            found = self.given.pop(0)
            if isinstance(found, Exception):
                raise found
            return found
        if wait:
            self.idle.set()
            await asyncio.get_running_loop().create_future()
        return None


class Clock:
    """Time that passes when a test says so: whoever sleeps until then wakes."""

    def __init__(self):
        self.now = 0.0
        self._sleepers = []

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        woken = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now + seconds, woken))
        await woken

    async def sleeping(self, count):
        """Until so many sleep."""
        await until(lambda: sum(not woken.done() for _, woken in self._sleepers) >= count)

    def pass_(self, seconds):
        self.now += seconds
        for until, woken in self._sleepers:
            if until <= self.now and not woken.done():
                woken.set_result(None)


def make_gate(folder, name="gate"):
    """What a command waits at that reads it, until it is opened."""
    os.mkfifo(folder / name)
    return folder / name


def open_gate(gate):
    gate.open("w").close()
