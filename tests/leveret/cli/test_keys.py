"""`leveret keys`: what it prints, to whom, and what a server makes of it."""

import re
import stat
import subprocess
import sys
import time

import pytest

from scalestack.auth.keys.file import KeyFile
from support.process import leveret
from support.web import Client

TOKEN = re.compile(r"lvk_([0-9A-Za-z]{10})_[0-9A-Za-z]{33}")
DAY = 86_400


@pytest.fixture
def data(tmp_path, monkeypatch):
    """The data directory that commands take."""
    directory = tmp_path / "kept"
    monkeypatch.setenv("LEVERET_SERVER__DATA", str(directory))
    return directory


@pytest.fixture
def create(run, data):
    """Make a key; answers its token."""

    def create(*options):
        said = run("keys", "create", *(options or ("--account", "acme")))
        assert said.code == 0, said.err
        return said.out.strip()

    return create


def id_of(token):
    return TOKEN.fullmatch(token)[1]


def kept(data):
    return KeyFile(data / "keys.json").read()


class TestCreate:
    def test_the_token_is_all_that_is_on_standard_output(self, run, data):
        said = run("keys", "create", "--account", "acme")
        assert TOKEN.fullmatch(said.out.removesuffix("\n"))

    def test_two_lines_beside_it_are_for_people_and_do_not_say_it(self, run, data):
        said = run("keys", "create", "--account", "acme", "--expires", "30d")
        token = said.out.strip()
        id = id_of(token)
        first, second = said.err.splitlines()
        assert first.startswith(f"key {id} expires 20")
        assert first.endswith("its token is shown this once only")
        assert "Authorization: Bearer $LEVERET_KEY" in second
        assert token[15:] not in said.err

    def test_what_is_kept_is_for_its_owner_alone_and_not_the_token(self, create, data):
        token = create()
        assert stat.S_IMODE(data.stat().st_mode) == 0o700
        files = list(data.iterdir())
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
        assert not any(token[15:].encode() in file.read_bytes() for file in files)

    def test_a_key_may_send_receive_and_read_in_all_queues_where_nothing_else_is_said(self, create, data):
        token = create()
        key = kept(data)[id_of(token)]
        assert (key.account, key.actions, key.resources) == ("acme", ("send", "receive", "read"), ("*",))
        assert key.expires == float("inf")

    def test_it_is_as_narrow_as_is_said(self, create, data):
        options = (
            "--allow",
            "send, read",
            "--queue",
            "jobs-*",
            "--queue",
            "x",
            "--expires",
            "30d",
            "--comment",
            "shop",
        )
        token = create("--account", "acme", *options)
        key = kept(data)[id_of(token)]
        assert (key.actions, key.resources, key.comment) == (("send", "read"), ("jobs-*", "x"), "shop")
        assert abs(key.expires - time.time() - 30 * DAY) < 60

    def test_a_key_for_all_accounts_has_none(self, create, data):
        token = create("--allow", "admin")
        key = kept(data)[id_of(token)]
        assert (key.account, key.actions) == (None, ("admin",))

    @pytest.mark.parametrize(
        ("options", "says"),
        [
            ([], "--account is missing"),
            (["--account", "a/b"], "the account name holds a '/'"),
            (["--account", ""], "the account name is empty"),
            (["--account", "a", "--queue", "x/*"], "the queue name holds a '/'"),
            (["--account", "a", "--queue", ""], "the queue name is empty"),
            (["--account", "a", "--allow", "sned"], "there is no action 'sned'; known are send, receive, read, policy"),
            (["--account", "a", "--allow", ""], "there is no action ''"),
            (["--allow", "admin", "--account", "a"], "--account beside it would change nothing"),
            (["--allow", "admin", "--queue", "a"], "--queue beside it would change nothing"),
            (["--allow", "admin,send"], "would change nothing"),
            (["--account", "a", "--expires", "0s"], "'0s' is out of range; 1s to 36500d is expected"),
            (["--account", "a", "--expires", "-1d"], "'-1d' is no duration"),
            (
                ["--account", "a", "--expires", "30"],
                "'30' is no duration; one such as 90s, 10m, 12h or 30d is expected",
            ),
            (["--account", "a", "--expires", "36501d"], "out of range"),
            (["--account", "a", "--comment", "x" * 201], "201 characters"),
            (["--account", "a", "--comment", "\udcff"], "no UTF-8 text"),
            (["--account", "\udcff"], "no UTF-8 text"),
        ],
    )
    def test_what_can_not_be_is_one_line_and_makes_no_key(self, run, data, options, says):
        said = run("keys", "create", *options)
        assert (said.code, said.out) == (2, "")
        assert says in said.err
        assert said.err.count("\n") == 1
        assert not data.exists()

    def test_the_data_directory_is_said_by_an_option_or_a_file_of_settings(self, run, tmp_path):
        settings = tmp_path / "leveret.toml"
        settings.write_text(f'[server]\ndata = "{tmp_path}/one"\n')
        assert run("keys", "create", "--account", "a", "--config", settings).code == 0
        assert run("keys", "create", "--account", "a", "--data", tmp_path / "two").code == 0
        assert len(kept(tmp_path / "one")) == len(kept(tmp_path / "two")) == 1

    def test_of_keys_that_are_made_at_once_none_is_lost(self, data):
        command = [sys.executable, "-m", "leveret", "keys", "create", "--account", "acme"]
        makers = [
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) for _ in range(8)
        ]
        tokens = [maker.communicate()[0].strip() for maker in makers]
        assert kept(data).keys() == {id_of(token) for token in tokens}
        assert len(kept(data)) == 8

    def test_a_file_that_others_can_read_is_refused_in_one_line(self, run, create, data):
        create()
        (data / "keys.json").chmod(0o644)
        for command in (["create", "--account", "a"], ["list"], ["revoke", "0123456789"]):
            said = run("keys", *command)
            assert said.code == 1
            assert "chmod 600" in said.err
            assert said.err.count("\n") == 1


class TestList:
    def test_it_shows_each_key_and_its_state(self, run, create, data):
        first, second = create("--account", "acme", "--comment", "the shop"), create("--allow", "admin")
        run("keys", "revoke", id_of(second))
        said = run("keys", "list")
        assert said.rows[0][:5] == [id_of(first), "acme", "send,receive,read", "*", "valid"]
        assert said.rows[0][-2:] == ["the", "shop"]
        assert said.rows[1][:5] == [id_of(second), "(all)", "admin", "*", "revoked"]

    def test_programs_get_an_object_a_line(self, run, create, data):
        token = create("--account", "acme", "--queue", "jobs-*", "--expires", "30d")
        (found,) = run("keys", "list", "--json").json
        assert found["id"] == id_of(token)
        assert (found["account"], found["queues"], found["state"]) == ("acme", ["jobs-*"], "valid")
        assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", found["expires"])
        assert found["revoked"] is None

    @pytest.mark.parametrize("options", [[], ["--json"]])
    def test_nothing_of_it_is_secret(self, run, create, data, options):
        token = create()
        said = run("keys", "list", *options)
        assert token[15:30] not in said.out
        assert kept(data)[id_of(token)].sha256.hex()[:10] not in said.out

    def test_where_there_are_none_it_says_where_it_looked(self, run, data):
        said = run("keys", "list")
        assert said.code == 3
        assert str(data / "keys.json") in said.err
        assert not data.exists()

    def test_what_a_comment_says_moves_no_cursor(self, run, create, data):
        create("--account", "acme", "--comment", "\x1b[2Jx")
        assert "\x1b" not in run("keys", "list").out


class TestRevoke:
    def test_a_key_is_revoked_by_its_id(self, run, create, data):
        id = id_of(create())
        said = run("keys", "revoke", id)
        assert (said.code, said.out, said.err) == (0, f"key {id} is revoked\n", "")
        assert run("keys", "list", "--json").json[0]["state"] == "revoked"

    def test_a_whole_token_will_do_and_is_not_said_again(self, run, create, data):
        token = create()
        said = run("keys", "revoke", token)
        assert said.out == f"key {id_of(token)} is revoked\n"

    def test_to_do_it_again_is_no_error(self, run, create, data):
        id = id_of(create())
        run("keys", "revoke", id)
        said = run("keys", "revoke", id)
        assert said.code == 0
        assert said.out.startswith(f"key {id} was revoked on 20")

    def test_of_an_unknown_id_near_ones_are_named(self, run, create, data):
        id = id_of(create())
        near = id[:-1] + ("x" if id[-1] != "x" else "y")
        said = run("keys", "revoke", near)
        assert (said.code, said.err) == (3, f"leveret: there is no key '{near}'; did you mean {id}?\n")

    def test_what_is_neither_an_id_nor_a_token_is_not_said_again(self, run, create, data):
        token = create()
        said = run("keys", "revoke", token[15:])
        assert said.code == 2
        assert "no id of a key" in said.err
        assert token[15:] not in said.err


class TestRotate:
    def test_it_prints_a_new_token_as_create_does(self, run, create, data):
        old = id_of(create("--account", "acme", "--allow", "send", "--queue", "jobs-*", "--expires", "30d"))
        said = run("keys", "rotate", old, "--overlap", "12h")
        new = id_of(said.out.strip())
        first, _ = said.err.splitlines()
        assert f"takes over from {old}, which is good until 20" in first
        keys = kept(data)
        assert (keys[new].actions, keys[new].resources, keys[new].rotated_from) == (("send",), ("jobs-*",), old)
        assert abs(keys[old].expires - time.time() - DAY / 2) < 60
        assert abs(keys[new].expires - time.time() - 30 * DAY) < 60

    def test_the_overlap_is_a_day_where_nothing_else_is_said(self, run, create, data):
        old = id_of(create())
        run("keys", "rotate", old)
        assert abs(kept(data)[old].expires - time.time() - DAY) < 60

    def test_one_that_is_revoked_is_refused(self, run, create, data):
        id = id_of(create())
        run("keys", "revoke", id)
        said = run("keys", "rotate", id)
        assert (said.code, said.out) == (1, "")
        assert said.err == f"leveret: key '{id}' is revoked; create another\n"


@pytest.mark.parametrize("command", ["create", "list", "revoke", "rotate"])
def test_each_command_explains_itself_with_an_example(run, command):
    said = run("keys", command, "--help")
    assert said.code == 0
    assert f"leveret keys {command}" in said.out


def test_a_running_server_knows_of_keys_from_its_next_request_on(run, data, create):
    with leveret("--store", "memory://", "--auth", "keys", "--data", str(data)) as server:
        ask = Client(server.port)

        def status(token, path="/v1.1/acme/jobs/1", method="PUT"):
            return ask(method, path, b"x", {"Authorization": f"Bearer {token}"}).status

        assert ask("GET", "/v1.1/acme").status == 401
        token = create("--account", "acme", "--allow", "send", "--queue", "jobs")
        assert status(token) == 201
        assert status(token) == 204
        assert status(token, "/v1.1/acme/other/1") == 403
        assert status(token, "/v1.1/globex/jobs/1") == 403
        new = run("keys", "rotate", token).out.strip()
        assert status(new) == status(token) == 204
        run("keys", "revoke", token)
        assert status(token) == 401
        assert status(new) == 204
        ask.close()
