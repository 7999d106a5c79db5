"""The audit log of a server: where it is, when it is there, and what a rotation does to it."""

import json

import pytest

from scalestack.audit.module import AuditConfig, AuditError, AuditModule, open_audit
from scalestack.audit.trail import Audit
from scalestack.auth.guard import forbidden
from scalestack.auth.principal import Authorized, OwnRights, Principal
from scalestack.data import DataDirectory
from scalestack.http.router import Route
from scalestack.http.server import HttpServer
from support.web import serving

ANN = Authorized(Principal("key ann", "a", frozenset()), OwnRights())


def refuse(request):
    request.grant = ANN if request.header(b"authorization") else None
    raise forbidden("read")


class Site:
    def __init__(self, web, directory):
        self.web = web
        self.data = DataDirectory(directory / "data")
        self.path = directory / "data" / "audit.jsonl"

    def module(self, file="", cls=AuditModule):
        return cls(AuditConfig(file), {HttpServer: self.web.server, DataDirectory: self.data})

    def ask(self, path="/", known=True):
        credentials = b"Authorization: ann\r\n" if known else b""
        with self.web.connect() as client:
            return client.send(b"GET %b HTTP/1.1\r\nHost: a\r\n%b\r\n" % (path.encode(), credentials)).answer()


def entries(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def site(tmp_path):
    with serving([Route("GET", "/", refuse), Route("GET", "/policy", refuse, action="policy")]) as web:
        yield Site(web, tmp_path)


def test_refusals_are_seen_from_start_to_stop(site):
    module = site.module()
    site.ask()
    module.start()
    site.ask()
    module.stop()
    site.ask()
    module.stop()
    assert [entry["who"] for entry in entries(site.path)] == ["key ann"]


def test_a_service_says_which_actions_are_watched(site):
    module = site.module(cls=AuditModule.of(("policy",)))
    module.start()
    site.ask()
    site.ask("/policy")
    module.stop()
    assert [entry["action"] for entry in entries(site.path)] == ["policy"]


def test_where_nobody_is_asked_who_they_are_there_is_no_file(site):
    module = site.module()
    module.start()
    site.ask(known=False)
    module.reload()
    module.stop()
    assert not site.path.parent.exists()


def test_unless_one_is_named(site, tmp_path):
    module = site.module(str(tmp_path / "named.jsonl"))
    module.start()
    site.ask(known=False)
    module.stop()
    assert [entry["who"] for entry in entries(tmp_path / "named.jsonl")] == ["anyone"]
    assert not site.path.exists()


def test_one_that_is_named_and_can_not_be_written_is_an_error_at_once(site, tmp_path):
    module = site.module(str(tmp_path / "nowhere" / "named.jsonl"))
    with pytest.raises(
        AuditError, match=r"^audit.file is '.*nowhere/named.jsonl', which can't be written: No such file"
    ):
        module.start()


def test_a_reload_goes_on_with_a_new_file_where_the_old_one_was_moved_away(site):
    module = site.module()
    audit = module.provider(Audit)
    module.start()
    audit.record("ann", "1")
    site.path.rename(site.path.with_suffix(".1"))
    module.reload()
    audit.record("ann", "2")
    module.stop()
    assert [entry["action"] for entry in entries(site.path.with_suffix(".1"))] == ["1"]
    assert [entry["action"] for entry in entries(site.path)] == ["2"]


def test_another_process_writes_to_the_same_file(site):
    module = site.module()
    module.start()
    module.provider(Audit).record("key ann", "1")
    open_audit(site.data).record("local ann", "2")
    module.stop()
    assert [entry["who"] for entry in entries(site.path)] == ["key ann", "local ann"]
