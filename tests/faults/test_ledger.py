"""The checker of what was acknowledged, held to made-up histories: it must see each kind of violation, and no other."""

import json
from contextlib import closing
from urllib.parse import parse_qs, urlsplit

import pytest

from support.ledger import HIDE, Ledger, body_of, check, drain, read
from support.load import QUEUES, load
from support.process import leveret
from support.web import Answer, Client, eventually

Q = "q"


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def short_body(queue, id):
    return f"{queue}/{id}".encode()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def ledger(clock):
    return Ledger(short_body, clock)


def there(*ids, hide=(), bodies=None, listed=None):
    """A server that has these messages in the queue, in this order."""

    def ask(method, path, body=None):
        url = urlsplit(path)
        if url.path == "/v1.0/faults":
            names = listed if listed is not None else [Q] * bool(ids)
            return Answer(200 if names else 404, {}, json.dumps(names).encode())
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        assert (query["match_hidden"], query["detail"]) == ("true", "all")
        start = ids.index(query["marker"]) + 1 if "marker" in query else 0
        found = [
            {"id": id, "hide": 7 if id in hide else 0, "body": (bodies or {}).get(id, f"{Q}/{id}")}
            for id in ids[start : start + int(query["limit"])]
        ]
        return Answer(200 if found else 404, {}, json.dumps(found).encode())

    return ask


def put(ledger, *ids):
    for id in ids:
        ledger.begin_put(Q, id)
        ledger.end_put(Q, id, 201)


def delete(ledger, id, status=204):
    ledger.begin_delete(Q, id)
    ledger.end_delete(Q, id, status)


def claim(ledger, id, body=None):
    began = ledger.begin_claim(Q)
    message = {"id": id, "hide": HIDE, "body": body or f"{Q}/{id}"}
    ledger.end_claim(Q, began, Answer(200, {}, json.dumps([message]).encode()))


# What is as it must be, or as it may be.


def test_all_is_well(ledger):
    put(ledger, "0.1", "0.2", "0.3", "1.1")
    delete(ledger, "0.2")
    claim(ledger, "0.1")
    assert check(ledger, there("0.1", "0.3", "1.1", hide=["0.1"])) == []


def test_more_than_a_page_is_read(ledger):
    ids = [f"0.{number}" for number in range(201)]
    put(ledger, *ids)
    assert check(ledger, there(*ids)) == []


@pytest.mark.parametrize("now_there", [["0.1"], []])
def test_a_put_without_an_answer_may_have_happened_or_not(ledger, now_there):
    ledger.begin_put(Q, "0.1")
    assert check(ledger, there(*now_there)) == []


@pytest.mark.parametrize("now_there", [["0.1"], []])
def test_a_put_that_the_server_failed_to_do_may_have_happened_or_not(ledger, now_there):
    ledger.begin_put(Q, "0.1")
    ledger.end_put(Q, "0.1", 503)
    assert check(ledger, there(*now_there)) == []


@pytest.mark.parametrize("now_there", [["0.1"], []])
def test_a_delete_without_an_answer_may_have_happened_or_not(ledger, now_there):
    put(ledger, "0.1")
    ledger.begin_delete(Q, "0.1")
    assert check(ledger, there(*now_there)) == []


@pytest.mark.parametrize("hidden", [["0.1"], ["0.2"], []])
def test_a_claim_without_an_answer_may_have_hidden_one(ledger, hidden):
    put(ledger, "0.1", "0.2")
    ledger.begin_claim(Q)
    assert check(ledger, there("0.1", "0.2", hide=hidden)) == []


@pytest.mark.parametrize("order", [["0.1", "1.1"], ["1.1", "0.1"]])
def test_what_was_put_at_the_same_time_may_be_in_either_order(ledger, order):
    for id in ["0.1", "1.1"]:
        ledger.begin_put(Q, id)
    for id in ["0.1", "1.1"]:
        ledger.end_put(Q, id, 201)
    assert check(ledger, there(*order)) == []


def test_a_claim_that_has_run_out_hides_no_more(ledger, clock):
    put(ledger, "0.1")
    claim(ledger, "0.1")
    clock.now += HIDE
    claim(ledger, "0.1")
    clock.now += HIDE
    assert check(ledger, there("0.1")) == []


def test_of_two_deletes_one_finds_nothing(ledger):
    put(ledger, "0.1")
    ledger.begin_delete(Q, "0.1")
    delete(ledger, "0.1", 404)
    ledger.end_delete(Q, "0.1", 204)
    assert check(ledger, there()) == []


# The kinds of violation.


def test_a_put_is_missing(ledger):
    put(ledger, "0.1", "0.2")
    assert check(ledger, there("0.1")) == ["0.2 in q is missing: its PUT was acknowledged, and nobody deleted it"]


def test_a_put_that_was_seen_by_a_claim_is_missing(ledger):
    ledger.begin_put(Q, "0.1")
    claim(ledger, "0.1")
    assert check(ledger, there()) == ["0.1 in q is missing: its PUT was acknowledged, and nobody deleted it"]


def test_a_delete_has_come_back(ledger):
    put(ledger, "0.1")
    delete(ledger, "0.1")
    assert check(ledger, there("0.1")) == ["0.1 in q has come back: its DELETE was acknowledged"]


def test_a_delete_that_another_client_saw_has_come_back(ledger):
    put(ledger, "0.1")
    ledger.begin_delete(Q, "0.1")
    delete(ledger, "0.1", 404)
    assert check(ledger, there("0.1")) == ["0.1 in q has come back: its DELETE was acknowledged"]


def test_a_claimed_message_is_visible(ledger):
    put(ledger, "0.1")
    claim(ledger, "0.1")
    assert check(ledger, there("0.1")) == ["0.1 in q is visible: an acknowledged claim hides it for 600 s"]


def test_a_body_is_not_intact(ledger):
    put(ledger, "0.1")
    assert check(ledger, there("0.1", bodies={"0.1": "q/0."})) == [
        "the body of 0.1 in q isn't intact: 4 bytes, b'q/0.'"
    ]


def test_something_was_never_sent(ledger):
    put(ledger, "0.1")
    assert check(ledger, there("0.1", "0.2")) == ["0.2 in q is there, and was never sent"]


def test_a_queue_has_what_was_never_sent(ledger):
    assert check(ledger, there("0.1")) == ["0.1 in q is there, and was never sent"]


def test_a_refused_put_is_there(ledger):
    ledger.begin_put(Q, "0.1")
    ledger.end_put(Q, "0.1", 507)
    assert check(ledger, there("0.1")) == ["0.1 in q is there, and its PUT was refused"]


def test_a_writers_messages_are_out_of_order(ledger):
    put(ledger, "0.1", "0.2")
    assert check(ledger, there("0.2", "0.1")) == [
        "0.1 in q comes after 0.2, which was put when it had been acknowledged"
    ]


def test_an_unanswered_put_comes_before_an_earlier_one(ledger):
    put(ledger, "0.1")
    ledger.begin_put(Q, "0.2")
    assert check(ledger, there("0.2", "0.1")) == [
        "0.1 in q comes after 0.2, which was put when it had been acknowledged"
    ]


def test_a_message_is_there_twice(ledger):
    put(ledger, "0.1")
    assert check(ledger, there("0.1", "0.1")) == ["0.1 in q is there 2 times"]


def test_more_are_hidden_than_were_claimed(ledger):
    put(ledger, "0.1", "0.2")
    ledger.begin_claim(Q)
    assert check(ledger, there("0.1", "0.2", hide=["0.1", "0.2"])) == [
        "0.1, 0.2 in q are hidden, and only 1 claims can have done so"
    ]


def test_an_early_one_is_lost_and_a_later_one_is_not(ledger):
    put(ledger, "0.1", "1.1")
    loss = "0.1 in q is missing: its PUT was acknowledged, and nobody deleted it"
    assert check(ledger, there("1.1")) == [
        loss,
        f"1.1 in q is there, and was put when that which is lost had been acknowledged: {loss}",
    ]


def test_only_the_last_are_lost_which_is_consistent(ledger):
    put(ledger, "0.1", "1.1")
    claim(ledger, "0.1")
    delete(ledger, "0.1")
    seen = read(ledger, there("0.1"))
    assert ledger.inconsistencies(seen) == []
    assert len(ledger.losses(seen)) == 2


def test_the_list_of_queues_lacks_one(ledger):
    put(ledger, "0.1")
    assert check(ledger, there("0.1", listed=[])) == ["['q'] have messages, and listed are []"]


def test_the_list_of_queues_has_an_empty_one(ledger):
    assert check(ledger, there(listed=["other"])) == ["[] have messages, and listed are ['other']"]


# Answers that are violations already.


def test_a_message_is_handed_out_twice(ledger):
    put(ledger, "0.1")
    claim(ledger, "0.1")
    claim(ledger, "0.1")
    assert check(ledger, there("0.1", hide=["0.1"])) == ["0.1 in q was handed out twice"]


def test_something_is_handed_out_that_was_never_sent(ledger):
    claim(ledger, "0.1")
    assert check(ledger, there()) == ["0.1 in q was handed out, and can't be there"]


def test_a_spoiled_body_is_handed_out(ledger):
    put(ledger, "0.1")
    claim(ledger, "0.1", body="q/0.2")
    assert check(ledger, there("0.1", hide=["0.1"])) == [
        "0.1 in q was handed out, and its body isn't intact: 5 bytes, b'q/0.2'"
    ]


def test_a_delete_finds_nothing(ledger):
    put(ledger, "0.1")
    delete(ledger, "0.1", 404)
    assert check(ledger, there()) == ["0.1 in q: its DELETE found nothing, though nobody else deleted it"]


def test_a_message_is_deleted_twice(ledger):
    put(ledger, "0.1")
    delete(ledger, "0.1")
    delete(ledger, "0.1")
    assert check(ledger, there()) == ["0.1 in q: two DELETEs were told that they deleted it"]


def test_the_first_put_finds_something(ledger):
    ledger.begin_put(Q, "0.1")
    ledger.end_put(Q, "0.1", 204)
    assert check(ledger, there()) == ["0.1 in q: its PUT, the first, was answered with 204"]


# From a check on, what was unknown is known.


def test_what_was_found_must_stay(ledger):
    ledger.begin_put(Q, "0.1")
    put(ledger, "0.2", "0.3")
    ledger.begin_delete(Q, "0.2")
    ledger.begin_claim(Q)
    assert check(ledger, there("0.1", "0.2", "0.3", hide=["0.3"])) == []
    assert ledger.losses(read(ledger, there("0.3"))) == [
        "0.1 in q is missing: its PUT was acknowledged, and nobody deleted it",
        "0.2 in q is missing: its PUT was acknowledged, and nobody deleted it",
        "0.3 in q is visible: an acknowledged claim hides it for 600 s",
    ]


@pytest.mark.parametrize("fate", ["an unknown PUT", "an unknown DELETE", "a DELETE", "a loss"])
def test_what_had_gone_must_not_come_back(ledger, fate):
    ledger.begin_put(Q, "0.1")
    if fate != "an unknown PUT":
        ledger.end_put(Q, "0.1", 201)
    if "DELETE" in fate:
        ledger.begin_delete(Q, "0.1")
    if fate == "a DELETE":
        ledger.end_delete(Q, "0.1", 204)
    assert len(check(ledger, there())) == (fate == "a loss")
    assert check(ledger, there("0.1")) == ["0.1 in q has come back: it had gone"]


# The load.


def test_bodies_are_of_all_kinds():
    bodies = [body_of(Q, f"0.{number}") for number in range(1000)]
    assert min(map(len, bodies)) < 10
    assert max(map(len, bodies)) > 8192
    assert not all(body.isascii() for body in bodies)


def test_a_server_that_loses_nothing_passes():
    """The load does what it says, and neither it nor the checker sees violations where there are none."""
    ledger = Ledger()
    with leveret("--store", "memory://") as server, closing(Client(server.port)) as client:
        for _ in range(2):
            with load(ledger, server.port, 500) as running:
                running.wait()
            assert check(ledger, client) == []
        drain(ledger, client, QUEUES[0])
        seen = read(ledger, client)
        assert seen[QUEUES[0]] == []
        assert all(seen[queue] for queue in QUEUES[1:])
        assert check(ledger, client) == []


def test_what_is_acknowledged_when_nothing_can_be_stored_is_a_violation():
    ledger = Ledger()
    with leveret("--store", "memory://") as server, load(ledger, server.port, 100) as running:
        running.wait()
        with running.dying():
            assert ledger.surprises == []
        eventually(lambda: ledger.surprises)
        assert ledger.surprises[0].endswith(" came for a request that was made when nothing could be stored")
