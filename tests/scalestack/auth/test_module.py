"""The module: it closes all routes, looks again and again at who waits, and lets nothing end that."""

import threading

import pytest

from scalestack.auth.authority import Authority
from scalestack.auth.module import AuthModule, NoneModule
from scalestack.event.module import EventModule
from scalestack.http.message import Response
from scalestack.http.module import HttpConfig, HttpModule
from scalestack.http.router import Route
from scalestack.http.server import HttpServer
from scalestack.kernel import Kernel
from scalestack.log.module import LogModule
from scalestack.net.module import NetModule
from support.web import Client

MODULES = (LogModule, EventModule, NetModule, HttpModule, AuthModule, NoneModule)


@pytest.fixture
def kernel():
    kernel = Kernel(
        {module.name: module for module in MODULES}, lambda name, kind: HttpConfig(port=0) if name == "http" else kind()
    )
    kernel.load("auth")
    yield kernel
    kernel.shutdown(0)


def test_all_is_closed_until_an_authenticator_is_there_or_nobody_is_to_be_asked(kernel):
    server = kernel.get(HttpServer)
    server.mount([Route("GET", "/a", lambda request: Response(200), action="read")])
    ask = Client(server.listen()[0].port)
    try:
        assert ask("GET", "/a").status == 401
        kernel.load("auth.none")
        assert ask("GET", "/a").status == 200
        kernel.unload("auth.none")
        assert ask("GET", "/a").status == 401
    finally:
        ask.close()


def test_an_authenticator_that_fails_to_look_does_not_end_the_looking(kernel):
    twice = threading.Semaphore(0)

    class Failing:
        challenges = ()

        def authenticate(self, request):
            return None

        def version(self):
            twice.release()
            raise OSError("it can't be read")

    kernel.get(Authority).register(Failing())
    for _ in range(3):
        assert twice.acquire(timeout=10)
