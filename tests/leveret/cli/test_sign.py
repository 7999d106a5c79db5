"""`leveret sign`: which URLs it makes, which it refuses to, and what a server makes of them."""

import time
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from leveret.cli.sign import ACTIONS
from leveret.frontend.rest import Rest
from leveret.keys import TOKENS
from scalestack.auth.keys import issue
from scalestack.auth.keys.file import KeyFile
from support.process import leveret
from support.web import Client

PATH = "/v1.1/acme/jobs/1"


@pytest.fixture
def data(tmp_path, monkeypatch):
    """The data directory that commands take."""
    directory = tmp_path / "kept"
    monkeypatch.setenv("LEVERET_SERVER__DATA", str(directory))
    return directory


@pytest.fixture
def create(data):
    """Make a key."""

    def create(account="acme", actions=("send", "receive", "read"), **more):
        now = more.pop("now", time.time())
        return issue.create(KeyFile(data / "keys.json"), TOKENS, now, account=account, actions=actions, **more)[0]

    return create


@pytest.fixture
def sign(run, data):
    def sign(*arguments):
        said = run("sign", *arguments)
        assert said.code == 0, said.err
        return said.out.removesuffix("\n")

    return sign


def refused(said, says, code=1):
    assert (said.code, said.out) == (code, "")
    assert says in said.err
    assert said.err.count("\n") == 1


class TestUrls:
    def test_it_prints_the_path_and_a_query_that_ends_in_a_signature(self, sign, create):
        key = create()
        path, _, query = sign("GET", PATH).partition("?")
        assert path == PATH
        assert [name for name, _ in parse_qsl(query)] == ["key", "expires", "signature"]
        assert dict(parse_qsl(query))["key"] == key.id

    def test_with_a_server_of_the_environment_too(self, sign, create, monkeypatch):
        create()
        monkeypatch.setenv("LEVERET_SERVER", "http://127.0.0.1:9")
        assert sign("GET", PATH).startswith(f"http://127.0.0.1:9{PATH}?key=")

    def test_with_a_server_it_prints_the_whole_url(self, sign, create):
        create()
        assert sign("GET", PATH, "--server", "https://queues.example/").startswith(f"https://queues.example{PATH}?key=")

    def test_names_are_taken_as_they_are_and_percent_encoded(self, sign, create):
        create("ac me")
        path = urlsplit(sign("PUT", "/v1.1/ac me/50%/caf\u00e9 #1&=")).path
        assert path == "/v1.1/ac%20me/50%25/caf%C3%A9%20%231%26%3D"
        assert unquote(path) == "/v1.1/ac me/50%/caf\u00e9 #1&="

    def test_parameters_are_fixed_by_options_or_by_the_query_or_by_both(self, sign, create):
        create()
        for arguments in (
            ["PUT", PATH, "--param", "ttl=60", "--param", "hide=5"],
            ["PUT", f"{PATH}?ttl=60&hide=5"],
            ["PUT", f"{PATH}?ttl=60", "--param", "hide=5"],
        ):
            assert f"{PATH}?ttl=60&hide=5&key=" in sign(*arguments)

    def test_values_are_percent_encoded(self, sign, create):
        create()
        url = sign("GET", "/v1.1/acme/jobs", "--param", "after=a b&c=+")
        assert "?after=a%20b%26c%3D%2B&key=" in url

    def test_it_is_good_for_ten_minutes_where_nothing_else_is_said(self, sign, create):
        create()
        assert abs(int(dict(parse_qsl(sign("GET", PATH)))["expires"]) - time.time() - 600) < 60

    @pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), ("12h", 43_200), ("7d", 604_800)])
    def test_it_is_good_for_as_long_as_is_said(self, sign, create, text, seconds):
        create()
        assert abs(int(dict(parse_qsl(sign("GET", PATH, "--expires", text)))["expires"]) - time.time() - seconds) < 60

    def test_it_ends_with_its_key_and_says_so(self, run, create):
        key = create(lifetime=60)
        said = run("sign", "GET", PATH, "--expires", "1h")
        assert said.code == 0
        assert f"expires={int(key.expires)}&" in said.out
        assert said.err.startswith(f"signed with key {key.id}, which expires 20")
        assert said.err.count("\n") == 1

    @pytest.mark.parametrize("path", ["/v1.0/acme/jobs", "/v1.0/acme/jobs/1", "/v1.1/acme/jobs", PATH])
    def test_paths_of_queues_and_messages_of_both_versions_can_be_signed(self, sign, create, path):
        create()
        assert sign("DELETE", path).startswith(f"{path}?key=")

    def test_a_method_may_be_written_small(self, sign, create):
        create()
        assert sign("get", PATH)


class TestRefused:
    @pytest.mark.parametrize(
        "path",
        [
            *("/", "/admin", "/admin/modules", "/metrics", "/openapi.json", "/v1.1", "/v1.1/acme", "/v1.2/acme/jobs"),
            *("v1.1/acme/jobs", "/v1.1/acme/jobs/1/2", "//v1.1/acme/jobs", "http://a/v1.1/acme/jobs", "", "?a=1"),
        ],
    )
    def test_what_is_no_path_of_a_queue_or_a_message(self, run, create, path):
        create()
        refused(run("sign", "GET", path), "is no path of a queue or a message", 2)

    @pytest.mark.parametrize("path", ["/v1.1//jobs", "/v1.1/acme/", "/v1.1/acme/jobs/", "/v1.1/a/../x", "/v1.1/a/b/\n"])
    def test_names_that_nothing_has(self, run, create, path):
        create()
        refused(run("sign", "GET", path), " name ", 2)

    @pytest.mark.parametrize("method", ["PATCH", "OPTIONS", "BREW", ""])
    def test_other_methods(self, run, create, method):
        create()
        refused(run("sign", method, PATH), "can't be signed; GET, PUT, POST, DELETE can", 2)

    def test_head_which_get_is_good_for(self, run, create):
        create()
        refused(run("sign", "HEAD", PATH), "a URL for GET is good for HEAD", 2)

    def test_what_v1_0_does_not_have(self, run, create):
        create()
        refused(run("sign", "PUT", "/v1.0/acme/jobs"), "v1.0 has no PUT to a queue", 2)

    @pytest.mark.parametrize("text", ["8d", "169h", "0s", "never", "10"])
    def test_times_that_are_too_long_or_none(self, run, create, text):
        create()
        refused(run("sign", "GET", PATH, "--expires", text), "'--expires'", 2)

    @pytest.mark.parametrize("name", ["key", "expires", "signature", "Key", "SIGNATURE"])
    def test_parameters_that_signing_makes(self, run, create, name):
        create()
        refused(run("sign", "GET", PATH, "--param", f"{name}=1"), "is made by signing", 2)
        refused(run("sign", "GET", f"{PATH}?%{ord(name[0]):02x}{name[1:]}=1"), "is made by signing", 2)

    @pytest.mark.parametrize("text", ["ttl", "=60", ""])
    def test_what_is_no_parameter(self, run, create, text):
        create()
        refused(run("sign", "GET", PATH, "--param", text), "NAME=VALUE is expected", 2)

    @pytest.mark.parametrize("url", ["queues.example", "ftp://a", "https://", "https://a?b", "https://a#b"])
    def test_what_is_no_server(self, run, create, url):
        create()
        refused(run("sign", "GET", PATH, "--server", url), "is no URL of a server", 2)


class TestKeys:
    @pytest.mark.parametrize(
        "rights",
        [
            {"actions": ("read",)},
            {"actions": ("send",), "resources": ("other",)},
            {"account": "globex"},
            {"lifetime": 10, "now": 1000.0},
        ],
    )
    def test_one_that_could_not_do_it_itself_is_not_signed_with(self, run, create, rights):
        key = create(**rights)
        refused(run("sign", "PUT", PATH), "no valid key of the account allows 'send' on queue 'jobs' of account 'acme'")
        expected = "is expired" if "now" in rights else f"key {key.id} does not allow 'send' on queue 'jobs'"
        refused(run("sign", "PUT", PATH, "--key-id", key.id), expected)

    def test_one_that_is_revoked_is_not(self, run, create, data):
        key = create()
        issue.revoke(KeyFile(data / "keys.json"), key.id, time.time())
        refused(run("sign", "GET", PATH), "no valid key of the account allows 'read'")
        refused(run("sign", "GET", PATH, "--key-id", key.id), f"key {key.id} is revoked")

    def test_where_several_could_one_is_to_be_named(self, run, sign, create):
        first, second, _ = create(), create(), create(actions=("send",))
        refused(run("sign", "GET", PATH), f"several keys could sign this; give --key-id {first.id} or {second.id}", 2)
        assert f"key={second.id}&" in sign("GET", PATH, "--key-id", second.id)

    def test_one_that_is_for_everything_can_sign_everything_where_it_is_named(self, run, sign, create):
        key = create(None, ("admin",))
        refused(run("sign", "GET", "/v1.1/whoever/jobs/1"), f"or --key-id {key.id} signs it as an admin")
        assert f"key={key.id}&" in sign("GET", "/v1.1/whoever/jobs/1", "--key-id", key.id)

    def test_it_says_which_key_it_took(self, run, create):
        key = create()
        assert run("sign", "GET", PATH).err == f"signed with key {key.id}\n"

    def test_of_an_unknown_one_near_ones_are_named(self, run, create):
        key = create()
        near = key.id[:-1] + ("x" if key.id[-1] != "x" else "y")
        refused(run("sign", "GET", PATH, "--key-id", near), f"there is no key '{near}'; did you mean {key.id}?", 3)

    def test_what_is_no_id_is_not_said_again(self, run, create):
        create()
        said = run("sign", "GET", PATH, "--key-id", "x" * 33)
        refused(said, "this is no id of a key", 2)
        assert "xxx" not in said.err

    def test_where_there_are_none_it_says_how_to_make_one(self, run, data):
        refused(run("sign", "GET", PATH), "'leveret keys create' makes one")


def test_what_methods_take_the_right_for_is_what_the_routes_say():
    routes = [route for route in Rest(None).routes() if "{queue}" in route.path]  # the table alone: nothing is asked
    said = {(route.method, route.action) for route in routes if route.method != "PATCH"}
    assert said == set(ACTIONS.items())


def test_a_server_lets_pass_what_was_signed_and_nothing_else(sign, create, data):
    create(actions=("send", "read"))
    with leveret("--store", "memory://", "--auth", "keys", "--data", str(data)) as server:
        ask = Client(server.port)
        put = sign("PUT", "/v1.1/acme/jobs/caf\u00e9 50%", "--param", "ttl=60")
        assert ask("PUT", put, b"x").status == 201
        got = ask("GET", sign("GET", "/v1.1/acme/jobs?limit=1&detail=all"))
        assert [each["id"] for each in got.json] == ["caf\u00e9 50%"]
        assert 0 < got.json[0]["ttl"] <= 60
        assert ask("GET", put).status == 401
        assert ask("PUT", put.replace("ttl=60", "ttl=0"), b"x").status == 401
        assert ask("PUT", f"{put}&hide=1", b"x").status == 401
        assert ask("HEAD", sign("GET", "/v1.1/acme/jobs?limit=1")).status == 200
        assert ask("GET", "/v1.1/acme/jobs").status == 401
        ask.close()


class TestWithATokenAlone:
    @pytest.fixture
    def token(self, tmp_path, monkeypatch):
        """A key of a server elsewhere, whose files are not here."""
        key, token = issue.create(
            KeyFile(tmp_path / "elsewhere" / "keys.json"), TOKENS, time.time(), account="acme", actions=("send",)
        )
        monkeypatch.setenv("LEVERET_KEY", token.text)
        return key, token.text

    def test_it_signs_as_the_server_s_own_key_does(self, sign, token, tmp_path, monkeypatch):
        mine = sign("PUT", PATH)
        monkeypatch.delenv("LEVERET_KEY")
        monkeypatch.setenv("LEVERET_SERVER__DATA", str(tmp_path / "elsewhere"))
        theirs = sign("PUT", PATH)
        # They may have been signed in two seconds.
        assert mine == theirs or parse_qsl(mine)[-2][0] == parse_qsl(theirs)[-2][0] == "expires"

    def test_it_signs_what_it_may_not_for_only_the_server_knows(self, sign, token):
        assert f"key={token[0].id}&" in sign("DELETE", PATH)

    def test_a_key_of_the_server_that_is_named_is_stronger(self, sign, create, token):
        key = create()
        assert f"key={key.id}&" in sign("PUT", PATH, "--key-id", key.id)

    def test_what_is_no_key_is_not_said_again(self, run, data, monkeypatch):
        monkeypatch.setenv("LEVERET_KEY", "eyJ.nonsense.x")
        said = run("sign", "PUT", PATH)
        refused(said, "LEVERET_KEY is no key of 'leveret keys create'", 2)
        assert "nonsense" not in said.err


def test_a_tenant_s_key_is_taken_before_an_admin_s(sign, create):
    create(None, ("admin",))
    key = create()
    assert f"key={key.id}&" in sign("PUT", PATH)
