"""Admin of a whole server: what it keeps an admin from."""

from contextlib import contextmanager

import pytest

from leveret.keys import TOKENS
from leveret.server import Server
from scalestack.auth.keys import issue
from scalestack.auth.keys.file import NAME, KeyFile
from scalestack.config import Override
from support.web import Client


@contextmanager
def serving(directory, **settings):
    options = {"server__data": directory, "server__store": "memory://", "http__port": 0, **settings}
    server = Server(overrides=[Override(key.replace("__", "."), str(value), "test") for key, value in options.items()])
    _, token = issue.create(KeyFile(directory / NAME), TOKENS, 0.0, account=None, actions=("admin",))
    addresses = server.start()
    try:
        server.kernel.load("admin")
        client = Client(addresses[0].port)
        yield lambda method, path: client(method, path, None, {"Authorization": f"Bearer {token.text}"})
        client.close()
    finally:
        server.stop()


def test_a_server_that_others_can_reach_is_not_opened_to_all(tmp_path):
    with serving(tmp_path, server__auth="keys", http__host="0.0.0.0") as ask:
        answer = ask("PUT", "/admin/modules/auth.none")
        assert (answer.status, answer.json["code"]) == (409, "module-refused")
        assert "http.host is '0.0.0.0'" in answer.json["detail"]
        assert "--insecure" in answer.json["detail"]


@pytest.mark.parametrize(
    "settings", [{"http__host": "127.0.0.1"}, {"http__host": "0.0.0.0", "server__insecure": "true"}]
)
def test_unless_that_was_wanted_or_only_its_own_machine_can(tmp_path, settings):
    with serving(tmp_path, server__auth="keys", **settings) as ask:
        assert ask("PUT", "/admin/modules/auth.none").json == {"loaded": ["auth.none"]}


def test_what_is_in_use_stays(tmp_path):
    with serving(tmp_path, server__auth="keys") as ask:
        for name in ("auth", "http", "queue", "memory", "audit"):
            answer = ask("DELETE", f"/admin/modules/{name}")
            assert (answer.status, answer.json["code"]) == (409, "module-in-use")


def test_to_unload_the_keys_closes_the_server(tmp_path):
    with serving(tmp_path, server__auth="keys") as ask:
        assert ask("DELETE", "/admin/modules/auth.keys").status == 200
        assert (ask("GET", "/admin/modules").status, ask("GET", "/v1.1/a/q").status) == (401, 401)


def test_a_server_that_asks_nobody_leaves_no_audit_log(tmp_path):
    with serving(tmp_path) as ask:
        ask("PUT", "/v1.1/a/q/m")
        assert ask("DELETE", "/v1.1/a/q").status == 204
        assert ask("PUT", "/admin/modules/health").status == 200
    assert {path.name for path in tmp_path.iterdir()} & {"audit.jsonl"} == set()
