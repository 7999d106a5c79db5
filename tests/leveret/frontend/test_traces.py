"""The trace that a message's sender was in: kept with the message, and given back with it."""

import json

import pytest

from leveret.frontend.publish import MAX_HEADERS, meta_of, read_messages
from leveret.store.memory import MemoryStore
from support.queues import serving_queues

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
TRACE = {"traceparent": PARENT, "tracestate": "vendor=1"}

M = "/v1.1/account/queue/message"


def kept(*headers):
    meta = meta_of([(name.encode(), value.encode()) for name, value in headers])
    return None if meta is None else meta.headers


def published(message, trace):
    (found,) = read_messages(json.dumps({"messages": [message]}).encode(), None, trace)
    return found.meta.headers if found.meta else None


class TestOneMessage:
    def test_the_trace_of_the_request_is_kept(self):
        assert kept(("traceparent", PARENT)) == {"traceparent": PARENT}
        assert kept(("TraceParent", PARENT), ("TraceState", "vendor=1")) == TRACE

    @pytest.mark.parametrize("value", ["", "x", PARENT.upper(), PARENT + "-x", "ff" + PARENT[2:], "é"])
    def test_one_that_is_none_is_as_if_it_were_not_there(self, value):
        assert kept(("traceparent", value), ("tracestate", "vendor=1")) is None

    def test_beside_the_message_s_own_headers(self):
        assert kept(("Leveret-Header-A", "1"), ("traceparent", PARENT)) == {"A": "1", "traceparent": PARENT}

    @pytest.mark.parametrize("name", ["traceparent", "Traceparent"])
    def test_the_message_s_own_trace_is_stronger(self, name):
        headers = [(f"Leveret-Header-{name}", OTHER), ("traceparent", PARENT), ("tracestate", "vendor=1")]
        assert kept(*headers) == {name: OTHER}

    def test_what_there_is_no_room_for_is_left_out(self):
        def room(size):
            return kept(("Leveret-Header-A", "x" * (MAX_HEADERS - 1 - size)), *TRACE.items()).keys()

        parent = len("traceparent" + PARENT)
        both = parent + len("tracestatevendor=1")
        assert room(both) == {"A", "traceparent", "tracestate"}
        assert room(both - 1) == {"A", "traceparent"}
        assert room(parent) == {"A", "traceparent"}
        assert room(parent - 1) == {"A"}
        assert room(0) == {"A"}


class TestManyMessages:
    def test_all_have_the_trace_of_the_request(self):
        body = b'{"messages":[{"body":"a"},{"body":"b","headers":{"A":"1"}},{"body":{},"content_type":"a/b"}]}'
        found = read_messages(body, None, TRACE)
        assert [each.meta.headers for each in found] == [TRACE, {"A": "1", **TRACE}, TRACE]
        assert found[2].meta.content_type == "a/b"

    def test_but_for_those_that_have_their_own(self):
        assert published({"body": "", "headers": {"traceparent": OTHER}}, TRACE) == {"traceparent": OTHER}
        assert published({"body": "", "headers": {"Traceparent": "of my own"}}, TRACE) == {"Traceparent": "of my own"}

    def test_without_one_there_is_nothing(self):
        assert published({"body": ""}, {}) is None


class TestOverHttp:
    @pytest.fixture
    def ask(self):
        with serving_queues(MemoryStore()) as queues:
            client = queues.client()
            yield client
            client.close()

    def test_a_claim_gives_it_back(self, ask):
        ask("PUT", M, b"x", TRACE)
        (found,) = ask("POST", "/v1.1/account/queue?limit=1&hide=60&detail=all").json
        assert found["headers"] == TRACE

    def test_many_messages_have_the_trace_of_their_request_or_their_own(self, ask):
        body = b'{"messages":[{"body":"a"},{"body":"b","headers":{"traceparent":"%b"}}]}' % OTHER.encode()
        assert ask("PUT", "/v1.1/account/queue", body, TRACE).status == 201
        first, second = ask("GET", "/v1.1/account/queue").json
        assert (first["headers"], second["headers"]) == (TRACE, {"traceparent": OTHER})

    def test_a_body_gives_it_back_as_every_tool_knows_it(self, ask):
        ask("PUT", M, b"x", TRACE)
        headers = ask("GET", M + "?detail=body").headers
        assert {name: headers[name] for name in TRACE} == TRACE
        assert headers["leveret-header-traceparent"] == PARENT

    def test_a_header_that_is_no_trace_is_not_said_to_be_one(self, ask):
        ask("PUT", M, b"x", {"Leveret-Header-traceparent": "x"})
        headers = ask("GET", M + "?detail=body").headers
        assert headers["leveret-header-traceparent"] == "x"
        assert "traceparent" not in headers

    def test_one_that_is_none_is_no_error(self, ask):
        assert ask("PUT", M, b"x", {"traceparent": "00-x", "tracestate": "\xff"}).status == 201
        assert ask("GET", M).json["headers"] == {}

    def test_v1_0_keeps_none(self, ask):
        path = M.replace("v1.1", "v1.0")
        ask("PUT", path, b"x", TRACE)
        assert ask("GET", M).json["headers"] == {}
        assert ask("GET", path).json.keys() == {"id", "ttl", "hide", "body"}
