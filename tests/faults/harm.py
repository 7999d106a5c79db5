"""What is done to a server while clients use it: each answers when the server is dead, and the history says so."""

from __future__ import annotations

import signal
from contextlib import closing

from faults.checker import Report
from faults.history import History
from support.draining import drain
from support.load import Clients
from support.loopdevice import LoopDevice
from support.process import Process
from support.web import Client


class Trial:
    """The clients of one database, over many servers."""

    def __init__(self) -> None:
        self.history = History()
        self.clients = Clients(self.history)
        self.report = Report()

    def drain(self, server: Process, queues: list[str] | None = None) -> Report:
        """Judge what was done in these queues, or in all, and forget it; answers what was found so far."""
        with closing(Client(server.port)) as client:
            self.report.add(drain(self.history, client, queues))
        return self.report

    def kill(self, server: Process, puts: int) -> None:
        """Once so many have been acknowledged, and while more are under way."""
        with self.clients.on(server.port, puts) as load:
            load.wait()
            server.signal(signal.SIGKILL)
        assert server.wait() == -signal.SIGKILL
        self.history.crash()

    def lose_power(self, server: Process, device: LoopDevice, puts: int, notices: bool = False) -> None:
        """Cut off the device. A server that `notices` lives on until it can't store something."""
        with self.clients.on(server.port, puts) as load:
            load.wait()
            with load.dying():
                device.cut()
            if notices:
                load.wait_for_failure()
            server.signal(signal.SIGKILL)
        server.wait()
        self.history.crash()
        device.remount()
