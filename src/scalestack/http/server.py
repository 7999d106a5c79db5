"""What all HTTP connections share: the routes, the limits and the listeners. Loads and configures nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

from scalestack.event.loops import LoopThread
from scalestack.http.desk import Desk
from scalestack.http.failures import Translate
from scalestack.http.parser import ParserLimits
from scalestack.http.problem import HttpError
from scalestack.http.protocol import HttpConnection
from scalestack.http.router import Layer, Route, Router
from scalestack.http.timeouts import Timeouts
from scalestack.log import Access
from scalestack.net.address import Address, UnixAddress
from scalestack.net.listener import Network
from scalestack.net.tls import CertificateFiles, Tls


class _Mount(NamedTuple):
    routes: Sequence[Route]
    translate: Translate | None
    again: Callable[[], Sequence[Route]] | None


class HttpServer:
    """Routes requests to what modules mount. Mounting and unmounting work while requests come in."""

    def __init__(
        self,
        network: Network,
        addresses: Sequence[Address],
        parser_limits: ParserLimits,
        timeouts: Timeouts,
        access: Access | None = None,
        certificate: CertificateFiles | None = None,
        max_unsent: int = 256 << 20,
    ) -> None:
        """`certificate` makes what is spoken on TCP addresses HTTPS. `max_unsent`: bytes of large answers that clients
        leave unread, over all connections."""
        self.parser_limits = parser_limits
        self.timeouts = timeouts
        self.access = access
        self.addresses: list[Address] = []  # those listened on, with the ports that they took
        self._wanted = addresses
        self._certificate = certificate
        self._tls: Tls | None = None
        self._network = network
        self._mounts: list[_Mount] = []
        self._layers: list[Layer] = []
        self._mount_lock = threading.Lock()  # guards mounts and layers while a new router is made of them
        self.router = Router([])
        self._desks: dict[LoopThread, Desk] = {}
        self._max_unsent = max_unsent // len(network.loops.threads)  # of each loop, so that they need no lock

    @property
    def urls(self) -> list[str]:
        """Where clients reach what is served."""
        scheme = "https" if self._certificate else "http"
        return [
            f"unix://{address.path}" if isinstance(address, UnixAddress) else f"{scheme}://{address}"
            for address in self.addresses
        ]

    @property
    def routes(self) -> list[Route]:
        """All that are mounted now."""
        return [route for mount in self._mounts for route in mount.routes]

    def desk(self, thread: LoopThread) -> Desk:
        """What the connections of a thread share."""
        with self._mount_lock:
            if thread not in self._desks:
                self._desks[thread] = Desk(self._router_locked(), self._max_unsent)
            return self._desks[thread]

    def translate(self, error: BaseException) -> HttpError | None:
        """What clients are told of a handler's error; None where nobody knows it."""
        for mount in self._mounts:
            translated = None if mount.translate is None else mount.translate(error)
            if translated is not None:
                return translated
        return None

    def mount(
        self,
        routes: Sequence[Route],
        translate: Translate | None = None,
        again: Callable[[], Sequence[Route]] | None = None,
    ) -> None:
        """Serve these routes from the next request on; `RouteClash` where one is served already.

        `translate` says what clients are told of errors that are no `HttpError`; None for one that it doesn't know.
        `again` makes the same routes for one thread alone, where it pays that threads share no handlers.
        """
        with self._mount_lock:
            self._remake_locked([*self._mounts, _Mount(routes, translate, again)], self._layers)

    def unmount(self, routes: Sequence[Route]) -> None:
        """Serve these routes no more. Requests under way are still answered; harmless when called again."""
        with self._mount_lock:
            self._remake_locked([mount for mount in self._mounts if mount.routes is not routes], self._layers)

    def add_layer(self, layer: Layer, outermost: bool = False) -> None:
        """Have all requests pass `layer`, behind the layers there are, or before them. It is called for each route,
        and again for each thread, with the route and its handler so far; it answers what to call instead."""
        with self._mount_lock:
            self._remake_locked(self._mounts, [layer, *self._layers] if outermost else [*self._layers, layer])

    def remove_layer(self, layer: Layer) -> None:
        """Have requests pass this layer no more; harmless when called again."""
        with self._mount_lock:
            self._remake_locked(self._mounts, [each for each in self._layers if each != layer])

    def renew_layers(self) -> None:
        """Ask each layer again what is to be called: what it answers has changed."""
        with self._mount_lock:
            self._remake_locked(self._mounts, self._layers)

    def _remake_locked(self, mounts: list[_Mount], layers: list[Layer]) -> None:
        self.router = Router((route for mount in mounts for route in mount.routes), layers)
        self._mounts = mounts
        self._layers = layers
        for desk in self._desks.values():
            desk.router = self._router_locked()

    def _router_locked(self) -> Router:
        """One for a thread of its own."""
        return Router(
            (route for mount in self._mounts for route in (mount.again() if mount.again else mount.routes)),
            self._layers,
        )

    def listen(self) -> list[Address]:
        """Begin to serve, once all is mounted; answers what was bound, which for a host with several addresses is more
        than was asked for. `AddressError` or `TlsError` where that can't be done."""
        if self._certificate:
            self._tls = Tls(self._certificate)
        for address in self._wanted:
            tls = None if isinstance(address, UnixAddress) else self._tls
            self.addresses.extend(self._network.listen(address, self.connection, tls).addresses)
        return self.addresses

    def reload(self) -> None:
        """Read the certificate again; `TlsError` where it is no good, and the one in use stays."""
        if self._tls is not None:
            self._tls.reload()

    def connection(self, thread: LoopThread) -> HttpConnection:
        """The protocol for a connection that was accepted."""
        return HttpConnection(thread, self)
