"""A server that asks for keys, and the commands that have one: as an operator and a tenant go about it."""

import subprocess
import sys

import pytest

from support.process import leveret
from support.web import PATIENCE


@pytest.fixture
def server(run, tmp_path, monkeypatch):
    data = str(tmp_path / "kept")
    monkeypatch.setenv("LEVERET_SERVER__DATA", data)
    with leveret("--store", "memory://", "--auth", "keys", "--data", data) as server:
        monkeypatch.setenv("LEVERET_SERVER", f"http://127.0.0.1:{server.port}")
        monkeypatch.setenv("LEVERET_ACCOUNT", "acme")
        yield server


@pytest.fixture
def make_key(run, server):
    def make_key(*options):
        return run("keys", "create", *options).out.strip()

    return make_key


def test_a_worker_ends_with_one_line_when_its_key_is_revoked_while_it_waits(run, make_key, monkeypatch):
    key = make_key("--account", "acme")
    monkeypatch.setenv("LEVERET_KEY", key)
    run("put", "jobs", "x")
    command = [sys.executable, "-m", "leveret", "work", "jobs", "--", "echo"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as work:
        assert work.stdout.readline() == "\n"  # what it claims next is not there
        assert run("keys", "revoke", key).code == 0
        _, err = work.communicate(timeout=PATIENCE)
    assert work.returncode == 6
    assert err.splitlines()[-1] == "leveret: the server does not take this key: it is unknown, expired or revoked"
    assert key not in err


def test_an_admin_loads_and_unloads_modules_and_a_tenant_does_not(run, make_key, monkeypatch):
    monkeypatch.setenv("LEVERET_KEY", make_key("--account", "acme"))
    assert run("modules", "load", "limits").code == 6
    monkeypatch.setenv("LEVERET_KEY", make_key("--allow", "admin"))
    assert run("modules", "load", "limits").out.startswith("loaded limits into http://")
    assert run("modules", "load", "limits").lines == ["'limits' was loaded already"]
    assert run("modules", "unload", "net").code == 1
    assert run("modules", "unload", "limits").out.startswith("unloaded limits from http://")
    assert run("modules", "unload", "nets").err.startswith("leveret: there is no module 'nets'; did you mean net?")
    assert run("accounts").code == 3
