"""Feeds requests to connections, each on the loop thread that owns it. Counts every answer, and knows no workload."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from bench.inprocess.requests import Place, Workload
from bench.inprocess.serving import InProcess, Peer
from scalestack.event.loops import LoopThread
from scalestack.http.protocol import HttpConnection

_PATIENCE = 300  # seconds for all of it


class Unanswered(Exception):
    """Requests without an answer, or with one that is no success: what was measured is worth nothing."""


@dataclass(frozen=True)
class Fed:
    """When one thread began and ended, on one clock for all of them, and what it used of its processor."""

    began: float
    ended: float
    cpu: float  # seconds
    requests: int


@dataclass(frozen=True)
class _Moment:
    """Now, for the thread that asks."""

    at: float
    used: float

    @classmethod
    def now(cls) -> _Moment:
        return cls(time.perf_counter(), time.thread_time())


class Feeder:
    """One loop thread's connections, and what they are fed. All is called on that thread."""

    def __init__(self, server: InProcess, thread: LoopThread, connections: int) -> None:
        self._thread = thread
        self.ends = [server.connect(thread) for _ in range(connections)]

    def at_once(self, requests: Sequence[bytes]) -> None:
        """Feed one request after the other, each of which is answered in the same call: as many in a turn of the loop
        as there are connections; its answers are written when it ends."""
        feeds = [connection.data_received for connection, _ in self.ends]
        for start in range(0, len(requests), len(feeds)):
            for feed, request in zip(feeds, requests[start : start + len(feeds)], strict=False):
                feed(request)
            self._thread.own.turn.flush()

    def in_turns(self, requests: Sequence[bytes], done: Future[_Moment]) -> None:
        """Feed each connection its next request in the loop's turn after its answer; `done` when all are answered."""
        following = iter(requests)
        left = len(requests)
        soon = self._thread.loop.call_soon

        def after(connection: HttpConnection) -> None:
            nonlocal left
            left -= 1
            request = next(following, None)
            if request is not None:
                soon(connection.data_received, request)
            elif not left:
                done.set_result(_Moment.now())

        if not requests:
            done.set_result(_Moment.now())
        for connection, peer in self.ends:
            peer.answered = lambda connection=connection: after(connection)
            request = next(following, None)
            if request is not None:
                soon(connection.data_received, request)

    def check(self, requests: int) -> None:
        """Make sure that so many were answered since the last time that this was asked, all with success."""
        peers: list[Peer] = [peer for _, peer in self.ends]
        answers, refused = sum(peer.answers for peer in peers), sum(peer.refused for peer in peers)
        refusal = next((peer.refusal for peer in peers if peer.refusal), b"").decode("latin-1").splitlines()
        for peer in peers:
            peer.answers = peer.refused = 0
            peer.answered = None
        if answers != requests or refused:
            why = f", such as: {refusal[0]} … {refusal[-1]}" if refusal else ""
            raise Unanswered(f"of {requests:,} requests, {answers:,} were answered, {refused:,} without success{why}")


def feed(
    server: InProcess, workload: Workload, places: Sequence[Place], count: int, connections: int, pending: bool
) -> list[Fed]:
    """Have as many loop threads as there are places each feed `count` requests, all beginning at the same time.

    With `pending`, each connection waits for its answer while the loop turns, as a store needs it that commits in a
    thread of its own; else answers come in the same call.
    """
    together = threading.Barrier(len(places))
    threads = server.threads[: len(places)]
    prepared = [
        thread.call(_prepare, server, thread, workload, place, count, connections)
        for thread, place in zip(threads, places, strict=True)
    ]
    ready = [each.result(_PATIENCE) for each in prepared]
    for (feeder, before, _), thread in zip(ready, threads, strict=True):
        _run(feeder, thread, before, pending, None)[1].result(_PATIENCE)
        thread.call(feeder.check, len(before)).result(_PATIENCE)
    running = [
        _run(feeder, thread, requests, pending, together)
        for (feeder, _, requests), thread in zip(ready, threads, strict=True)
    ]
    fed = [_fed(began.result(_PATIENCE), ended.result(_PATIENCE), count) for began, ended in running]
    for (feeder, _, requests), thread in zip(ready, threads, strict=True):
        thread.call(feeder.check, len(requests)).result(_PATIENCE)
    return fed


def _prepare(
    server: InProcess, thread: LoopThread, workload: Workload, place: Place, count: int, connections: int
) -> tuple[Feeder, list[bytes], list[bytes]]:
    # On the thread that feeds them, as a loop's own reads make them.
    return Feeder(server, thread, connections), workload.before(place, count), workload.requests(place, count)


def _run(
    feeder: Feeder, thread: LoopThread, requests: list[bytes], pending: bool, together: threading.Barrier | None
) -> tuple[Future[_Moment], Future[_Moment]]:
    """When it began, and when it has ended."""
    ended: Future[_Moment] = Future()

    def run() -> _Moment:
        if together is not None:
            together.wait(_PATIENCE)
        began = _Moment.now()
        if pending:
            feeder.in_turns(requests, ended)
        else:
            feeder.at_once(requests)
            ended.set_result(_Moment.now())
        return began

    return thread.call(run), ended


def _fed(began: _Moment, ended: _Moment, requests: int) -> Fed:
    return Fed(began.at, ended.at, ended.used - began.used, requests)


def rate(fed: Sequence[Fed]) -> float:
    """Requests per second of all threads together, from the first that began to the last that ended."""
    seconds = max(each.ended for each in fed) - min(each.began for each in fed)
    return sum(each.requests for each in fed) / seconds


def cpu(fed: Sequence[Fed]) -> float:
    """Processor seconds of a request, of the threads that were fed alone."""
    return sum(each.cpu for each in fed) / sum(each.requests for each in fed)
