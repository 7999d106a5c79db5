"""Which refusals are written down, and how many."""

import weakref

import pytest

from scalestack.audit.refusals import Refusals
from scalestack.auth.guard import forbidden
from scalestack.auth.principal import Authorized, OwnRights, Principal
from scalestack.event.pending import Pending
from scalestack.http.message import Response
from scalestack.http.problem import HttpError
from scalestack.http.router import Route
from support.web import serving

ANN = Authorized(Principal("key ann", "a", frozenset({"receive"})), OwnRights())
TOKEN = "lvk_4fBq0ZcX9a_" + "x" * 33


def refuse(request, *parameters):
    request.grant = ANN
    raise forbidden("read")


def refuse_later(request, *parameters):
    request.grant = ANN
    pending = Pending()
    request.connection.thread.soon(pending.fail, forbidden("read"))
    return pending


async def refuse_in_a_coroutine(request, *parameters):
    return refuse(request)


def refuse_much_later(request, *parameters):
    pending = refuse_later(request)
    pending.parked = pending.held_back = True
    return pending


def allow(request, *parameters):
    request.grant = ANN
    return Response(200)


def unknown(request, *parameters):
    raise HttpError(401, "unauthenticated", "who?")


ROUTES = [
    Route("GET", "/now/{account}", refuse),
    Route("GET", "/later/{account}", refuse_later),
    Route("GET", "/held-back/{account}", refuse_much_later),
    Route("GET", "/coroutine/{account}", refuse_in_a_coroutine),
    Route("GET", "/allowed", allow),
    Route("GET", "/unknown", unknown),
    Route("GET", "/read", refuse, action="read"),
    Route("GET", "/policy", refuse, action="policy"),
]


@pytest.fixture
def now():
    return [0.0]


@pytest.fixture
def ask(trail, now):
    with serving(ROUTES) as web, web.connect() as client:
        web.server.add_layer(Refusals(trail.audit, ("admin", "policy"), lambda: now[0]))
        yield lambda path: client.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()).answer()


@pytest.mark.parametrize("when", ["now", "later", "held-back", "coroutine"])
def test_who_was_refused_what(ask, trail, when):
    assert ask(f"/{when}/acme").status == 403
    (entry,) = trail.entries
    del entry["time"]
    assert entry == {
        "who": "key ann",
        "action": "admin",
        "peer": "127.0.0.1",
        "outcome": "refused",
        "details": {"method": "GET", "route": f"/{when}/{{account}}", "account": "acme"},
    }


@pytest.mark.parametrize(("path", "status"), [("/allowed", 200), ("/unknown", 401), ("/read", 403)])
def test_nothing_else_is_written(ask, trail, path, status):
    assert ask(path).status == status
    assert trail.entries == []


def test_the_actions_are_those_that_are_wanted(ask, trail):
    ask("/policy")
    assert trail.entries[0]["action"] == "policy"


def test_a_token_that_got_into_a_path_is_not_written(ask, trail):
    ask(f"/now/{TOKEN}")
    assert trail.entries[0]["details"]["account"] == "lvk_4fBq0ZcX9a_[redacted]"


def test_a_name_is_cut(ask, trail):
    ask("/now/" + "x" * 2000)
    assert trail.entries[0]["details"]["account"] == "x" * 255


def test_one_who_is_refused_all_the_time_is_counted_and_does_not_fill_the_disk(ask, trail, now):
    for _ in range(100):
        ask("/now/acme")
    assert len(trail.entries) == 10
    now[0] = 60.0
    ask("/now/acme")
    assert trail.entries[10]["details"]["left_out"] == 90
    ask("/now/acme")
    assert "left_out" not in trail.entries[11]["details"]


def test_each_caller_is_counted_alone_and_not_too_many_are_kept(trail):
    refusals = Refusals(trail.audit, ("admin",), lambda: 0.0)
    assert {refusals._count(str(number)) for number in range(20_000)} == {0}
    assert len(refusals._counts) == 10_000


def test_nothing_is_kept_of_a_request_that_waits_for_something_to_happen(trail):
    class Asked:
        pass

    parked = Pending()
    parked.parked = True
    watched = Refusals(trail.audit, ("admin",))(Route("GET", "/waits", lambda request: parked), lambda request: parked)
    asked = Asked()
    kept = weakref.ref(asked)
    assert watched(asked) is parked
    del asked
    assert kept() is None
