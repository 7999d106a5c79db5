"""A TCP echo service on Scale Stack: every byte comes back. Try it with `nc 127.0.0.1 7007`.

.venv/bin/python examples/scalestack/echo.py [PORT]
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from scalestack.event.module import EventConfig, EventModule
from scalestack.kernel import Kernel
from scalestack.log.module import LogConfig, LogModule
from scalestack.module import Module, Needs
from scalestack.net.address import TcpAddress
from scalestack.net.connection import Connection
from scalestack.net.listener import Network
from scalestack.net.module import NetConfig, NetModule
from scalestack.run import run


class Echo(Connection):
    """One client, on the loop that owns it."""

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)
        self.expect(60)  # seconds until the next bytes, or the client is cut


@dataclass(frozen=True)
class EchoConfig:
    port: int = 7007  # TCP; 0 takes a free one


class EchoModule(Module[EchoConfig]):
    """Needs the network, which the kernel loads first, with all that the network needs."""

    name = "echo"
    Config = EchoConfig
    depends = (Network,)

    def __init__(self, config: EchoConfig, needs: Needs) -> None:
        super().__init__(config, needs)
        self._network = needs[Network]

    def start(self) -> None:
        listener = self._network.listen(TcpAddress("127.0.0.1", self.config.port), Echo)
        print(f"echo is ready on {listener.addresses[0]}", flush=True)


def main() -> None:
    given = sys.argv[1] if len(sys.argv) > 1 else str(EchoConfig.port)
    if not given.isdigit():
        sys.exit("usage: echo.py [PORT]")
    port = int(given)
    configs = {"log": LogConfig(), "event": EventConfig(), "net": NetConfig(), "echo": EchoConfig(port)}
    modules = {module.name: module for module in (LogModule, EventModule, NetModule, EchoModule)}
    kernel = Kernel(modules, lambda name, _: configs[name])
    run(start=lambda: kernel.load("echo"), stop=lambda: kernel.shutdown(5), reload=kernel.reload)


if __name__ == "__main__":
    main()
