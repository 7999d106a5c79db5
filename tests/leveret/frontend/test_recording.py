"""What the audit log says of requests to the REST API: those that change policies, or delete whole queues."""

import json
import threading

import pytest

from leveret.frontend.rest import Rest, translate
from leveret.service import QueueConfig, QueueService
from leveret.store.base import StoreFailed
from leveret.store.memory import MemoryStore
from scalestack.audit.file import AppendFile
from scalestack.audit.trail import Audit
from scalestack.auth.principal import Authorized, OwnRights, Principal
from scalestack.event.worker import Worker
from support.web import PATIENCE, Client, serving

ANN = Authorized(Principal("key ann", None, frozenset({"admin"})), OwnRights())


class Breakable(MemoryStore):
    broken = False

    def change_policy(self, *arguments):
        if self.broken:
            raise StoreFailed("the disk is gone")
        return super().change_policy(*arguments)


class Site:
    def __init__(self, ask, store, path, worker):
        self.ask = ask
        self.store = store
        self.path = path
        self.worker = worker

    def fill(self, *queues, account="acme"):
        for queue in queues:
            for id in "123":
                self.ask("PUT", f"/v1.1/{account}/{queue}/{id}", b"body")

    @property
    def recorded(self):
        written = threading.Event()
        self.worker.do(written.set)
        assert written.wait(PATIENCE)
        entries = [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []
        assert {entry["who"] for entry in entries} <= {"key ann"}
        return [(entry["action"], entry["outcome"], entry["details"]) for entry in entries]


def known(route, handler):
    """Everybody is Ann."""

    def call(request, *parameters):
        request.grant = ANN
        return handler(request, *parameters)

    return call


@pytest.fixture
def site(tmp_path):
    path = tmp_path / "audit.jsonl"
    worker = Worker("audit")
    file = AppendFile(lambda: path)
    store = Breakable()

    def routes(loops):
        service = QueueService(store, lambda: 1000.0, QueueConfig(), loops.threads[0])
        service.start()
        return Rest(service, Audit(file, worker)).routes()

    with serving(routes, translate=translate) as web:
        web.server.add_layer(known)
        client = Client(web.port)
        yield Site(client, store, path, worker)
        client.close()
    worker.join()
    file.close()


def test_a_policy_with_what_was_changed(site):
    site.ask("PATCH", "/v1.1/acme/jobs", b'{"max_messages":5,"dead_letter":null}')
    site.ask("PATCH", "/v1.1/acme/jobs", b"null")
    assert site.recorded == [
        (
            "policy.change",
            "done",
            {"account": "acme", "queue": "jobs", "change": {"max_messages": 5, "dead_letter": None}},
        ),
        ("policy.remove", "done", {"account": "acme", "queue": "jobs"}),
    ]


def test_a_policy_that_can_not_be_changed(site):
    site.store.broken = True
    assert site.ask("PATCH", "/v1.1/acme/jobs", b'{"max_messages":5}').status == 503
    assert [(outcome, details["error"]) for _, outcome, details in site.recorded] == [("failed", "StoreFailed")]


@pytest.mark.parametrize("version", ["v1.0", "v1.1"])
class TestBothVersions:
    def test_queues_with_their_names(self, site, version):
        site.fill("jobs", "mail", "news")
        assert site.ask("DELETE", f"/{version}/acme?limit=2").status == 204
        assert site.recorded == [
            ("queues.delete", "done", {"account": "acme", "limit": 2, "deleted": 2, "names": ["jobs", "mail"]})
        ]

    def test_accounts_with_their_names(self, site, version):
        site.fill("jobs")
        site.fill("jobs", account="umbrella")
        assert site.ask("DELETE", f"/{version}?marker=acme").status == 204
        assert site.recorded == [("accounts.delete", "done", {"marker": "acme", "deleted": 1, "names": ["umbrella"]})]

    def test_a_queue_that_is_emptied_with_how_much_there_was_where_that_is_known(self, site, version):
        site.fill("jobs")
        site.ask("DELETE", f"/{version}/acme/jobs?marker=1&match_hidden=true&detail=id")
        site.ask("DELETE", f"/{version}/acme/jobs")
        assert site.recorded == [
            (
                "messages.delete",
                "done",
                {"account": "acme", "queue": "jobs", "marker": "1", "match_hidden": True, "deleted": 2},
            ),
            ("messages.delete", "done", {"account": "acme", "queue": "jobs"}),
        ]

    def test_nothing_that_found_nothing(self, site, version):
        for path in ("", "/acme", "/acme/jobs"):
            assert site.ask("DELETE", f"/{version}{path}").status == 404
        assert site.recorded == []

    def test_nothing_of_the_work_of_every_day(self, site, version):
        site.fill("jobs")
        for method, path in [
            ("GET", "/acme/jobs"),
            ("POST", "/acme/jobs?limit=1&hide=10"),
            ("DELETE", "/acme/jobs?limit=1"),
            ("DELETE", "/acme/jobs/1"),
            ("GET", "/acme"),
        ]:
            assert site.ask(method, f"/{version}{path}").status in {200, 204}
        assert site.recorded == []

    def test_nothing_that_is_no_request(self, site, version):
        assert site.ask("DELETE", f"/{version}/acme?limit=x").status == 400
        assert site.recorded == []


def test_messages_by_their_ids_are_nothing_to_record(site):
    site.fill("jobs")
    assert site.ask("DELETE", "/v1.1/acme/jobs?id=1&id=2").status == 200
    assert site.recorded == []


def test_of_many_names_there_are_the_first_hundred(site):
    site.fill(*[f"queue-{number:03}" for number in range(120)])
    site.ask("DELETE", "/v1.1/acme")
    ((_, _, details),) = site.recorded
    assert (details["deleted"], len(details["names"])) == (120, 100)
