"""The contract of every store, for the durable one: with one file, and with three."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from leveret.store.base import Store
from leveret.store.sqlite import Durability, SqliteStore
from support.accounts_conformance import AccountsConformance
from support.conformance import StoreConformance
from support.conformance11 import V11Conformance, V11InterfaceConformance
from support.interface_conformance import StoreInterfaceConformance
from support.subject import StoreSubject
from support.subject11 import StoreSubject11


@pytest.fixture(params=[1, 3], ids=["1 shard", "3 shards"])
def make_store(request: pytest.FixtureRequest, path: Path) -> Callable[[], SqliteStore]:
    return lambda: SqliteStore(path, Durability.OFF, shards=request.param, reserve=0)


class TestSqliteStore(StoreConformance):
    @pytest.fixture
    def subject(self, make_store: Callable[[], Store]) -> Iterator[StoreSubject]:
        store = make_store()
        yield StoreSubject(store)
        store.close()


class TestSqliteStoreInterface(StoreInterfaceConformance):
    @pytest.fixture
    def make_store(self, make_store: Callable[[], SqliteStore]) -> Callable[[], SqliteStore]:
        return make_store


class TestSqliteStoreV11(V11Conformance):
    @pytest.fixture
    def subject(self, make_store: Callable[[], Store]) -> Iterator[StoreSubject11]:
        store = make_store()
        yield StoreSubject11(store)
        store.close()


class TestSqliteStoreInterfaceV11(V11InterfaceConformance):
    @pytest.fixture
    def make_store(self, make_store: Callable[[], SqliteStore]) -> Callable[[], SqliteStore]:
        return make_store


class TestSqliteStoreAccounts(AccountsConformance):
    @pytest.fixture
    def make_store(self, make_store: Callable[[], SqliteStore]) -> Callable[[], SqliteStore]:
        return make_store
