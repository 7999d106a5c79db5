"""nginx, Caddy and HAProxy with the files of deploy/ before a server: the API works, and nothing else is let in.

The server asks for keys, so that whatever works shows that they are passed on. Only addresses, names of files and users
are others than in deploy/. A proxy that isn't installed skips its tests.
"""

import http.client
import os
import shutil
import ssl
import subprocess
import sys
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from scalestack.http.module import HttpConfig
from support import proxies
from support.process import leveret
from support.proxies import free_port
from support.web import PATIENCE

Q = "/v1.1/acme/jobs"


@dataclass(frozen=True)
class Proxy:
    """A proxy that runs, and the server behind it."""

    port: int
    behind: int
    key: str
    tls: ssl.SSLContext
    directory: Path

    def __call__(self, method, path, body=None, headers=None):
        """Status and body of an answer that came through the proxy."""
        return answer(self.connect(), method, path, body, self.own if headers is None else headers)

    def directly(self, method, path, body=None):
        """Status and body of the server's own answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.behind, timeout=PATIENCE)
        return answer(connection, method, path, body, self.own)

    @property
    def own(self):
        return {"Authorization": f"Bearer {self.key}"}

    def connect(self):
        return http.client.HTTPSConnection("localhost", self.port, timeout=PATIENCE, context=self.tls)

    def command(self, *arguments):
        """What a command for the server's keys prints."""
        return command(*arguments, "--data", str(self.directory))


def answer(connection, method, path, body, headers):
    connection.request(method, path, body=body, headers=headers)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, body


def command(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "leveret", *arguments], check=True, capture_output=True, text=True, timeout=PATIENCE
    )
    return done.stdout.strip()


def certificate(directory):
    command = f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost -keyout {directory}/tls.key -out {directory}/tls.crt"
    subprocess.run(command.split(), check=True, capture_output=True, timeout=PATIENCE)


def start_nginx(directory, port, behind):
    changes = {
        r"listen 443": f"listen 127.0.0.1:{port}",
        r" +listen \[::\].*\n": "",
        r"/etc/ssl/queues.example.com.(crt|key)": rf"{directory}/tls.\1",
        r"127\.0\.0\.1:8080": f"127.0.0.1:{behind}",
        r"/var/log/nginx": str(directory),
    }
    return proxies.start_nginx(directory, changes)


def start_caddy(directory, port, behind):
    changes = {
        r"^queues\.example\.com \{": f"https://localhost:{port} {{\n\ttls {directory}/tls.crt {directory}/tls.key",
        r"127\.0\.0\.1:8080": f"127.0.0.1:{behind}",
    }
    return proxies.start_caddy(directory, changes)


def start_haproxy(directory, port, behind):
    pem = directory / "tls.pem"
    pem.write_text((directory / "tls.crt").read_text() + (directory / "tls.key").read_text())
    changes = {
        r"bind :443": f"bind 127.0.0.1:{port}",
        r"/etc/ssl/queues\.example\.com\.pem": str(pem),
        r"127\.0\.0\.1:8080": f"127.0.0.1:{behind}",
    }
    return proxies.start_haproxy(directory, port, changes)


STARTS = {"nginx": start_nginx, "caddy": start_caddy, "haproxy": start_haproxy}


@pytest.fixture(scope="module", params=STARTS)
def proxy(request, tmp_path_factory):
    for program in (request.param, "openssl"):
        if not shutil.which(program, path="/usr/sbin:/usr/local/bin:/usr/bin"):
            pytest.skip(f"{program} is not installed")
    directory = tmp_path_factory.mktemp(request.param)
    certificate(directory)
    with ExitStack() as ending:
        data = ("--data", str(directory))
        key = command("keys", "create", "--allow", "admin", *data)
        command("keys", "create", "--account", "acme", *data)  # which signs URLs
        server = ending.enter_context(leveret("--store", "memory://", "--auth", "keys", *data))
        port = free_port()
        ending.callback(STARTS[request.param](directory, port, server.port))
        yield Proxy(port, server.port, key, ssl.create_default_context(cafile=directory / "tls.crt"), directory)


def test_a_message_comes_through_byte_for_byte(proxy):
    body = os.urandom(1 << 20)
    assert proxy("PUT", f"{Q}/large", body)[0] == 201
    assert proxy("GET", f"{Q}/large?detail=body") == (200, body)
    assert proxy("DELETE", f"{Q}/large")[0] == 204


def test_a_request_may_be_as_long_as_the_server_allows(proxy):
    ids = "&".join(f"id={number:0100}" for number in range(1000))
    assert proxy("GET", f"{Q}?{ids}") == proxy.directly("GET", f"{Q}?{ids}")
    largest = b'{"messages":[{"body":"1"}]}'.ljust(HttpConfig.max_body)
    assert proxy("PUT", "/v1.1/acme/large", largest)[0] == 201


@pytest.mark.parametrize("name", ["a%20b", "%C3%A9", "a+b", "a%2Bb", "a%3Fb", "a;b=c", "a:b@c", "%25", "..%41"])
def test_a_name_is_passed_on_as_it_was_sent(proxy, name):
    assert proxy("PUT", f"/v1.1/acme/names/{name}", b"1")[0] == 201
    assert proxy.directly("GET", f"/v1.1/acme/names/{name}?detail=body") == (200, b"1")
    assert proxy.directly("DELETE", f"/v1.1/acme/names/{name}")[0] == 204


def test_a_long_poll_is_answered_when_a_message_comes(proxy):
    found = []
    path = f"/v1.1/acme/poll?wait={PATIENCE}&detail=body"
    waiting = threading.Thread(target=lambda: found.append(proxy("GET", path)))
    waiting.start()
    proxy("PUT", "/v1.1/acme/poll/1", b"came")
    waiting.join()
    assert found == [(200, b'["came"]')]


def test_a_follower_gets_each_message_when_it_comes(proxy):
    connection = proxy.connect()
    connection.request("GET", "/v1.1/acme/stream", headers=proxy.own | {"Accept": "text/event-stream"})
    stream = connection.getresponse()
    assert stream.getheader("Content-Type") == "text/event-stream"
    for number in range(3):
        proxy("PUT", f"/v1.1/acme/stream/{number}", b"%d" % number)
        while not (line := stream.readline()).startswith(b"data:"):
            assert line
        assert f'"id":"{number}"'.encode() in line
    connection.close()


def test_without_a_key_the_server_says_no(proxy):
    assert proxy("GET", Q, headers={})[0] == 401


def test_what_was_signed_is_good_behind_the_proxy(proxy):
    proxy("PUT", "/v1.1/acme/s%20%C3%A9%2B/1", b"1")
    signed = proxy.command("sign", "GET", "/v1.1/acme/s é+/1", "--param", "detail=body", "--param", "ids=a/b +é")
    assert proxy("GET", signed, headers={})[0] == 400  # there is no such parameter, which is said to who may ask
    signed = proxy.command("sign", "GET", "/v1.1/acme/s é+/1", "--param", "detail=body")
    assert proxy("GET", signed, headers={}) == (200, b"1")
    assert proxy("GET", f"{signed}&limit=1", headers={})[0] == 401


OPERATORS = ["/metrics", "/metrics?a", "/%6Detrics", "//metrics", "/./metrics", "/admin/modules", "/v1.10", "/health"]


@pytest.mark.parametrize("path", OPERATORS)
def test_what_is_for_the_operator_is_not_let_in(proxy, path):
    status, body = proxy("GET", path)
    assert status == 404
    assert b"application/problem" not in body
    assert b'"code"' not in body  # as the server's own 404 has


@pytest.mark.parametrize("path", ["/v1.1/../metrics", "/v1.1/..%2Fmetrics", "/health/live/../../metrics"])
def test_no_detour_leads_there(proxy, path):
    assert proxy("GET", path)[0] in {400, 404}


@pytest.mark.parametrize("path", ["/", "/openapi.json", "/v1.1", "/v1.0", "/health/live"])
def test_what_is_for_everybody_is_let_in(proxy, path):
    assert proxy("GET", path) == proxy.directly("GET", path)


def test_no_parameter_is_in_its_log(proxy):
    assert proxy("GET", f"{Q}?marker=not-for-the-log")[0] in {200, 400, 404}
    logs = list(proxy.directory.glob("*.log"))
    assert logs
    for path in logs:
        assert "not-for-the-log" not in path.read_text()
