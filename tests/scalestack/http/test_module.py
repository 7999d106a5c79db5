"""The HTTP module within a kernel: addresses, TLS, and routes that come and go while it serves."""

import socket
import ssl
from pathlib import Path

import pytest

from scalestack.event.module import EventModule
from scalestack.http.message import Response
from scalestack.http.module import HttpConfig, HttpModule
from scalestack.http.router import Route, RouteClash
from scalestack.http.server import HttpServer
from scalestack.kernel import Kernel
from scalestack.log.module import LogModule
from scalestack.module import Module, NoConfig
from scalestack.net.address import AddressError
from scalestack.net.module import NetModule
from support.web import PATIENCE, Raw

CERTIFICATES = Path(__file__).parent.parent / "net" / "certificates"
GET = b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n"


class Hello(Module[NoConfig]):
    name = "hello"
    depends = (HttpServer,)

    def __init__(self, config, needs):
        super().__init__(config, needs)
        self.http = needs[HttpServer]
        self.routes = [Route("GET", "/hello", lambda request: Response(200, b"hello"))]

    def start(self):
        self.http.mount(self.routes)

    def stop(self):
        self.http.unmount(self.routes)


@pytest.fixture
def make_kernel():
    kernels = []

    def make(**http):
        modules = {module.name: module for module in (LogModule, EventModule, NetModule, HttpModule, Hello)}
        configs = {"http": HttpConfig(port=0, **http)}
        kernels.append(Kernel(modules, lambda name, config: configs.get(name) or config()))
        return kernels[-1]

    yield make
    for kernel in kernels:
        kernel.shutdown(1)


def test_a_module_that_is_loaded_and_unloaded_while_it_serves(make_kernel):
    kernel = make_kernel()
    kernel.load("http")
    server = kernel.get(HttpServer)
    address = server.listen()[0]
    with Raw(address.port) as raw:
        assert raw.send(GET % b"/hello").answer().status == 404
        kernel.load("hello")
        assert raw.send(GET % b"/hello").answer().body == b"hello"
        kernel.unload("hello")
        assert raw.send(GET % b"/hello").answer().status == 404


def test_two_modules_can_not_serve_the_same(make_kernel):
    kernel = make_kernel()
    kernel.load("hello")
    with pytest.raises(RouteClash):
        kernel.get(HttpServer).mount([Route("GET", "/hello", lambda request: Response(204))])


def test_urls_say_what_is_spoken_where(make_kernel, tmp_path):
    kernel = make_kernel(
        unix=str(tmp_path / "a.sock"),
        tls_certificate=str(CERTIFICATES / "first-certificate.pem"),
        tls_key=str(CERTIFICATES / "first-key.pem"),
    )
    kernel.load("hello")
    server = kernel.get(HttpServer)
    tcp, unix = server.listen()
    assert server.urls == [f"https://127.0.0.1:{tcp.port}", f"unix://{tmp_path / 'a.sock'}"]
    context = ssl.create_default_context(cafile=CERTIFICATES / "first-certificate.pem")
    with (
        socket.create_connection(("127.0.0.1", tcp.port), timeout=PATIENCE) as sock,
        context.wrap_socket(sock, server_hostname="localhost") as wrapped,
    ):
        assert wrapped.selected_alpn_protocol() is None
        wrapped.sendall(GET % b"/hello")
        assert wrapped.recv(1000).endswith(b"hello")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(unix.path))
        sock.sendall(GET % b"/hello")
        assert sock.recv(1000).endswith(b"hello")


def test_the_certificate_is_read_again_at_a_reload(make_kernel, tmp_path):
    def use(name):
        (tmp_path / "both.pem").write_text(
            "".join((CERTIFICATES / f"{name}-{kind}.pem").read_text() for kind in ("certificate", "key"))
        )

    use("first")
    kernel = make_kernel(tls_certificate=str(tmp_path / "both.pem"))
    kernel.load("hello")
    address = kernel.get(HttpServer).listen()[0]
    use("second")
    kernel.reload()
    context = ssl.create_default_context(cafile=CERTIFICATES / "second-certificate.pem")
    with (
        socket.create_connection(("127.0.0.1", address.port), timeout=PATIENCE) as sock,
        context.wrap_socket(sock, server_hostname="localhost") as wrapped,
    ):
        wrapped.sendall(GET % b"/hello")
        assert wrapped.recv(1000).endswith(b"hello")


def test_an_address_that_can_not_be_had_is_an_error(make_kernel):
    kernel = make_kernel(host="192.0.2.1")
    kernel.load("http")
    with pytest.raises(AddressError, match="no such address"):
        kernel.get(HttpServer).listen()
