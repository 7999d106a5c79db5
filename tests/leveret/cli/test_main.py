"""What all commands have in common: how they explain themselves, end, and are loaded."""

import os
import socket
import subprocess
import sys

import click
import pytest

from leveret.cli.exits import Code, Ended
from leveret.cli.main import cli
from leveret.cli.main import run as run_cli
from support.web import PATIENCE

ALL = cli.list_commands(click.Context(cli))


def python(*arguments, **options):
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False, **options
    )


@pytest.fixture
def unused_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))  # not listening: what connects is refused
        yield sock.getsockname()[1]


@pytest.mark.parametrize("command", ALL)
def test_every_command_explains_itself_with_an_example(run, command):
    said = run(command, "--help")
    assert said.code == 0
    assert "Example" in said.out
    assert f"leveret {command}" in said.out


def test_the_help_lists_all_commands_and_exit_codes(run):
    said = run("--help")
    assert all(f"  {name} " in said.out for name in ALL)
    assert "3 nothing there" in said.out


def test_without_a_command_the_help_is_printed(run):
    said = run()
    assert said.code == 2
    assert "Usage: leveret" in said.err


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["put"], "leveret: Missing argument 'QUEUE'; see 'leveret put --help'\n"),
        (["get", "q", "--limt", "1"], "leveret: No such option '--limt'"),
        (["put", "q", "x", "--ttl", "-1"], "leveret: Invalid value for '--ttl': '-1' is no whole number from 0 to 2"),
        (["stats", "--interval", "nan"], "leveret: Invalid value for '--interval': 'nan' is no number from 0.1 on"),
        (
            ["policy", "q", "--max-bytes", "0"],
            "leveret: Invalid value for '--max-bytes': '0' is neither a whole number",
        ),
        (["get", "a/b"], "leveret: the queue name holds a '/', which is not allowed\n"),
        (["get", "q", "--server", "ftp://x"], "leveret: 'ftp://x' can't be connected to"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(run, arguments, line):
    said = run(*arguments)
    assert said.code == 2
    assert said.err.startswith(line)
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_a_server_that_is_not_there_is_exit_code_4(run, unused_port):
    said = run("get", "jobs", "--server", f"http://127.0.0.1:{unused_port}")
    assert said.code == 4
    assert said.err.startswith("leveret: ")
    assert said.err.count("\n") == 1


def raising(error):
    def command(*arguments, **options):
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "err"),
    [
        (Ended(Code.CONFLICT, "taken"), 5, "leveret: taken\n"),
        (click.Abort(), 130, ""),
        (BrokenPipeError(), 1, ""),
        (FileNotFoundError(2, "No such file or directory", "x"), 1, "leveret: x: No such file or directory\n"),
        (TypeError("a\nb"), 1, "leveret: unexpected TypeError: a b (LEVERET_TRACEBACK=1 shows where)\n"),
    ],
)
def test_whatever_happens_is_one_line_at_most(monkeypatch, capsys, error, code, err):
    monkeypatch.setattr(cli, "main", raising(error))
    monkeypatch.setattr(os, "dup2", lambda *_: None)
    assert run_cli([]) == code
    assert capsys.readouterr().err == err


def test_ctrl_c_is_quiet_and_130(monkeypatch, capsys):
    monkeypatch.setattr(cli, "invoke", raising(KeyboardInterrupt()))
    assert run_cli(["config"]) == 130
    assert capsys.readouterr().err.strip() == ""


def test_a_traceback_can_be_had(monkeypatch):
    monkeypatch.setattr(cli, "main", raising(TypeError("a")))
    monkeypatch.setenv("LEVERET_TRACEBACK", "1")
    with pytest.raises(TypeError):
        run_cli([])


def test_a_pipe_whose_reader_is_gone_is_quiet(account, jobs):
    jobs.put_many([b"x" * 1000] * 500)
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "leveret", "get", "jobs", "--json"],
        stdout=writer,
        stderr=subprocess.PIPE,
        timeout=PATIENCE,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("command", ["serve", "config"])
def test_the_server_does_without_the_client(command):
    program = f"import sys; from leveret.cli.main import cli; cli.get_command(None, '{command}'); print(*sys.modules)"
    loaded = python("-c", program).stdout.split()
    assert f"leveret.cli.{command}" in loaded
    assert not {"httpx", "leveret.client.http", "leveret.client.client"} & set(loaded)


def test_the_help_loads_no_command():
    program = "import sys; from leveret.cli.main import run; run(['--help']); print(*sys.modules, file=sys.stderr)"
    loaded = python("-c", program).stderr.split()
    assert "leveret.cli.main" in loaded
    assert not [name for name in loaded if name.startswith(("leveret.client", "leveret.server", "rich", "asyncio"))]


@pytest.mark.parametrize(
    "name", ["LEVERET_SERVER", "LEVERET_ACCOUNT", "LEVERET_PROFILE", "LEVERET_QUEUE", "LEVERET_HEADER_HTTP__PORT"]
)
def test_what_clients_and_workers_find_in_the_environment_is_no_setting(run, monkeypatch, name):
    monkeypatch.setenv(name, "text")
    assert run("config").code == 0


class TestCompletion:
    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_the_script_asks_leveret_itself(self, run, shell):
        said = run("completion", shell)
        assert said.code == 0
        assert f"_LEVERET_COMPLETE={shell}_complete" in said.out

    def complete(self, *words):
        environ = {**os.environ, "_LEVERET_COMPLETE": "bash_complete", "COMP_CWORD": str(len(words))}
        done = python("-m", "leveret", env={**environ, "COMP_WORDS": " ".join(["leveret", *words])})
        assert done.stderr == ""
        return [line.removeprefix("plain,") for line in done.stdout.splitlines() if line]

    def test_commands(self):
        assert self.complete("ex") == ["extend", "export"]

    def test_options(self):
        assert self.complete("purge", "--y") == ["--yes"]

    def test_queues(self, account, client):
        for name in ("jobs", "joins", "mails"):
            client.queue(account, name).put("x")
        assert self.complete("get", "jo") == ["jobs", "joins"]

    def test_where_no_server_answers_there_is_nothing(self, monkeypatch, unused_port):
        monkeypatch.setenv("LEVERET_SERVER", f"http://127.0.0.1:{unused_port}")
        assert self.complete("get", "jo") == []
