"""The commands that are about whole queues and accounts."""

import os
import pty
import signal
import subprocess
import sys

import pytest

from leveret.cli.output import duration, excerpt, printable, size
from leveret.cli.stats import samples, take
from support.web import PATIENCE


class TestQueues:
    def test_counts_are_a_table(self, run, jobs, client, account):
        jobs.put_many(["12345"] * 3)
        jobs.claim(60, keep=False)
        client.queue(account, "mails").put("x")
        said = run("queues")
        assert said.lines[0].split()[:6] == ["queue", "messages", "visible", "hidden", "bytes", "oldest"]
        assert said.rows[0][:6] == ["jobs", "3", "2", "1", "15", "B"]
        assert said.rows[1][:4] == ["mails", "1", "1", "0"]

    def test_objects_are_those_of_the_api(self, run, jobs):
        jobs.set_policy(max_deliveries=3)
        jobs.put("x")
        (found,) = run("queues", "--json").json
        assert found.pop("oldest") >= 0
        assert found == {
            "id": "jobs",
            "messages": 1,
            "visible": 1,
            "hidden": 0,
            "bytes": 1,
            "policy": {"max_deliveries": 3},
            "dropped": 0,
        }

    def test_no_queues_are_3(self, run, account):
        said = run("queues")
        assert (said.code, said.out, said.err) == (3, "", f"leveret: account '{account}' has no queues\n")


class TestAccounts:
    def test_a_name_a_line(self, run, jobs, account):
        jobs.put("x")
        assert account in run("accounts").lines
        assert {"id": account} in run("accounts", "--json").json

    def test_none_are_3(self, run, tmp_path):
        said = run("accounts", "--server", f"sqlite:///{tmp_path}/none.db")
        assert (said.code, said.err) == (3, "leveret: there are no accounts\n")


class TestPurge:
    def test_it_asks_first(self, run, jobs):
        jobs.put_many(["x", "y"])
        said = run("purge", "jobs", stdin=b"n\n", terminal=True)
        assert said.code == 1
        assert f"Delete 2 messages of queue 'jobs' of account '{jobs.account}'" in said.err
        assert said.err.endswith("leveret: nothing was deleted\n")
        assert len(list(jobs.messages())) == 2
        assert run("purge", "jobs", stdin=b"y\n", terminal=True).code == 0
        assert list(jobs.messages()) == []

    def test_without_a_terminal_yes_is_needed(self, run, jobs):
        jobs.put("x", hide=60)
        said = run("purge", "jobs")
        assert (said.code, len(list(jobs.messages(hidden=True)))) == (2, 1)
        assert "--yes" in said.err
        assert run("purge", "jobs", "--yes").code == 0
        assert list(jobs.messages(hidden=True)) == []

    @pytest.mark.parametrize("options", [{}, {"terminal": True}])
    def test_an_empty_queue_is_3(self, run, account, options):
        said = run("purge", "jobs", *([] if options else ["--yes"]), **options)
        assert (said.code, said.err) == (3, "leveret: queue 'jobs' is empty\n")


class TestPolicy:
    def test_it_is_set_and_printed(self, run, jobs):
        options = (
            "--default-ttl 0 --default-hide 5 --max-deliveries 3 --dead-letter dead --max-messages 9 --max-bytes 99"
        )
        said = run("policy", "jobs", *options.split(), "--json")
        assert said.json == [
            {
                "default_ttl": 0,
                "default_hide": 5,
                "max_deliveries": 3,
                "dead_letter": "dead",
                "max_messages": 9,
                "max_bytes": 99,
            }
        ]
        assert dict(run("policy", "jobs").rows)["dead_letter"] == "dead"

    def test_none_removes_a_rule_and_leaves_the_others(self, run, jobs):
        jobs.set_policy(default_ttl=1, dead_letter="dead", max_deliveries=2)
        said = run("policy", "jobs", "--default-ttl", "none", "--dead-letter", "none", "--json")
        assert said.json == [{"max_deliveries": 2}]

    def test_remove_removes_all(self, run, jobs):
        jobs.set_policy(default_ttl=1)
        assert run("policy", "jobs", "--remove", "--json").json == [{}]
        assert ["default_ttl", "not", "set"] in run("policy", "jobs").rows

    def test_remove_stands_alone(self, run, account):
        assert run("policy", "jobs", "--remove", "--max-bytes", "1").code == 2

    def test_what_the_server_finds_wrong_is_wrong_use(self, run, account):
        said = run("policy", "jobs", "--dead-letter", "jobs")
        assert said.code == 2
        assert said.err.startswith("leveret: ")


class TestStats:
    def test_once(self, run, jobs):
        jobs.put_many(["x"] * 1200)
        said = run("stats", "--once")
        assert said.lines[0].split() == ["queue", "messages", "visible", "hidden", "bytes", "oldest"]
        assert said.rows[0][:4] == ["jobs", "1,200", "1,200", "0"]

    def test_a_queue_that_is_named_is_shown_though_it_is_empty(self, run, jobs):
        (found,) = run("stats", "none", "--once", "--json").json
        assert [(queue["id"], queue["messages"]) for queue in found["queues"]] == [("none", 0)]
        assert found["time"].endswith("Z")

    def test_rates_are_what_changed_between_two_samples(self, client, jobs, account):
        now = 100.0
        slept = []
        found = samples(client, account, [], 2.0, clock=lambda: now, sleep=slept.append)
        jobs.put_many(["12345"] * 4)
        assert next(found).rates == {}
        jobs.put_many(["12345"] * 6)
        now = 103.0
        assert next(found).rates == {"jobs": (2.0, 10.0)}
        assert slept == [0.0]
        jobs.purge()
        now = 108.0
        last = next(found)
        assert last.rates == {"jobs": (-2.0, -10.0)}
        assert list(last.rows()) == [("jobs", "0", "0", "0", "0 B", "", "-2", "-10")]

    def test_a_queue_that_appears_grew_from_nothing(self, client, jobs, account):
        before = take(client, account, [], None, 1.0)
        jobs.put("123")
        assert take(client, account, [], before, 2.0).rates == {"jobs": (1.0, 3.0)}

    def test_on_a_terminal_it_is_shown_until_ctrl_c(self, jobs):
        jobs.put("x")
        shown, terminal = pty.openpty()
        with subprocess.Popen([sys.executable, "-m", "leveret", "stats"], stdout=terminal) as watching:
            os.close(terminal)
            seen = b""
            while b"jobs" not in seen:
                seen += os.read(shown, 10_000)
            watching.send_signal(signal.SIGINT)
            assert watching.wait(PATIENCE) == 130
        os.close(shown)
        assert b"messages/s" in seen


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0s"), (59.9, "59s"), (61, "1m01s"), (7260, "2h01m"), (90_000, "1d01h")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2e9, "2.0 GB"), (5e15, "5000.0 TB")]
)
def test_sizes(number, text):
    assert size(number) == text


def test_nothing_that_is_printed_moves_the_cursor():
    assert printable("a\x1b[2J\n\u202e\u00e9") == r"a\x1b[2J\n\u202e" + "é"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"12345", "12345"),
        (b"123456", "1234…"),
        ("éééééé".encode(), "éééé…"),
        (b"\xff", r"\xff"),
        (b"a\n", r"a\n"),
        ("🐇".encode() * 100, "🐇🐇🐇🐇…"),
    ],
)
def test_excerpts(body, text):
    assert excerpt(body, 5) == text
