"""What is repeated and what is not, after which pauses, and what becomes of answers that are none."""

import pickle

import pytest

from leveret.client import (
    AccountFull,
    Exists,
    Forbidden,
    LeaseLost,
    LeveretError,
    Outcome,
    ServerFailed,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from leveret.client.calls import Reply, Retry, Unanswered, Unsent, Untrusted
from leveret.client.client import Client
from support.scripted import Scripted, found, problem, reply, scripted

GONE = problem(404, "no-such-message")
NOTHING = problem(404, "no-match")

SAFE = {
    "put": (lambda queue: queue.put("", id="1"), reply(201), "1"),
    "put_many": (lambda queue: queue.put_many(["x"]), reply(201, ["1"]), ["1"]),
    "get": (lambda queue: queue.get("1"), GONE, None),
    "delete": (lambda queue: queue.delete("1"), reply(204), True),
    "delete_many": (lambda queue: queue.delete_many(["1"]), reply(200, [{"id": "1", "status": "done"}]), ["done"]),
    "change": (lambda queue: queue.change("1", ttl=5), GONE, None),
    "extend": (lambda queue: queue.extend("1", 5, "r"), GONE, None),
    "messages": (lambda queue: list(queue.messages()), NOTHING, []),
    "policy": (lambda queue: queue.policy().max_bytes, reply(200, {}), None),
}
UNSAFE = {
    "claim": lambda queue: queue.claim(),
    "pop": lambda queue: queue.pop(),
    "purge": lambda queue: queue.purge(),
    "put of what is to be new": lambda queue: queue.put("", id="1", only_new=True),
    "hide": lambda queue: queue.change("1", hide=5),
}


def jobs(client):
    return client.queue("acme", "jobs")


@pytest.mark.parametrize("what", SAFE)
@pytest.mark.parametrize("trouble", [Unanswered("no answer"), problem(503, "store-failed"), problem(507, "full")])
def test_what_is_safe_is_repeated(what, trouble):
    act, answer, value = SAFE[what]
    client, transport, pauses = scripted(trouble, trouble, answer)
    assert act(jobs(client)) == value
    assert len(set(transport.asked)) == 1
    assert pauses == [0.1, 0.2]


@pytest.mark.parametrize("what", UNSAFE)
@pytest.mark.parametrize("trouble", [Unanswered("no answer"), problem(503, "store-failed")])
def test_what_is_not_is_not_repeated_once_it_may_have_been_received(what, trouble):
    client, _, pauses = scripted(trouble)
    with pytest.raises(Unavailable):
        UNSAFE[what](jobs(client))
    assert pauses == []


@pytest.mark.parametrize("act", [*UNSAFE.values(), *(act for act, _, _ in SAFE.values())])
def test_what_was_never_received_is_repeated_whatever_it_is(act):
    client, _, pauses = scripted(*[Unsent("no way there")] * 4)
    with pytest.raises(Unavailable, match="no way there") as caught:
        act(jobs(client))
    assert (caught.value.code, caught.value.status) == ("unreachable", None)
    assert pauses == [0.1, 0.2, 0.4]


def test_a_service_may_say_when_it_is_to_be_asked_again():
    client, _, pauses = scripted(problem(503, "x", retry_after="7"), problem(429, "x", retry_after="soon"), GONE)
    assert jobs(client).get("1") is None
    assert pauses == [7, 0.2]


@pytest.mark.parametrize("act", [*UNSAFE.values(), *(act for act, _, _ in SAFE.values())])
@pytest.mark.parametrize(
    "refusal",
    [problem(401, "unauthenticated"), problem(403, "forbidden"), problem(429, "account-full"), Untrusted("not it")],
)
def test_what_will_be_refused_again_is_not_repeated(act, refusal):
    client, _, pauses = scripted(refusal)
    with pytest.raises((Unauthorized, Forbidden, AccountFull, Unavailable)):
        act(jobs(client))
    assert pauses == []


class TestTooMany:
    """What the service did nothing of, since there were too many requests."""

    @staticmethod
    def too_many(seconds=None):
        return problem(429, "too-many-requests", **({} if seconds is None else {"retry_after": str(seconds)}))

    @pytest.mark.parametrize("act", [*UNSAFE.values(), *(act for act, _, _ in SAFE.values())])
    def test_it_is_repeated_whatever_it_is_when_the_service_says(self, act):
        client, _, pauses = scripted(*[self.too_many(7)] * 4)
        with pytest.raises(TooManyRequests, match="it is too-many-requests") as caught:
            act(jobs(client))
        assert pauses == [7, 7, 7]
        assert (caught.value.status, caught.value.retry_after) == (429, 7)

    def test_where_the_service_does_not_say_it_is_repeated_as_other_things_are(self):
        client, _, pauses = scripted(*[self.too_many()] * 4)
        with pytest.raises(TooManyRequests) as caught:
            jobs(client).claim()
        assert (pauses, caught.value.retry_after) == ([0.1, 0.2, 0.4], None)

    @pytest.mark.parametrize(("asked", "pauses"), [([31], []), ([30, 1], [30]), ([10, 10, 11], [10, 10])])
    def test_a_call_waits_no_longer_for_that_than_for_an_answer(self, asked, pauses):
        client, _, waited = scripted(*map(self.too_many, asked))
        with pytest.raises(TooManyRequests) as caught:
            jobs(client).put("x")
        assert (waited, caught.value.retry_after) == (pauses, asked[-1])

    def test_a_longer_timeout_is_more_patience(self):
        transport, pauses = Scripted(self.too_many(100), GONE), []
        client = Client(transport, Retry(patience=120), pauses.append)
        assert jobs(client).get("1") is None
        assert pauses == [100]

    def test_it_was_not_received_and_so_not_done_by_the_first(self):
        client, _, _ = scripted(self.too_many(1), GONE)
        assert not jobs(client).delete("1")

    def test_a_follower_waits_for_as_long_as_the_service_says(self):
        client, _, pauses = scripted(self.too_many(50), self.too_many(9_000_000), reply(200, [found("1")]))
        assert next(jobs(client).follow()).id == "1"
        assert pauses == [50, 3600]

    def test_who_claims_without_an_end_does_too(self):
        client, _, pauses = scripted(self.too_many(50), reply(200, [found("1", receipt="r")]))
        assert next(jobs(client).claims()).id == "1"
        assert pauses == [50]

    def test_it_can_be_sent_to_another_process(self):
        error = pickle.loads(pickle.dumps(TooManyRequests("c", 429, "d", 5)))
        assert (type(error), error.code, error.retry_after) == (TooManyRequests, "c", 5)


def test_pauses_grow_to_a_limit_and_are_spread():
    retry = Retry(first=1.0, longest=30.0, spread=lambda: 0.0)
    assert [retry.pause(attempt).seconds for attempt in (0, 1, 4, 5, 99)] == [0.5, 1.0, 8.0, 15.0, 15.0]


def test_without_retries_the_first_trouble_is_told():
    client, _, pauses = scripted(problem(507, "store-full"), retries=0)
    with pytest.raises(Unavailable, match="it is store-full") as caught:
        jobs(client).put("")
    assert (caught.value.status, caught.value.code, pauses) == (507, "store-full", [])


def test_a_delete_that_was_repeated_and_finds_nothing_was_done_by_the_first():
    client, _, _ = scripted(Unanswered(""), GONE, GONE)
    assert jobs(client).delete("1")
    assert not jobs(client).delete("1")


def test_many_that_are_deleted_are_told_as_the_service_tells_them():
    client, _, _ = scripted(reply(200, [{"id": "1", "status": "held"}]))
    assert jobs(client).delete_many(["1"]) == [Outcome.HELD]


def test_many_whose_deletion_was_repeated_and_finds_nothing_were_done_by_the_first():
    answer = reply(200, [{"id": "1", "status": "gone"}, {"id": "2", "status": "held"}])
    client, _, _ = scripted(Unanswered("no answer"), answer, answer)
    assert jobs(client).delete_many(["1", "2"]) == [Outcome.DONE, Outcome.HELD]
    assert jobs(client).delete_many(["1", "2"]) == [Outcome.GONE, Outcome.HELD]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (problem(409, "lease-lost"), LeaseLost),
        (problem(412, "exists"), Exists),
        (problem(500, "internal"), ServerFailed),
        (problem(401, "unauthenticated"), Unauthorized),
        (problem(403, "forbidden"), Forbidden),
        (problem(429, "account-full"), AccountFull),
        (reply(302), LeveretError),
        (problem(404, "unknown-path"), LeveretError),
    ],
)
def test_refusals_are_told_by_their_kind(answer, kind):
    client, _, _ = scripted(answer)
    with pytest.raises(LeveretError) as caught:
        jobs(client).get("1")
    assert type(caught.value) is kind
    assert caught.value.status == answer.status
    assert str(caught.value) == caught.value.detail


def test_an_answer_of_what_is_between_is_told_as_it_is():
    client, _, _ = scripted(Reply(502, {}, b"<h1>Bad Gateway</h1>"), retries=0)
    with pytest.raises(Unavailable, match="the answer is 502: <h1>Bad Gateway") as caught:
        jobs(client).get("1")
    assert caught.value.code == "http-502"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"id":"1"}', b"7"])
def test_an_answer_that_is_none_of_leveret_is_told(body):
    client, _, _ = scripted(Reply(200, {}, body))
    with pytest.raises(ServerFailed, match="none of Leveret's REST"):
        jobs(client).get("1")


def test_errors_can_be_sent_to_another_process():
    error = pickle.loads(pickle.dumps(LeaseLost("lease-lost", 409, "it is")))
    assert (type(error), error.code, error.status, str(error)) == (LeaseLost, "lease-lost", 409, "it is")


def test_a_pause_ends_with_the_client():
    transport = Scripted(Unsent("no way there"))
    client = Client(transport, sleep=lambda seconds: client.close())
    with pytest.raises(LeveretError, match="the client is closed"):
        jobs(client).get("1")
    assert transport.closed


def test_bodies_are_read_and_written_as_text_or_base64():
    client, transport, _ = scripted(
        reply(200, [found("1", body={"base64": "/w=="}), found("2", body="ü")]), reply(201, ["1", "2"])
    )
    queue = jobs(client)
    assert [message.body for message in queue.messages()] == [b"\xff", "ü".encode()]
    queue.put_many([b"\xff", "ü".encode()])
    assert b'"body":{"base64":"/w=="}' in transport.calls[1].body
    assert '"body":"ü"'.encode() in transport.calls[1].body
