"""Small servers that need one command and no preparation: beanstalkd, Redis, and moto's SQS."""

from __future__ import annotations

import csv
import importlib.metadata
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from bench.peers import load, peer, processes
from bench.peers.load import Load, Pressure
from bench.peers.peer import Peer
from bench.peers.processes import Server
from bench.peers.talk_http import SQS_HEADERS
from bench.peers.talks import BODY


@dataclass(frozen=True)
class Beanstalkd(Peer):
    takes = "reserve, delete"

    options: tuple[str, ...] = ()
    logged: bool = False  # to files

    def missing(self) -> str | None:
        return peer.lacking("beanstalkd", package="beanstalkd")

    def version(self) -> str:
        return peer.said("beanstalkd", "-v").removeprefix("beanstalkd ")

    def command(self, port: int, folder: Path) -> list[str]:
        log = ["-b", str(folder)] if self.logged else []
        return ["beanstalkd", "-l", "127.0.0.1", "-p", str(port), *log, *self.options]

    def publish(self, server: Server, pressure: Pressure) -> Load:
        return load.measure("talk_beanstalkd:Put", server, pressure)

    def consume(self, server: Server, pressure: Pressure) -> Load:
        return load.measure("talk_beanstalkd:Take", server, pressure)


@dataclass(frozen=True)
class Redis(Peer):
    takes = "LMOVE, LREM; pop: LPOP"
    pops = True

    fsync: str = ""  # of the append-only file; with none, there is no file

    def missing(self) -> str | None:
        return peer.lacking("redis-server", "redis-benchmark", package="redis-server")

    def version(self) -> str:
        return peer.said("redis-server", "--version").partition("v=")[2].partition(" ")[0]

    def command(self, port: int, folder: Path) -> list[str]:
        log = ["--appendonly", "yes", "--appendfsync", self.fsync] if self.fsync else ["--appendonly", "no"]
        # Snapshots beside it would be work that no other server has.
        place = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--save", ""]
        return ["redis-server", *place, *log]

    def publish(self, server: Server, pressure: Pressure) -> Load:
        return self._benchmark(server, pressure, "RPUSH", "jobs", BODY.decode())

    def consume(self, server: Server, pressure: Pressure) -> Load:
        return load.measure("talk_redis:Take", server, pressure, key="jobs")

    def pop(self, server: Server, pressure: Pressure) -> Load:
        left = int(peer.said("redis-cli", "-p", str(server.port), "LLEN", "jobs"))
        return self._benchmark(server, pressure, "LPOP", "jobs", at_most=left)

    def _benchmark(self, server: Server, pressure: Pressure, *command: str, at_most: int | None = None) -> Load:
        """redis-benchmark is told how many, and not how long: a short run says how many there are in the time."""
        cap = at_most if at_most is not None else sys.maxsize
        probe = self._requests(server, pressure, min(5_000, cap // 4), *command)
        number = min(int(probe.rate * pressure.seconds), cap - probe.messages)
        return self._requests(server, pressure, max(number, pressure.connections), *command)

    def _requests(self, server: Server, pressure: Pressure, number: int, *command: str) -> Load:
        arguments = ["-p", str(server.port), "-c", str(pressure.connections), "-P", "1", "-n", str(number), "--csv"]
        program = [*processes.pinned(pressure.cpu), "redis-benchmark", *arguments, *command]
        done, cpu = peer.children_cpu(lambda: subprocess.run(program, check=True, capture_output=True, text=True))
        return benchmarked(done.stdout, number, cpu)


def benchmarked(output: str, number: int, cpu: float) -> Load:
    """What redis-benchmark says of `number` requests, with --csv."""
    (row,) = csv.DictReader(output[output.index('"test"') :].splitlines())
    seconds = number / float(row["rps"])
    return Load(number, seconds, float(row["p50_latency_ms"]), float(row["p99_latency_ms"]), cpu)


@dataclass(frozen=True)
class Moto(Peer):
    """A stand-in for Amazon SQS that tests are run against; it is made to be right, and not to be fast."""

    takes = "ReceiveMessage, DeleteMessage"

    def missing(self) -> str | None:
        if shutil.which(_moto()) is None:
            return "pip install -e '.[bench]'"
        return peer.lacking("wrk", package="wrk")

    def version(self) -> str:
        return importlib.metadata.version("moto")

    def command(self, port: int, folder: Path) -> list[str]:
        return [_moto(), "-H", "127.0.0.1", "-p", str(port)]

    def prepare(self, server: Server) -> None:
        load.prepare("talk_http:SqsPrepare", server)

    def publish(self, server: Server, pressure: Pressure) -> Load:
        headers = {**SQS_HEADERS, "X-Amz-Target": "AmazonSQS.SendMessage"}
        lines = [f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in headers.items()]
        body = json.dumps({"QueueUrl": _queue(server), "MessageBody": BODY.decode()})
        script = "\n".join(['wrk.method = "POST"', *lines, f"wrk.body = {json.dumps(body)}"])
        return peer.by_wrk(f"http://127.0.0.1:{server.port}/", pressure, script)

    def consume(self, server: Server, pressure: Pressure) -> Load:
        # So many at once get their first answers after seconds.
        longer = replace(pressure, seconds=4 * pressure.seconds)
        return load.measure("talk_http:Sqs", server, longer, url=_queue(server))


def _moto() -> str:
    return str(Path(sys.executable).with_name("moto_server"))


def _queue(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}/123456789012/jobs"
