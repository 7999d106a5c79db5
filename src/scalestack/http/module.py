"""The HTTP module: limits, timeouts and addresses, from the configuration. Serves what other modules mount."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar, cast

from scalestack.config import Between
from scalestack.http.parser import ParserLimits
from scalestack.http.server import HttpServer
from scalestack.http.timeouts import Timeouts
from scalestack.log import Log
from scalestack.module import Module, Needs
from scalestack.net.address import Address, TcpAddress, UnixAddress
from scalestack.net.listener import Network
from scalestack.net.tls import CertificateFiles

T = TypeVar("T")

Seconds = Annotated[float, Between(0.01, 86_400)]


@dataclass(frozen=True)
class HttpConfig:
    host: str = "127.0.0.1"  # name or address to listen on
    port: Annotated[int, Between(0, 65_535)] = 8080  # TCP; 0 takes a free one
    unix: str = ""  # path of a Unix socket to listen on as well; empty: none
    tls_certificate: str = ""  # PEM file with the certificate and those that vouch for it; empty: no TLS
    tls_key: str = ""  # PEM file with its key; empty: it is in the certificate's file
    max_target: Annotated[int, Between(64, 1 << 20)] = 128 << 10  # bytes of the request target; more is 414
    max_head: Annotated[int, Between(256, 1 << 22)] = 160 << 10  # bytes of line and headers; more is 431
    max_headers: Annotated[int, Between(1, 10_000)] = 100  # header lines; more is 431
    max_body: Annotated[int, Between(0, 1 << 31)] = 8 << 20  # bytes; more is 413
    max_unsent: Annotated[int, Between(0, None)] = 256 << 20  # bytes of answers unread; more cuts off idle readers
    cross_origin: bool = False  # take what web pages of other origins have a browser send; else it is 403
    head_timeout: Seconds = 10.0  # seconds for a request's head to come, whole
    body_timeout: Seconds = 30.0  # seconds between two pieces of a body
    body_rate: Annotated[float, Between(0.001, 1e9)] = 500.0  # bytes/s of a body that takes longer; less is 408
    idle_timeout: Seconds = 75.0  # seconds between two requests of a connection
    write_timeout: Seconds = 60.0  # seconds that a client may leave an answer unread

    def __post_init__(self) -> None:
        if self.tls_key and not self.tls_certificate:
            raise ValueError("tls_key is set without tls_certificate; both are needed, or the certificate alone")


class HttpModule(Module[HttpConfig]):
    """Provides `HttpServer`. Its `listen` is to be called once all that is served is mounted."""

    name = "http"
    Config = HttpConfig
    depends = (Network, Log)
    provides = (HttpServer,)

    def __init__(self, config: HttpConfig, needs: Needs) -> None:
        super().__init__(config, needs)
        addresses: list[Address] = [TcpAddress(config.host, config.port)]
        if config.unix:
            addresses.append(UnixAddress(Path(config.unix)))
        certificate = None
        if config.tls_certificate:
            key = Path(config.tls_key) if config.tls_key else None
            certificate = CertificateFiles(Path(config.tls_certificate), key)
        self._server = HttpServer(
            needs[Network],
            addresses,
            ParserLimits(config.max_target, config.max_head, config.max_headers, config.max_body, config.cross_origin),
            Timeouts(
                config.head_timeout, config.body_timeout, config.body_rate, config.idle_timeout, config.write_timeout
            ),
            needs[Log].access,
            certificate,
            config.max_unsent,
        )

    def provider(self, interface: type[T]) -> T:
        return cast("T", self._server)

    def reload(self) -> None:
        self._server.reload()
