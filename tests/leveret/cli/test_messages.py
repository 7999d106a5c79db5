"""The commands that put, show, take and delete messages."""

import io
import json
import os
import subprocess
import sys

import pytest

from leveret.cli.put import batches
from support.web import PATIENCE


def only(queue):
    (message,) = queue.messages(hidden=True)
    return message


class TestPut:
    def test_it_prints_the_id(self, run, jobs):
        said = run("put", "jobs", "hello")
        assert said.code == 0
        assert said.lines == [only(jobs).id]
        assert only(jobs).body == b"hello"

    def test_all_that_a_message_has(self, run, jobs):
        options = ["--id", "1", "--ttl", "0", "--hide", "60", "--content-type", "text/plain", "--header", "a=b=c"]
        assert run("put", "jobs", "hello", *options).lines == ["1"]
        message = only(jobs)
        assert (message.id, message.ttl, message.hide) == ("1", 0, 60)
        assert (message.content_type, dict(message.headers)) == ("text/plain", {"a": "b=c"})

    def test_a_file_byte_for_byte(self, run, jobs, tmp_path):
        file = tmp_path / "body"
        file.write_bytes(b"\x00\xff\n")
        run("put", "jobs", "--file", file)
        assert only(jobs).body == b"\x00\xff\n"

    @pytest.mark.parametrize("body", [[], ["-"]])
    def test_what_is_piped_in(self, run, jobs, body):
        run("put", "jobs", *body, stdin=b"\xff\n")
        assert only(jobs).body == b"\xff\n"

    def test_each_line_is_a_message(self, run, jobs):
        said = run("put", "jobs", "--lines", "--ttl", "0", stdin=b"a\n\nb\r\nc")
        assert [message.body for message in jobs.messages()] == [b"a", b"", b"b\r", b"c"]
        assert said.lines == [message.id for message in jobs.messages()]
        assert {message.ttl for message in jobs.messages()} == {0}

    def test_many_lines_go_in_order(self, run, jobs):
        run("put", "jobs", "--lines", stdin=b"".join(b"%d\n" % number for number in range(2500)))
        assert [int(message.body) for message in jobs.messages()] == list(range(2500))

    def test_a_line_is_put_when_it_comes_and_not_when_the_pipe_is_full(self, jobs, account):
        with subprocess.Popen(
            [sys.executable, "-m", "leveret", "put", "jobs", "--lines"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as putting:
            putting.stdin.write(b"a\n")
            putting.stdin.flush()
            assert putting.stdout.readline().strip().decode() == only(jobs).id
            putting.stdin.close()
            assert putting.wait(PATIENCE) == 0

    def test_with_new_an_id_that_is_taken_is_5(self, run, jobs):
        assert run("put", "jobs", "first", "--id", "1", "--new").code == 0
        said = run("put", "jobs", "second", "--id", "1", "--new")
        assert (said.code, said.out) == (5, "")
        assert only(jobs).body == b"first"

    @pytest.mark.parametrize(
        ("arguments", "line"),
        [
            (["x", "--file", "y"], "BODY and --file are both given; one of them is expected"),
            (["--lines", "--id", "1"], "--id and --new are for one message, and not for --lines"),
            (["--lines", "x"], "--lines takes a file or a pipe, and no BODY"),
            (["x", "--header", "a"], "--header is 'a'; NAME=VALUE is expected"),
            ([], "there is no BODY; give it, or --file, or pipe it in"),
        ],
    )
    def test_what_contradicts_itself_is_wrong_use(self, run, account, arguments, line):
        said = run("put", "jobs", *arguments, terminal=True)
        assert (said.code, said.err) == (2, f"leveret: {line}; see 'leveret put --help'\n")

    @pytest.mark.parametrize("header", ["a b=c", "a=b\nc", "a\udcff=b"])
    def test_a_header_that_can_not_be_sent_is_wrong_use(self, run, account, header):
        said = run("put", "jobs", "x", "--header", header)
        assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
        assert "unexpected" not in said.err

    def test_a_file_that_is_not_there(self, run, account):
        said = run("put", "jobs", "--file", "/none")
        assert (said.code, said.err) == (1, "leveret: /none: No such file or directory\n")

    def test_a_queue_that_is_full(self, run, jobs):
        jobs.set_policy(max_messages=1)
        run("put", "jobs", "x")
        said = run("put", "jobs", "x")
        assert said.code == 1
        assert said.err.startswith("leveret: ")


class TestBatches:
    def test_the_end_of_a_line_may_come_later(self):
        class Slow(io.BytesIO):
            def read1(self, size=-1):
                return self.read(2)

        assert list(batches(Slow(b"abc\nd\n\nef"))) == [[b"abc"], [b"d"], [b""], [b"ef"]]

    def test_no_batch_is_too_large(self):
        (first, second) = batches(io.BytesIO(b"x\n" * 1500))
        assert (len(first), len(second)) == (1000, 500)
        large = b"y" * (1 << 19)
        sizes = [sum(map(len, batch)) for batch in batches(io.BytesIO((large + b"\n") * 10))]
        assert sum(sizes) == 10 * len(large)
        assert max(sizes) <= 2 << 20


class TestGet:
    def test_a_body_byte_for_byte(self, run, jobs):
        jobs.put(b"\x00\xff", "1")
        assert run("get", "jobs", "1").raw == b"\x00\xff"

    def test_an_object(self, run, jobs):
        jobs.put(b"\xff", "1", ttl=0, headers={"a": "b"})
        (found,) = run("get", "jobs", "1", "--json").json
        message = only(jobs)
        assert found == {
            "id": "1",
            "ttl": 0,
            "hide": 0,
            "created": message.created.isoformat().replace("+00:00", "Z"),
            "deliveries": 0,
            "marker": message.marker,
            "content_type": None,
            "headers": {"a": "b"},
            "body": {"base64": "/w=="},
        }

    def test_no_such_message_is_3(self, run, jobs):
        said = run("get", "jobs", "1")
        assert (said.code, said.out) == (3, "")
        assert said.err == "leveret: there is no message '1' in queue 'jobs'\n"

    def test_a_table_is_whole_where_it_is_piped(self, run, jobs):
        jobs.put("x" * 500 + "\n", "i" * 255, ttl=0)
        jobs.put("a\nb\x1b[2J [red]", "2", ttl=90)
        said = run("get", "jobs")
        assert said.lines[0].split() == ["id", "age", "ttl", "hide", "deliveries", "body"]
        assert said.rows[0] == ["i" * 255, "0s", "forever", "0", "x" * 59 + "…"]
        assert said.rows[1] == ["2", "0s", "1m30s", "0", r"a\nb\x1b[2J", "[red]"]
        assert all(line == line.rstrip() for line in said.lines)

    def test_which_are_listed(self, run, jobs):
        for number in range(5):
            jobs.put("x", f"{number}", hide=60 * (number == 4))

        def ids(*options):
            return [found["id"] for found in run("get", "jobs", "--json", *options).json]

        assert ids() == ["0", "1", "2", "3"]
        assert ids("--hidden") == ["0", "1", "2", "3", "4"]
        assert ids("--newest-first", "--limit", "2") == ["3", "2"]
        marker = jobs.get("1").marker
        assert ids("--after", marker) == ["2", "3"]

    def test_where_a_list_is_cut_off_it_says_how_to_go_on(self, run, jobs):
        ids = jobs.put_many(["x"] * 3)
        said = run("get", "jobs", "--limit", "2")
        assert said.err == f"first 2; --after {jobs.get(ids[1]).marker} goes on, --limit 0 lists all\n"
        assert len(run("get", "jobs", "--limit", "0").rows) == 3

    def test_a_long_list_takes_no_long_time(self, run, jobs):
        jobs.put_many(["x"] * 5000)
        assert len(run("get", "jobs", "--limit", "0").rows) == 5000

    @pytest.mark.parametrize("options", [[], ["--json"], ["--hidden"]])
    def test_an_empty_queue_is_3(self, run, account, options):
        said = run("get", "jobs", *options)
        assert (said.code, said.out) == (3, "")
        assert said.err.startswith("leveret: there is no ")


class TestPop:
    def test_it_is_printed_and_gone(self, run, jobs):
        jobs.put(b"\xff")
        assert run("pop", "jobs").raw == b"\xff"
        said = run("pop", "jobs")
        assert (said.code, said.err) == (3, "leveret: there is no visible message in queue 'jobs'\n")

    def test_several_are_lines(self, run, jobs):
        jobs.put_many(["a", "b\n", "c"])
        assert run("pop", "jobs", "--limit", "2").raw == b"a\nb\n"
        assert [found["body"] for found in run("pop", "jobs", "--limit", "2", "--json").json] == ["c"]

    def test_more_than_one_answer_holds(self, run, jobs):
        jobs.put_many(["x"] * 2500)
        assert len(run("pop", "jobs", "--limit", "2300").lines) == 2300
        assert len(run("claim", "jobs", "--limit", "2300").lines) == 200


class TestClaim:
    def test_the_body_is_printed_and_how_to_delete_it(self, run, jobs):
        jobs.put("hello", "my 1")
        said = run("claim", "jobs", "--seconds", "100", "--server", os.environ["LEVERET_SERVER"])
        assert said.raw == b"hello"
        assert 98 <= only(jobs).hide <= 100
        said_how = said.err.strip().partition("; when it is done: ")
        assert said_how[0] == "claimed 'my 1' for 100 s"
        assert said_how[2].startswith(f"leveret delete --server {os.environ['LEVERET_SERVER']} jobs 'my 1' --receipt ")
        receipt = said_how[2].rpartition(" ")[2]
        assert run("delete", "jobs", "my 1", "--receipt", receipt).code == 0
        assert list(jobs.messages(hidden=True)) == []

    def test_objects_have_receipts(self, run, jobs):
        jobs.put_many(["a", "b", "c"])
        found = run("claim", "jobs", "--limit", "2", "--json").json
        assert [one["body"] for one in found] == ["a", "b"]
        assert all(one["receipt"] and one["deliveries"] == 1 for one in found)

    def test_nothing_to_claim_is_3(self, run, jobs):
        jobs.put("x", hide=60)
        said = run("claim", "jobs")
        assert (said.code, said.out) == (3, "")


class TestHolders:
    @pytest.fixture
    def receipt(self, jobs):
        jobs.put("x", "1")
        return jobs.claim(60, keep=False).message.receipt

    @pytest.fixture
    def stale(self, receipt, jobs):
        """A receipt of a lease that another one has ended."""
        jobs.change("1", hide=0)
        jobs.claim(60, keep=False)
        return receipt

    def test_extend(self, run, jobs, receipt):
        assert run("extend", "jobs", "1", "--receipt", receipt, "--seconds", "500").code == 0
        assert only(jobs).hide > 400
        (found,) = run("extend", "jobs", "1", "--receipt", receipt, "--json").json
        assert found["deliveries"] == 1

    def test_release(self, run, jobs, receipt):
        assert run("release", "jobs", "1", "--receipt", receipt).code == 0
        assert only(jobs).hide == 0

    def test_release_for_later(self, run, jobs, receipt):
        assert run("release", "jobs", "1", "--receipt", receipt, "--seconds", "500").code == 0
        assert only(jobs).hide > 400

    @pytest.mark.parametrize("command", ["extend", "release", "delete"])
    def test_a_lease_that_is_lost_is_5(self, run, jobs, stale, command):
        said = run(command, "jobs", "1", "--receipt", stale)
        assert (said.code, said.out) == (5, "")
        assert said.err.count("\n") == 1
        assert only(jobs).hide > 0

    @pytest.mark.parametrize("command", ["extend", "release", "delete"])
    def test_a_message_that_is_gone_is_3(self, run, jobs, receipt, command):
        jobs.delete("1")
        said = run(command, "jobs", "1", "--receipt", receipt)
        assert (said.code, said.err) == (3, "leveret: there is no message '1' in queue 'jobs'\n")


class TestDelete:
    def test_several(self, run, jobs):
        jobs.put("x", "1")
        jobs.put("x", "2")
        assert run("delete", "jobs", "1", "2").code == 0
        assert list(jobs.messages()) == []

    def test_what_is_there_is_deleted_although_something_is_not(self, run, jobs):
        jobs.put("x", "1")
        said = run("delete", "jobs", "none", "1", "--json")
        assert (said.code, said.err) == (3, "leveret: there is no message 'none' in queue 'jobs'\n")
        assert said.json == [{"id": "none", "status": "gone"}, {"id": "1", "status": "done"}]
        assert list(jobs.messages()) == []

    def test_there_is_a_receipt_for_each_or_none(self, run, account):
        said = run("delete", "jobs", "1", "2", "--receipt", "r")
        assert said.code == 2
        assert "there are 2 IDs and 1 --receipt; one for each is expected" in said.err


class TestFollow:
    def test_what_is_there_and_nothing_is_taken(self, run, jobs):
        jobs.put("a\nb", "1")
        jobs.claim(60, keep=False)
        (line,) = run("follow", "jobs", "--limit", "1").lines
        assert line.endswith(r"  1  a\nb")
        assert run("follow", "jobs", "--limit", "1", "--bodies").raw == b"a\nb\n"
        (found,) = run("follow", "jobs", "--limit", "1", "--json").json
        assert (found["id"], found["body"], found["deliveries"]) == ("1", "a\nb", 1)

    def test_after_a_marker(self, run, jobs):
        ids = jobs.put_many(["a", "b"])
        assert run("follow", "jobs", "--after", jobs.get(ids[0]).marker, "--limit", "1", "--bodies").raw == b"b\n"

    def test_each_comes_at_once_and_ctrl_c_ends_it(self, jobs):
        jobs.put("old")
        with subprocess.Popen(
            [sys.executable, "-m", "leveret", "follow", "jobs", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as following:
            assert json.loads(following.stdout.readline())["body"] == "old"
            jobs.put("new")
            assert json.loads(following.stdout.readline())["body"] == "new"
            following.send_signal(2)
            out, err = following.communicate(timeout=PATIENCE)
            assert (following.returncode, out, err.strip()) == (130, b"", b"")

    def test_from_the_end(self, jobs):
        jobs.put("old")
        with subprocess.Popen(
            [sys.executable, "-m", "leveret", "follow", "jobs", "--from-end", "--bodies", "--limit", "1"],
            stdout=subprocess.PIPE,
        ) as following:
            # When it has begun can't be seen from outside: so there are new ones until it has seen one.
            while following.poll() is None:
                jobs.put("new")
            assert following.stdout.read() == b"new\n"

    @pytest.mark.parametrize("options", [["--json", "--bodies"], ["--from-end", "--after", "x"]])
    def test_what_contradicts_itself_is_wrong_use(self, run, account, options):
        said = run("follow", "jobs", *options)
        assert said.code == 2
        assert "are both given; one of them is expected" in said.err
