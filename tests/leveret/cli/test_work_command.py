"""`leveret work`, all of it: a command, a server and signals."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from leveret.cli.workforce import environment_of
from support.claims import make_gate, message, open_gate
from support.web import PATIENCE, eventually

PYTHON = sys.executable


def shell(text):
    return ["sh", "-c", text]


def test_what_a_command_is_told():
    headers = {"Name": "a", "x-y.z": "b", "dead-letter-queue": "jobs"}
    environ = environment_of(message("7", deliveries=3, headers=headers, content_type="text/plain"), {"PATH": "p"})
    assert environ == {
        "PATH": "p",
        "LEVERET_ID": "7",
        "LEVERET_DELIVERIES": "3",
        "LEVERET_CONTENT_TYPE": "text/plain",
        "LEVERET_HEADER_NAME": "a",
        "LEVERET_HEADER_X_Y_Z": "b",
        "LEVERET_HEADER_DEAD_LETTER_QUEUE": "jobs",
    }


def test_headers_of_another_message_are_not_passed_on():
    environ = environment_of(message(), {"LEVERET_HEADER_OLD": "x", "LEVERET_CONTENT_TYPE": "x"})
    assert "LEVERET_HEADER_OLD" not in environ
    assert environ["LEVERET_CONTENT_TYPE"] == ""


def test_until_empty(run, jobs, tmp_path):
    jobs.put_many(["a", "b", "c"])
    said = run("work", "jobs", "--until-empty", "--", *shell(f"cat >> {tmp_path}/seen"))
    assert (said.code, said.out, said.err) == (0, "", "leveret: 3 messages done\n")
    assert (tmp_path / "seen").read_text() == "abc"
    assert list(jobs.messages(hidden=True)) == []


def test_the_command_finds_its_queue_and_can_use_it(run, jobs, client, account):
    jobs.put("x", "1", headers={"to": "results"})
    command = f'{PYTHON} -m leveret put "$LEVERET_HEADER_TO" "$LEVERET_ACCOUNT $LEVERET_QUEUE $LEVERET_ID"'
    assert run("work", "jobs", "--until-empty", "--", *shell(command)).code == 0
    (found,) = client.queue(account, "results").messages()
    assert found.text == f"{account} jobs 1"


def test_what_fails_too_often_is_a_dead_letter(run, jobs, client, account):
    jobs.set_policy(max_deliveries=2, dead_letter="dead")
    jobs.put("x", "1")
    said = run("work", "jobs", "--until-empty", "--backoff", "0", "--", "false")
    assert said.code == 1
    assert said.err.endswith("leveret: 0 messages done, 1 message failed\n")
    assert client.queue(account, "dead").get("1").body == b"x"


def test_a_command_that_is_not_there_claims_nothing(run, jobs):
    jobs.put("x")
    said = run("work", "jobs", "--", "no-such-command")
    assert (said.code, said.out) == (2, "")
    assert said.err == "leveret: there is no command 'no-such-command' that can be run; nothing was claimed\n"
    assert next(jobs.messages()).deliveries == 0


def test_a_server_that_is_not_there_is_4(run, tmp_path):
    said = run("work", "jobs", "--server", f"unix://{tmp_path}/none.sock", "--", "true")
    assert said.code == 4
    assert said.err.count("\n") == 1


@contextmanager
def working_on(*command):
    arguments = [PYTHON, "-m", "leveret", "work", "jobs", "--", *command]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as working:
        try:
            yield working
        finally:
            working.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_lets_the_command_end_and_exits_with_0(jobs, tmp_path, number):
    gate = make_gate(tmp_path)
    jobs.put("x")
    jobs.put("y")
    with working_on(*shell(f"echo begun; : < {gate}; echo ended")) as working:
        assert working.stdout.readline() == "begun\n"
        working.send_signal(number)
        eventually(lambda: not signals_pending(working.pid))
        open_gate(gate)
        assert working.communicate(timeout=PATIENCE) == ("ended\n", "leveret: 1 message done\n")
        assert working.returncode == 0
    assert [(message.text, message.deliveries) for message in jobs.messages()] == [("y", 0)]


def test_a_second_signal_ends_the_command(jobs):
    jobs.put("x")
    with working_on(*shell("echo begun; exec sleep 1000")) as working:
        assert working.stdout.readline() == "begun\n"
        working.send_signal(signal.SIGTERM)
        working.send_signal(signal.SIGINT)
        _, err = working.communicate(timeout=PATIENCE)
        assert working.returncode == 1
    assert err == "leveret: 0 messages done; commands that were running were ended\n"
    assert next(jobs.messages()).text == "x"


def test_a_signal_while_it_waits_ends_it_at_once(jobs):
    jobs.put("x")
    with working_on("cat") as working:
        assert working.stdout.read(1) == "x"
        eventually(lambda: not list(jobs.messages(hidden=True)))
        working.send_signal(signal.SIGTERM)
        assert working.communicate(timeout=PATIENCE) == ("", "leveret: 1 message done\n")
        assert working.returncode == 0


def signals_pending(pid):
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    (pending,) = [line for line in status if line.startswith("ShdPnd:")]
    return int(pending.split()[1], 16)
