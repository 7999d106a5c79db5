"""Leveret, in each of its ways to keep messages."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

from bench.peers import load, peer
from bench.peers.load import Load, Pressure
from bench.peers.peer import Peer
from bench.peers.processes import Server
from bench.peers.talks import BODY
from leveret import __version__

_QUEUE = "/v1.1/bench/jobs"
# Ids are counted: with one that was there before, a message would be replaced.
_PUT = """
local n = 0
local body = string.rep("x", %d)
request = function()
  n = n + 1
  return wrk.format("PUT", wrk.path .. "/%s" .. n, nil, body)
end
"""
_POP = 'wrk.method = "DELETE"'


@dataclass(frozen=True)
class Leveret(Peer):
    takes = "claim, DELETE with its receipt; pop: DELETE `?limit=1`"
    pops = True

    durability: str = ""  # of SQLite; with none, messages are kept in memory

    def missing(self) -> str | None:
        return peer.lacking("wrk", package="wrk")

    def version(self) -> str:
        return __version__

    def command(self, port: int, folder: Path) -> list[str]:
        store = ["--store", "memory://"]
        if self.durability:
            store = ["--store", f"sqlite:///{folder}/queue.db", "--set", f"sqlite.durability={self.durability}"]
        options = ["--set", "event.threads=1", "--set", "log.level=warning", "--data", str(folder)]
        return [sys.executable, "-m", "leveret", "serve", "--port", str(port), *options, *store]

    def publish(self, server: Server, pressure: Pressure) -> Load:
        # What is put later has ids of its own.
        prefix = f"{server.cpu_seconds():.2f}-"
        return peer.by_wrk(f"http://127.0.0.1:{server.port}{_QUEUE}", pressure, _PUT % (len(BODY), prefix))

    def consume(self, server: Server, pressure: Pressure) -> Load:
        return load.measure("talk_http:Leveret", server, pressure, queue=_QUEUE)

    def pop(self, server: Server, pressure: Pressure) -> Load:
        url = f"http://127.0.0.1:{server.port}{_QUEUE}?limit=1&detail=body"
        found = peer.by_wrk(url, pressure, _POP)
        return replace(found, failed=0)  # what is refused is a pop of a queue that is empty by then
