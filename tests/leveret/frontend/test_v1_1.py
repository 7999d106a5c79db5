"""REST v1.1, rule by rule: what only HTTP shows of it. What a store keeps is in the conformance suite."""

import json
import re
import socket
import struct
from contextlib import closing, contextmanager
from urllib.parse import quote

import pytest

from leveret.frontend import follow, v1_1
from leveret.model import timestamp
from leveret.service import QueueConfig
from leveret.store.memory import MemoryStore
from leveret.store.sqlite import Durability, SqliteStore
from support.queues import serving_queues
from support.subject import START
from support.web import Raw, eventually

A = "/v1.1/account"
Q = A + "/queue"
M = Q + "/message"
STREAM = {"Accept": "text/event-stream"}
KEYS = ["id", "ttl", "hide", "created", "deliveries", "marker", "content_type", "headers"]


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
    ask("PUT", Q + "/a", b"first", {"Content-Type": "text/plain", "Leveret-Header-Trace": "1"})
    ask("PUT", Q + "/b?hide=60", b"second")
    ask("PUT", Q + "/c?ttl=0", b"third")
    return ask


def refused(answer, status, code):
    """The document of an error, after what all of them have in common."""
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json
    assert list(problem) == ["type", "title", "status", "code", "detail"]
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["detail"]
    return problem["detail"]


def publish(ask, messages, path=Q):
    return ask("PUT", path, json.dumps({"messages": messages}).encode(), {"Content-Type": "application/json"})


def claim(ask, path=Q, **parameters):
    """The receipt of the one message that a claim gets."""
    (found,) = ask("POST", f"{path}?limit=1&hide=60&detail=attributes").json
    return found["receipt"]


def next_of(answer):
    """Where the Link header leads; None where there is none."""
    if "link" not in answer.headers:
        return None
    found = re.fullmatch(r'<([!#-;=?-Z\[\]_a-z~%]+)>; rel="next"', answer.headers["link"])
    assert found, answer.headers["link"]
    return found[1]


def all_pages(ask, path):
    """What all pages hold, from this one on."""
    pages = []
    while path is not None:
        answer = ask("GET", path)
        if answer.status == 404:  # more might have followed, and did not
            break
        pages.append(answer.json)
        path = next_of(answer)
    return pages


class TestPaths:
    @pytest.mark.parametrize(
        ("path", "allowed"),
        [
            ("/v1.1", "DELETE, GET, HEAD, OPTIONS"),
            ("/v1.1/a", "DELETE, GET, HEAD, OPTIONS"),
            ("/v1.1/a/q", "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"),
            ("/v1.1/a/q/m", "DELETE, GET, HEAD, OPTIONS, POST, PUT"),
        ],
    )
    def test_every_path_has_its_methods_and_no_others(self, ask, path, allowed):
        for method in ("GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"):
            answer = ask(method, path)
            if method == "OPTIONS":
                assert (answer.status, answer.headers["allow"]) == (204, allowed)
            elif method in allowed.split(", "):
                assert answer.status in {200, 201, 204, 400, 404}
            else:
                refused(answer, 405, "method-not-allowed")
                assert answer.headers["allow"] == allowed

    @pytest.mark.parametrize("path", ["/v1.1/", "/v1.1/a/", "/v1.1/a/q/", "/v1.1/a/q/m/", "/v1.1/a/q/m/n", "/v1.2"])
    @pytest.mark.parametrize("method", ["GET", "PUT", "PATCH"])
    def test_an_unknown_path_is_404(self, ask, path, method):
        refused(ask(method, path), 404, "unknown-path")

    @pytest.mark.parametrize("name", ["..", "a%2Fb", "%00", "a" * 256])
    @pytest.mark.parametrize(
        ("method", "path"),
        [("PUT", A + "/{}"), ("PATCH", A + "/{}"), ("GET", A + "/{}"), ("PUT", Q + "/{}"), ("GET", "/v1.1/{}")],
    )
    def test_a_name_that_breaks_the_rules(self, ask, method, path, name):
        refused(ask(method, path.format(name), b'{"messages":[{"body":""}]}'), 400, "bad-name")
        refused(ask("GET", f"{Q}?id=good&id={name}"), 400, "bad-name")
        assert ask("GET", "/v1.1").status == 404


class TestMessageObjects:
    def test_detail_all(self, filled):
        marker = filled("GET", Q + "/a").json["marker"]
        assert (
            filled("GET", Q + "/a").body
            == (
                f'{{"id":"a","ttl":600,"hide":0,"created":"2023-11-14T22:13:20.000000Z","deliveries":0,'
                f'"marker":"{marker}","content_type":"text/plain","headers":{{"Trace":"1"}},"body":"first"}}'
            ).encode()
        )

    def test_detail_attributes_has_all_but_the_body(self, filled):
        for found in (filled("GET", Q + "/b?detail=attributes").json, filled("GET", Q + "?detail=attributes").json[1]):
            assert list(found) == KEYS
        assert filled("GET", Q + "/b?detail=attributes").json["content_type"] is None
        assert filled("GET", Q + "/b?detail=attributes").json["headers"] == {}

    @pytest.mark.parametrize(
        ("detail", "status", "body"),
        [("none", 204, b""), ("id", 200, b'["a","c"]'), ("body", 200, b'["first","third"]')],
    )
    @pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
    def test_other_details_of_many(self, filled, method, detail, status, body):
        answer = filled(method, f"{Q}?detail={detail}")
        assert (answer.status, answer.body) == (status, body)

    def test_a_receipt_is_there_where_the_request_hid_the_message(self, filled):
        assert [list(found) for found in filled("POST", Q + "?hide=5&detail=attributes").json] == [
            [*KEYS, "receipt"]
        ] * 2
        assert list(filled("POST", Q + "/a?hide=5&detail=all").json) == [*KEYS, "receipt", "body"]
        assert list(filled("POST", Q + "/a?hide=0&detail=all").json) == [*KEYS, "body"]
        assert list(filled("POST", Q + "/a?ttl=5&detail=attributes").json) == KEYS
        assert list(filled("DELETE", Q + "/a?detail=all").json) == [*KEYS, "body"]

    @pytest.mark.parametrize("method", ["POST", "DELETE"])
    def test_post_and_delete_answer_nothing_unasked(self, filled, method):
        assert (filled(method, Q + "/a").status, filled(method, Q).status) == (204, 204)

    def test_a_raw_get_gives_content_type_and_headers_back(self, filled):
        answer = filled("GET", Q + "/a?detail=body")
        assert (answer.body, answer.headers["content-type"]) == (b"first", "text/plain")
        assert answer.headers["leveret-header-trace"] == "1"
        other = filled("GET", Q + "/b?detail=body")
        assert other.headers["content-type"] == "application/octet-stream"
        assert not [name for name in other.headers if name.startswith("leveret-")]

    def test_so_do_a_raw_head_post_and_delete(self, filled):
        for method in ("HEAD", "POST", "DELETE"):
            answer = filled(method, Q + "/a?detail=body")
            assert (answer.headers["content-type"], answer.headers["leveret-header-trace"]) == ("text/plain", "1")

    def test_the_id_as_bytes_is_not_of_the_content_type(self, filled):
        answer = filled("GET", Q + "/a?detail=id")
        assert (answer.body, answer.headers["content-type"]) == (b"a", "application/octet-stream")

    def test_what_is_no_text_is_base64(self, ask):
        ask("PUT", M, b"\xff\xfe")
        assert ask("GET", M).json["body"] == {"base64": "//4="}


class TestVersions:
    def test_v1_0_answers_with_exactly_its_keys(self, filled):
        claim(filled)
        old = Q.replace("v1.1", "v1.0")
        everything = filled("GET", old + "?match_hidden=true").json
        assert [list(found) for found in everything] == [["id", "ttl", "hide", "body"]] * 3
        assert list(filled("GET", old + "/a?detail=attributes").json) == ["id", "ttl", "hide"]
        assert [list(found) for found in filled("POST", old + "?hide=5&detail=all").json] == [
            ["id", "ttl", "hide", "body"]
        ]
        assert filled("GET", "/v1.0/account?detail=all").body == b'[{"id":"queue"}]'

    def test_v1_0_gives_bodies_as_bytes_and_nothing_beside(self, filled):
        answer = filled("GET", Q.replace("v1.1", "v1.0") + "/a?detail=body")
        assert (answer.body, answer.headers["content-type"]) == (b"first", "application/octet-stream")
        assert not [name for name in answer.headers if name.startswith("leveret-")]

    def test_v1_0_keeps_no_content_type_and_heeds_no_condition(self, ask):
        old = M.replace("v1.1", "v1.0")
        headers = {"Content-Type": "text/plain", "Leveret-Header-A": "1", "If-None-Match": "*"}
        assert ask("PUT", old, b"x", headers).status == 201
        assert ask("PUT", old, b"y", headers).status == 204
        assert ask("GET", M).json["content_type"] is None
        assert ask("GET", M).json["headers"] == {}

    @pytest.mark.parametrize("parameter", ["after=1", "order=lifo", "id=a", "receipt=x"])
    @pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
    def test_v1_0_has_no_parameters_of_v1_1(self, filled, method, parameter):
        refused(filled(method, f"{Q.replace('v1.1', 'v1.0')}?{parameter}"), 400, "unknown-parameter")

    @pytest.mark.parametrize("method", ["PUT", "PATCH"])
    def test_v1_0_has_no_methods_of_v1_1(self, ask, method):
        refused(ask(method, Q.replace("v1.1", "v1.0"), b"{}"), 405, "method-not-allowed")

    def test_v1_0_lists_more_than_a_page_and_says_no_link(self):
        with serving_queues(MemoryStore(), config=QueueConfig(page=2)) as queues, closing(queues.client()) as ask:
            publish(ask, [{"body": ""}] * 5)
            answer = ask("GET", Q.replace("v1.1", "v1.0"))
            assert (len(answer.json), answer.headers.get("link")) == (5, None)


class TestLeases:
    @pytest.mark.parametrize("method", ["POST", "DELETE"])
    def test_a_lease_that_is_lost_is_409(self, filled, method):
        refused(filled(method, Q + "/a?receipt=x"), 409, "lease-lost")
        refused(filled(method, Q + "/a?receipt="), 409, "lease-lost")
        assert filled("GET", Q + "/a").status == 200

    @pytest.mark.parametrize("method", ["POST", "DELETE"])
    def test_what_is_gone_is_404_whatever_the_receipt(self, filled, method):
        refused(filled(method, Q + "/none?receipt=x"), 404, "no-such-message")

    def test_who_comes_too_late_deletes_nothing(self, filled, queues):
        receipt = claim(filled)
        queues.now += 60
        assert filled("POST", Q + "?limit=1&hide=60").status == 204
        refused(filled("DELETE", f"{Q}/a?receipt={receipt}"), 409, "lease-lost")

    def test_done(self, filled):
        receipt = claim(filled)
        assert filled("POST", f"{Q}/a?hide=60&receipt={receipt}").status == 204
        answer = filled("DELETE", f"{Q}/a?receipt={receipt}")
        assert (answer.status, answer.body) == (204, b"")

    def test_a_receipt_needs_no_quoting(self, filled):
        receipt = claim(filled)
        assert quote(receipt, safe="") == receipt

    def test_a_receipt_twice_is_400(self, filled):
        refused(filled("DELETE", Q + "/a?receipt=x&receipt=y"), 400, "repeated-parameter")

    @pytest.mark.parametrize("method", ["GET", "PUT"])
    def test_a_receipt_is_for_post_and_delete(self, filled, method):
        refused(filled(method, Q + "/a?receipt=x"), 400, "unknown-parameter")

    @pytest.mark.parametrize("method", ["POST", "DELETE"])
    def test_a_receipt_without_an_id_is_400(self, filled, method):
        assert "1 receipts for 0 ids" in refused(filled(method, Q + "?receipt=x"), 400, "bad-parameter")
        assert filled("GET", Q).status == 200


class TestManyById:
    def test_always_200_and_the_ids_in_their_order(self, filled):
        answer = filled("GET", Q + "?id=c&id=none&id=b&detail=id")
        assert answer.status == 200
        assert answer.body == (b'[{"id":"c","status":"done"},{"id":"none","status":"gone"},{"id":"b","status":"done"}]')
        assert filled("GET", A + "/none?id=x").json == [{"id": "x", "status": "gone"}]

    @pytest.mark.parametrize(
        ("detail", "keys"),
        [("none", []), ("id", []), ("attributes", KEYS[1:]), ("body", ["body"]), ("all", [*KEYS[1:], "body"])],
    )
    @pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
    def test_each_detail(self, filled, method, detail, keys):
        (found,) = filled(method, f"{Q}?id=a&detail={detail}").json
        assert list(found) == ["id", "status", *keys]

    @pytest.mark.parametrize("detail", ["none", "id", "attributes", "body", "all"])
    def test_a_hide_gives_a_receipt_whatever_the_detail(self, filled, detail):
        (found,) = filled("POST", f"{Q}?id=a&hide=60&detail={detail}").json
        assert filled("DELETE", f"{Q}/a?receipt={found['receipt']}").status == 204

    def test_what_is_unasked(self, filled):
        assert list(filled("GET", Q + "?id=a").json[0]) == ["id", "status", *KEYS[1:], "body"]
        assert filled("DELETE", Q + "?id=a").json == [{"id": "a", "status": "done"}]

    @pytest.mark.parametrize("method", ["POST", "DELETE"])
    def test_done_gone_and_held(self, filled, method):
        receipt = claim(filled)
        query = f"id=a&id=c&id=none&receipt={receipt}&receipt=x&receipt={receipt}"
        assert filled(method, f"{Q}?{query}").json == [
            {"id": "a", "status": "done"},
            {"id": "c", "status": "held"},
            {"id": "none", "status": "gone"},
        ]
        assert filled("GET", Q + "/c").status == 200

    @pytest.mark.parametrize("method", ["POST", "DELETE"])
    @pytest.mark.parametrize("query", ["id=a&receipt=x&receipt=y", "id=a&id=b&receipt=x"])
    def test_receipts_in_another_number(self, filled, method, query):
        refused(filled(method, f"{Q}?{query}"), 400, "bad-parameter")
        assert filled("GET", Q + "/a").status == 200

    @pytest.mark.parametrize("other", ["limit=1", "marker=a", "after=1", "order=lifo", "match_hidden=true", "wait=1"])
    @pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
    def test_ids_take_no_filter(self, filled, method, other):
        detail = refused(filled(method, f"{Q}?id=a&{other}"), 400, "bad-parameter")
        assert other.split("=")[0] in detail
        assert filled("GET", Q + "/a").status == 200

    def test_a_thousand_and_no_more(self, ask):
        path = Q + "?" + "&".join(f"id={number}" for number in range(1000))
        assert len(ask("GET", path).json) == 1000
        assert "1001" in refused(ask("GET", path + "&id=x"), 400, "bad-parameter")

    def test_a_get_takes_no_receipts(self, filled):
        refused(filled("GET", Q + "?id=a&receipt=x"), 400, "unknown-parameter")

    def test_a_post_takes_no_body(self, filled):
        refused(filled("POST", Q + "?id=a&hide=5", b"{}"), 400, "unexpected-body")


NAMES = ["plain", "a b", "a+b", "a&b=c", "ü", "日本", "%2F", '"<>"', "a?b#c", "'", ";,:@", "100%"]


class TestPages:
    @pytest.fixture
    def queues(self):
        with serving_queues(MemoryStore(), config=QueueConfig(page=3)) as queues:
            yield queues

    @pytest.mark.parametrize("order", ["fifo", "lifo"])
    @pytest.mark.parametrize("limit", ["", "&limit=1", "&limit=2", "&limit=100"])
    def test_links_lead_to_everything_once(self, ask, order, limit):
        names = [f"{number}" for number in range(10)]
        publish(ask, [{"id": name, "body": ""} for name in names])
        ask("POST", Q + "/5?hide=60")
        pages = all_pages(ask, f"{Q}?detail=id&match_hidden=true&order={order}{limit}")
        assert [name for page in pages for name in page] == (names if order == "fifo" else names[::-1])
        assert {len(page) for page in pages[:-1]} == {int(limit.partition("=")[2] or 3) if "100" not in limit else 3}

    def test_a_link_keeps_what_was_asked_for(self, ask):
        publish(ask, [{"body": ""}] * 5)
        link = next_of(ask("GET", Q + "?limit=2&detail=attributes&match_hidden=TRUE&order=lifo&wait=5&marker=none"))
        assert link.startswith(Q + "?limit=2&detail=attributes&match_hidden=TRUE&order=lifo&after=")
        assert "wait" not in link
        assert "marker" not in link

    def test_a_link_goes_on_though_its_message_is_gone(self, ask):
        publish(ask, [{"id": f"{number}", "body": ""} for number in range(5)])
        link = next_of(ask("GET", Q + "?detail=id"))
        for number in range(3):
            ask("DELETE", f"{Q}/{number}")
        assert ask("GET", link).json == ["3", "4"]

    def test_no_link_where_nothing_follows(self, ask):
        publish(ask, [{"body": ""}] * 2)
        assert next_of(ask("GET", Q)) is None
        assert next_of(ask("GET", Q + "?limit=100")) is None
        assert next_of(ask("GET", A)) is None
        assert next_of(ask("GET", "/v1.1")) is None

    def test_a_claim_and_a_pop_hold_a_page_too(self, ask):
        publish(ask, [{"id": f"{number}", "body": ""} for number in range(10)])
        claimed = ask("POST", Q + "?hide=60&detail=id")
        assert (claimed.json, next_of(claimed)) == (["0", "1", "2"], None)
        assert ask("DELETE", Q + "?detail=id&limit=5").json == ["3", "4", "5"]
        assert ask("GET", Q + "?detail=id&match_hidden=true").json == ["0", "1", "2"]

    def test_who_asks_for_no_answer_means_all(self, ask):
        publish(ask, [{"body": ""}] * 10)
        assert ask("POST", Q + "?hide=60").status == 204
        assert ask("GET", Q).status == 404
        assert ask("DELETE", Q + "?match_hidden=true").status == 204
        assert ask("GET", "/v1.1").status == 404

    @pytest.mark.parametrize("detail", ["id", "all"])
    def test_links_of_queues(self, ask, detail):
        for name in NAMES:
            ask("PUT", f"{A}/{quote(name, safe='')}/m")
        pages = all_pages(ask, f"{A}?detail={detail}")
        found = [each if detail == "id" else each["id"] for page in pages for each in page]
        assert found == NAMES
        assert {len(page) for page in pages} == {3}

    def test_links_of_accounts(self, ask):
        for name in NAMES:
            ask("PUT", f"/v1.1/{quote(name, safe='')}/q/m")
        assert [name for page in all_pages(ask, "/v1.1?limit=2") for name in page] == NAMES

    @pytest.mark.parametrize("name", NAMES)
    def test_links_of_paths_that_need_quoting(self, ask, name):
        path = f"{A}/{quote(name, safe='')}"
        publish(ask, [{"id": f"{number}", "body": ""} for number in range(5)], path)
        assert all_pages(ask, path + "?detail=id") == [["0", "1", "2"], ["3", "4"]]

    @pytest.mark.parametrize("character", ['"', "<", ">", "\\", "^", "`", "{", "|", "}", "'", "é"])
    def test_links_where_a_client_quotes_too_little(self, ask, queues, character):
        name = f"q{character}x"
        ask("PUT", f"{A}/{quote(name, safe='')}/1")
        publish(ask, [{"body": ""}] * 5, f"{A}/{quote(name, safe='')}")
        with closing(Raw(queues.port)) as raw:
            raw.send(f"GET {A}/{name}?limit=1&detail=id HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            answer = raw.answer()
        if answer.status == 200:
            assert len([each for page in all_pages(ask, next_of(answer)) for each in page]) == 5
        else:
            refused(answer, 400, answer.json["code"])

    def test_links_of_absolute_targets(self, queues, ask):
        publish(ask, [{"body": ""}] * 4)
        with closing(Raw(queues.port)) as raw:
            raw.send(f"GET http://host{Q} HTTP/1.1\r\nHost: host\r\n\r\n".encode())
            assert len(ask("GET", next_of(raw.answer())).json) == 1


class TestBounds:
    @pytest.fixture(params=["memory", "sqlite"])
    def queues(self, request, tmp_path):
        sqlite = SqliteStore(tmp_path / "queue.db", Durability.OFF, reserve=0)
        with serving_queues(MemoryStore() if request.param == "memory" else sqlite) as queues:
            yield queues

    def test_a_page_has_a_thousand_messages(self, ask):
        for start in (0, 1000):
            publish(ask, [{"id": f"{start + number}", "body": ""} for number in range(1000)])
        ask("PUT", Q + "/last")
        pages = all_pages(ask, Q + "?detail=id")
        assert [len(page) for page in pages] == [1000, 1000, 1]
        assert [name for page in pages for name in page] == [*(f"{number}" for number in range(2000)), "last"]
        assert len(ask("POST", Q + "?hide=60&detail=id&limit=5000").json) == 1000

    def test_a_page_has_8_mib_of_bodies(self, ask):
        for number in range(10):
            ask("PUT", f"{Q}/{number}", b"x" * (1 << 20))
        ask("PUT", Q + "/last", b"x")
        for detail in ("body", "all"):
            assert [len(page) for page in all_pages(ask, f"{Q}?detail={detail}")] == [8, 3]
        assert len(all_pages(ask, Q + "?detail=attributes")) == 1
        assert len(ask("POST", Q + "?hide=60&detail=body&limit=100").json) == 8
        assert len(ask("DELETE", Q + "?detail=all&match_hidden=true").json) == 8
        assert len(ask("DELETE", Q + "?detail=id&match_hidden=true").json) == 3

    def test_pages_while_a_queue_has_messages_of_all_sizes(self, ask):
        sizes = [number * 97_001 % (1 << 20) for number in range(1, 40)]
        for number, size in enumerate(sizes):
            ask("PUT", f"{Q}/{number}", b"x" * size)
        found = [body for page in all_pages(ask, Q + "?detail=body") for body in page]
        assert [len(body) for body in found] == sizes


class TestFilters:
    @pytest.mark.parametrize("value", ["", "x", "-1", "1.0", "0x1", "%00", "f" * 16, "1" * 5000, "%C3%A9"])
    @pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
    def test_a_marker_that_is_none(self, filled, method, value):
        detail = refused(filled(method, f"{Q}?after={value}"), 400, "bad-parameter")
        assert "after" in detail
        assert len(detail) < 300

    @pytest.mark.parametrize("value", ["", "LIFO", "asc", "fifo,lifo"])
    def test_an_order_that_is_none(self, filled, value):
        assert "order" in refused(filled("GET", f"{Q}?order={value}"), 400, "bad-parameter")

    def test_marker_and_after_exclude_each_other(self, filled):
        refused(filled("GET", Q + "?marker=a&after=1"), 400, "bad-parameter")

    @pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
    def test_markers_and_order_with_each_method(self, filled, method):
        marker = filled("GET", Q + "/a").json["marker"]
        assert filled(method, f"{Q}?after={marker}&detail=id&match_hidden=true&limit=1").json == ["b"]
        assert filled(method, f"{Q}?order=lifo&detail=id&limit=1").json == ["c"]
        refused(filled("GET", f"{Q}?after={'f' * 15}"), 404, "no-match")

    @pytest.mark.parametrize("name", ["after", "order"])
    @pytest.mark.parametrize("path", ["/v1.1", A, Q + "/a"])
    def test_they_are_for_messages_of_a_queue(self, filled, path, name):
        refused(filled("GET", f"{path}?{name}=1"), 400, "unknown-parameter")

    def test_a_wait_ends_with_what_comes_after_a_place(self, filled, queues):
        marker = filled("GET", Q + "/c").json["marker"]
        with closing(queues.client()) as waiting:
            waiting._connection.request("GET", f"{Q}?after={marker}&wait=60&detail=id")
            eventually(lambda: queues.service.parked == 1)
            filled("POST", Q + "/b?hide=0")
            filled("PUT", Q + "/d")
            assert json.loads(waiting._connection.getresponse().read()) == ["d"]


class TestPublish:
    def test_201_where_any_is_new_and_else_200(self, ask):
        answer = publish(ask, [{"id": "1", "body": "x"}, {"id": 'ü"', "body": "y"}])
        assert (answer.status, answer.body) == (201, '["1","ü\\""]'.encode())
        assert answer.headers["content-type"] == "application/json"
        assert publish(ask, [{"id": "1", "body": "x"}]).status == 200
        assert publish(ask, [{"id": "1", "body": "x"}, {"id": "2", "body": ""}]).status == 201

    def test_ids_that_are_given_by_the_server(self, ask):
        names = publish(ask, [{"body": f"{number}"} for number in range(3)]).json
        assert names == sorted(set(names))
        assert ask("GET", Q + "?detail=id").json == names

    def test_ndjson(self, ask):
        body = b'{"id":"1","body":"x"}\n{"id":"2","body":{"base64":"AA=="}}\r\n\n{"id":"3","body":{"a":1},"ttl":9}'
        assert ask("PUT", Q, body, {"Content-Type": "application/x-ndjson"}).json == ["1", "2", "3"]
        found = ask("GET", Q).json
        assert [(each["body"], each["content_type"], each["ttl"]) for each in found] == [
            ("x", None, 600), ("\x00", None, 600), ('{"a":1}', "application/json", 9)
        ]  # fmt: skip

    def test_a_json_body_is_given_back_as_json(self, ask):
        publish(ask, [{"id": "message", "body": {"é": [1, None]}, "headers": {"A": "é"}}])
        answer = ask("GET", M + "?detail=body")
        assert (answer.body, answer.headers["content-type"]) == ('{"é":[1,null]}'.encode(), "application/json")
        assert answer.headers["leveret-header-a"].encode("latin-1").decode() == "é"

    @pytest.mark.parametrize("bad", [{"body": "", "ttl": -1}, {}, {"body": "", "headers": {"a": "b\r\nc"}}, 5])
    def test_one_that_is_wrong_keeps_all_out(self, ask, bad):
        detail = refused(publish(ask, [{"body": "good"}, {"body": "good"}, bad]), 400, "bad-message")
        assert "message 3" in detail
        assert ask("GET", "/v1.1").status == 404

    def test_a_name_that_is_wrong_is_told_with_its_message(self, ask):
        assert "message 2" in refused(publish(ask, [{"body": ""}, {"body": "", "id": ".."}]), 400, "bad-name")

    def test_one_that_is_too_large_keeps_all_out_and_is_told(self, ask):
        detail = refused(publish(ask, [{"body": "good"}, {"body": "x" * ((1 << 20) + 1)}]), 413, "body-too-large")
        assert "message 2" in detail
        assert ask("GET", "/v1.1").status == 404
        assert publish(ask, [{"body": "x" * (1 << 20)}] * 2).status == 201

    def test_a_request_has_up_to_8_mib(self, ask):
        refused(publish(ask, [{"body": "x" * (1 << 20)}] * 8), 413, "body-too-large")
        assert ask("GET", "/v1.1").status == 404

    def test_it_takes_no_parameters(self, ask):
        refused(ask("PUT", Q + "?ttl=5", b'{"messages":[{"body":""}]}'), 400, "unknown-parameter")

    @pytest.mark.parametrize(
        "body",
        [b"", b"x", b"[" * 100_000, b'{"messages":[{"body":' + b"[" * 50_000 + b"]" * 50_000 + b"}]}",
         b'{"messages":[{"body":' + b"9" * 100_000 + b"}]}", b'{"messages":[{"body":1e999}]}',
         b'{"messages":[{"body":"\\ud800"}]}', b"\xff" * 10],
    )  # fmt: skip
    def test_any_nonsense_is_400(self, ask, body):
        refused(ask("PUT", Q, body), 400, "bad-message")
        assert ask("GET", "/v1.1").status == 404

    def test_a_full_queue_is_409(self, ask):
        ask("PATCH", Q, b'{"max_messages":2}')
        assert "max_messages" in refused(publish(ask, [{"body": ""}] * 3), 409, "queue-full")
        assert publish(ask, [{"body": ""}] * 2).status == 201
        refused(ask("PUT", M, b"x"), 409, "queue-full")
        refused(ask("PUT", M.replace("v1.1", "v1.0"), b"x"), 409, "queue-full")

    def test_it_wakes_who_waits(self, ask, queues):
        with closing(queues.client()) as waiting:
            waiting._connection.request("POST", Q + "?wait=60&hide=60&limit=2&detail=body")
            eventually(lambda: queues.service.parked == 1)
            publish(ask, [{"body": "1"}, {"body": "2"}, {"body": "3"}])
            assert json.loads(waiting._connection.getresponse().read()) == ["1", "2"]


class TestHeaders:
    def test_if_none_match(self, ask):
        assert ask("PUT", M, b"1", {"If-None-Match": "*"}).status == 201
        refused(ask("PUT", M + "?ttl=5", b"2", {"If-None-Match": " * "}), 412, "exists")
        assert (ask("GET", M).json["body"], ask("GET", M).json["ttl"]) == ("1", 600)

    @pytest.mark.parametrize("value", ["", '"x"', 'W/"x"', "*, *", "x"])
    def test_if_none_match_with_anything_else(self, ask, value):
        refused(ask("PUT", M, b"1", {"If-None-Match": value}), 400, "bad-header")
        assert ask("GET", M).status == 404

    @pytest.mark.parametrize(
        ("sent", "kept"),
        [
            (b"plain", "plain"),
            (b"", ""),
            (b"a  b\tc", "a  b\tc"),
            ("é€😀".encode(), "é€😀"),
            (b"\xe9", "é"),
            (bytes(range(0xA1, 0x100)), bytes(range(0xA1, 0x100)).decode("latin-1")),
            (b'"\\,;', '"\\,;'),
            (b"x" * 8000, "x" * 8000),
        ],
        ids=["plain", "empty", "inner spaces", "utf-8", "latin-1", "all of latin-1", "marks", "long"],
    )
    def test_values_are_kept_and_come_back(self, queues, ask, sent, kept):
        with closing(Raw(queues.port)) as raw:
            raw.send(
                b"PUT %b HTTP/1.1\r\nHost: a\r\nLeveret-Header-A: %b\r\nContent-Length: 0\r\n\r\n" % (M.encode(), sent)
            )
            assert raw.answer().status == 201
            raw.send(f"GET {M}?detail=body HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            assert raw.answer().headers["leveret-header-a"].encode("latin-1").decode() == kept
        assert ask("GET", M).json["headers"] == {"A": kept}

    @pytest.mark.parametrize(
        "header",
        [b"Leveret-Header-A: x\rInjected: 1", b"Leveret-Header-A: x\nInjected: 1", b"Leveret-Header-A: \x00",
         b"Leveret-Header-A: a\x1bb", b"Leveret-Header-A: \x7f", b"Leveret-Header-: x", b"Leveret-Header-A B: x",
         b"Leveret-Header-\xc3\xa9: x", b"Leveret-Header-A: " + b"x" * 9000, b"Content-Type: a\x1bb",
         b"Content-Type: " + b"x" * 300, b"Leveret-Header-A: x\r\n folded"],
    )  # fmt: skip
    def test_what_no_header_may_hold_is_refused(self, queues, ask, header):
        with closing(Raw(queues.port)) as raw:
            raw.send(b"PUT %b HTTP/1.1\r\nHost: a\r\n%b\r\nContent-Length: 0\r\n\r\n" % (M.encode(), header))
            answer = raw.answer()
        if answer.status == 201:  # a bare LF may end a line: then there are two headers, and none is injected
            assert ask("GET", M).json["headers"] == {"A": "x"}
        else:
            assert answer.status in {400, 431}
            assert ask("GET", M).status == 404

    @pytest.mark.parametrize("value", ["a\r\nSet-Cookie: x", "a\nb", "a\rb", "\x00", "a\u0000b", "\x7f"])
    @pytest.mark.parametrize("member", ["header", "name", "content_type"])
    def test_nothing_is_injected_by_way_of_json(self, ask, member, value):
        message = {"id": "message", "body": ""}
        if member == "content_type":
            message["content_type"] = value
        else:
            message["headers"] = {"A": value} if member == "header" else {value: "A"}
        refused(publish(ask, [message]), 400, "bad-message")
        assert ask("GET", M).status == 404

    @pytest.mark.parametrize("value", ["\x85", "a\u2028b", "\x9f", "a\u0085b", "a\xa0b"])
    def test_other_odd_characters_are_refused_or_come_back(self, ask, value):
        if publish(ask, [{"id": "message", "body": "", "headers": {"A": value}}]).status == 201:
            answer = ask("GET", M + "?detail=body")
            assert answer.status == 200
            assert answer.headers["leveret-header-a"].encode("latin-1").decode() == value
            assert not [name for name in answer.headers if "injected" in name]

    def test_a_content_type_of_other_characters(self, ask):
        publish(ask, [{"id": "message", "body": "", "content_type": 'text/plain; title="é"'}])
        found = ask("GET", M + "?detail=body").headers["content-type"]
        assert found.encode("latin-1").decode() == 'text/plain; title="é"'

    def test_the_names_of_http_are_safe_behind_their_prefix(self, ask):
        names = {"Content-Length": "999", "Transfer-Encoding": "chunked", "Connection": "close", "Set-Cookie": "x"}
        publish(ask, [{"id": "message", "body": "12345", "headers": names}])
        answer = ask("GET", M + "?detail=body")
        assert (answer.body, answer.headers["content-length"]) == (b"12345", "5")
        assert answer.headers["leveret-header-content-length"] == "999"
        assert ask("GET", M).json["headers"] == names


class TestPolicies:
    def test_the_answer_is_what_is_in_force(self, ask):
        answer = ask("PATCH", Q, b'{"max_messages":5,"default_ttl":0}')
        assert (answer.status, answer.json) == (200, {"default_ttl": 0, "max_messages": 5})
        assert answer.headers["content-type"] == "application/json"
        assert ask("PATCH", Q, b"{}").json == {"default_ttl": 0, "max_messages": 5}
        assert ask("PATCH", Q, b'{"default_ttl":null}').json == {"max_messages": 5}
        assert ask("PATCH", Q, b"null").json == {}

    @pytest.mark.parametrize(
        "body",
        [b"", b"[]", b"1", b'{"x":1}', b'{"default_ttl":-1}', b'{"max_deliveries":0}', b'{"max_bytes":1.5}',
         b'{"dead_letter":""}', b'{"dead_letter":"a/b"}', b'{"dead_letter":5}', b'{"dead_letter":"queue"}', b"\xff",
         b'{"max_messages":1,"default_ttl":"x"}', b"[" * 100_000, b'{"max_bytes":' + b"9" * 5000 + b"}",
         b'{"dead_letter":"\\ud800"}', b'{"default_ttl":1e999}', b'{"default_ttl":NaN}'],
    )  # fmt: skip
    def test_what_can_not_be_is_400_and_changes_nothing(self, ask, body):
        ask("PATCH", Q, b'{"default_ttl":7}')
        refused(ask("PATCH", Q, body), 400, "bad-policy")
        assert ask("PATCH", Q, b"{}").json == {"default_ttl": 7}

    def test_it_takes_no_parameters(self, ask):
        refused(ask("PATCH", Q + "?default_ttl=5", b"{}"), 400, "unknown-parameter")

    @pytest.mark.parametrize("path", ["/v1.1", A, M])
    def test_it_is_for_queues(self, ask, path):
        refused(ask("PATCH", path, b"{}"), 405, "method-not-allowed")

    def test_defaults_for_a_put_of_v1_0_too(self, ask):
        ask("PATCH", Q, b'{"default_ttl":50,"default_hide":5}')
        ask("PUT", M.replace("v1.1", "v1.0"))
        ask("PUT", M.replace("v1.1", "v1.0").replace("message", "other") + "?ttl=9&hide=0")
        assert [(each["ttl"], each["hide"]) for each in ask("GET", Q + "?match_hidden=true").json] == [(50, 5), (9, 0)]


class TestQueueObjects:
    def test_exactly_their_keys(self, filled, queues):
        queues.now += 7.75
        assert filled("GET", A + "?detail=all").body == (
            b'[{"id":"queue","messages":3,"visible":2,"hidden":1,"bytes":16,"oldest":7,"policy":{}}]'
        )

    def test_with_policy_and_what_was_dropped(self, filled, queues):
        filled("PATCH", Q, b'{"max_deliveries":1}')
        filled("POST", Q + "?limit=1&hide=1")
        queues.now += 1
        filled("POST", Q + "?limit=1&hide=1")
        (found,) = filled("GET", A + "?detail=all").json
        assert list(found) == ["id", "messages", "visible", "hidden", "bytes", "oldest", "policy", "dropped"]
        assert (found["policy"], found["dropped"], found["messages"]) == ({"max_deliveries": 1}, 1, 2)

    def test_by_id(self, filled):
        for name in ("x", "ü"):
            filled("PUT", f"{A}/{quote(name)}/m")
        found = filled("GET", A + "?detail=all&id=%C3%BC&id=none&id=queue").json
        assert [each["id"] for each in found] == ["ü", "queue"]
        assert filled("GET", A + "?id=x&id=none").json == ["x"]
        assert filled("GET", A + "?id=x&detail=none").status == 204
        refused(filled("GET", A + "?id=none"), 404, "no-match")
        refused(filled("GET", "/v1.1/none?id=queue&detail=all"), 404, "no-match")

    @pytest.mark.parametrize("other", ["limit=1", "marker=x"])
    def test_ids_take_no_filter(self, filled, other):
        refused(filled("GET", f"{A}?id=queue&{other}"), 400, "bad-parameter")

    def test_they_are_of_v1_1(self, filled):
        assert filled("GET", "/v1.1?detail=all").body == b'[{"id":"account"}]'


class TestDeadLetters:
    @pytest.fixture(params=["memory, 1 loop", "memory, 4 loops", "sqlite"])
    def queues(self, request, tmp_path):
        threads = 4 if "4" in request.param else 1
        sqlite = SqliteStore(tmp_path / "queue.db", Durability.OFF, reserve=0)
        store = MemoryStore() if request.param.startswith("memory") else sqlite
        with serving_queues(store, threads=threads) as queues:
            yield queues

    @pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
    def test_who_waits_on_the_dead_letter_queue_gets_them(self, queues, ask, method):
        ask("PATCH", Q, b'{"max_deliveries":1,"dead_letter":"dead"}')
        ask("PUT", M, b"x", {"Content-Type": "a/b"})
        ask("POST", M + "?hide=0")
        ask("POST", Q + "?limit=1&hide=1")
        queues.now += 1
        with closing(queues.client()) as waiting:
            waiting._connection.request(method, f"{A}/dead?wait=60&limit=1&detail=all")
            eventually(lambda: queues.service.parked == 1)
            refused(ask("POST", Q + "?limit=1&hide=1"), 404, "no-match")
            (found,) = json.loads(waiting._connection.getresponse().read())
        assert (found["id"], found["body"], found["content_type"]) == ("message", "x", "a/b")
        assert found["headers"] == {
            "dead-letter-queue": "queue",
            "dead-letter-reason": "max-deliveries",
            "dead-letter-deliveries": "1",
            "dead-letter-time": timestamp(START + 1),
        }

    def test_a_claim_that_waits_buries_and_waits_on(self, queues, ask):
        ask("PATCH", Q, b'{"max_deliveries":1,"dead_letter":"dead"}')
        ask("PUT", M)
        ask("POST", Q + "?limit=1&hide=1")
        queues.now += 1
        with closing(queues.client()) as waiting:
            waiting._connection.request("POST", Q + "?wait=60&limit=1&hide=60&detail=id")
            eventually(lambda: queues.service.parked == 1)
            assert ask("GET", A + "/dead?detail=id").json == ["message"]
            ask("PUT", Q + "/alive")
            assert json.loads(waiting._connection.getresponse().read()) == ["alive"]

    def test_they_come_with_their_headers(self, queues, ask):
        ask("PATCH", Q, b'{"max_deliveries":1,"dead_letter":"dead"}')
        ask("PUT", M)
        ask("POST", Q + "?limit=1&hide=1")
        queues.now += 1
        ask("POST", Q + "?limit=1&hide=1")
        answer = ask("GET", A + "/dead/message?detail=body")
        assert answer.headers["leveret-header-dead-letter-reason"] == "max-deliveries"


class Reader:
    """Who follows a queue, from a connection of its own."""

    def __init__(self, queues, path=Q, headers=("Accept: text/event-stream",), version="1.1", method="GET"):
        self.raw = Raw(queues.port)
        lines = [f"{method} {path} HTTP/{version}", "Host: a", *headers, "", ""]
        self.raw.send("\r\n".join(lines).encode())
        self.file = self.raw._file
        self.status = int(self.file.readline().split()[1])
        self.headers = {}
        while (line := self.file.readline()) not in {b"\r\n", b""}:
            name, _, value = line.decode().partition(":")
            self.headers[name.lower()] = value.strip()
        self.buffer = b""

    def block(self):
        """The next block of lines; None at the end of the stream."""
        while b"\n\n" not in self.buffer:
            if self.headers.get("transfer-encoding") == "chunked":
                size = int(self.file.readline(), 16)
                data = self.file.read(size)
                assert self.file.read(2) == b"\r\n"
            else:
                data = self.file.read1()
            if not data:
                assert not self.buffer
                return None
            self.buffer += data
        block, _, self.buffer = self.buffer.partition(b"\n\n")
        return block.decode()

    def event(self):
        """The next event, as its id and data; comments are passed over. None at the end."""
        while True:
            block = self.block()
            if block is None:
                return None
            if not block.startswith(":"):
                first, second = block.split("\n")
                assert first.startswith("id: ")
                assert second.startswith("data: ")
                return first[4:], json.loads(second[6:])

    def ids(self, count):
        return [self.event()[1]["id"] for _ in range(count)]


@pytest.fixture
def following(queues):
    """Follow a queue; once it waits, where it is to."""
    opened = []

    def following(path=Q, headers=("Accept: text/event-stream",), parked=False, **more):
        before = queues.service.parked
        reader = Reader(queues, path, headers, **more)
        opened.append(reader)
        if parked:
            eventually(lambda: queues.service.parked == before + 1)
        return reader

    yield following
    for reader in opened:
        reader.raw.close()


class TestFollowing:
    @pytest.fixture(params=["memory, 1 loop", "memory, 4 loops", "sqlite"])
    def queues(self, request, tmp_path):
        threads = 4 if "4" in request.param else 1
        sqlite = SqliteStore(tmp_path / "queue.db", Durability.OFF, reserve=0)
        store = MemoryStore() if request.param.startswith("memory") else sqlite
        with serving_queues(store, threads=threads) as queues:
            yield queues

    def test_events_have_the_marker_as_id_and_the_message_as_data(self, filled, following):
        reader = following()
        assert reader.status == 200
        assert reader.headers["content-type"] == "text/event-stream"
        assert reader.headers["cache-control"] == "no-store"
        marker, found = reader.event()
        assert found == filled("GET", Q + "/a").json
        assert marker == found["marker"]

    def test_a_body_with_line_breaks_is_one_event(self, ask, following):
        ask("PUT", M, b"a\nb\r\n\r\ndata: x\r\xe2\x80\xa8")
        ask("PUT", Q + "/other", b"\xff")
        reader = following()
        assert reader.event()[1]["body"] == "a\nb\r\n\r\ndata: x\r\u2028"
        assert reader.event()[1]["body"] == {"base64": "/w=="}

    def test_hidden_messages_are_among_them(self, filled, following):
        assert following().ids(3) == ["a", "b", "c"]
        assert following(Q + "?match_hidden=true").ids(3) == ["a", "b", "c"]
        assert following(Q + "?match_hidden=false").ids(2) == ["a", "c"]

    @pytest.mark.parametrize(("detail", "data"), [("id", "a"), ("body", "first")])
    def test_other_details(self, filled, following, detail, data):
        assert following(f"{Q}?detail={detail}").event()[1] == data

    def test_detail_attributes(self, filled, following):
        assert list(following(Q + "?detail=attributes").event()[1]) == KEYS

    def test_new_messages_come_as_they_are_put(self, filled, following):
        reader = following(parked=True)
        assert reader.ids(3) == ["a", "b", "c"]
        for name in ("1", "2", "3"):
            filled("PUT", f"{Q}/{name}?hide={5 * (name == '2')}")
            assert reader.ids(1) == [name]
        publish(filled, [{"id": f"m{number}", "body": ""} for number in range(250)])
        assert reader.ids(250) == [f"m{number}" for number in range(250)]

    def test_it_waits_on_a_queue_that_is_not_there(self, ask, following):
        reader = following(parked=True)
        ask("PUT", M)
        assert reader.ids(1) == ["message"]
        ask("DELETE", M)
        assert ask("GET", A).status == 404
        ask("PUT", Q + "/again")
        assert reader.ids(1) == ["again"]

    def test_nothing_is_removed_or_hidden_and_every_reader_sees_all(self, filled, following):
        readers = [following() for _ in range(4)]
        for reader in readers:
            assert reader.ids(3) == ["a", "b", "c"]
        filled("PUT", Q + "/d")
        for reader in readers:
            assert reader.ids(1) == ["d"]
        assert filled("GET", Q + "?detail=id&match_hidden=true").json == ["a", "b", "c", "d"]

    def test_a_message_is_seen_once_though_it_is_claimed_extended_and_released(self, filled, following):
        reader = following(parked=True)
        assert reader.ids(3) == ["a", "b", "c"]
        receipt = claim(filled)
        filled("POST", f"{Q}/a?hide=90&receipt={receipt}")
        filled("POST", f"{Q}/a?hide=0&receipt={receipt}")
        filled("PUT", Q + "/d")
        assert reader.ids(1) == ["d"]

    def test_after_a_place(self, filled, following):
        marker = filled("GET", Q + "/b").json["marker"]
        filled("DELETE", Q + "/b")
        assert following(f"{Q}?after={marker}").ids(1) == ["c"]

    def test_resuming_leaves_no_gap_and_repeats_nothing(self, ask, following):
        names = [f"{number}" for number in range(30)]
        publish(ask, [{"id": name, "body": ""} for name in names[:10]])
        found, last = [], None
        for start in (10, 20, 30):
            headers = ["Accept: text/event-stream"] + ([f"Last-Event-ID: {last}"] if last else [])
            reader = following(headers=headers)
            for _ in range(start - 5 - len(found)):
                last, message = reader.event()
                found.append(message["id"])
            reader.raw.close()
            ask("DELETE", f"{Q}/{found[-1]}")
            publish(ask, [{"id": name, "body": ""} for name in names[start : start + 10]] or [{"body": "end"}])
        assert found == names[:25]

    def test_the_last_event_id_is_stronger_than_after(self, filled, following):
        first, second = (filled("GET", f"{Q}/{name}").json["marker"] for name in "ab")
        headers = ("Accept: text/event-stream", f"Last-Event-ID: {second}")
        assert following(f"{Q}?after={first}", headers).ids(1) == ["c"]

    def test_an_empty_last_event_id_is_none(self, filled, following):
        assert following(headers=("Accept: text/event-stream", "Last-Event-ID:")).ids(1) == ["a"]

    def test_head_says_what_it_would_be_and_the_connection_goes_on(self, filled, queues):
        with closing(Raw(queues.port)) as raw:
            for _ in range(2):
                raw.send(f"HEAD {Q} HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n".encode())
                answer = raw.answer(to_head=True)
                assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")
            raw.send(f"GET {Q}?detail=id HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            assert raw.answer().json == ["a", "c"]
        assert queues.service.parked == 0

    def test_http_1_0_gets_it_unchunked(self, filled, following, queues):
        reader = following(version="1.0", parked=True)
        assert "transfer-encoding" not in reader.headers
        assert reader.ids(3) == ["a", "b", "c"]
        filled("PUT", Q + "/d")
        assert reader.ids(1) == ["d"]
        queues.service.drain()
        assert reader.event() is None

    def test_it_ends_whole_when_the_server_does(self, filled, following, queues):
        readers = [following(parked=True), following(A + "/none", parked=True)]
        queues.service.drain()
        assert readers[0].ids(3) == ["a", "b", "c"]
        assert [reader.event() for reader in readers] == [None, None]

    def test_who_is_cut_off_waits_no_more(self, following, queues):
        readers = [following(parked=True) for _ in range(3)]
        for left, reader in ((2, readers[0]), (1, readers[1]), (0, readers[2])):
            reader.raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            reader.raw.close()
            eventually(lambda left=left: queues.service.parked == left)

    def test_who_hangs_up_is_found_out_by_a_sign_of_life(self, following, queues, monkeypatch):
        alive = []

        async def counted(*args):
            alive.append(None)
            try:
                async for each in follow.follow(*args):
                    yield each
            finally:
                alive.pop()

        monkeypatch.setattr(v1_1, "follow", counted)
        monkeypatch.setattr(follow, "_HEARTBEAT", 0.05)
        readers = [following() for _ in range(3)]
        eventually(lambda: len(alive) == 3)
        for reader in readers:
            reader.raw.close()
        eventually(lambda: not alive)
        assert queues.service.parked == 0

    def test_a_sign_of_life(self, ask, following, monkeypatch):
        monkeypatch.setattr(follow, "_HEARTBEAT", 0.01)
        reader = following()
        for _ in range(4):
            assert reader.block().startswith(":")
        ask("PUT", M)
        assert reader.event()[1]["id"] == "message"

    def test_a_reader_that_is_slow_gets_everything_in_the_end(self, ask, following):
        for number in range(40):
            ask("PUT", f"{Q}/{number}", b"x" * 500_000)
        reader = following()
        assert ask("GET", Q + "?detail=id&limit=1").json == ["0"]  # nobody else has to wait for it
        assert reader.ids(40) == [f"{number}" for number in range(40)]


class TestWhoFollows:
    @pytest.mark.parametrize("value", ["x", "-1", "\xe9", "f" * 16, "1 2"])
    def test_a_last_event_id_that_is_none(self, filled, value):
        refused(filled("GET", Q, None, {**STREAM, "Last-Event-ID": value}), 400, "bad-header")

    @pytest.mark.parametrize("query", ["limit=1", "wait=5", "marker=a", "order=lifo", "id=a", "hide=5"])
    def test_what_a_stream_takes_not(self, filled, query):
        refused(filled("GET", f"{Q}?{query}", None, STREAM), 400, "unknown-parameter")

    @pytest.mark.parametrize("query", ["detail=none", "detail=x", "after=x", "match_hidden=1"])
    def test_what_it_takes_has_to_be_right(self, filled, query):
        refused(filled("GET", f"{Q}?{query}", None, STREAM), 400, "bad-parameter")

    def test_a_bad_name(self, ask):
        refused(ask("GET", A + "/..", None, STREAM), 400, "bad-name")

    @pytest.mark.parametrize(
        "accept", ["text/event-stream", "TEXT/Event-Stream", "text/html, text/event-stream;q=0.9, */*"]
    )
    def test_who_accepts_a_stream_gets_it(self, filled, following, accept):
        assert following(headers=(f"Accept: {accept}",)).headers["content-type"] == "text/event-stream"

    @pytest.mark.parametrize("accept", ["*/*", "application/json", "text/*", ""])
    def test_who_accepts_none_gets_a_list(self, filled, accept):
        assert len(filled("GET", Q, None, {"Accept": accept}).json) == 2

    @pytest.mark.parametrize("path", ["/v1.1", A, M.replace("message", "a"), Q.replace("v1.1", "v1.0")])
    def test_only_queues_of_v1_1_are_followed(self, filled, path):
        assert filled("GET", path, None, STREAM).headers["content-type"] == "application/json"

    @pytest.mark.parametrize("method", ["POST", "DELETE"])
    def test_only_a_get_follows(self, filled, method):
        assert filled(method, Q, None, STREAM).status == 204


@contextmanager
def limited_to(size):
    with serving_queues(MemoryStore(), config=QueueConfig(max_body=size)) as queues, closing(queues.client()) as ask:
        yield ask


def test_the_largest_body_is_what_is_configured():
    with limited_to(10) as ask:
        assert ask("PUT", M, b"x" * 10).status == 201
        refused(ask("PUT", M, b"x" * 11), 413, "body-too-large")
        refused(publish(ask, [{"body": "é" * 6}]), 413, "body-too-large")
