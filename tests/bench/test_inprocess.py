"""The service fed without sockets: every request is answered, by what really serves."""

import pytest

from bench.inprocess import requests
from bench.inprocess.__main__ import accounts
from bench.inprocess.feeding import Fed, Unanswered, cpu, feed, rate
from bench.inprocess.requests import WORKLOADS, Place, Workload
from bench.inprocess.serving import serving
from leveret.store.sqlite.store import shard_of

PLACE = Place("account", "queue")


@pytest.mark.parametrize("name", WORKLOADS)
def test_every_workload_is_answered_with_success(name, tmp_path):
    with serving(folder=tmp_path) as server:
        assert feed(server, WORKLOADS[name], [PLACE], 30, connections=4, pending=False)[0].requests == 30


def test_a_store_that_answers_later_is_waited_for(tmp_path):
    with serving("sqlite", folder=tmp_path) as server:
        assert feed(server, WORKLOADS["mix"], [PLACE], 30, connections=1, pending=True)[0].requests == 30


def test_threads_can_share_a_queue(tmp_path):
    places = [Place("account", "queue", f"{owner}-") for owner in "ab"]
    with serving(threads=2, folder=tmp_path) as server:
        assert len(feed(server, WORKLOADS["mix"], places, 300, connections=4, pending=False)) == 2


def test_a_refusal_is_told_with_what_it_said(tmp_path):
    nothing = Workload(lambda place, count: [], lambda place, count: [requests.get(place, 1)])
    with serving(folder=tmp_path) as server, pytest.raises(Unanswered, match=r"1 without success.*404"):
        feed(server, nothing, [PLACE], 1, connections=1, pending=False)


def test_a_cycle_deletes_what_it_put():
    put, claim, delete = WORKLOADS["mix"].requests(PLACE, 3)
    assert put.startswith(b"PUT /v1.1/account/queue/0 ")
    assert claim.startswith(b"POST /v1.1/account/queue?limit=1&hide=60&detail=all ")
    assert delete.startswith(b"DELETE /v1.1/account/queue/0 ")


def test_a_put_says_how_long_its_body_is():
    head, _, body = requests.put(PLACE, 1).partition(b"\r\n\r\n")
    assert b"Content-Length: 100" in head
    assert len(body) == 100


def test_the_rate_is_that_of_all_threads_together():
    assert rate([Fed(0.0, 1.0, 0.5, 100), Fed(1.0, 2.0, 0.5, 100)]) == 100


def test_processor_time_is_that_of_a_request():
    assert cpu([Fed(0.0, 1.0, 0.5, 100), Fed(0.0, 1.0, 1.5, 100)]) == 0.01


def test_accounts_are_spread_over_as_many_shards():
    assert [shard_of(account, 2) for account in accounts(2)] == [0, 1]
