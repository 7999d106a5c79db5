"""Which server and account a command is for."""

from pathlib import Path

import pytest

from leveret.cli.exits import Code, Ended
from leveret.cli.profile import Choice, Profile, choose

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
    assert found == Choice("http://127.0.0.1:8080", "default")


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
    assert choose(given, profile, environ, file) == Choice(server, account)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"servr = 'x'", "there is no 'servr'; known are server, account, key, ca and [profile.NAME]"),
        (b"[profile.a]\nport = 1", "there is no 'profile.a.port'; known are server, account, key, ca"),
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


class TestKeys:
    """Whose key a command shows, and to whom."""

    TOML = """
server = "https://top"
key = "of-top"
ca = "top.pem"

[profile.staging]
server = "https://staging"
key = "of-staging"

[profile.bare]
server = "https://bare"

[profile.same]
key = "of-same"
ca = "/etc/same.pem"
"""

    @pytest.fixture
    def file(self, tmp_path):
        file = tmp_path / "client.toml"
        file.write_text(self.TOML)
        file.chmod(0o600)
        return file

    @pytest.mark.parametrize(
        ("given", "profile", "environ", "server", "key"),
        [
            (Profile(), None, {}, "https://top", "of-top"),
            (Profile(), "staging", {}, "https://staging", "of-staging"),
            (Profile(), "same", {}, "https://top", "of-same"),
            (Profile(), "bare", {}, "https://bare", None),
            (Profile(server="https://else"), None, {}, "https://else", None),
            (Profile(server="https://else"), "staging", {}, "https://else", None),
            (Profile(server="https://TOP:443/"), None, {}, "https://TOP:443/", "of-top"),
            (Profile(server="http://top"), None, {}, "http://top", None),
            (Profile(server="https://top/path"), None, {}, "https://top/path", None),
            (Profile(), None, {"LEVERET_SERVER": "https://env"}, "https://env", None),
            (Profile(), None, {"LEVERET_KEY": "env"}, "https://top", "env"),
            (Profile(), None, {"LEVERET_KEY": ""}, "https://top", "of-top"),
            (Profile(), None, {"LEVERET_KEY": "env", "LEVERET_SERVER": "https://env"}, "https://env", "env"),
            (Profile(), "staging", {"LEVERET_KEY": "env"}, "https://staging", "of-staging"),
            (Profile(), "bare", {"LEVERET_KEY": "env"}, "https://bare", "env"),
            (Profile(), "bare", {"LEVERET_KEY": "env", "LEVERET_SERVER": "https://env"}, "https://bare", None),
            (Profile(server="https://else"), None, {"LEVERET_KEY": "env"}, "https://else", "env"),
            (Profile(key="given"), "staging", {"LEVERET_KEY": "env"}, "https://staging", "given"),
            (Profile("https://else", key="given"), None, {"LEVERET_KEY": "env"}, "https://else", "given"),
            (Profile("http://x:port"), None, {}, "http://x:port", None),
        ],
        ids=str,
    )
    def test_a_key_goes_to_the_server_that_it_is_for(self, file, given, profile, environ, server, key):
        found = choose(given, profile, environ, file)
        assert (found.server, found.key) == (server, key)

    def test_authorities_go_with_their_server_and_are_found_wherever_the_command_is_run(self, file):
        assert choose(Profile(), None, {}, file).ca == str(file.parent / "top.pem")
        assert choose(Profile(), "same", {}, file).ca == "/etc/same.pem"
        assert choose(Profile(), "bare", {}, file).ca is None
        assert choose(Profile(), "bare", {"LEVERET_CA": "env.pem"}, file).ca == "env.pem"

    def test_a_key_that_is_passed_over_is_told(self, file):
        environ = {"LEVERET_KEY": "env", "LEVERET_SERVER": "https://env"}
        assert "LEVERET_KEY is for LEVERET_SERVER" in choose(Profile("https://else"), None, environ, file).withheld
        assert f"the key in {file} is for the server" in choose(Profile("https://else"), None, {}, file).withheld
        assert choose(Profile("https://else", key="given"), None, environ, file).withheld == ""

    def test_none_is_shown(self, file):
        assert "of-top" not in repr(choose(Profile(), None, {}, file))
        assert "canary" not in repr(Profile(key="canary"))

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
    def test_a_file_with_a_key_that_others_can_read_is_refused(self, file, mode):
        file.chmod(mode)
        with pytest.raises(Ended, match=r"holds a key, and can be read .* \(mode 06\d\d\); run: chmod 600 /") as ended:
            choose(Profile(), "bare", {}, file)
        assert ended.value.code is Code.WRONG_USE

    def test_a_file_without_one_may_be_read(self, file):
        file.write_text(TOML)
        file.chmod(0o644)
        assert choose(Profile(), None, {}, file).server == "http://top"


def test_commands_find_the_file_in_the_users_configuration(run, environment, url, client, request):
    environment.mkdir(parents=True)
    name = request.node.name
    (environment / "client.toml").write_text(f"[profile.here]\nserver = '{url}'\naccount = '{name}'\n")
    client.queue(name, "jobs").put("hello", "1")
    assert run("get", "jobs", "1", "--profile", "here").raw == b"hello"
    assert run("get", "jobs", "1", "--profile", "hree").code == 2
