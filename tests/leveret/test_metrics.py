"""The series of accounts, queues and commits, as the server exposes them."""

import asyncio
import shutil
import subprocess

import pytest

from leveret.metrics import ActivitySeries, QueueMetricsConfig, QueueSeries, RefusalSeries
from leveret.model import Activity, Draft
from leveret.service import QueueConfig, QueueService
from leveret.store.memory import MemoryStore
from scalestack.kernel import KernelError
from support.metered import metered
from support.web import Client, eventually


def counted(found, kind, account, queue):
    return found[f"leveret_messages_{kind}_total", ("account", account), ("queue", queue)]


def held(found, what, account, queue=None):
    labels = [("account", account)] if queue is None else [("account", account), ("queue", queue)]
    return found["leveret_queue_" + what if queue else "leveret_account_" + what, *labels]


@pytest.fixture(params=["memory", "sqlite"])
def server(request, tmp_path):
    with metered(tmp_path if request.param == "sqlite" else None) as server:
        yield server


def test_what_a_queue_holds(server):
    server.client("PUT", "/v1.1/a/q/1", b"12345")
    server.client("PUT", "/v1.1/a/q/2?hide=60", b"123")
    found = server.scrape()
    assert held(found, "messages", "a", "q") == 2
    assert held(found, "hidden_messages", "a", "q") == 1
    assert held(found, "bytes", "a", "q") == 8
    assert 0 <= held(found, "oldest_seconds", "a", "q") < 60
    assert found["leveret_queues_not_shown",] == 0


def test_what_an_account_holds(server):
    for path in ("a/p/1", "a/q/1", "a/q/2", "b/q/1"):
        server.client("PUT", "/v1.1/" + path, b"123")
    found = server.scrape()
    assert [held(found, "queues", name) for name in "ab"] == [2, 1]
    assert [held(found, "messages", name) for name in "ab"] == [3, 1]
    assert [held(found, "bytes", name) for name in "ab"] == [9, 3]
    assert found["leveret_accounts_not_shown",] == 0


def test_what_was_done_in_a_queue(server):
    for id in "123":
        server.client("PUT", f"/v1.1/a/q/{id}", b"body")
    server.client("POST", "/v1.1/a/q?limit=2&hide=60")
    server.client("DELETE", "/v1.1/a/q/1")
    found = server.scrape()
    kinds = ("put", "claimed", "deleted", "expired", "dead_lettered")
    assert [counted(found, kind, "a", "q") for kind in kinds] == [3, 2, 1, 0, 0]


def test_what_was_delivered_too_often(server):
    server.client("PATCH", "/v1.1/a/q", b'{"max_deliveries":1,"dead_letter":"d"}')
    server.client("PUT", "/v1.1/a/q/1", b"body")
    server.client("POST", "/v1.1/a/q?limit=1&hide=60")
    server.client("POST", "/v1.1/a/q/1?hide=0")
    server.client("POST", "/v1.1/a/q?limit=1&hide=60")
    assert counted(server.scrape(), "dead_lettered", "a", "q") == 1


def test_a_queue_that_is_gone_keeps_its_counts(server):
    server.client("PUT", "/v1.1/a/q/1", b"body")
    server.client("DELETE", "/v1.1/a/q")
    found = server.scrape()
    assert counted(found, "put", "a", "q") == 1
    assert ("leveret_queue_messages", ("account", "a"), ("queue", "q")) not in found


def test_names_of_all_kinds(server):
    server.client("PUT", "/v1.1/caf%C3%A9/a%22b%5Cc/1", b"body")
    assert held(server.scrape(), "messages", "café", 'a"b\\c') == 1


def test_polls_that_wait(server):
    poll = Client(server.port)
    poll._connection.request("GET", "/v1.1/a/q?wait=20")
    eventually(lambda: server.scrape()["leveret_parked_polls",] == 1)
    server.client("PUT", "/v1.1/a/q/1", b"body")
    assert poll._connection.getresponse().status == 200
    poll.close()
    eventually(lambda: server.scrape()["leveret_parked_polls",] == 0)


def test_what_runs(server):
    (build,) = (dict(key[1:]) for key in server.scrape() if key[0] == "leveret_build_info")
    assert build.keys() == {"version", "python", "gil"}
    assert build["gil"] in {"on", "off"}


def test_commits_are_those_of_a_store_on_disk(tmp_path):
    with metered(tmp_path) as server:
        for id in range(3):
            server.client("PUT", f"/v1.1/a/q/{id}", b"body")
        found = server.scrape()
    assert found["leveret_commits_total",] >= 1
    assert found["leveret_commit_operations_total",] >= 3
    assert found["leveret_commit_seconds_count",] == found["leveret_commits_total",]
    assert found["leveret_fsync_seconds_count",] >= 1
    assert found["leveret_wal_bytes",] > 0


def test_a_store_in_memory_has_none():
    with metered() as server:
        assert not any(key[0].startswith(("leveret_commit", "leveret_wal")) for key in server.scrape())


def test_counting_ends_with_the_module():
    with metered() as server:
        server.kernel.unload("queue.metrics")
        assert not any(key[0].startswith("leveret_") for key in server.scrape())
        server.kernel.load("queue.metrics")
        assert ("leveret_parked_polls",) in server.scrape()


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (of Prometheus) is not installed")
def test_promtool_finds_nothing_wrong(tmp_path):
    with metered(tmp_path) as server:
        server.client("PUT", "/v1.1/a/q/1", b"body")
        text = server.exposition()
    done = subprocess.run(
        ["promtool", "check", "metrics"], check=False, input=text, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# Bounds.


def asked(store, **config):
    """The series of a store, by name and labels."""
    service = QueueService(store, lambda: 1000.0, QueueConfig(), None)
    standing = asyncio.run(QueueSeries(service, store, QueueMetricsConfig(**config)).ask())
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in standing.collect()
        for sample in family.samples
    }


def shown(found, name):
    return [tuple(value for _, value in key[1:]) for key in found if key[0] == name]


@pytest.fixture
def store():
    store = MemoryStore()
    store.count_activity(True)
    for account, queue in ("ap", "aq", "bp", "cp", "cq", "cr"):
        store.put(account, queue, (Draft("1", b"123", 0, 0, None, True, True, False),), 1000.0)
    return store


def test_the_queues_beyond_the_bound_are_counted_and_are_in_their_accounts(store):
    found = asked(store, max_queues=4)
    assert shown(found, "leveret_queue_messages") == [("a", "p"), ("a", "q"), ("b", "p"), ("c", "p")]
    assert found["leveret_queues_not_shown",] == 2
    assert held(found, "messages", "c") == 3


def test_the_accounts_beyond_the_bound_are_added_up_without_a_name(store):
    found = asked(store, max_accounts=1)
    assert shown(found, "leveret_account_messages") == [("a",), ("",)]
    assert [held(found, what, "") for what in ("queues", "messages", "bytes")] == [4, 4, 12]
    assert found["leveret_accounts_not_shown",] == 2
    assert found["leveret_queues_not_shown",] == 4


def test_without_bounds_to_speak_of_nothing_is_shown_but_the_rest(store):
    found = asked(store, max_accounts=0, max_queues=0)
    assert shown(found, "leveret_account_messages") == [("",)]
    assert shown(found, "leveret_queue_messages") == []
    assert shown(found, "leveret_messages_put_total") == [("", "")]


def test_more_accounts_than_are_asked_for_at_once(store, monkeypatch):
    monkeypatch.setattr("leveret.metrics._PAGE", 2)
    monkeypatch.setattr("leveret.metrics._TOGETHER", 1)
    found = asked(store)
    assert shown(found, "leveret_account_messages") == [("a",), ("b",), ("c",)]
    assert len(shown(found, "leveret_queue_messages")) == 6


def test_an_empty_store():
    found = asked(MemoryStore())
    assert found["leveret_queues_not_shown",] == 0
    assert shown(found, "leveret_account_messages") == []


class Counting:
    """A store of which only the counts are asked for."""

    def __init__(self):
        self.queues = {}

    def put(self, account, queue, times=1):
        self.queues.setdefault((account, queue), Activity()).put += times

    def activity(self):
        return [(*names, activity) for names, activity in self.queues.items()]


def puts(series):
    family = next(iter(series.collect()))
    return {(sample.labels["account"], sample.labels["queue"]): sample.value for sample in family.samples}


def test_what_is_counted_beyond_the_bound_is_added_up_by_account():
    store = Counting()
    series = ActivitySeries(store, QueueMetricsConfig(max_queues=1, max_accounts=1))
    for account, queue in ("ap", "aq", "ar", "bp", "cp"):
        store.put(account, queue)
    store.put("", "", 10)  # what the store itself has added up
    assert puts(series) == {("a", "p"): 1, ("a", ""): 2, ("", ""): 12}


def test_no_count_ever_moves_to_another_series():
    store = Counting()
    series = ActivitySeries(store, QueueMetricsConfig(max_queues=2, max_accounts=2))
    store.put("a", "p")
    store.put("a", "q")
    store.put("a", "r")
    before = puts(series)
    store.queues = dict(reversed(store.queues.items()))
    store.put("a", "r")
    assert puts(series) == {**before, ("a", ""): 2}


class Limited:
    """A kernel in which something is limited, or nothing is."""

    def __init__(self, counted):
        self.refused = counted

    def get(self, interface):
        if self.refused is None:
            raise KernelError("no module that is loaded provides Refusals")
        return self

    def counted(self):
        return self.refused


def refusals(counted, most=1000):
    (family,) = RefusalSeries(Limited(counted), most).collect()
    return {tuple(sample.labels.values()): sample.value for sample in family.samples if sample.labels}


def test_refusals_are_told_by_account_and_limit():
    assert refusals({("a", "requests"): 3, ("a", "polls"): 1, ("b", "requests"): 2}) == {
        ("a", "requests"): 3,
        ("a", "polls"): 1,
        ("b", "requests"): 2,
    }


def test_those_of_accounts_beyond_the_bound_are_added_up():
    counted = {("a", "requests"): 3, ("b", "requests"): 2, ("", "requests"): 1, ("a", "polls"): 1}
    assert refusals(counted, 1) == {("a", "requests"): 3, ("a", "polls"): 1, ("", "requests"): 3}


def test_there_are_none_where_nothing_is_limited():
    assert refusals(None) == {}
