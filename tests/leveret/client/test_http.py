"""What of HTTP shows: proxies, connections that are kept, answers that don't come, and servers that come back."""

import asyncio
import re
import socket
import ssl
import threading
from contextlib import closing
from pathlib import Path

import pytest

from leveret import connect, connect_async
from leveret.client import ClientClosed, LeveretError, Unavailable
from leveret.client.place import Place
from support.process import leveret
from support.web import PATIENCE


class Silent:
    """A server that takes requests, and answers what it is told to."""

    def __init__(self, *answers):
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.asked = threading.Event()
        self.connections = 0
        self.requests = 0
        self._answers = list(answers)
        self._kept = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            self.connections += 1
            self._kept.append(connection)
            while data := connection.recv(1 << 16):
                if b"\r\n\r\n" not in data:
                    continue
                self.requests += 1
                self.asked.set()
                answer = self._answers.pop(0) if self._answers else None
                if answer is None:
                    break
                connection.sendall(answer)

    def close(self):
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        self._thread.join(PATIENCE)
        for connection in self._kept:
            connection.close()


@pytest.fixture
def silent(request):
    server = Silent(*getattr(request, "param", ()))
    yield server
    server.close()


OK = b"HTTP/1.1 204 No Content\r\n\r\n"


@pytest.mark.parametrize("silent", [[OK, OK, OK]], indirect=True)
def test_one_connection_serves_call_after_call(silent):
    with connect(f"http://127.0.0.1:{silent.port}") as client:
        for _ in range(3):
            client.queue("a", "q").put("x")
    assert (silent.connections, silent.requests) == (1, 3)


@pytest.mark.parametrize("silent", [[b""]], indirect=True)
def test_an_answer_that_does_not_come_is_told_and_a_claim_not_repeated(silent):
    with (
        connect(f"http://127.0.0.1:{silent.port}", timeout=0.1) as client,
        pytest.raises(Unavailable, match="didn't answer in time") as caught,
    ):
        client.queue("a", "q").claim()
    assert caught.value.code == "unanswered"
    assert silent.requests == 1


def test_closing_wakes_a_thread_that_waits_for_an_answer(silent):
    client = connect(f"http://127.0.0.1:{silent.port}")
    ended = []

    def wait():
        with pytest.raises(ClientClosed):
            client.queue("a", "q").claim(wait=600)
        ended.append(True)

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert silent.asked.wait(PATIENCE)
    client.close()
    waiting.join(PATIENCE)
    assert ended == [True]


def test_a_redirection_is_followed_nowhere_and_so_the_key_goes_nowhere(silent):
    answer = b"HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:%d/\r\nContent-Length: 0\r\n\r\n" % silent.port
    with closing(Silent(answer)) as other, connect(f"http://127.0.0.1:{other.port}", key="k") as client:
        with pytest.raises(LeveretError) as caught:
            client.queue("a", "q").get("1")
        assert caught.value.status == 307
    assert silent.connections == 0


@pytest.mark.parametrize("silent", [[OK]], indirect=True)
def test_no_proxy_is_asked_for_this_machine(silent, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    with connect(f"http://127.0.0.1:{silent.port}", retries=0) as client:
        client.queue("a", "q").put("x")


@pytest.mark.parametrize(
    ("url", "near"),
    [
        ("http://127.1.2.3:80", True),
        ("http://[::1]:80", True),
        ("http://localhost", True),
        ("unix:///run/x", True),
        ("https://queue.example", False),
        ("http://10.0.0.1", False),
    ],
)
def test_this_machine_is_known_by_its_names(url, near):
    assert Place.of(url).near is near


def test_a_path_of_a_url_is_before_every_path():
    assert Place.of("https://example/queues/").url == "https://example/queues"


CERTIFICATES = Path(__file__).parents[2] / "scalestack" / "net" / "certificates"
FIRST, SECOND = (str(CERTIFICATES / f"{name}-certificate.pem") for name in ("first", "second"))


@pytest.fixture(scope="module")
def secure():
    files = (f"http.tls_{kind}={CERTIFICATES}/first-{kind}.pem" for kind in ("certificate", "key"))
    options = [word for setting in files for word in ("--set", setting)]
    with leveret("--store", "memory://", *options) as server:
        yield f"https://localhost:{re.search(r':([0-9]+)', server.line)[1]}"


class TestTrust:
    """What a server with the first certificate is to those who trust it, and to others."""

    def test_an_authority_of_ones_own_is_trusted(self, secure):
        with connect(secure, ca=FIRST) as client:
            assert client.versions() == ["v1.0", "v1.1"]

    def test_it_is_trusted_for_asyncio(self, secure):
        async def main():
            async with connect_async(secure, ca=FIRST) as client:
                assert await client.versions() == ["v1.0", "v1.1"]

        asyncio.run(main())

    def test_so_is_one_that_the_environment_names(self, secure, monkeypatch):
        monkeypatch.setenv("SSL_CERT_FILE", FIRST)
        with connect(secure) as client:
            assert client.versions() == ["v1.0", "v1.1"]

    @pytest.mark.parametrize("ca", [None, SECOND])
    def test_no_other_is_trusted_and_it_is_not_tried_again(self, secure, ca, monkeypatch):
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
        with connect(secure, ca=ca) as client:
            client.sleep = pytest.fail
            with pytest.raises(Unavailable) as caught:
                client.queue("a", "q").put("x")
        assert caught.value.code == "untrusted"
        assert str(caught.value).startswith(f"{secure} can't be trusted: its certificate is not trusted: self")
        assert str(caught.value).endswith("give its file as ca")

    def test_a_host_that_the_certificate_does_not_name_is_not_trusted(self, secure):
        other = secure.replace("localhost", "127.1")
        with connect(other, ca=FIRST) as client, pytest.raises(Unavailable, match=r"not trusted: Hostname mismatch"):
            client.versions()

    @pytest.mark.parametrize(
        ("content", "said"), [(None, "can't be read: No such file"), ("x", "holds no certificate of an authority")]
    )
    def test_a_file_that_can_not_be_used_is_said(self, tmp_path, content, said):
        file = tmp_path / "ca.pem"
        if content is not None:
            file.write_text(content)
        with pytest.raises(ValueError, match=said):
            connect("https://localhost", ca=str(file))

    def test_a_directory_may_have_them(self, tmp_path):
        assert isinstance(Place.of("https://localhost").context(str(tmp_path)), ssl.SSLContext)
