"""`leveret modules` of a running server: what it shows, and what it says of what can't be."""

import json

import pytest

from scalestack.http.message import Response
from scalestack.http.problem import HttpError
from scalestack.http.router import ADMIN as ADMINS
from scalestack.http.router import Route
from support.guarded import ADMIN, KEY, guarded

STATES = [
    {"name": "http", "state": "loaded", "depends": ["net"], "used_by": ["rest", "metrics"]},
    {"name": "[b]x\x1b[2J", "state": "unloaded", "depends": [], "used_by": []},
]
PROBLEMS = {
    "nome": HttpError(404, "unknown-module", "there is no module 'nome'; did you mean none?"),
    "http": HttpError(409, "module-in-use", "module 'http' is in use by 'rest'; unload that first"),
    "bad": HttpError(409, "module-failed", "module 'bad' can't be loaded: no"),
}


def answer(value):
    return Response(200, json.dumps(value).encode(), b"application/json")


def load(request, name):
    if name in PROBLEMS:
        raise PROBLEMS[name]
    return answer({"loaded": {"metrics": ["net", "metrics"]}.get(name, [])})


def unload(request, name):
    if name in PROBLEMS:
        raise PROBLEMS[name]
    return answer({"unloaded": name})


@pytest.fixture(scope="module")
def service():
    routes = [
        Route("GET", "/admin/modules", lambda request: answer({"modules": STATES}), action=ADMINS),
        Route("PUT", "/admin/modules/{name}", load, action=ADMINS),
        Route("DELETE", "/admin/modules/{name}", unload, action=ADMINS),
    ]
    with guarded(routes) as service:
        yield service


@pytest.fixture(autouse=True)
def admin(environment, monkeypatch):
    monkeypatch.setenv("LEVERET_KEY", ADMIN)


def test_all_modules_of_a_running_server(run, service):
    said = run("modules", "--server", service.url)
    assert said.code == 0
    assert said.rows[2] == ["http", "loaded", "net", "rest,", "metrics"]
    assert said.rows[3] == ["[b]x\\x1b[2J", "unloaded"]
    assert service.url in said.lines[-1]


def test_the_environment_means_a_running_server_unless_settings_are_given(run, service, monkeypatch):
    monkeypatch.setenv("LEVERET_SERVER", service.url)
    assert f"in the server {service.url}" in " ".join(run("modules").out.split())
    assert "planned: what serve would load" in " ".join(run("modules", "--store", "memory://").out.split())


def test_what_was_loaded_is_said(run, service, monkeypatch):
    said = run("modules", "load", "metrics", "--server", service.url)
    assert (said.code, said.lines) == (0, [f"loaded net into {service.url}", f"loaded metrics into {service.url}"])
    monkeypatch.setenv("LEVERET_SERVER", service.url)
    assert run("modules", "load", "rest").lines == ["'rest' was loaded already"]


def test_what_was_unloaded_is_said(run, service):
    said = run("modules", "unload", "a b", "--server", service.url)
    assert (said.code, said.lines) == (0, [f"unloaded a b from {service.url}"])


@pytest.mark.parametrize(("name", "code"), [("nome", 3), ("http", 1), ("bad", 1)])
@pytest.mark.parametrize("act", ["load", "unload"])
def test_what_can_not_be_is_one_line(run, service, act, name, code):
    said = run("modules", act, name, "--server", service.url)
    assert (said.code, said.out) == (code, "")
    assert said.err == f"leveret: {PROBLEMS[name].detail}\n"


@pytest.mark.parametrize("words", [[], ["load", "metrics"], ["unload", "metrics"]])
def test_who_is_no_admin_may_not(run, service, monkeypatch, words):
    monkeypatch.setenv("LEVERET_KEY", KEY)
    said = run("modules", *words, "--server", service.url)
    assert said.code == 6
    assert said.err == "leveret: this takes the right to 'admin', which these credentials don't give here\n"


def test_a_server_without_the_module_for_that_says_so(run):
    with guarded() as other:
        said = run("modules", "--server", other.url)
    assert (said.code, said.err) == (
        1,
        f"leveret: {other.url} has not loaded 'admin', the module that answers this (server.modules)\n",
    )


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["--server", "http://h", "--port", "1"],
            "a running server has its own settings",
        ),
        (["--key", "k"], "--server says which"),
        (["--server", "http://h", "load", "x"], "options are expected after 'load'"),
        (["--port", "1", "unload", "x"], "options are expected after 'unload'"),
        (["load"], "Missing argument 'NAME'"),
    ],
)
def test_wrong_use_is_one_line(run, arguments, line):
    said = run("modules", *arguments)
    assert said.code == 2
    assert line in said.err
    assert said.err.count("\n") == 1
