"""What the loads say, fed whole, byte by byte, and with what the server must never say."""

from __future__ import annotations

import json

import pytest

from bench.peers import talk_beanstalkd, talk_http, talk_nats, talk_redis, talks
from bench.peers.talks import BODY, Talk, Unexpected


def feed(talk: Talk, data: bytes, size: int) -> tuple[bytes, int]:
    """All that it answers, and how many messages are done."""
    sent, done = b"", 0
    for at in range(0, len(data), size):
        answer, number = talk.answered(data[at : at + size])
        sent, done = sent + answer, done + number
    return sent, done


SIZES = pytest.mark.parametrize("size", [1, 7, 100_000])


@SIZES
class TestBeanstalkd:
    def test_the_next_job_is_put_when_the_last_is_stored(self, size: int) -> None:
        talk = talk_beanstalkd.Put(0)
        assert feed(talk, b"INSERTED 12\r\n", size) == (talk.first(), 1)

    def test_a_job_that_is_refused_is_no_success(self, size: int) -> None:
        with pytest.raises(Unexpected):
            feed(talk_beanstalkd.Put(0), b"OUT_OF_MEMORY\r\n", size)

    def test_a_reserved_job_is_deleted_and_the_next_one_reserved(self, size: int) -> None:
        talk = talk_beanstalkd.Take(0)
        assert feed(talk, b"RESERVED 7 %d\r\n%s\r\n" % (len(BODY), BODY), size) == (b"delete 7\r\n", 0)
        assert feed(talk, b"DELETED\r\n", size) == (talk.first(), 1)

    def test_an_empty_tube_ends_the_talk(self, size: int) -> None:
        assert feed(talk_beanstalkd.Take(0), b"TIMED_OUT\r\n", size) == (b"", 0)

    def test_a_job_that_vanished_is_no_success(self, size: int) -> None:
        with pytest.raises(Unexpected):
            feed(talk_beanstalkd.Take(0), b"NOT_FOUND\r\n", size)


@SIZES
class TestRedis:
    def test_what_was_moved_is_removed_and_the_next_one_moved(self, size: int) -> None:
        talk = talk_redis.Take(3, "jobs")
        sent, done = feed(talk, b"$%d\r\n%s\r\n" % (len(BODY), BODY), size)
        assert (sent[:24], done) == (b"*4\r\n$4\r\nLREM\r\n$6\r\nbusy:3", 0)
        assert feed(talk, b":1\r\n", size) == (talk.first(), 1)

    def test_an_empty_list_ends_the_talk(self, size: int) -> None:
        assert feed(talk_redis.Take(0, "jobs"), b"$-1\r\n", size) == (b"", 0)

    def test_an_error_is_no_success(self, size: int) -> None:
        with pytest.raises(Unexpected):
            feed(talk_redis.Take(0, "jobs"), b"-OOM\r\n", size)


def http(body: bytes, status: str = "200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


@SIZES
class TestHttp:
    def test_a_claimed_message_is_deleted_with_its_receipt(self, size: int) -> None:
        talk = talk_http.Leveret(0, "/v1.1/a/q")
        sent, done = feed(talk, http(json.dumps([{"id": "m1", "receipt": "r1"}]).encode()), size)
        assert (sent.split(b"\r\n")[0], done) == (b"DELETE /v1.1/a/q/m1?receipt=r1 HTTP/1.1", 0)
        assert feed(talk, http(b"", "204 No Content"), size) == (talk.first(), 1)

    def test_an_empty_queue_ends_the_talk(self, size: int) -> None:
        assert feed(talk_http.Leveret(0, "/v1.1/a/q"), http(b"{}", "404 Not Found"), size) == (b"", 0)

    def test_a_message_that_was_not_deleted_is_no_success(self, size: int) -> None:
        talk = talk_http.Leveret(0, "/v1.1/a/q")
        feed(talk, http(json.dumps([{"id": "m1", "receipt": "r1"}]).encode()), size)
        with pytest.raises(Unexpected):
            feed(talk, http(b"{}", "404 Not Found"), size)

    def test_an_sqs_message_is_deleted_on_the_next_connection(self, size: int) -> None:
        talk = talk_http.Sqs(0, "http://h/jobs")
        receive = talk.first()
        assert feed(talk, http(json.dumps({"Messages": [{"ReceiptHandle": "r1"}]}).encode()), size) == (b"", 0)
        assert b"AmazonSQS.DeleteMessage" in talk.first()
        assert feed(talk, http(b"{}"), size) == (b"", 1)
        assert talk.first() == receive


@SIZES
class TestNats:
    def test_the_next_message_is_published_when_the_last_is_stored(self, size: int) -> None:
        talk = talk_nats.Put(0)
        answer = b'{"stream":"BENCH","seq":1}'
        data = b"PING\r\nMSG %s 1 %d\r\n%s\r\n" % (talk.inbox.encode(), len(answer), answer)
        assert feed(talk, data, size) == (talk.first(), 1)

    def test_a_message_that_is_refused_is_no_success(self, size: int) -> None:
        answer = b'{"error":{"code":503}}'
        with pytest.raises(Unexpected):
            feed(talk_nats.Put(0), b"MSG inbox 1 %d\r\n%s\r\n" % (len(answer), answer), size)

    def test_each_message_is_acknowledged_where_it_says(self, size: int) -> None:
        data = b"MSG bench.jobs 1 $JS.ACK.%d 3\r\nabc\r\n"
        assert feed(talk_nats.Take(0), data % 1 + data % 2, size) == (
            b"PUB $JS.ACK.1 4\r\n+ACK\r\nPUB $JS.ACK.2 4\r\n+ACK\r\n",
            2,
        )

    def test_more_are_fetched_when_all_have_come(self, size: int) -> None:
        talk = talk_nats.Take(0)
        sent, done = feed(talk, b"MSG bench.jobs 1 $JS.ACK.1 3\r\nabc\r\n" * 64, size)
        assert done == 64
        assert sent.endswith(talk.first())

    def test_a_status_is_no_message(self, size: int) -> None:
        head = b"NATS/1.0 408 Request Timeout\r\n\r\n"
        data = b"HMSG inbox 1 %d %d\r\n%s\r\n" % (len(head), len(head), head)
        assert feed(talk_nats.Take(0), data, size) == (b"", 0)


def test_a_talk_is_found_by_its_name() -> None:
    assert talks.named("talk_beanstalkd:Put") is talk_beanstalkd.Put
