"""REST v1.0, rule by rule, as the contract has them. What a store keeps is in the conformance suite."""

import json
from contextlib import closing
from urllib.parse import quote

import pytest

from leveret.model import MAX_SECONDS
from leveret.store.base import StoreError, StoreFailed, StoreFull
from leveret.store.memory import MemoryStore
from scalestack.event.loops import LoopThread
from scalestack.event.pending import Pending
from support.queues import serving_queues
from support.web import eventually

Q = "/v1.0/account/queue"
M = Q + "/message"


@pytest.fixture
def queues():
    with serving_queues(MemoryStore()) as queues:
        yield queues


@pytest.fixture
def ask(queues):
    client = queues.client()
    yield client
    client.close()


@pytest.fixture
def filled(ask):
    """Three messages, the second of them hidden."""
    ask("PUT", Q + "/a", b"first")
    ask("PUT", Q + "/b?hide=60", b"second")
    ask("PUT", Q + "/c?ttl=0", b"third")
    return ask


def refused(answer, status, code=None):
    """The document of an error, after what all of them have in common."""
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json
    assert set(problem) == {"type", "title", "status", "code", "detail"}
    assert problem["status"] == status
    assert problem["detail"]
    if code is not None:
        assert problem["code"] == code
    return problem


class TestPaths:
    def test_the_root_lists_the_versions(self, ask):
        answer = ask("GET", "/")
        assert (answer.status, answer.body) == (200, b'["v1.0","v1.1"]')
        assert answer.headers["content-type"] == "application/json"

    @pytest.mark.parametrize(
        ("path", "allowed"),
        [
            ("/", "GET, HEAD, OPTIONS"),
            ("/v1.0", "DELETE, GET, HEAD, OPTIONS"),
            ("/v1.0/a", "DELETE, GET, HEAD, OPTIONS"),
            ("/v1.0/a/q", "DELETE, GET, HEAD, OPTIONS, POST"),
            ("/v1.0/a/q/m", "DELETE, GET, HEAD, OPTIONS, POST, PUT"),
        ],
    )
    def test_every_path_has_its_methods_and_no_others(self, ask, path, allowed):
        for method in ("GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"):
            answer = ask(method, path)
            if method == "OPTIONS":
                assert (answer.status, answer.body) == (204, b"")
                assert answer.headers["allow"] == allowed
            elif method in allowed.split(", "):
                assert answer.status in {200, 201, 204, 404}
            else:
                refused(answer, 405, "method-not-allowed")
                assert answer.headers["allow"] == allowed

    @pytest.mark.parametrize(
        "path", ["/v1.0/", "/v1.0/a/", "/v1.0/a/q/", "/v1.0/a/q/m/", "/v1.0/a/q/m/n", "/v1.0//q", "/v2.0", "/v1", "//"]
    )
    @pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE", "OPTIONS"])
    def test_an_unknown_path_is_404(self, ask, path, method):
        refused(ask(method, path), 404, "unknown-path")

    def test_every_version_that_is_listed_is_served(self, filled):
        for version in filled("GET", "/").json:
            assert filled("GET", f"/{version}").json == ["account"]
            assert filled("GET", f"/{version}/account").json == ["queue"]
            assert filled("GET", f"/{version}/account/queue?detail=id").json == ["a", "c"]
            assert filled("GET", f"/{version}/account/queue/a?detail=body").body == b"first"

    @pytest.mark.parametrize("path", ["/", "/v1.0", "/v1.0/account", Q, Q + "/a"])
    def test_head_is_get_without_the_body(self, filled, path):
        get, head = filled("GET", path), filled("HEAD", path)
        assert (head.status, head.body) == (200, b"")
        assert head.headers["content-length"] == get.headers["content-length"] == str(len(get.body))
        assert head.headers["content-type"] == get.headers["content-type"]

    def test_head_of_what_is_not_there_is_404(self, ask):
        assert ask("HEAD", M).status == 404


class TestOneMessage:
    def test_put_creates_with_201_and_replaces_with_204(self, ask):
        assert (ask("PUT", M, b"one").status, ask("PUT", M, b"two").status) == (201, 204)
        assert ask("GET", M).json["body"] == "two"

    def test_get_is_detail_all_by_default(self, filled):
        answer = filled("GET", Q + "/a")
        assert answer.body == b'{"id":"a","ttl":600,"hide":0,"body":"first"}'
        assert answer.headers["content-type"] == "application/json"

    @pytest.mark.parametrize(
        ("detail", "status", "content_type", "body"),
        [
            ("none", 204, None, b""),
            ("id", 200, "application/octet-stream", b"a"),
            ("attributes", 200, "application/json", b'{"id":"a","ttl":600,"hide":0}'),
            ("body", 200, "application/octet-stream", b"first"),
            ("all", 200, "application/json", b'{"id":"a","ttl":600,"hide":0,"body":"first"}'),
        ],
    )
    @pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
    def test_each_detail_with_each_method(self, filled, method, detail, status, content_type, body):
        answer = filled(method, f"{Q}/a?detail={detail}")
        assert (answer.status, answer.headers.get("content-type"), answer.body) == (status, content_type, body)

    @pytest.mark.parametrize("method", ["POST", "DELETE"])
    def test_post_and_delete_are_detail_none_by_default(self, filled, method):
        answer = filled(method, Q + "/a")
        assert (answer.status, answer.body) == (204, b"")
        assert "content-length" not in answer.headers

    def test_post_answers_as_it_is_after_the_change(self, filled):
        assert filled("POST", Q + "/a?hide=30&ttl=90&detail=attributes").json == {"id": "a", "ttl": 90, "hide": 30}

    def test_post_leaves_what_it_does_not_name_alone(self, filled):
        assert filled("POST", Q + "/b?ttl=90&detail=attributes").json == {"id": "b", "ttl": 90, "hide": 60}
        assert filled("POST", Q + "/b?hide=0&detail=attributes").json == {"id": "b", "ttl": 90, "hide": 0}
        assert filled("POST", Q + "/b?detail=attributes").json == {"id": "b", "ttl": 90, "hide": 0}

    def test_delete_answers_as_it_was_and_then_it_is_gone(self, filled):
        assert filled("DELETE", Q + "/a?detail=body").body == b"first"
        refused(filled("DELETE", Q + "/a"), 404, "no-such-message")

    @pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
    def test_a_request_by_id_ignores_hide(self, filled, method):
        assert filled(method, Q + "/b?detail=body").body == b"second"

    @pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
    @pytest.mark.parametrize("path", [M, Q + "/a/", "/v1.0/other/queue/a", "/v1.0/account/other/a"])
    def test_what_is_not_there_is_404(self, filled, method, path):
        refused(filled(method, path), 404)

    def test_ttl_and_hide_count_down_and_are_rounded_up(self, filled, queues):
        queues.now += 0.25
        assert filled("GET", Q + "/b?detail=attributes").json == {"id": "b", "ttl": 600, "hide": 60}
        queues.now += 1
        assert filled("GET", Q + "/b?detail=attributes").json == {"id": "b", "ttl": 599, "hide": 59}

    def test_ttl_0_never_expires(self, filled, queues):
        queues.now += 10**9
        assert filled("GET", Q + "/c?detail=attributes").json == {"id": "c", "ttl": 0, "hide": 0}

    def test_an_expired_message_is_404_from_the_instant_at_which_it_expires(self, filled, queues):
        queues.now += 599.75
        assert filled("GET", Q + "/a").status == 200
        queues.now += 0.25
        assert filled("GET", Q + "/a").status == 404

    @pytest.mark.parametrize("name", ["limit", "marker", "match_hidden", "wait"])
    def test_filters_are_for_collections(self, filled, name):
        refused(filled("GET", f"{Q}/a?{name}=1"), 400, "unknown-parameter")


class TestBodies:
    @pytest.mark.parametrize(
        ("body", "shown"),
        [
            (b"text", '"text"'),
            (b"", '""'),
            ("é€😀".encode(), '"é€😀"'),
            (b'"\\\n\t\x00\x1f', '"\\"\\\\\\n\\t\\u0000\\u001f"'),
            (b"\xff\xfe", '{"base64":"//4="}'),
            (b"\xed\xa0\x80", '{"base64":"7aCA"}'),
            (b'{"base64":"//4="}', '"{\\"base64\\":\\"//4=\\"}"'),
        ],
        ids=["text", "empty", "unicode", "controls", "bytes", "a surrogate", "what looks like base64"],
    )
    def test_in_json_a_body_is_a_string_where_it_is_utf_8_and_else_base64(self, ask, body, shown):
        ask("PUT", M, body)
        assert ask("GET", M + "?detail=body").body == body
        assert ask("GET", Q + "?detail=body").body == f"[{shown}]".encode()
        assert ask("GET", M).body == f'{{"id":"message","ttl":600,"hide":0,"body":{shown}}}'.encode()
        json.loads(ask("GET", Q).body)

    @pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "application/json", "text/plain"])
    def test_the_body_of_a_put_is_taken_byte_for_byte_whatever_its_content_type(self, ask, content_type):
        ask("PUT", M, b"ttl=5&hide=5", {"Content-Type": content_type})
        assert ask("GET", M).json == {"id": "message", "ttl": 600, "hide": 0, "body": "ttl=5&hide=5"}

    def test_a_body_at_the_limit_is_kept_and_beyond_it_is_413(self, ask):
        assert ask("PUT", M, b"x" * (1 << 20)).status == 201
        assert len(ask("GET", M + "?detail=body").body) == 1 << 20
        refused(ask("PUT", M, b"x" * ((1 << 20) + 1)), 413, "body-too-large")


class TestMessages:
    def test_get_is_detail_all_by_default_and_in_order(self, filled):
        answer = filled("GET", Q)
        assert answer.body == (
            b'[{"id":"a","ttl":600,"hide":0,"body":"first"},{"id":"c","ttl":0,"hide":0,"body":"third"}]'
        )
        assert answer.headers["content-type"] == "application/json"

    @pytest.mark.parametrize(
        ("detail", "status", "body"),
        [
            ("none", 204, b""),
            ("id", 200, b'["a","c"]'),
            ("attributes", 200, b'[{"id":"a","ttl":600,"hide":0},{"id":"c","ttl":0,"hide":0}]'),
            ("body", 200, b'["first","third"]'),
            (
                "all",
                200,
                b'[{"id":"a","ttl":600,"hide":0,"body":"first"},{"id":"c","ttl":0,"hide":0,"body":"third"}]',
            ),
        ],
    )
    @pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
    def test_each_detail_with_each_method(self, filled, method, detail, status, body):
        answer = filled(method, f"{Q}?detail={detail}")
        assert (answer.status, answer.body) == (status, body)

    @pytest.mark.parametrize("method", ["POST", "DELETE"])
    def test_post_and_delete_are_detail_none_by_default(self, filled, method):
        answer = filled(method, Q)
        assert (answer.status, answer.body) == (204, b"")

    def test_a_claim_hides_the_first_and_answers_it_as_it_is_after_that(self, filled):
        claim = Q + "?limit=1&hide=60&detail=all"
        assert filled("POST", claim).json == [{"id": "a", "ttl": 600, "hide": 60, "body": "first"}]
        assert filled("POST", claim).json == [{"id": "c", "ttl": 0, "hide": 60, "body": "third"}]
        refused(filled("POST", claim), 404, "no-match")

    def test_a_pop_deletes_what_it_answers(self, filled):
        pop = Q + "?limit=100&detail=all"
        assert [message["id"] for message in filled("DELETE", pop).json] == ["a", "c"]
        refused(filled("DELETE", pop), 404, "no-match")
        assert filled("GET", Q + "?match_hidden=true&detail=id").json == ["b"]

    def test_limit(self, filled):
        assert filled("GET", Q + "?limit=1&detail=id").json == ["a"]
        assert filled("GET", f"{Q}?limit={2**63 - 1}&detail=id").json == ["a", "c"]

    @pytest.mark.parametrize(
        ("marker", "after"), [("a", ["c"]), ("b", ["c"]), ("not-there", ["a", "c"]), ("", ["a", "c"])]
    )
    def test_marker(self, filled, marker, after):
        assert filled("GET", f"{Q}?marker={marker}&detail=id").json == after

    def test_a_marker_that_is_the_last_leaves_nothing(self, filled):
        refused(filled("GET", Q + "?marker=c"), 404, "no-match")

    @pytest.mark.parametrize("spelling", ["true", "TRUE", "True", "tRuE"])
    def test_match_hidden_in_any_case(self, filled, spelling):
        assert filled("GET", f"{Q}?match_hidden={spelling}&detail=id").json == ["a", "b", "c"]

    @pytest.mark.parametrize("spelling", ["false", "FALSE", "False"])
    def test_match_hidden_false_is_the_default(self, filled, spelling):
        assert filled("GET", f"{Q}?match_hidden={spelling}&detail=id").json == ["a", "c"]

    @pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
    @pytest.mark.parametrize("path", ["/v1.0/account/other", "/v1.0/other/queue", Q + "?marker=c"])
    def test_what_matches_nothing_is_404(self, filled, method, path):
        refused(filled(method, path), 404, "no-match")

    def test_hidden_messages_alone_match_nothing(self, filled):
        filled("POST", Q + "?hide=60")
        refused(filled("GET", Q), 404, "no-match")


class TestWait:
    def test_what_matches_already_does_not_wait(self, filled):
        assert filled("GET", Q + "?wait=3600&detail=id").json == ["a", "c"]

    def test_nothing_after_the_wait_is_404(self, ask):
        refused(ask("GET", Q + "?wait=1"), 404, "no-match")

    def test_wait_0_does_not_wait(self, ask):
        refused(ask("GET", Q + "?wait=0"), 404, "no-match")

    @pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
    def test_a_message_ends_the_wait_also_on_a_queue_that_did_not_exist(self, queues, ask, method):
        waiting = queues.client()
        waiting._connection.request(method, Q + "?wait=3600&detail=id")
        eventually(lambda: queues.service.parked == 1)
        ask("PUT", M)
        assert waiting._connection.getresponse().read() == b'["message"]'
        waiting.close()

    def test_hidden_messages_end_the_wait_of_those_who_match_them(self, queues, ask):
        waiting = queues.client()
        waiting._connection.request("GET", Q + "?wait=3600&match_hidden=true&detail=id")
        eventually(lambda: queues.service.parked == 1)
        ask("PUT", M + "?hide=60")
        assert waiting._connection.getresponse().read() == b'["message"]'
        waiting.close()

    @pytest.mark.parametrize("path", ["/v1.0", "/v1.0/account", Q + "/a"])
    def test_wait_is_for_message_collections_only(self, filled, path):
        refused(filled("GET", path + "?wait=1"), 400, "unknown-parameter")


NAMES = [("/v1.0", "account"), ("/v1.0/account", "queue")]


@pytest.mark.parametrize(("path", "name"), NAMES, ids=["accounts", "queues"])
class TestAccountsAndQueues:
    @pytest.fixture
    def three(self, ask, name):
        for value in ("x", "y", "z"):
            ask("PUT", {"account": f"/v1.0/{value}/queue/m", "queue": f"/v1.0/account/{value}/m"}[name])
        return ask

    def test_get_is_detail_id_by_default(self, three, path, name):
        answer = three("GET", path)
        assert (answer.status, answer.body) == (200, b'["x","y","z"]')
        assert answer.headers["content-type"] == "application/json"

    @pytest.mark.parametrize(
        ("detail", "status", "body"),
        [
            ("none", 204, b""),
            ("id", 200, b'["x","y","z"]'),
            ("all", 200, b'[{"id":"x"},{"id":"y"},{"id":"z"}]'),
        ],
    )
    @pytest.mark.parametrize("method", ["GET", "DELETE"])
    def test_each_detail_with_each_method(self, three, path, name, method, detail, status, body):
        answer = three(method, f"{path}?detail={detail}")
        assert (answer.status, answer.body) == (status, body)

    @pytest.mark.parametrize("detail", ["attributes", "body"])
    def test_they_have_no_attributes_and_no_bodies(self, three, path, name, detail):
        refused(three("GET", f"{path}?detail={detail}"), 400, "bad-parameter")

    def test_delete_is_detail_none_by_default_and_deletes_all(self, three, path, name):
        answer = three("DELETE", path)
        assert (answer.status, answer.body) == (204, b"")
        refused(three("GET", path), 404, "no-match")

    def test_limit_and_marker(self, three, path, name):
        assert three("GET", path + "?limit=2").json == ["x", "y"]
        assert three("GET", path + "?marker=x&limit=1").json == ["y"]
        assert three("GET", path + "?marker=not-there").json == ["x", "y", "z"]
        refused(three("GET", path + "?marker=z"), 404, "no-match")

    def test_delete_takes_limit_and_marker(self, three, path, name):
        assert three("DELETE", path + "?marker=x&limit=1&detail=id").json == ["y"]
        assert three("GET", path).json == ["x", "z"]

    @pytest.mark.parametrize("method", ["GET", "DELETE"])
    def test_none_at_all_is_404(self, ask, path, name, method):
        refused(ask(method, path), 404, "no-match")

    @pytest.mark.parametrize("parameter", ["match_hidden=true", "ttl=1", "hide=1"])
    def test_what_is_for_messages_is_refused(self, three, path, name, parameter):
        refused(three("GET", f"{path}?{parameter}"), 400, "unknown-parameter")


EVERY_REQUEST = [
    ("GET", "/"),
    ("GET", "/openapi.json"),
    ("GET", "/v1.0"),
    ("DELETE", "/v1.0"),
    ("GET", "/v1.0/account"),
    ("DELETE", "/v1.0/account"),
    ("GET", Q),
    ("POST", Q),
    ("DELETE", Q),
    ("GET", Q + "/a"),
    ("PUT", Q + "/a"),
    ("POST", Q + "/a"),
    ("DELETE", Q + "/a"),
]
# A number of a million digits could not be converted; it does not even fit a request's first line.
NOT_WHOLE = ["", "-1", "+1", "1.5", "1e3", "0x10", "1_0", "%201", "1%20", "one", "%D9%A1", "9" * 4000]
OF = {"limit": [Q, "/v1.0", "/v1.0/account"], "ttl": [M], "hide": [M], "wait": [Q]}


class TestBadInput:
    @pytest.mark.parametrize(("method", "path"), EVERY_REQUEST)
    def test_an_unknown_parameter_is_named_with_those_that_are_known(self, filled, method, path):
        problem = refused(filled(method, path + "?limt=1"), 400, "unknown-parameter")
        assert "'limt'" in problem["detail"]

    @pytest.mark.parametrize(("method", "path"), EVERY_REQUEST)
    def test_nothing_changes_where_input_is_bad(self, filled, queues, method, path):
        before = filled("GET", Q + "?match_hidden=true").body
        assert filled(method, path + "?unknown=1", b"other").status == 400
        assert filled("GET", Q + "?match_hidden=true").body == before

    @pytest.mark.parametrize("text", NOT_WHOLE)
    @pytest.mark.parametrize("name", OF)
    def test_what_is_no_whole_number(self, ask, name, text):
        for path in OF[name]:
            method = "PUT" if path == M else "GET"
            problem = refused(ask(method, f"{path}?{name}={text}"), 400, "bad-parameter")
            assert "a whole number from" in problem["detail"]
            assert len(problem["detail"]) < 200

    def test_limit_0(self, filled):
        refused(filled("GET", Q + "?limit=0"), 400, "bad-parameter")

    @pytest.mark.parametrize("name", ["ttl", "hide", "wait"])
    def test_seconds_beyond_their_range(self, ask, name):
        method, path = ("GET", Q) if name == "wait" else ("PUT", M)
        refused(ask(method, f"{path}?{name}={MAX_SECONDS + 1}"), 400, "bad-parameter")

    @pytest.mark.parametrize("name", ["ttl", "hide"])
    def test_the_longest_time_is_kept_exactly(self, ask, name):
        ask("PUT", f"{M}?{name}={MAX_SECONDS}")
        assert ask("GET", M).json[name] == MAX_SECONDS

    @pytest.mark.parametrize("text", ["", "yes", "1", "truee"])
    def test_match_hidden_that_is_neither_true_nor_false(self, ask, text):
        refused(ask("GET", f"{Q}?match_hidden={text}"), 400, "bad-parameter")

    @pytest.mark.parametrize("text", ["", "ALL", "everything", "none,id"])
    @pytest.mark.parametrize("path", ["/v1.0", "/v1.0/account", Q, M])
    def test_an_unknown_detail(self, ask, path, text):
        refused(ask("GET", f"{path}?detail={text}"), 400, "bad-parameter")

    @pytest.mark.parametrize("path", [Q, Q + "/a"])
    def test_a_post_with_a_body_does_nothing_and_says_so(self, filled, path):
        refused(filled("POST", path + "?hide=60", b"hide=60"), 400, "unexpected-body")
        assert filled("GET", Q + "/a").json["hide"] == 0

    def test_put_answers_nothing_and_so_takes_no_detail(self, ask):
        refused(ask("PUT", M + "?detail=all"), 400, "unknown-parameter")

    def test_a_parameter_that_is_given_twice(self, ask):
        refused(ask("GET", Q + "?limit=1&limit=2"), 400, "repeated-parameter")

    @pytest.mark.parametrize("raw", ["%", "%zz", "%ff"])
    def test_a_broken_percent_encoding(self, ask, raw):
        refused(ask("GET", f"/v1.0/a{raw}"), 400, "bad-encoding")
        refused(ask("GET", f"{Q}?marker={raw}"), 400, "bad-encoding")


BAD_NAMES = [".", "..", "%2e", "%2e%2e", "a%2Fb", "%2F", "%00", "a%0Ab", "%7f", "%C2%85", "a" * 256, "%C3%A9" * 128]
GOOD_NAMES = [
    "...",
    ".a",
    "a b",
    "a+b",
    "a%b",
    "ü",
    "日本",
    "😀",
    "a?b",
    "a#b",
    "v1.0",
    "a" * 255,
    "é" * 127,
    "%2F",
    "\u202e",
]


class TestNames:
    @pytest.mark.parametrize("name", BAD_NAMES)
    @pytest.mark.parametrize("path", ["/v1.0/{}", "/v1.0/{}/queue", "/v1.0/account/{}", Q + "/{}", "/v1.0/a/{}/m"])
    def test_a_name_that_breaks_the_rules(self, ask, path, name):
        method = "PUT" if path.count("/") == 4 else "GET"
        refused(ask(method, path.format(name)), 400, "bad-name")
        assert ask("GET", "/v1.0").status == 404

    @pytest.mark.parametrize("name", GOOD_NAMES)
    def test_any_other_name(self, ask, name):
        path = "/".join(["/v1.0", *[quote(name, safe="")] * 3])
        assert ask("PUT", path).status == 201
        assert ask("GET", path).json["id"] == name
        assert ask("GET", path + "?detail=id").body == name.encode()
        assert ask("GET", "/v1.0").json == [name]
        assert ask("GET", "/v1.0/" + quote(name, safe="")).json == [name]

    def test_a_path_is_decoded_once(self, ask):
        ask("PUT", Q + "/%252e%252e")
        assert ask("GET", Q + "?detail=id").json == ["%2e%2e"]

    def test_twins_of_one_look_are_two(self, ask):
        composed, decomposed = "%C3%A9", "e%CC%81"
        assert ask("PUT", f"{Q}/{composed}").status == 201
        assert ask("PUT", f"{Q}/{decomposed}").status == 201
        assert len(ask("GET", Q).json) == 2

    def test_a_plus_in_a_marker_is_a_space(self, ask):
        ask("PUT", Q + "/a%20b")
        ask("PUT", Q + "/c")
        assert ask("GET", Q + "?marker=a+b&detail=id").json == ["c"]


class FailingStore(MemoryStore):
    """Fails at every PUT, at once or later."""

    def __init__(self, error, later):
        super().__init__()
        self.error = error
        self.later = later

    def put(self, *args):
        if not self.later:
            raise self.error
        pending = Pending()
        LoopThread.current().soon(pending.fail, self.error)
        return pending


class TestStoreErrors:
    @pytest.mark.parametrize("later", [False, True])
    @pytest.mark.parametrize(
        ("error", "status", "code"),
        [
            (StoreFull("no room"), 507, "store-full"),
            (StoreFailed("no room"), 503, "store-failed"),
            (StoreError("no room"), 500, "store-error"),
        ],
    )
    def test_what_a_store_says_is_told(self, error, status, code, later):
        with serving_queues(FailingStore(error, later)) as queues, closing(queues.client()) as ask:
            assert refused(ask("PUT", M, b"x"), status, code)["detail"] == "no room"
            assert ask("GET", "/").status == 200
