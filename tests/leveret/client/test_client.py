"""Queues in a program that may wait: the same for every URL, whether a server is between or not."""

import signal
import threading
from datetime import UTC, datetime, timedelta

import pytest

from leveret import connect
from leveret.client import (
    BadRequest,
    ClientClosed,
    Draft,
    Exists,
    InvalidName,
    LeaseLost,
    Outcome,
    Policy,
    QueueFull,
    TooLarge,
)
from support.web import PATIENCE


def bodies(messages):
    return [message.body for message in messages]


def test_what_is_put_is_there_in_order(queue):
    assert queue.put(b"\0\xfffirst", id="1") == "1"
    queue.put("zweitè", id="2")
    assert [(each.id, each.body) for each in queue.messages()] == [("1", b"\0\xfffirst"), ("2", "zweitè".encode())]
    assert queue.get("1").body == b"\0\xfffirst"
    assert queue.get("3") is None


def test_names_are_any_that_may_be(client, account):
    queue = client.queue(account, "äöü %2F?&=+ #")
    queue.put("x", id="%41è ?")
    assert bodies([queue.get("%41è ?")]) == [b"x"]
    assert list(client.queues(account)) == ["äöü %2F?&=+ #"]
    assert queue.delete("%41è ?")


def test_a_message_says_what_it_is(queue):
    queue.put('{"a": 1}', id="1", ttl=30, content_type="application/json", headers={"Trace": "abc ü", "x-y": ""})
    message = queue.get("1")
    assert (message.json(), message.text, message.content_type) == ({"a": 1}, '{"a": 1}', "application/json")
    assert dict(message.headers) == {"Trace": "abc ü", "x-y": ""}
    assert (message.ttl, message.hide, message.deliveries, message.receipt) == (30, 0, 0, None)
    assert abs(datetime.now(UTC) - message.created) < timedelta(seconds=PATIENCE)


def test_ids_that_are_given_are_unique_and_in_order_of_time(queue):
    ids = [queue.put(b"") for _ in range(50)]
    assert len(set(ids)) == 50
    assert [id[:12] for id in ids] == sorted(id[:12] for id in ids)


def test_what_is_to_be_new_replaces_nothing(queue):
    queue.put("old", id="1")
    with pytest.raises(Exists):
        queue.put("new", id="1", only_new=True)
    assert queue.get("1").body == b"old"
    queue.put("new", id="1")
    assert queue.get("1").body == b"new"


def test_many_are_put_in_order_whatever_they_are(queue):
    drafts = [b"\xff", "zwei", Draft("drei", id="3", ttl=60, hide=50, content_type="text/plain", headers={"n": "3"})]
    ids = queue.put_many(drafts)
    assert ids[2] == "3"
    assert [message.id for message in queue.messages(hidden=True)] == ids
    assert bodies(queue.messages()) == [b"\xff", b"zwei"]
    third = queue.get("3")
    assert (third.ttl, third.hide, third.content_type, dict(third.headers)) == (60, 50, "text/plain", {"n": "3"})


def test_more_than_a_request_takes_are_put_and_read_and_deleted_page_by_page(queue):
    ids = queue.put_many(str(number) for number in range(2100))
    assert bodies(queue.messages()) == [str(number).encode() for number in range(2100)]
    assert [message.id for message in queue.messages(1500)] == ids[:1500]
    assert [message.id for message in queue.get_many(ids)] == ids
    assert queue.delete_many([*ids[:1200], "none"]) == [Outcome.DONE] * 1200 + [Outcome.GONE]
    assert queue.stats().messages == 900
    assert queue.purge()


def test_messages_are_read_after_a_marker_and_the_other_way_round(queue):
    queue.put_many([*"1234"])
    second = list(queue.messages())[1]
    queue.delete(second.id)
    assert bodies(queue.messages(after=second.marker)) == [b"3", b"4"]
    assert bodies(queue.messages(2, newest_first=True)) == [b"4", b"3"]
    assert list(queue.messages(0)) == []


def test_attributes_are_seconds(queue):
    queue.put("", id="1", ttl=30, hide=20)
    assert list(queue.messages()) == []
    (message,) = queue.messages(hidden=True)
    assert (message.ttl, message.hide) == (30, 20)
    assert queue.change("1", hide=0).hide == 0
    assert len(list(queue.messages(limit=1))) == 1
    assert queue.change("none", ttl=5) is None


@pytest.mark.parametrize("given", [{"ttl": -1}, {"hide": 0.5}, {"ttl": "5"}, {"hide": 2**31}])
def test_seconds_are_checked(queue, given):
    with pytest.raises(ValueError, match="a whole number from 0 to"):
        queue.put("", **given)
    with pytest.raises(ValueError, match="a whole number from 1"):
        queue.claim(seconds=0)


@pytest.mark.parametrize("body", [None, 7, {"a": 1}])
def test_a_body_is_bytes_or_text(queue, body):
    with pytest.raises(TypeError, match="a body is bytes, or text"):
        queue.put(body)
    assert list(queue.messages()) == []


@pytest.mark.parametrize("headers", [{"a b": "c"}, {"": "c"}, {"a": "b\r\nc"}, {"a": " b"}])
def test_headers_that_can_not_be_sent_are_refused(queue, headers):
    with pytest.raises(ValueError, match="header"):
        queue.put("", headers=headers)


def test_names_are_checked_before_anything_is_asked(client, queue):
    with pytest.raises(InvalidName, match="account name"):
        client.queue("", "q")
    with pytest.raises(InvalidName, match="account name"):
        client.queues("a/b")
    with pytest.raises(InvalidName, match="message name"):
        queue.put("", id="a/b")
    with pytest.raises(InvalidName, match="message name"):
        queue.put_many([Draft("", id="..")])


def test_a_message_that_is_too_large_is_refused(queue):
    with pytest.raises(TooLarge) as caught:
        queue.put(bytes(2 << 20))
    assert caught.value.status == 413


def test_a_request_that_is_wrong_says_what_is(queue):
    with pytest.raises(BadRequest, match="marker") as caught:
        list(queue.messages(after="nonsense!"))
    assert (caught.value.status, caught.value.code, str(caught.value)) == (
        400,
        "bad-parameter",
        caught.value.detail,
    )


def test_pop_takes_the_first_and_deletes_it(queue):
    queue.put_many([*"12345"])
    assert [queue.pop().body, queue.pop().body] == [b"1", b"2"]
    assert bodies(queue.pop_many(2)) == [b"3", b"4"]
    assert [queue.pop().body, queue.pop(), queue.pop_many(9)] == [b"5", None, []]


def test_delete_says_whether_it_was_there(queue):
    queue.put("", id="1")
    assert queue.delete("1")
    assert not queue.delete("1")


def test_a_receipt_keeps_others_from_what_is_leased(queue):
    queue.put_many([Draft("", id="1"), Draft("", id="2")])
    first, second = (queue.claim(keep=False).message.receipt for _ in range(2))
    assert queue.extend("1", 100, first).hide == 100
    newer = queue.change("1", hide=50).receipt
    with pytest.raises(LeaseLost):
        queue.delete("1", first)
    with pytest.raises(LeaseLost):
        queue.extend("1", 100, first)
    assert queue.extend("none", 100, first) is None
    assert queue.delete_many(["1", "2", "3"], [first, second, first]) == ["held", "done", "gone"]
    assert queue.delete("1", newer)


def test_receipts_are_as_many_as_ids(queue):
    with pytest.raises(ValueError, match="2 ids and 1 receipts"):
        queue.delete_many(["1", "2"], ["r"])


def test_queues_are_seen_in_numbers(client, queue, account):
    assert queue.stats() is None
    queue.put_many(["a", "bcd", Draft("", hide=60)])
    client.queue(account, "other").put("")
    stats = queue.stats()
    assert (stats.name, stats.messages, stats.visible, stats.hidden, stats.bytes) == ("jobs", 3, 2, 1, 4)
    assert (stats.policy, stats.dropped) == (Policy(), 0)
    assert 0 <= stats.oldest < PATIENCE
    assert [each.name for each in client.queue_stats(account)] == ["jobs", "other"]
    assert [each.name for each in client.queue_stats(account, ["other", "none"])] == ["other"]


def test_a_policy_is_set_member_by_member(queue):
    assert queue.policy() == Policy()
    queue.set_policy(default_ttl=7, max_messages=1)
    assert queue.set_policy(max_messages=None, max_deliveries=3) == Policy(default_ttl=7, max_deliveries=3)
    queue.put("", id="1")
    assert queue.get("1").ttl == 7
    queue.remove_policy()
    assert queue.policy() == Policy()
    with pytest.raises(BadRequest, match="nonsense"):
        queue.set_policy(nonsense=1)


def test_a_full_queue_says_so(queue):
    queue.set_policy(max_messages=1)
    queue.put("1")
    with pytest.raises(QueueFull):
        queue.put("2")
    with pytest.raises(QueueFull):
        queue.put_many([*"23"])
    assert bodies(queue.messages()) == [b"1"]


def test_purge_deletes_all_of_a_queue_and_delete_account_all_queues(client, queue, account):
    queue.put_many(["1", Draft("2", hide=60)])
    other = client.queue(account, "other")
    other.put("")
    assert queue.purge()
    assert not queue.purge()
    assert list(client.queues(account)) == ["other"]
    assert client.delete_account(account)
    assert not client.delete_account(account)
    assert other.stats() is None


def test_accounts_and_queues_are_those_with_messages(client, account):
    for name in "21":
        client.queue(account, name).put("")
    assert account in list(client.accounts())
    assert list(client.queues(account)) == ["2", "1"]
    client.delete_account(account)
    assert account not in list(client.accounts())


def test_the_versions_are_those_of_the_service(client):
    assert client.versions() == ["v1.0", "v1.1"]


def test_follow_sees_what_is_there_and_what_comes_hidden_or_not(queue):
    queue.put("1")
    queue.put("2")
    queue.claim(keep=False)
    following = queue.follow()
    seen = [next(following), next(following)]
    assert bodies(seen) == [b"1", b"2"]
    timer = threading.Timer(0.05, queue.put, ["3"])
    timer.start()
    assert next(following).body == b"3"
    timer.join()
    assert next(queue.follow(seen[0].marker)).body == b"2"
    assert next(queue.follow(hidden=False)).body == b"2"


@pytest.mark.parametrize("take", ["claim", "pop"])
def test_waiting_ends_with_a_message(queue, take):
    timer = threading.Timer(0.05, queue.put, ["late"])
    timer.start()
    assert getattr(queue, take)(wait=60).body == b"late"
    timer.join()


def test_waiting_ends_without_one():
    with connect("memory://") as client:
        assert client.queue("acme", "jobs").pop(wait=1) is None


def test_who_is_interrupted_takes_nothing(queue):
    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt):
            queue.claim(wait=60)
    finally:
        signal.signal(signal.SIGALRM, before)
    queue.put("precious")
    assert queue.claim(keep=False).deliveries == 1


def test_closing_ends_what_waits(client, queue):
    ended = []
    asked = threading.Event()

    def wait():
        asked.set()
        try:
            queue.claim(wait=60)
        except ClientClosed as error:
            ended.append(str(error))

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert asked.wait(PATIENCE)
    client.close()
    waiting.join(PATIENCE)
    assert ended == ["the client is closed"]


def test_a_closed_client_says_so(client, queue):
    client.close()
    client.close()
    with pytest.raises(ClientClosed):
        queue.put("")


def test_any_thread_may_use_a_client(queue):
    threads = [threading.Thread(target=queue.put_many, args=([str(number)] * 20,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert queue.stats().messages == 160
