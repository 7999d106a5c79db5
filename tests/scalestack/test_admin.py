"""Modules of a running server, listed, loaded and unloaded by its admins."""

import json
import threading
from contextlib import contextmanager

import pytest

from scalestack.admin import AdminModule
from scalestack.audit.file import AppendFile
from scalestack.audit.trail import Audit
from scalestack.auth.authority import Authority, Denied
from scalestack.auth.module import AuthModule, NoneModule
from scalestack.auth.principal import Principal
from scalestack.event.worker import Worker
from scalestack.http.message import Response
from scalestack.http.router import PUBLIC, Route
from scalestack.http.server import HttpServer
from scalestack.kernel import Kernel, KernelError
from scalestack.module import Module
from scalestack.net.listener import Network
from support.web import PATIENCE, eventually, serving

TOKENS = {
    b"root": Principal("key root", None, frozenset({"admin"})),
    b"ann": Principal("key ann", "a", frozenset({"read"})),
}


class Tokens(Module):
    """Callers show one of those above."""

    name = "auth.tokens"
    depends = (Authority,)
    challenges = (b"Token",)

    def __init__(self, config, needs):
        super().__init__(config, needs)
        self.authority = needs[Authority]

    def start(self):
        self.authority.register(self)

    def stop(self):
        self.authority.deregister(self)

    def version(self):
        return 0

    def authenticate(self, request):
        token = request.header(b"authorization")
        if token is not None and token not in TOKENS:
            raise Denied("it is unknown")
        return None if token is None else TOKENS[token]


class Base(Module):
    name = "base"
    provides = (Module,)


class Upper(Module):
    """Needs another one, and serves something."""

    name = "upper"
    depends = (Module, HttpServer)

    def __init__(self, config, needs):
        super().__init__(config, needs)
        self.http = needs[HttpServer]
        self.routes = [Route("GET", "/upper", lambda request: Response(200), action=PUBLIC)]

    def start(self):
        self.http.mount(self.routes)

    def stop(self):
        self.http.unmount(self.routes)


class Broken(Module):
    name = "broken"

    def start(self):
        raise ValueError("it can't")


class Slow(Module):
    """Starts when it is let."""

    name = "slow"
    begun = threading.Event()
    let = threading.Event()

    def start(self):
        self.begun.set()
        assert self.let.wait(PATIENCE)


class Site:
    def __init__(self, web, kernel, path):
        self.web = web
        self.kernel = kernel
        self.path = path
        self.client = web.connect()

    def send(self, client, method, path, token="root", body=b""):
        head = f"{method} {path} HTTP/1.1\r\nHost: a\r\nAuthorization: {token}\r\nContent-Length: {len(body)}\r\n\r\n"
        return client.send(head.encode() + body)

    def ask(self, method, path, token="root", body=b""):
        return self.send(self.client, method, path, token, body).answer()

    @property
    def loaded(self):
        return [status.name for status in self.kernel.status() if status.state == "loaded"]

    @property
    def waiting(self):
        """How many changes are asked for, and not answered yet."""
        return len(self.kernel._loaded["admin"].module._admin._waiting)

    @property
    def recorded(self):
        """All that the audit log says: who, what, what came of it, and more."""
        entries = [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []
        return [(entry["who"], entry["action"], entry["outcome"], entry["details"]) for entry in entries]


@contextmanager
def site_of(tmp_path, admin=AdminModule):
    modules = {each.name: each for each in (AuthModule, NoneModule, Tokens, admin, Base, Upper, Broken, Slow)}
    path = tmp_path / "audit.jsonl"
    worker = Worker("audit")
    file = AppendFile(lambda: path)
    with serving([]) as web:
        given = {HttpServer: web.server, Network: web.network, Audit: Audit(file, worker)}
        kernel = Kernel(modules, lambda name, config: config(), given=given)
        kernel.load("auth.tokens")
        kernel.load("admin")
        site = Site(web, kernel, path)
        try:
            yield site
        finally:
            site.client.close()
            kernel.shutdown(0)
            worker.join()
            file.close()


@pytest.fixture
def site(tmp_path):
    Slow.begun.clear()
    Slow.let.clear()
    with site_of(tmp_path) as site:
        yield site


def test_all_modules_are_listed(site):
    answer = site.ask("GET", "/admin/modules")
    assert answer.headers["content-type"] == "application/json"
    modules = answer.json["modules"]
    assert modules[0] == {"name": "auth", "state": "loaded", "depends": [], "used_by": ["auth.tokens", "admin"]}
    assert {"name": "upper", "state": "available", "depends": ["base"], "used_by": []} in modules


def test_a_module_is_loaded_with_what_it_needs(site):
    answer = site.ask("PUT", "/admin/modules/upper")
    assert (answer.status, answer.json) == (200, {"loaded": ["base", "upper"]})
    assert site.ask("GET", "/upper").status == 200


def test_one_that_is_loaded_is_left_as_it_is(site):
    site.ask("PUT", "/admin/modules/upper")
    answer = site.ask("PUT", "/admin/modules/upper")
    assert (answer.status, answer.json) == (200, {"loaded": []})


def test_a_module_is_unloaded_and_what_it_needs_stays(site):
    site.ask("PUT", "/admin/modules/upper")
    answer = site.ask("DELETE", "/admin/modules/upper")
    assert (answer.status, answer.json) == (200, {"unloaded": "upper"})
    assert site.ask("GET", "/upper").status == 404
    assert "base" in site.loaded


@pytest.mark.parametrize(
    ("method", "name", "status", "code", "words"),
    [
        ("PUT", "uper", 404, "unknown-module", "there is no module 'uper'; did you mean upper?"),
        ("DELETE", "uper", 404, "unknown-module", "there is no module 'uper'; did you mean upper?"),
        ("DELETE", "slow", 409, "module-not-loaded", "module 'slow' is not loaded"),
        (
            "DELETE",
            "auth",
            409,
            "module-in-use",
            "module 'auth' is in use by 'auth.tokens', 'admin'; unload that first",
        ),
        (
            "DELETE",
            "admin",
            409,
            "module-in-use",
            "module 'admin' is in use by this request; stop the server to end it",
        ),
        ("PUT", "broken", 409, "module-failed", "module 'broken' failed to load: ValueError: it can't"),
    ],
)
def test_what_can_not_be_done_is_one_line(site, method, name, status, code, words):
    loaded = site.loaded
    answer = site.ask(method, f"/admin/modules/{name}")
    assert (answer.status, answer.json["code"], answer.json["detail"]) == (status, code, words)
    assert site.loaded == loaded


def test_bodies_and_parameters_are_refused(site):
    assert site.ask("PUT", "/admin/modules/upper", body=b"{}").json["code"] == "unexpected-body"
    assert site.ask("PUT", "/admin/modules/upper?force=1").json["code"] == "unknown-parameter"
    assert "upper" not in site.loaded


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/admin/modules"), ("PUT", "/admin/modules/upper"), ("DELETE", "/admin/modules/auth.tokens")],
)
def test_it_is_for_admins(site, method, path):
    loaded = site.loaded
    assert (site.ask(method, path, "ann").status, site.ask(method, path, "eve").status) == (403, 401)
    assert site.loaded == loaded


def test_to_unload_the_authenticator_closes_all(site):
    assert site.ask("DELETE", "/admin/modules/auth.tokens").status == 200
    assert site.ask("GET", "/admin/modules").status == 401


def test_a_service_may_keep_modules_from_being_loaded(tmp_path):
    def forbids(name):
        return "no" if name == "base" else None

    with site_of(tmp_path, AdminModule.forbidding(forbids)) as site:
        for name in ("base", "upper"):  # also where another one would bring it with it
            answer = site.ask("PUT", f"/admin/modules/{name}")
            assert (answer.status, answer.json["code"], answer.json["detail"]) == (409, "module-refused", "no")
        assert site.ask("PUT", "/admin/modules/auth.none").status == 200


def test_what_was_done_is_recorded(site):
    site.ask("PUT", "/admin/modules/upper")
    site.ask("PUT", "/admin/modules/upper")
    site.ask("PUT", "/admin/modules/broken")
    site.ask("DELETE", "/admin/modules/upper")
    site.ask("GET", "/admin/modules")
    assert site.recorded == [
        ("key root", "module.load", "done", {"module": "upper", "loaded": ["base", "upper"]}),
        ("key root", "module.load", "failed", {"module": "broken", "error": "module-failed"}),
        ("key root", "module.unload", "done", {"module": "upper"}),
    ]


def test_others_are_answered_while_a_module_is_loaded(site):
    with site.web.connect() as slow:
        site.send(slow, "PUT", "/admin/modules/slow")
        assert Slow.begun.wait(PATIENCE)
        assert "slow" not in [
            each["name"] for each in site.ask("GET", "/admin/modules").json["modules"] if each["state"] == "loaded"
        ]
        Slow.let.set()
        assert slow.answer().json == {"loaded": ["slow"]}


def test_a_client_that_hangs_up_does_not_end_the_load(site):
    with site.web.connect() as slow:
        site.send(slow, "PUT", "/admin/modules/slow")
        assert Slow.begun.wait(PATIENCE)
    Slow.let.set()
    site.ask("PUT", "/admin/modules/base")  # one at a time, and so that one is done
    assert "slow" in site.loaded


def test_a_shutdown_waits_for_what_is_loaded_and_ends_it_and_does_not_wait_for_what_is_to_be(site):
    with site.web.connect() as first, site.web.connect() as second:
        site.send(first, "PUT", "/admin/modules/slow")
        assert Slow.begun.wait(PATIENCE)
        site.send(second, "PUT", "/admin/modules/upper")
        eventually(lambda: site.waiting == 2)
        ending = threading.Thread(target=site.kernel.shutdown, args=(PATIENCE,))
        ending.start()
        Slow.let.set()
        ending.join(PATIENCE)
        assert not ending.is_alive()
        assert first.answer().status in {200, 503}
        assert second.answer().status in {200, 503}
    assert site.loaded == []


def test_a_load_that_waits_for_a_shutdown_is_told_so_at_once_and_never_done(site):
    class Ending(Module):
        """While it settles, the kernel is held."""

        name = "ending"
        settling = threading.Event()
        let = threading.Event()

        def settle(self, deadline):
            self.settling.set()
            assert self.let.wait(PATIENCE)

    site.kernel._modules["ending"] = Ending
    site.kernel.load("ending")
    # The last that admin begins before the end: it then waits for the kernel.
    begun = threading.Event()
    load = site.kernel.load

    def wait_and_load(name):
        begun.set()
        assert Ending.settling.wait(PATIENCE)
        load(name)

    site.kernel.load = wait_and_load
    with site.web.connect() as client:
        site.send(client, "PUT", "/admin/modules/upper")
        assert begun.wait(PATIENCE)
        ending = threading.Thread(target=site.kernel.shutdown, args=(PATIENCE,))
        ending.start()
        answer = client.answer()
        assert (answer.status, answer.json["code"]) == (503, "draining")
        Ending.let.set()
        ending.join(PATIENCE)
        assert not ending.is_alive()
    with pytest.raises(KernelError, match="the server has ended"):
        load("upper")
    assert site.loaded == []
