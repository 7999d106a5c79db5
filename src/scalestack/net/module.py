"""The net module: limits for all listeners of the process. Listens on nothing by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, TypeVar, cast

from scalestack.config import Between
from scalestack.event.loops import Loops
from scalestack.module import Module, Needs
from scalestack.net.listener import Limits, Network

T = TypeVar("T")


@dataclass(frozen=True)
class NetConfig:
    max_connections: Annotated[int, Between(1, None)] = 65_536  # as far as descriptors allow; more wait to be accepted
    max_per_address: Annotated[int, Between(0, None)] = 0  # connections from one IP address; 0: no limit
    backlog: Annotated[int, Between(1, 65_535)] = 4_096  # connections that the system keeps waiting
    handshake_timeout: Annotated[float, Between(0.1, 3600)] = 10.0  # seconds for a TLS handshake
    peer_timeout: Annotated[float, Between(1, 7200)] = 60.0  # seconds in which a TCP peer may show no sign of life


class NetModule(Module[NetConfig]):
    """Provides `Network`: listeners, whose connections are dealt evenly to the loops."""

    name = "net"
    Config = NetConfig
    depends = (Loops,)
    provides = (Network,)

    def __init__(self, config: NetConfig, needs: Needs) -> None:
        super().__init__(config, needs)
        limits = Limits(
            config.max_connections,
            config.max_per_address,
            config.backlog,
            config.handshake_timeout,
            config.peer_timeout,
        )
        self._network = Network(needs[Loops], limits)

    def provider(self, interface: type[T]) -> T:
        return cast("T", self._network)

    def drain(self) -> None:
        self._network.drain()

    def settle(self, deadline: float) -> None:
        self._network.settle(deadline)

    def stop(self) -> None:
        self._network.close()
