"""Which requests an operation makes: page by page, in parts that are not too large, and for ever."""

import itertools

import pytest

from leveret.client import ClientClosed, Draft, Unavailable
from leveret.client.calls import Unanswered, Unsent
from leveret.client.operations import MAX_BATCH, MAX_QUERY
from support.scripted import found, problem, reply, scripted

MORE = {"link": '</v1.1/a/q?x>; rel="next"'}
NOTHING = problem(404, "no-match")


def ids(messages):
    return [message.id for message in messages]


def test_messages_are_asked_for_while_more_may_follow():
    client, transport, _ = scripted(reply(200, [found("1"), found("2")], **MORE), reply(200, [found("3")]))
    assert ids(client.queue("a", "q").messages(hidden=True)) == ["1", "2", "3"]
    assert transport.asked == [
        "GET /v1.1/a/q?detail=all&limit=1000&match_hidden=true",
        "GET /v1.1/a/q?detail=all&limit=1000&after=m2&match_hidden=true",
    ]


def test_no_more_messages_are_asked_for_than_are_wanted():
    client, transport, _ = scripted(reply(200, [found("1")], **MORE), reply(200, [found("2")], **MORE))
    assert ids(client.queue("a", "q").messages(2, newest_first=True)) == ["1", "2"]
    assert transport.asked == [
        "GET /v1.1/a/q?detail=all&limit=2&order=lifo",
        "GET /v1.1/a/q?detail=all&limit=1&after=m1&order=lifo",
    ]


def test_a_page_is_asked_for_when_it_is_needed():
    client, transport, _ = scripted(reply(200, [found("1"), found("2")], **MORE))
    assert next(client.queue("a", "q").messages()).id == "1"
    assert len(transport.asked) == 1


def test_names_are_told_once_although_a_marker_that_vanished_begins_again():
    client, transport, _ = scripted(
        reply(200, ["a", "b"], **MORE), reply(200, ["a", "b", "c"], **MORE), reply(200, ["d"])
    )
    assert list(client.accounts()) == ["a", "b", "c", "d"]
    assert transport.asked[1] == "GET /v1.1?limit=1000&marker=b"


def test_names_end_where_a_page_says_nothing_new():
    client, _, _ = scripted(reply(200, ["a"], **MORE), reply(200, ["a"], **MORE))
    assert list(client.queues("x")) == ["a"]


def test_messages_are_put_in_requests_that_are_not_too_large():
    client, transport, _ = scripted(*[reply(201, ["x"])] * 3)
    client.queue("a", "q").put_many(["x" * 1_900_000, "y" * 1_900_000, "z" * 1_900_000, *"abc"])
    assert [call.body.count(b'"id"') for call in transport.calls] == [2, 4]
    assert all(len(call.body) < MAX_BATCH + 100 for call in transport.calls)


def test_a_message_that_fills_a_request_goes_alone():
    client, transport, _ = scripted(*[reply(201, ["x"])] * 3)
    client.queue("a", "q").put_many(["a", "x" * (5 << 20), "b"])
    assert [call.body.count(b'"id"') for call in transport.calls] == [1, 1, 1]


def test_nothing_to_put_or_to_read_asks_nothing():
    client, transport, _ = scripted()
    queue = client.queue("a", "q")
    assert [queue.put_many([]), queue.get_many([]), queue.delete_many([])] == [[], [], []]
    assert transport.asked == []


def test_a_draft_that_is_wrong_stops_the_request_that_it_is_in():
    client, transport, _ = scripted()
    with pytest.raises(ValueError, match="ttl is -1"):
        client.queue("a", "q").put_many(["a", Draft("", ttl=-1)])
    assert transport.asked == []


def test_ids_and_receipts_are_sent_in_requests_that_are_not_too_large():
    def done(call):
        return reply(200, [{"id": "x", "status": "done"}] * call.target.count("id="))

    client, transport, _ = scripted(*[done] * 12)
    queue = client.queue("a", "q")
    many = ["ü" * 127] * 20
    assert queue.delete_many(many, [f"r{number}" for number in range(20)]) == ["done"] * 20
    for call in transport.calls:
        assert len(call.target) < MAX_QUERY + 100
        assert call.target.count("id=") == call.target.count("receipt=")


def test_follow_goes_on_from_the_last_marker_whatever_happens_in_between():
    client, transport, pauses = scripted(
        reply(200, [found("1"), found("2")]),
        NOTHING,
        Unsent("gone"),
        Unanswered("gone"),
        problem(503, "store-failed"),
        reply(200, [found("3")]),
        retries=0,
    )
    following = client.queue("a", "q").follow("m0")
    assert ids(itertools.islice(following, 3)) == ["1", "2", "3"]
    first = "GET /v1.1/a/q?detail=all&limit=100&after={}&match_hidden=true&wait=20"
    assert transport.asked == [first.format("m0"), *[first.format("m2")] * 5]
    assert pauses == [1.0, 2.0, 4.0]
    assert {call.wait for call in transport.calls} == {20}


def test_follow_says_so_where_the_service_was_never_reached():
    client, _, _ = scripted(Unsent("no way there"), retries=0)
    with pytest.raises(Unavailable, match="no way there"):
        next(client.queue("a", "q").follow())


def test_follow_ends_with_the_client():
    client, _, _ = scripted(reply(200, [found("1")]), Unsent("gone"), retries=0)
    following = client.queue("a", "q").follow()
    next(following)
    client.close()
    with pytest.raises(ClientClosed):
        next(following)


def test_claims_go_on_when_the_service_is_away():
    client, transport, pauses = scripted(
        reply(200, [found("1", receipt="r")]), Unanswered("gone"), NOTHING, reply(200, [found("2", receipt="r")])
    )
    assert ids(itertools.islice(client.queue("a", "q").claims(30), 2)) == ["1", "2"]
    assert set(transport.asked) == {"POST /v1.1/a/q?limit=1&hide=30&wait=20&detail=all"}
    assert pauses == [1.0]


def test_claims_say_so_where_the_service_was_never_reached():
    client, _, _ = scripted(Unsent("no way there"), retries=0)
    with pytest.raises(Unavailable):
        next(client.queue("a", "q").claims())


def test_purge_goes_on_until_nothing_is_left():
    client, transport, _ = scripted(reply(204), reply(204), NOTHING)
    assert client.queue("a", "q").purge()
    assert transport.asked == ["DELETE /v1.1/a/q?match_hidden=true"] * 3


def test_all_queues_are_described_page_by_page():
    def queue(name):
        numbers = dict.fromkeys(("messages", "visible", "hidden", "bytes"), 1)
        return {"id": name, **numbers, "oldest": None, "policy": {}, "dropped": 2}

    client, transport, _ = scripted(reply(200, [queue("1")], **MORE), reply(200, [queue("2")]))
    assert [(stats.name, stats.dropped) for stats in client.queue_stats("a")] == [("1", 2), ("2", 2)]
    assert transport.asked == ["GET /v1.1/a?detail=all", "GET /v1.1/a?detail=all&marker=1"]
