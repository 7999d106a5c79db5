"""The store conformance suites once more, through HTTP: with one loop thread, and with four."""

import pytest

from leveret.store.memory import MemoryStore
from leveret.store.sqlite import Durability, SqliteStore
from support.conformance import StoreConformance
from support.conformance11 import V11Conformance
from support.queues import HttpSubject, serving_queues
from support.subject11 import HttpSubject11


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


class TestMemoryStoreOverHttpV11(V11Conformance):
    @pytest.fixture(params=[1, 4], ids=["1 loop", "4 loops"])
    def subject(self, request):
        with serving_queues(MemoryStore(), threads=request.param) as queues:
            subject = HttpSubject11(queues, connections=request.param)
            yield subject
            subject.close()


class TestSqliteStoreOverHttpV11(V11Conformance):
    @pytest.fixture
    def subject(self, tmp_path):
        store = SqliteStore(tmp_path / "queue.db", Durability.OFF, reserve=0)
        with serving_queues(store) as queues:
            subject = HttpSubject11(queues)
            yield subject
            subject.close()
