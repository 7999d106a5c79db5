"""What `bench.check` counts: five ways of a request through the service, and a yardstick, each in two sizes.

Nothing in it depends on time or on chance: clocks and timers stand still, threads take turns, garbage is left alone.
Between two parts it calls a function of the C library that nothing else calls: there the counter writes what it has.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import os
import queue  # noqa: F401 - and `threading`: what waits by the clock has to have the real one
import sys
import threading  # noqa: F401
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

# Before anything of the service is imported, which so gets these; they cost about what a clock does.
_FROZEN: Final = 1_800_000_000.0
for _name in ("time", "monotonic", "perf_counter"):
    setattr(time, _name, itertools.repeat(_FROZEN).__next__)

from bench.inprocess import requests  # noqa: E402
from bench.inprocess.feeding import Feeder  # noqa: E402
from bench.inprocess.requests import Place  # noqa: E402
from bench.inprocess.serving import InProcess, serving  # noqa: E402
from leveret.store.sqlite import writer  # noqa: E402
from scalestack.event.loops import LoopThread  # noqa: E402

MARK: Final = "getpriority"  # the function of the C library
PATIENCE: Final = 600
BATCH: Final = 64  # of the requests that the durable store gets at once

Part = Callable[[int], object]  # does so many


@dataclass(frozen=True)
class Scenario:
    """Does `size` requests, then twice as many: the difference is what a request takes, and nothing else."""

    name: str
    size: int
    do: Part


def yardstick(count: int) -> int:
    """A piece of plain Python, always the same: calls, attributes, dictionaries, slices of bytes, strings and lists."""
    names = {f"name-{number}": number for number in range(64)}
    head = b"PUT /v1.1/account/queue/12345 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"
    found = 0
    for number in range(count):
        word = _Word(head[: 4 + number % 32], number)
        found += names.get(f"name-{number % 64}", 0) + word.size()
        parts = word.text.split(b"/")
        found += len([part for part in parts if part.startswith(b"a")])
    return found


class _Word:
    __slots__ = ("number", "text")

    def __init__(self, text: bytes, number: int) -> None:
        self.text = text
        self.number = number

    def size(self) -> int:
        return len(self.text) + self.number % 7


class Served:
    """A server with one loop thread, and what is fed to it from the main thread."""

    def __init__(self, server: InProcess, connections: int) -> None:
        self._thread = server.threads[0]
        self._feeder = self._thread.call(Feeder, server, self._thread, connections).result(PATIENCE)
        self._number = 0

    def take(self, make: Callable[[Place, int], bytes], place: Place) -> Part:
        """Feed requests whose answers come at once, of numbers that rise from part to part."""
        numbers = itertools.count()

        def part(count: int) -> None:
            made = [make(place, next(numbers)) for _ in range(count)]
            self._thread.call(self._feeder.at_once, made).result(PATIENCE)
            self._thread.call(self._feeder.check, count).result(PATIENCE)

        return part

    def take_batches(self, make: Callable[[Place, int], bytes], place: Place) -> Part:
        """Feed as many requests as there are connections, wait for all answers, and so on."""
        numbers = itertools.count()
        width = len(self._feeder.ends)

        def part(count: int) -> None:
            for _ in range(count // width):
                made = [make(place, next(numbers)) for _ in range(width)]
                done: Future[object] = Future()
                self._thread.call(self._feeder.in_turns, made, done).result(PATIENCE)
                done.result(PATIENCE)
            self._thread.call(self._feeder.check, count // width * width).result(PATIENCE)

        return part

    def take_polls(self, place: Place) -> Part:
        """A poll is parked, a PUT on another connection wakes it, and the message is deleted."""
        numbers = itertools.count()
        (poller, polled), (worker, _) = self._feeder.ends[:2]
        soon = self._thread.loop.call_soon

        def cycles(count: int, done: Future[None]) -> None:
            left = count

            def begin() -> None:
                nonlocal left
                if not left:
                    done.set_result(None)
                    return
                left -= 1
                number = next(numbers)
                polled.answered = lambda: soon(end, number)
                poller.data_received(requests.poll(place))
                worker.data_received(requests.put(place, number))

            def end(number: int) -> None:
                worker.data_received(requests.delete(place, number))
                begin()

            begin()

        def part(count: int) -> None:
            done: Future[None] = Future()
            self._thread.call(cycles, count, done).result(PATIENCE)
            done.result(PATIENCE)
            self._thread.call(self._feeder.check, 3 * count).result(PATIENCE)

        return part


def _never(thread: LoopThread, seconds: float, function: Callable[..., object], *args: Any) -> asyncio.TimerHandle:
    """In place of `LoopThread.later`: as clocks stand still, no timer rings, however long the counting takes."""
    return thread.loop.call_later(10 * PATIENCE, function, *args)


def run(scenarios: Sequence[Scenario], mark: Callable[[str], None]) -> None:
    for scenario in scenarios:
        scenario.do(scenario.size // 4)  # so that what is made once is there
        for factor in (1, 2):
            mark("")
            scenario.do(factor * scenario.size)
            mark(f"{scenario.name}/{factor * scenario.size}")


def main() -> int:
    """Print what the parts between marks are, one name for each, as JSON; an empty one is not to be counted."""
    names: list[str] = []

    def mark(name: str) -> None:
        names.append(name)
        os.getpriority(os.PRIO_PROCESS, 0)

    sys.setswitchinterval(1000)  # threads take turns where one waits for the other, and never because of time
    LoopThread.later = _never  # type: ignore[method-assign, assignment]
    vars(writer)["_IDLE"] = PATIENCE  # what is done when nobody asks for anything is not what is counted
    folder = Path(sys.argv[1])
    run([Scenario("yardstick", 2000, yardstick)], mark)
    with serving("memory", folder=folder) as server:
        gc.disable()
        one = Served(server, 8)
        place, other = Place("account", "queue"), Place("account", "other")
        size = 400
        scenarios = [
            Scenario("memory PUT", size, one.take(requests.put, place)),
            Scenario("memory GET", size, one.take(requests.get, place)),
            Scenario("memory claim", size, one.take(requests.claim, place)),
            Scenario("memory poll, PUT, DELETE", size // 4, one.take_polls(other)),
        ]
        run(scenarios, mark)
        gc.enable()
    with serving("sqlite", settings={"sqlite.durability": "off"}, folder=folder) as server:
        gc.disable()
        batches = Served(server, BATCH).take_batches(requests.put, Place("account", "queue"))
        run([Scenario("SQLite PUT", 6 * BATCH, batches)], mark)
    print(json.dumps(names))
    return 0


if __name__ == "__main__":
    sys.exit(main())
