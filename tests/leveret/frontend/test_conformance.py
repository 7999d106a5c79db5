"""The store conformance suite once more, through HTTP: with one loop thread, and with four."""

import pytest

from leveret.store.memory import MemoryStore
from leveret.store.sqlite import Durability, SqliteStore
from support.conformance import StoreConformance
from support.queues import HttpSubject, serving_queues


class TestMemoryStoreOverHttp(StoreConformance):
    @pytest.fixture(params=[1, 4], ids=["1 loop", "4 loops"])
    def subject(self, request):
        with serving_queues(MemoryStore(), threads=request.param) as queues:
            subject = HttpSubject(queues, connections=request.param)
            yield subject
            subject.close()


class TestSqliteStoreOverHttp(StoreConformance):
    @pytest.fixture(params=[1, 4], ids=["1 loop", "4 loops"])
    def subject(self, request, tmp_path):
        store = SqliteStore(tmp_path / "queue.db", Durability.OFF, shards=request.param, reserve=0)
        with serving_queues(store, threads=request.param) as queues:
            subject = HttpSubject(queues, connections=request.param)
            yield subject
            subject.close()
