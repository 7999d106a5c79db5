"""Which server and account a command is for."""

from pathlib import Path

import pytest

from leveret.cli.exits import Code, Ended
from leveret.cli.profile import Profile, choose

TOML = """
server = "http://top"
account = "top"

[profile.staging]
server = "http://staging"

[profile.mine]
account = "me"
"""


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "client.toml"
    file.write_text(TOML)
    return file


def test_without_anything_it_is_the_server_on_this_machine(tmp_path):
    found = choose(Profile(), None, {}, tmp_path / "none.toml")
    assert found == Profile("http://127.0.0.1:8080", "default")


@pytest.mark.parametrize(
    ("given", "profile", "environ", "server", "account"),
    [
        (Profile(), None, {}, "http://top", "top"),
        (Profile(), "staging", {}, "http://staging", "top"),
        (Profile(), "mine", {}, "http://top", "me"),
        (Profile(), None, {"LEVERET_PROFILE": "staging"}, "http://staging", "top"),
        (Profile(), None, {"LEVERET_SERVER": "http://env"}, "http://env", "top"),
        (Profile("http://given", None), "staging", {"LEVERET_SERVER": "http://env"}, "http://given", "top"),
        (Profile(), None, {"LEVERET_PROFILE": "staging", "LEVERET_SERVER": "http://env"}, "http://env", "top"),
        (Profile(None, "given"), "mine", {"LEVERET_ACCOUNT": "env"}, "http://top", "given"),
        (Profile(), "mine", {"LEVERET_ACCOUNT": "env", "LEVERET_SERVER": "http://env"}, "http://env", "me"),
        (Profile(), None, {"LEVERET_SERVER": "", "LEVERET_PROFILE": ""}, "http://top", "top"),
    ],
    ids=str,
)
def test_what_is_named_closer_counts(file, given, profile, environ, server, account):
    assert choose(given, profile, environ, file) == Profile(server, account)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"servr = 'x'", "there is no 'servr'; known are server, account and [profile.NAME]"),
        (b"[profile.a]\nport = 1", "there is no 'profile.a.port'; known are server, account"),
        (b"server = 1", "'server' is no text; server = \"\u2026\" is expected"),
        (b"profile = 1", "'profile' is no table; [profile.NAME] is expected"),
        (b"[profile]\na = 1", "'profile.a' is no table; [profile.a] is expected"),
        (b"server", "is not valid TOML: "),
        (b"\xff", "is not UTF-8 text, from byte 0 on"),
    ],
    ids=repr,
)
def test_a_file_that_can_not_be_used_says_what_is_known(file, content, line):
    file.write_bytes(content)
    with pytest.raises(Ended) as ended:
        choose(Profile(), None, {}, file)
    assert ended.value.code is Code.WRONG_USE
    assert str(ended.value).startswith(f"{file}: {line}")


def test_a_profile_that_is_not_there_says_which_are(file):
    with pytest.raises(Ended, match="there is no profile 'prod'; known are staging, mine"):
        choose(Profile(), "prod", {}, file)
    with pytest.raises(Ended, match="there is no profile 'prod'; there are none"):
        choose(Profile(), "prod", {}, Path("/none"))


def test_commands_find_the_file_in_the_users_configuration(run, environment, url, client, request):
    environment.mkdir(parents=True)
    name = request.node.name
    (environment / "client.toml").write_text(f"[profile.here]\nserver = '{url}'\naccount = '{name}'\n")
    client.queue(name, "jobs").put("hello", "1")
    assert run("get", "jobs", "1", "--profile", "here").raw == b"hello"
    assert run("get", "jobs", "1", "--profile", "hree").code == 2
