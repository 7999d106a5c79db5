"""When the queue service says that it can work."""

import pytest

from leveret.service import QueueService
from leveret.store.base import Store, StoreFailed
from scalestack.event.pending import Pending
from scalestack.health import Health
from support.metered import metered


@pytest.fixture
def server():
    with metered() as server:
        yield server


def ready(server):
    answer = server.client("GET", "/health/ready")
    return answer.status, answer.json.get("detail")


def test_it_can_when_nothing_is_wrong(server):
    assert ready(server) == (200, None)


def test_it_can_not_when_the_store_does_not_answer(server, monkeypatch):
    monkeypatch.setattr(server.kernel.get(Health), "_patience", 0.05)
    monkeypatch.setattr(type(server.kernel.get(Store)), "list_accounts", lambda store, page, now: Pending())
    assert ready(server) == (503, "not ready: store: no answer within 0.05 s")


def test_it_can_not_when_the_store_fails_and_names_no_files(server, monkeypatch):
    def fail(store, page, now):
        raise StoreFailed("/srv/queue.db is closed")

    monkeypatch.setattr(type(server.kernel.get(Store)), "list_accounts", fail)
    assert ready(server) == (503, "not ready: store: it fails")


def test_it_can_not_when_it_drains(server):
    server.kernel.get(QueueService).drain()
    assert ready(server) == (503, "not ready: draining: the server is about to end")


def test_a_service_without_health_checks_nothing(server, monkeypatch):
    server.kernel.get(QueueService).drain()
    server.kernel.unload("queue.health")
    assert ready(server) == (200, None)
