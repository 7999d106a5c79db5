"""`leveret bench`: that what it says is what was done, and that nothing is left behind."""

import asyncio
import json

import pytest

from leveret.cli.exits import Ended
from leveret.cli.load import Ask, Exchange, Plan, Tallies, Tally, claim_script, parse_address, put_script
from support.web import PATIENCE


def answer(status, body=b"", more=b""):
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n%b\r\n%b" % (status, len(body), more, body)


class Transport:
    """Takes what is sent, and is closed when it is told to be."""

    def __init__(self):
        self.sent = []
        self.closed = False

    def write(self, data):
        self.sent.append(data)

    def close(self):
        self.closed = True

    abort = close


def script(*operations):
    seen = []

    def run():
        for operation in operations:
            answer = yield Ask(operation, operation.encode(), (200, 404))
            seen.append(answer)

    return run(), seen


def exchanging(steps, script, ticks=range(100)):
    """Run a script against `steps`, answers as the server sends them; answers what it counted, and the transport."""
    tallies, transport = Tallies(), Transport()
    clock = iter(ticks)

    async def run():
        exchange = Exchange(script, tallies, lambda: next(clock))
        exchange.connection_made(transport)
        for step in steps:
            step(exchange)
        assert transport.closed
        if not exchange.ended.done():
            exchange.connection_lost(None)
        return await asyncio.wait_for(exchange.ended, PATIENCE)

    return asyncio.run(run()), tallies, transport


def comes(data):
    return lambda exchange: exchange.data_received(data)


class TestExchange:
    def test_each_request_follows_the_answer_to_the_one_before(self):
        one, seen = script("a", "b", "a")
        finished, tallies, transport = exchanging(
            [comes(answer(200, b"x")), comes(answer(404)), comes(answer(200))], one, ticks=[0, 3, 10, 14, 20, 26]
        )
        assert finished is True
        assert transport.sent == [b"a", b"b", b"a"]
        assert seen == [(200, b"x"), (404, b""), (200, b"")]
        assert {name: tally.seconds for name, tally in tallies.items()} == {"a": [3, 6], "b": [4]}
        assert not any(tally.errors for tally in tallies.values())

    def test_answers_may_come_in_any_pieces(self):
        one, seen = script("a", "b")
        data = answer(100) + answer(200, b"hello") + answer(200, b"world")
        steps = [comes(data[at : at + 1]) for at in range(len(data))]
        assert exchanging(steps, one)[0] is True
        assert seen == [(200, b"hello"), (200, b"world")]

    def test_what_is_not_fine_is_counted_by_what_it_says(self):
        one, seen = script("a", "a", "a")
        problem = json.dumps({"code": "queue-full"}).encode()
        steps = [comes(answer(409, problem)), comes(answer(409, problem)), comes(answer(500, b"?"))]
        _, tallies, _ = exchanging(steps, one)
        assert tallies["a"].errors == {"409 queue-full": 2, "500": 1}
        assert len(seen) == 3

    @pytest.mark.parametrize(
        ("step", "said"),
        [
            (lambda exchange: (exchange._transport.close(), exchange.connection_lost(None)), "the connection was lost"),
            (lambda exchange: exchange.give_up(), "no answer in time"),
            (comes(b"SSH-2.0\r\n\r\n"), "what answers is no HTTP: "),
        ],
    )
    def test_what_gets_no_answer_is_an_error(self, step, said):
        one, _ = script("a", "b")
        finished, tallies, _ = exchanging([step], one)
        assert finished is False
        (error,) = tallies["a"].errors
        assert error.startswith(said)

    def test_what_answers_nonsense_is_an_error(self):
        tallies = Tallies()
        claiming = claim_script(plan(), tallies, lambda: True)
        finished, found, _ = exchanging([comes(answer(200, b"{}1"))], claiming)
        assert finished is False
        assert found["claim"].errors == {"what answers is no Leveret": 1}


def plan(batch=1, url="http://h:1/base/"):
    return Plan(parse_address(url), "a b", "q", 3, batch)


class TestRequests:
    def test_each_put_has_an_id_of_its_own(self):
        make = plan().putter("7")
        assert make() == (b"PUT /base/v1.1/a%20b/q/7-0?ttl=0 HTTP/1.1\r\nHost: h:1\r\nContent-Length: 3\r\n\r\nxxx")
        assert b"/7-1?" in make()

    def test_each_has_the_key_and_no_text_shows_it(self):
        address = parse_address("http://h", "canary")
        assert b"\r\nAuthorization: Bearer canary\r\n" in Plan(address, "a", "q", 3, 1).claim()
        assert "canary" not in repr(Plan(address, "a", "q", 3, 1))

    def test_a_batch_is_one_request(self):
        head, _, body = plan(batch=2).putter("7")().partition(b"\r\n\r\n")
        assert head.startswith(b"PUT /base/v1.1/a%20b/q HTTP/1.1\r\n")
        assert json.loads(body) == {"messages": [{"body": "xxx", "ttl": 0}] * 2}

    def test_deletes_of_a_batch_are_as_few_as_targets_have_room_for(self):
        claimed = [{"id": f"{number:032}", "receipt": "r" * 40} for number in range(1000)]
        found = plan(batch=1000).deletes(claimed)
        assert sum(count for count, _ in found) == 1000
        assert len(found) < 15
        for count, request in found:
            target = request.split(b" ")[1]
            assert len(target) < 8000
            assert target.count(b"id=") == target.count(b"receipt=") == count

    def test_put_counts_messages_only_where_they_were_put(self):
        tallies = Tallies()
        left = iter([True, True, False])
        putting = put_script(plan(batch=5), tallies, "x", lambda: next(left))
        next(putting)
        putting.send((503, b""))
        with pytest.raises(StopIteration):
            putting.send((201, b""))
        assert tallies["put"].messages == 5


@pytest.mark.parametrize(
    ("url", "host", "port", "authority", "here"),
    [
        ("http://localhost", "localhost", 80, "localhost", True),
        ("http://127.0.0.1:8080", "127.0.0.1", 8080, "127.0.0.1:8080", True),
        ("http://[::1]:8080", "::1", 8080, "[::1]:8080", True),
        ("https://queue.example.com", "queue.example.com", 443, "queue.example.com", False),
        ("unix:///run/leveret.sock", "localhost", 0, "localhost", True),
    ],
)
def test_addresses(url, host, port, authority, here):
    found = parse_address(url)
    assert (found.host, found.port, found.authority, found.is_here) == (host, port, authority, here)


@pytest.mark.parametrize("url", ["sqlite:///x.db", "memory://", "http://", "http://h:x", "h:80"])
def test_what_is_no_server(url):
    with pytest.raises(Ended):
        parse_address(url)


@pytest.mark.parametrize(("part", "value"), [(0.5, 51), (0.99, 100), (1.0, 100)])
def test_percentiles(part, value):
    assert Tally(seconds=[*range(100, 0, -1)]).percentile(part) == value
    assert Tally().percentile(part) == 0.0


class TestCommand:
    @pytest.mark.parametrize(
        ("options", "operations"),
        [
            (["--mix", "put"], ["put"]),
            (["--mix", "put", "--batch", "10"], ["put"]),
            (["--mix", "both"], ["put", "claim", "delete"]),
            (["--mix", "both", "--batch", "200"], ["put", "claim", "delete"]),
            (["--mix", "claim", "--fill", "50"], ["claim", "delete"]),
        ],
        ids=" ".join,
    )
    def test_it_measures_and_leaves_nothing(self, run, jobs, client, account, options, operations):
        before = set(client.accounts())
        said = run("bench", "--seconds", "0.1", "--clients", "4", "--json", *options)
        assert (said.code, said.err) == (0, "")
        (found,) = said.json
        assert set(found["operations"]) == set(operations)
        for row in found["operations"].values():
            assert row["errors"] == 0
            assert row["messages"] >= 1
            assert row["per_second"] > 0
            assert 0 < row["p50_ms"] <= row["p99_ms"] <= row["max_ms"]
        assert list(client.queues(account)) == []
        assert set(client.accounts()) == before

    def test_what_is_claimed_is_what_was_put_before(self, run, account):
        (found,) = run("bench", "--mix", "claim", "--fill", "50", "--seconds", "10", "--json").json
        assert found["operations"]["claim"]["messages"] == found["operations"]["delete"]["messages"] == 50
        assert found["seconds"] < 5

    def test_a_table_for_people_says_that_the_machine_is_shared(self, run, account, monkeypatch, client):
        monkeypatch.delenv("LEVERET_ACCOUNT")
        before = set(client.accounts())
        said = run("bench", "--seconds", "0.1", "--clients", "2")
        assert said.lines[1].split()[:2] == ["operation", "messages/s"]
        assert [row[0] for row in said.rows[1:]] == ["put", "claim", "delete"]
        assert said.err.startswith("the load takes its share of the ")
        assert set(client.accounts()) == before

    def test_errors_are_said_and_where_nothing_was_done_it_failed(self, run, account):
        said = run("bench", "--seconds", "0.1", "--clients", "1", "--mix", "put", "--size", 2 << 20, "--json")
        assert said.code == 1
        assert "error" in said.err
        assert said.err.endswith("leveret: nothing was done\n")

    def test_a_server_that_is_not_there_is_4(self, run, tmp_path):
        said = run("bench", "--server", f"unix://{tmp_path}/none.sock", "--json")
        assert said.code == 4
        assert said.err.endswith("can't be reached: No such file or directory\n")

    def test_a_host_that_can_not_be_named_so_is_4(self, run):
        said = run("bench", "--server", "http://a..b", "--json")
        assert said.code == 4
        assert said.err == "leveret: http://a..b can't be reached: 'a..b' is no name of a host\n"

    def test_it_needs_a_server(self, run, tmp_path):
        said = run("bench", "--server", f"sqlite:///{tmp_path}/q.db")
        assert said.code == 2
        assert "is no server; http://, https:// or unix:// is expected" in said.err
