"""Brokers that want a configuration of their own: RabbitMQ and NATS JetStream."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.peers import load, peer, processes
from bench.peers.load import Load, Pressure
from bench.peers.peer import Peer
from bench.peers.processes import Server

_RABBIT = Path(
    "/usr/lib/rabbitmq/bin"
)  # beneath the scripts in PATH, which change to a user that owns the system's data


@dataclass(frozen=True)
class RabbitMQ(Peer):
    takes = "64 sent ahead to each connection, an ack for each, which isn't answered"

    kind: str = "classic"  # of the queue

    def missing(self) -> str | None:
        if not (_RABBIT / "rabbitmq-server").exists() or shutil.which("epmd") is None:
            return "apt-get install rabbitmq-server"
        if importlib.util.find_spec("pamqp") is None:
            return "pip install -e '.[bench]'"
        return None

    def version(self) -> str:
        lib = _RABBIT.parent / "lib"
        return next((found.name.partition("-")[2] for found in lib.glob("rabbitmq_server-*")), "unknown")

    def command(self, port: int, folder: Path) -> list[str]:
        return [str(_RABBIT / "rabbitmq-server")]

    def environment(self, port: int, folder: Path) -> Mapping[str, str]:
        (folder / "rabbitmq.conf").write_text(f"listeners.tcp.1 = 127.0.0.1:{port}\n")
        (folder / "enabled_plugins").write_text("[].\n")
        return {
            "HOME": str(folder),
            "RABBITMQ_NODENAME": f"bench{port}@localhost",
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_DIST_PORT": str(processes.free_port()),
        }

    @contextmanager
    def running(self, folder: Path, cpu: int | None) -> Iterator[Server]:
        # A node looks for the port mapper, and leaves one behind if there is none: this one ends with the bench.
        mapper = processes.free_port()
        with processes.running(["epmd", "-address", "127.0.0.1", "-port", str(mapper)], mapper, folder, cpu, {}):
            port = processes.free_port()
            environment = {**self.environment(port, folder), "ERL_EPMD_PORT": str(mapper)}
            with processes.running(self.command(port, folder), port, folder, cpu, environment) as server:
                self.prepare(server)
                yield server

    def prepare(self, server: Server) -> None:
        load.prepare("talk_amqp:Prepare", server, queue="jobs", kind=self.kind)

    def publish(self, server: Server, pressure: Pressure) -> Load:
        return load.measure("talk_amqp:Put", server, pressure, queue="jobs")

    def consume(self, server: Server, pressure: Pressure) -> Load:
        return load.measure("talk_amqp:Take", server, pressure, queue="jobs")


@dataclass(frozen=True)
class Nats(Peer):
    takes = "64 fetched at a time by each connection, an ack for each, which isn't answered"

    sync: str = ""  # how often files are synced; with none, as the version has it

    def missing(self) -> str | None:
        absent = peer.lacking("nats-server", package="nats-server")
        if absent is None and self.sync:
            # Debian's is older than the setting.
            with tempfile.TemporaryDirectory() as folder:
                check = subprocess.run([*self.command(4222, Path(folder)), "-t"], check=False, capture_output=True)
            if check.returncode:
                return "a newer nats-server, which has jetstream.sync_interval"
        return absent

    def version(self) -> str:
        return peer.said("nats-server", "--version").rpartition("v")[2]

    def command(self, port: int, folder: Path) -> list[str]:
        file = folder / "nats.conf"
        sync = f"sync_interval: {self.sync}" if self.sync else ""
        file.write_text(f'listen: "127.0.0.1:{port}"\njetstream {{\n  store_dir: "{folder}"\n  {sync}\n}}\n')
        return ["nats-server", "-c", str(file)]

    def prepare(self, server: Server) -> None:
        load.prepare("talk_nats:Prepare", server)

    def publish(self, server: Server, pressure: Pressure) -> Load:
        return load.measure("talk_nats:Put", server, pressure)

    def consume(self, server: Server, pressure: Pressure) -> Load:
        return load.measure("talk_nats:Take", server, pressure)
