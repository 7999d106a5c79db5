"""What is written down of what is done, and when."""

import threading
from contextlib import contextmanager

import pytest

from scalestack.audit.trail import local_user
from scalestack.auth.keys.token import TokenFormat
from scalestack.auth.principal import Authorized, OwnRights, Principal
from scalestack.event.pending import Pending
from scalestack.http.message import Response
from scalestack.http.problem import HttpError
from scalestack.http.router import Route
from support.web import PATIENCE, serving

ANN = Authorized(Principal("key ann", "a", frozenset({"receive"})), OwnRights())


@contextmanager
def doing(audit, act, told=lambda value: {"deleted": value}, grant=ANN, **details):
    """A server that does this at a request, recorded; gives what asks it."""

    def handler(request):
        request.grant = grant
        answer = audit.recorded(request, "things.delete", lambda: act(request), told, **details)
        respond = lambda value: Response(200, str(value).encode())  # noqa: E731
        return answer.then(respond) if isinstance(answer, Pending) else respond(answer)

    with serving([Route("GET", "/", handler)]) as web, web.connect() as client:
        yield lambda: client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").answer()


def at_once(value):
    return lambda request: value


def later(value):
    """An answer, or an error, that comes at the loop's next turn."""

    def act(request):
        pending = Pending()
        come = pending.fail if isinstance(value, Exception) else pending.resolve
        request.connection.thread.soon(come, value)
        return pending

    return act


def test_a_record_is_a_line_of_json(trail):
    trail.audit.record("local ann", "key.create", key="4fBq0ZcX9a", actions=["send"], comment=None)
    assert trail.path.read_bytes() == (
        b'{"time":"2026-01-01T00:00:00.250Z","who":"local ann","action":"key.create","peer":null,"outcome":"done",'
        b'"details":{"key":"4fBq0ZcX9a","actions":["send"]}}\n'
    )


def test_a_token_that_was_taken_for_a_name_is_not_written(trail):
    token = TokenFormat("lvk").make().text
    trail.audit.record("ann", "module.load", module=token, names=[token], change={"dead_letter": token})
    assert token[15:].encode() not in trail.path.read_bytes()


def test_no_name_can_forge_a_line(trail):
    trail.audit.record("ann", "x", names=['a\n{"who":"eve"}\u2028\x85'])
    assert trail.path.read_bytes().count(b"\n") == 1
    assert trail.path.read_bytes().isascii()


@pytest.mark.parametrize("when", [at_once, later])
def test_what_was_done_is_written_when_the_answer_is_there(trail, when):
    with doing(trail.audit, when(3), account="a", marker=None) as ask:
        assert ask().body == b"3"
        assert trail.path.exists()
    (entry,) = trail.entries
    assert entry == {
        "time": "2026-01-01T00:00:00.250Z",
        "who": "key ann",
        "action": "things.delete",
        "peer": "127.0.0.1",
        "outcome": "done",
        "details": {"account": "a", "deleted": 3},
    }


def test_the_answer_waits_for_the_line_and_the_loop_does_not(trail):
    held = threading.Event()
    with doing(trail.audit, at_once(3)) as ask, doing(trail.audit, at_once(0), told=lambda _: None) as ask_other:
        trail.worker.do(held.wait)
        answers = []
        asking = threading.Thread(target=lambda: answers.append(ask()))
        asking.start()
        assert ask_other().status == 200
        assert answers == []
        held.set()
        asking.join(PATIENCE)
    assert [answer.body for answer in answers] == [b"3"]


@pytest.mark.parametrize("when", [at_once, later])
def test_where_nothing_was_done_nothing_is_written(trail, when):
    with doing(trail.audit, when(0), told=lambda _: None) as ask:
        assert ask().body == b"0"
    assert trail.entries == []


def fail(error):
    def act(request):
        raise error

    return act


@pytest.mark.parametrize("when", [fail, later])
@pytest.mark.parametrize(
    ("error", "code"), [(HttpError(409, "in-use", "secret"), "in-use"), (ValueError("secret"), "ValueError")]
)
def test_what_failed_is_written_with_a_word_of_why_and_none_of_its_text(trail, when, error, code):
    with doing(trail.audit, when(error), account="a") as ask:
        assert ask().status in {409, 500}
    (entry,) = trail.entries
    assert (entry["outcome"], entry["details"]) == ("failed", {"account": "a", "error": code})


def test_what_a_client_did_not_wait_for_and_did_not_happen_is_not_written(trail):
    parked = threading.Event()
    ended = threading.Event()

    def park(request):
        request.connection.on_end(ended.set)
        parked.set()
        return Pending(lambda: True)

    with serving(
        [Route("GET", "/", lambda request: trail.audit.recorded(request, "x", lambda: park(request), dict))]
    ) as web:
        with web.connect() as client:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert parked.wait(PATIENCE)
        assert ended.wait(PATIENCE)
    assert trail.entries == []


def test_a_poll_that_is_parked_is_known_as_one(trail):
    poll = Pending()
    poll.parked = True

    class Sent:
        grant = ANN
        connection = None

    recorded = trail.audit.recorded(Sent(), "x", lambda: poll, lambda _: None)
    poll.resolve(0)
    assert recorded.done
    assert recorded.parked


def test_where_nobody_is_asked_who_they_are_nothing_is_written(trail):
    with doing(trail.audit, at_once(3), grant=None) as ask:
        assert ask().status == 200
    assert not trail.path.exists()


def test_unless_that_is_wanted(trail):
    with doing(trail.kept(anyone=True), at_once(3), grant=None) as ask:
        ask()
    assert trail.entries[0]["who"] == "anyone"


def test_a_line_that_can_not_be_written_is_an_error_in_the_log_and_not_the_request_s(trail, caplog):
    trail.path.mkdir()
    with doing(trail.audit, at_once(3), account="acme") as ask:
        assert ask().body == b"3"
    assert "the audit log can't be written, and misses this" in caplog.text
    assert "acme" in caplog.text


def test_who_does_something_on_the_machine_itself_is_its_user(monkeypatch):
    monkeypatch.setenv("LOGNAME", "ann")
    assert local_user() == "local ann"


def test_a_user_without_a_name_is_a_number(monkeypatch):
    def nobody():
        raise KeyError("uid not found")

    monkeypatch.setattr("getpass.getuser", nobody)
    monkeypatch.setattr("os.getuid", lambda: 4711)
    assert local_user() == "local 4711"
