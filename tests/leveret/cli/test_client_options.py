"""How commands are given a key, and what they say where it is missing, or not good."""

import json
import sys

import pytest

from leveret.cli.client_options import find_target
from leveret.client import Client, TooManyRequests
from leveret.keys import TOKENS
from support.guarded import ADMIN, KEY, READER, guarded

ASKS = "leveret: the server asks for a key: set LEVERET_KEY or give --key-file\n"
NOT_TAKEN = "leveret: the server does not take this key: it is unknown, expired or revoked\n"

FROM_JOBS = """
put jobs a --id 1
get jobs 1
claim jobs
get jobs
follow jobs --limit 1
export jobs
stats --once
queues
policy jobs
policy jobs --max-bytes 1000000
delete jobs 1
put jobs b --id 2
pop jobs
put jobs b --id 3
work jobs --until-empty -- true
bench --seconds 0.1 --clients 1
purge jobs --yes
""".strip().splitlines()


@pytest.fixture(scope="module")
def service():
    with guarded() as service:
        yield service


@pytest.fixture(autouse=True)
def target(service, environment, monkeypatch):
    monkeypatch.setenv("LEVERET_SERVER", service.url)
    monkeypatch.setenv("LEVERET_ACCOUNT", "acme")


def test_every_command_works_with_a_key_and_never_shows_it(run, monkeypatch):
    monkeypatch.setenv("LEVERET_KEY", KEY)
    for command in FROM_JOBS:
        said = run(*command.split())
        assert said.code in {0, 3}, (command, said)
        assert KEY not in said.out + said.err


@pytest.mark.parametrize(
    "command", [*FROM_JOBS, "import jobs", "extend jobs 1 --receipt r", "release jobs 1 --receipt r", "accounts"]
)
@pytest.mark.parametrize("key", [None, "tok_unknown"])
def test_without_a_good_key_every_command_says_what_to_do_and_ends_with_6(run, monkeypatch, command, key):
    if key is not None:
        monkeypatch.setenv("LEVERET_KEY", key)
    said = run(*command.split(), stdin=b'{"body":"x"}\n')
    assert said.code == 6
    assert said.err.endswith(ASKS if key is None else NOT_TAKEN)
    assert said.err.count("leveret: ") == 1
    assert "unknown" not in said.err.removesuffix(NOT_TAKEN)


def test_what_the_key_does_not_allow_is_said_with_the_right_and_the_account(run, monkeypatch):
    monkeypatch.setenv("LEVERET_KEY", READER)
    said = run("put", "jobs", "x")
    told = (
        "leveret: this takes the right to 'send', which these credentials don't give here "
        "(the account is 'acme'; --account or LEVERET_ACCOUNT names another)\n"
    )
    assert (said.code, said.err) == (6, told)
    assert run("queues", "--account", "other").code == 6
    monkeypatch.setenv("LEVERET_KEY", ADMIN)
    assert run("accounts").code in {0, 3}


def test_a_load_of_refusals_is_not_begun(run, monkeypatch):
    monkeypatch.setenv("LEVERET_KEY", READER)
    said = run("bench", "--seconds", "60", "--json")
    assert said.code == 6
    assert said.err == (
        "leveret: the key doesn't allow to put, claim and delete in account 'acme'; --account names another\n"
    )


class TestGiving:
    def test_by_option(self, run):
        assert run("queues", "--key", KEY).code in {0, 3}

    def test_by_a_file(self, run, tmp_path, monkeypatch):
        monkeypatch.setenv("LEVERET_KEY", "tok_unknown")
        file = tmp_path / "key"
        file.write_text(f"{KEY}\n")
        assert run("queues", "--key-file", file).code in {0, 3}

    def test_by_a_profile(self, run, environment, service, monkeypatch):
        monkeypatch.delenv("LEVERET_SERVER")
        environment.mkdir(parents=True)
        file = environment / "client.toml"
        file.write_text(f"[profile.here]\nserver = '{service.url}'\nkey = '{KEY}'\n")
        file.chmod(0o600)
        assert run("queues", "--profile", "here").code in {0, 3}
        file.chmod(0o644)
        said = run("queues", "--profile", "here")
        assert (said.code, said.err.count("\n")) == (2, 1)
        assert f"chmod 600 {file}" in said.err

    def test_by_both_options_is_wrong(self, run, tmp_path):
        said = run("queues", "--key", KEY, "--key-file", tmp_path / "key")
        assert said.code == 2
        assert "--key and --key-file are both given" in said.err

    @pytest.mark.parametrize(
        ("content", "line"),
        [
            (None, "can't be read: No such file or directory"),
            (b"\n", "is empty; a key is expected"),
            (b"canary canary", "the key holds a character that no key has"),
            (b"canary\xff", "the key holds a character that no key has"),
        ],
    )
    def test_a_file_that_has_none_is_wrong(self, run, tmp_path, content, line):
        file = tmp_path / "key"
        if content is not None:
            file.write_bytes(content)
        said = run("queues", "--key-file", file)
        assert said.code == 2
        assert line in said.err
        assert "canary" not in said.err
        assert said.err.count("\n") == 1

    def test_the_help_says_who_sees_it_on_the_command_line(self, run):
        assert "All on this machine see it here" in " ".join(run("put", "--help").out.split())

    def test_one_for_another_server_is_not_sent_and_that_is_said(self, run, service, monkeypatch):
        monkeypatch.setenv("LEVERET_KEY", KEY)
        said = run("queues", "--server", service.url.replace("127.0.0.1", "localhost"))
        assert said.code == 6
        assert said.err == ASKS[:-1] + (
            " (LEVERET_KEY is for LEVERET_SERVER, which is another server, and was not sent)\n"
        )

    @pytest.mark.parametrize("command", ["queues", "bench", "work jobs -- true"])
    def test_a_url_with_one_is_wrong_and_not_said(self, run, command):
        name, *words = command.split()
        said = run(name, "--server", "http://:canary@127.0.0.1:1", *words)
        assert said.code == 2
        assert "give the key by itself" in said.err
        assert "canary" not in said.err + said.out

    @pytest.mark.parametrize("command", ["queues", "bench"])
    def test_where_it_can_be_read_on_its_way_that_is_said_once(self, run, command, unreachable):
        said = run(command, "--server", f"http://{unreachable}:1", "--key", KEY)
        assert said.code == 4
        warning = f"leveret: the key can be read on its way to http://{unreachable}:1; use https\n"
        assert said.err.count(warning) == 1


@pytest.fixture
def unreachable(monkeypatch):
    """A name that is not this machine's, at which nobody answers."""
    monkeypatch.setenv("no_proxy", "*")
    return "127.1"


def test_the_words_for_another_command_have_no_key(tmp_path):
    file = tmp_path / "key"
    file.write_text("canary")
    target = find_target("http://h", None, None, file, "ca.pem", None)
    assert target.options == ("--server", "http://h", "--key-file", str(file), "--ca", "ca.pem")
    assert "canary" not in repr(target)
    assert "canary" not in "".join(find_target("http://h", None, "canary", None, None, None).options)


def test_authorities_that_are_none_are_wrong_use(run):
    said = run("queues", "--server", "https://localhost", "--ca", "/none.pem")
    assert (said.code, said.err) == (
        2,
        "leveret: the authorities in '/none.pem' can't be read: No such file or directory\n",
    )


class TestWork:
    """What the commands of a worker are told of the key."""

    @pytest.fixture
    def told(self, run, tmp_path, monkeypatch):
        def told(*options, **environ):
            for name, text in environ.items():
                monkeypatch.setenv(name, text)
            assert run("put", "env", "x", "--key", KEY).code == 0
            file = tmp_path / "told"
            program = f"import os, json; json.dump(dict(os.environ), open({str(file)!r}, 'w'))"
            said = run("work", "env", "--until-empty", *options, "--", sys.executable, "-c", program)
            assert said.code == 0, said
            return json.loads(file.read_text())

        return told

    def test_one_of_the_environment_is_inherited(self, told):
        assert told(LEVERET_KEY=KEY)["LEVERET_KEY"] == KEY

    def test_one_of_an_option_is_not_passed_on(self, told):
        assert KEY not in told("--key", KEY).values()

    def test_one_that_is_not_used_here_is_not_left_to_be_sent_here(self, told):
        assert "LEVERET_KEY" not in told("--key", KEY, LEVERET_KEY="tok_other")


def test_too_many_requests_are_4(run, monkeypatch):
    def refuse(*_):
        raise TooManyRequests("too-many-requests", 429, "too many; try again in 99 s", 99)

    monkeypatch.setattr(Client, "perform", refuse)
    said = run("pop", "jobs")
    assert (said.code, said.err) == (4, "leveret: too many; try again in 99 s\n")


def test_a_key_that_is_not_whole_is_told_apart_from_one_that_is_unknown(run, monkeypatch):
    token = TOKENS.make().text
    for key, told in ((token, "is unknown, expired or revoked"), (token[:-1], "is not whole, or has a typing error")):
        monkeypatch.setenv("LEVERET_KEY", key)
        said = run("queues")
        assert (said.code, said.err) == (6, f"leveret: the server does not take this key: it {told}\n")
