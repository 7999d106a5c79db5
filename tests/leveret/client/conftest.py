"""Clients of every kind of URL, each with a queue that is empty."""

from __future__ import annotations

import itertools

import pytest

from leveret import connect
from support.process import leveret

_accounts = (f"account-{number}" for number in itertools.count())


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A server that listens on TCP, and on a Unix socket."""
    path = tmp_path_factory.mktemp("server") / "sock"
    with leveret("--store", "memory://", "--set", f"http.unix={path}") as running:
        running.path = path
        yield running


@pytest.fixture
def account():
    """One that no other test has."""
    return next(_accounts)


@pytest.fixture(params=["memory", "sqlite", "http", "unix"])
def url(request, tmp_path):
    if request.param == "memory":
        return "memory://"
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/jobs.db"
    server = request.getfixturevalue("server")
    return f"http://127.0.0.1:{server.port}" if request.param == "http" else f"unix://{server.path}"


@pytest.fixture
def client(url):
    with connect(url) as client:
        yield client


@pytest.fixture
def queue(client, account):
    return client.queue(account, "jobs")
