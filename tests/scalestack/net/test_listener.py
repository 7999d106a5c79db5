"""Listeners: dealing, limits, TLS and the end of them."""

import errno
import socket
import ssl
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from scalestack.event.loops import Loops
from scalestack.event.makers import loop_maker
from scalestack.net import listener as listener_module
from scalestack.net.address import TcpAddress, UnixAddress
from scalestack.net.connection import Connection
from scalestack.net.listener import Limits, Network
from scalestack.net.tls import CertificateFiles, Tls, TlsError
from support.web import PATIENCE, eventually

CERTIFICATES = Path(__file__).parent / "certificates"


class Echo(Connection):
    def data_received(self, data):
        self.transport.write(data)


class Silent(Connection):
    """Expects something within a tenth of a second."""

    def connection_made(self, transport):
        super().connection_made(transport)
        self.expect(0.1)


@pytest.fixture(params=["uvloop", "asyncio"])
def loops(request):
    loops = Loops(3, loop_maker(request.param))
    loops.start()
    yield loops
    loops.stop()


@pytest.fixture
def make_network(loops):
    networks = []

    def make(max_connections=1000, max_per_address=0):
        networks.append(Network(loops, Limits(max_connections, max_per_address, 128, 1.0)))
        return networks[-1]

    yield make
    for network in networks:
        network.drain()
        network.close()


@pytest.fixture
def network(make_network):
    return make_network()


def listening(network, factory=Echo, tls=None, host="127.0.0.1"):
    return network.listen(TcpAddress(host, 0), factory, tls).addresses[0]


def connect(address):
    return socket.create_connection((address.host, address.port), timeout=PATIENCE)


def echoes(sock):
    sock.sendall(b"hello")
    return sock.recv(5) == b"hello"


def test_connections_are_dealt_evenly_to_the_loops(network):
    threads = Counter()

    def factory(thread):
        threads[thread] += 1
        return Echo(thread)

    address = listening(network, factory)
    for _ in range(30):
        with connect(address) as sock:
            assert echoes(sock)
    assert sorted(threads.values()) == [10, 10, 10]


def test_ipv6(network):
    address = listening(network, host="::1")
    assert str(address) == f"[::1]:{address.port}"
    with connect(address) as sock:
        assert echoes(sock)


def test_a_unix_socket(network, tmp_path):
    path = tmp_path / "echo.sock"
    listener = network.listen(UnixAddress(path, mode=0o600), Echo)
    assert path.stat().st_mode & 0o777 == 0o600
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(path))
        assert echoes(sock)
    listener.close()
    assert not path.exists()


def assert_two_are_served_and_a_third_waits_until_one_closes(network):
    address = listening(network)
    first, second, third = connect(address), connect(address), connect(address)
    assert echoes(first)
    assert echoes(second)
    third.sendall(b"hello")
    assert network.connections == 2
    first.close()
    assert third.recv(5) == b"hello"
    second.close()
    third.close()


def test_the_limit_of_connections_keeps_the_rest_waiting_until_one_closes(make_network):
    network = make_network(max_connections=2)
    assert_two_are_served_and_a_third_waits_until_one_closes(network)


def test_connections_leave_descriptors_to_all_else(make_network, monkeypatch):
    free = sum(1 for _ in Path("/dev/fd").iterdir()) + listener_module._SPARE + 2
    monkeypatch.setattr(listener_module.resource, "getrlimit", lambda _: (free, free))
    network = make_network()
    assert_two_are_served_and_a_third_waits_until_one_closes(network)


@pytest.mark.parametrize("by", ["net.max_connections", "open files (ulimit -n)"])
def test_the_first_time_that_no_more_may_be_open_is_a_line_in_the_log(make_network, monkeypatch, caplog, by):
    if by == "net.max_connections":
        network = make_network(max_connections=2)
    else:
        monkeypatch.setattr(listener_module, "_affordable", lambda: 2)
        network = make_network()
    for _ in range(2):
        assert_two_are_served_and_a_third_waits_until_one_closes(network)
    (line,) = [record.getMessage() for record in caplog.records if "more will wait" in record.getMessage()]
    assert line.endswith(f"connections=2 limit='{by}'")


def test_more_connections_from_one_address_than_allowed_are_closed(make_network):
    network = make_network(max_per_address=2)
    address = listening(network)
    kept = [connect(address), connect(address)]
    assert all(map(echoes, kept))
    with connect(address) as refused:
        assert refused.recv(1) == b""
    kept.pop().close()
    eventually(lambda: network.connections == 1)
    kept.append(connect(address))
    assert echoes(kept[-1])
    for sock in kept:
        sock.close()


def test_a_peer_that_does_nothing_in_time_is_cut(network):
    with connect(listening(network, Silent)) as sock:
        assert sock.recv(1) == b""
    eventually(lambda: network.connections == 0)


def test_accepting_pauses_when_descriptors_run_out_and_goes_on_later(network, monkeypatch):
    monkeypatch.setattr(listener_module, "_RETRY", 0.05)
    listener = network.listen(TcpAddress("127.0.0.1", 0), Echo)
    attempts = []

    class Exhausted:
        """A listening socket in a process that has no descriptors left, twice."""

        def __init__(self, sock):
            self._sock = sock

        def fileno(self):
            return self._sock.fileno()

        def close(self):
            self._sock.close()

        def accept(self):
            attempts.append(time.monotonic())
            if len(attempts) <= 2:
                raise OSError(errno.EMFILE, "Too many open files")
            return self._sock.accept()

    acceptor = network.loops.threads[0]
    acceptor.call(listener._pause).result()
    listener._sockets = [Exhausted(sock) for sock in listener._sockets]
    acceptor.call(listener._resume).result()
    with connect(listener.addresses[0]) as sock:
        assert echoes(sock)
    assert attempts[1] - attempts[0] > 0.04, "it tried again at once"
    assert attempts[2] - attempts[1] > 0.04, "it tried again at once"


SERVE_WITH_FEW_DESCRIPTORS = """
import resource, structlog, sys, time
from scalestack.event.loops import Loops
from scalestack.event.makers import loop_maker
from scalestack.net.address import TcpAddress
from scalestack.net.connection import Connection
from scalestack.net.listener import Limits, Network

class Echo(Connection):
    def data_received(self, data):
        self.transport.write(data)

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
loops = Loops(1, loop_maker(sys.argv[1]))
loops.start()
network = Network(loops, Limits(1000, 0, 1000, 1.0))
port = network.listen(TcpAddress("127.0.0.1", 0), Echo).addresses[0].port
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
print(port, flush=True)
sys.stdin.readline()
print(time.process_time(), flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_server_without_descriptors_does_not_spin_and_recovers(loop):
    with subprocess.Popen(
        [sys.executable, "-c", SERVE_WITH_FEW_DESCRIPTORS, loop],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        port = int(process.stdout.readline())
        clients = [socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) for _ in range(100)]
        started = time.monotonic()
        served = [client for client in clients[:10] if echoes(client)]
        assert len(served) == 10
        for client in clients[:90]:
            client.close()
        assert all(map(echoes, clients[90:])), "those that waited are served once there is room"
        for client in clients:
            client.close()
        process.stdin.write("\n")
        process.stdin.flush()
        spent = float(process.stdout.readline())
        assert spent < 0.5 + (time.monotonic() - started) / 2
        process.stdin.close()


def test_draining_closes_listeners_and_asks_connections_to_end(network):
    address = listening(network)
    with connect(address) as sock:
        assert echoes(sock)
        network.drain()
        assert sock.recv(1) == b""
        network.settle(time.monotonic() + PATIENCE)
        assert network.connections == 0
        with pytest.raises(ConnectionRefusedError):
            connect(address)


def test_what_does_not_end_by_itself_is_cut(network):
    class Stubborn(Echo):
        def drain(self):
            pass

    with connect(listening(network, Stubborn)) as sock:
        assert echoes(sock)
        network.drain()
        network.settle(time.monotonic())
        assert network.connections == 1
        network.close()
        assert network.connections == 0


class TestTls:
    @pytest.fixture
    def tls(self, tmp_path):
        self.use(tmp_path, "first")
        return Tls(CertificateFiles(tmp_path / "certificate.pem", tmp_path / "key.pem"))

    @staticmethod
    def use(folder, name):
        for kind in ("certificate", "key"):
            (folder / f"{kind}.pem").write_text((CERTIFICATES / f"{name}-{kind}.pem").read_text())

    @staticmethod
    def speak(address, trusted):
        context = ssl.create_default_context(cafile=CERTIFICATES / f"{trusted}-certificate.pem")
        with connect(address) as sock, context.wrap_socket(sock, server_hostname="localhost") as wrapped:
            return echoes(wrapped)

    def test_a_connection_with_tls(self, network, tls):
        assert self.speak(listening(network, tls=tls), trusted="first")

    def test_a_certificate_is_exchanged_while_serving(self, network, tls, tmp_path):
        address = listening(network, tls=tls)
        self.use(tmp_path, "second")
        tls.reload()
        assert self.speak(address, trusted="second")
        with pytest.raises(ssl.SSLCertVerificationError):
            self.speak(address, trusted="first")

    def test_a_certificate_that_is_no_good_replaces_none(self, network, tls, tmp_path):
        address = listening(network, tls=tls)
        (tmp_path / "certificate.pem").write_text("rubbish")
        with pytest.raises(TlsError, match=r"certificate.pem"):
            tls.reload()
        assert self.speak(address, trusted="first")

    def test_a_client_that_speaks_no_tls_is_forgotten(self, network, tls):
        address = listening(network, tls=tls)
        with connect(address) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
            try:
                while sock.recv(100):
                    pass
            except ConnectionResetError:
                pass
        eventually(lambda: network.connections == 0)
        assert self.speak(address, trusted="first")

    def test_a_client_that_never_ends_its_handshake_is_forgotten(self, network, tls):
        address = listening(network, tls=tls)
        with connect(address) as sock:
            eventually(lambda: network.connections == 1)
            assert sock.recv(1) == b""
        eventually(lambda: network.connections == 0)
