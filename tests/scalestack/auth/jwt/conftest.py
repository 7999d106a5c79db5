"""An OpenID Connect provider on loopback, its keys, and the tokens that it signs."""

import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from scalestack.auth.jwt.config import JwtConfig


class Provider:
    """Serves documents, and counts how often each is asked for."""

    def __init__(self):
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                provider.asked.append(self.path)
                provider.gate.wait(30)
                status, headers, body = provider.answers.get(self.path, (404, {}, b""))
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.asked = []
        self.answers = {}
        self.gate = threading.Event()  # closed, answers wait
        self.gate.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.issuer = f"{self.url}/realm"
        self.serve_json(
            "/realm/.well-known/openid-configuration", {"issuer": self.issuer, "jwks_uri": f"{self.url}/jwks"}
        )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def serve(self, path, body, status=200, **headers):
        self.answers[path] = (status, headers, body)

    def serve_json(self, path, value):
        self.serve(path, json.dumps(value).encode())

    def publish(self, *keys):
        self.serve_json("/jwks", {"keys": list(keys)})

    @property
    def fetches(self):
        return self.asked.count("/jwks")

    def stop(self):
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def provider():
    provider = Provider()
    yield provider
    provider.stop()


class Trickle:
    """A provider that begins to answer, and goes on for ever, a little at a time; until who asked has hung up."""

    def __init__(self, first, again):
        self._first = first
        self._again = again
        self._over = threading.Event()
        self.asked = 0
        self.left = 0  # by those who hung up
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/jwks"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        while True:
            connection, _ = self._listener.accept()
            with connection:
                if self._over.is_set():
                    return
                connection.recv(9999)
                self.asked += 1
                try:
                    connection.sendall(self._first)
                    while not self._over.wait(0.005):
                        connection.sendall(self._again)
                except OSError:
                    self.left += 1

    def stop(self):
        self._over.set()
        with socket.create_connection(self._listener.getsockname()):
            self._thread.join()
        self._listener.close()


@pytest.fixture(params=["header", "informational", "body"])
def trickle(request):
    ok = b"HTTP/1.1 200 OK\r\n"
    first, again = {
        "header": (ok, b"X-A: b\r\n"),
        "informational": (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
        "body": (ok + b"Content-Length: 999999\r\n\r\n", b" "),
    }[request.param]
    trickle = Trickle(first, again)
    yield trickle
    trickle.stop()


@pytest.fixture
def config(provider):
    return JwtConfig(issuer=provider.issuer, audience="queues")


class Key:
    """A private key, and what is published of it."""

    def __init__(self, algorithm, private, id):
        from jwt.algorithms import get_default_algorithms

        self.algorithm = algorithm
        self.private = private
        self.id = id
        public = get_default_algorithms()[algorithm].to_jwk(private.public_key(), as_dict=True)
        self.public = {**public, "kid": id, "use": "sig", "alg": algorithm}
        self.public.pop("key_ops", None)

    def sign(self, claims, **header):
        import jwt

        return jwt.encode(claims, self.private, self.algorithm, {"kid": self.id, **header})


@pytest.fixture(scope="session")
def rsa_key():
    pytest.importorskip("jwt")
    rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")
    return Key("RS256", rsa.generate_private_key(65537, 2048), "r1")


@pytest.fixture(scope="session")
def make_ec_key():
    pytest.importorskip("jwt")
    ec = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ec")
    return lambda name: Key("ES256", ec.generate_private_key(ec.SECP256R1()), name)


@pytest.fixture(scope="session")
def ec_key(make_ec_key):
    return make_ec_key("e1")


@pytest.fixture
def claims(provider):
    """Those of a token that is good for an hour."""
    now = int(time.time())
    return {
        "iss": provider.issuer, "aud": "queues", "sub": "alice", "iat": now, "nbf": now, "exp": now + 3600,
        "account": "acme", "scope": "openid read send",
    }  # fmt: skip
