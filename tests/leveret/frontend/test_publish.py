"""Bodies that say what to do: messages to be put together, headers of a message, and policies."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from leveret.frontend.publish import Incoming, meta_of, read_messages, read_policy
from leveret.model import Meta
from scalestack.http.problem import HttpError

JSON = b"application/json"
NDJSON = b"application/x-ndjson"


def read_one(message: Any) -> Incoming:
    """The one message of a body that holds it."""
    (found,) = read_messages(json.dumps({"messages": [message]}).encode(), JSON)
    return found


def refused(body: bytes, content_type: bytes | None = JSON, code: str = "bad-message") -> str:
    """What a body that is wrong is refused with."""
    with pytest.raises(HttpError) as caught:
        read_messages(body, content_type)
    assert (caught.value.status, caught.value.code) == (400, code)
    json.loads(caught.value.body())
    return caught.value.detail


def refused_message(message: bytes, code: str = "bad-message") -> str:
    """The same, of the second of two messages: it is named."""
    detail = refused(b'{"messages":[{"body":""},%b]}' % message, code=code)
    assert "message 2" in detail
    return detail


class TestMessages:
    def test_a_body_is_all_that_is_needed(self) -> None:
        found = read_one({"body": "x"})
        assert (found.id, found.body, found.ttl, found.hide, found.meta) == (None, b"x", None, None, None)

    def test_all_members(self) -> None:
        found = read_one(
            {"id": "ü", "body": "x", "ttl": 0, "hide": 2**31 - 1, "content_type": "a/b", "headers": {"A": "1"}}
        )
        assert (found.id, found.ttl, found.hide) == ("ü", 0, 2**31 - 1)
        assert found.meta == Meta("a/b", {"A": "1"})

    def test_null_is_not_given(self) -> None:
        found = read_one({"id": None, "body": "", "ttl": None, "hide": None, "content_type": None, "headers": None})
        assert (found.id, found.ttl, found.hide, found.meta) == (None, None, None, None)

    def test_in_their_order(self) -> None:
        body = b'{"messages":[{"body":"2"},{"body":"1"},{"body":"3"}]}'
        assert [each.body for each in read_messages(body, JSON)] == [b"2", b"1", b"3"]

    @pytest.mark.parametrize("content_type", [JSON, None, b"text/plain", b"application/x-www-form-urlencoded"])
    def test_json_whatever_it_is_called(self, content_type: bytes | None) -> None:
        assert len(read_messages(b' {"messages" : [ {"body":""} ] } ', content_type)) == 1

    @pytest.mark.parametrize(
        "content_type",
        [
            NDJSON,
            b"APPLICATION/X-NDJSON; charset=utf-8",
            b" application/x-ndjson ;x",
            b"application/ndjson",
            b"application/jsonl",
        ],
    )
    def test_one_on_each_line(self, content_type: bytes) -> None:
        body = b'{"body":"1"}\n\n  \r\n{"body":"2"}\r\n{"body":"3"}'
        assert [each.body for each in read_messages(body, content_type)] == [b"1", b"2", b"3"]

    def test_a_thousand_and_no_more(self) -> None:
        for count, fits in ((1, True), (1000, True), (1001, False)):
            both = [
                (b'{"messages":[' + b",".join([b'{"body":""}'] * count) + b"]}", JSON),
                (b'{"body":""}\n' * count, NDJSON),
            ]
            for body, content_type in both:
                if fits:
                    assert len(read_messages(body, content_type)) == count
                else:
                    assert "1000" in refused(body, content_type)

    def test_lines_beyond_the_last_that_may_be_are_not_read(self) -> None:
        assert "1000" in refused(b'{"body":""}\n' * 1001 + b"no JSON\n" * 100_000, NDJSON)

    @pytest.mark.parametrize(
        "body",
        [b"", b" ", b"null", b"[]", b"{}", b'{"messages":null}', b'{"messages":{}}', b'{"messages":[],"x":1}', b'"x"',
         b'[{"body":""}]', b'{"body":""}', b"{", b'{"messages":[{"body":""}]', b'{"messages":[{"body":""}]}x',
         b"\xff\xfe\x00", b'{"messages":[{"body":"\xff"}]}', b"\x00"],
    )  # fmt: skip
    def test_what_is_no_list_of_messages(self, body: bytes) -> None:
        assert refused(body)

    @pytest.mark.parametrize("body", [b'{"messages":[]}'])
    def test_no_messages(self, body: bytes) -> None:
        assert "0 messages" in refused(body)
        assert "0 messages" in refused(b"\n \r\n", NDJSON)
        assert "0 messages" in refused(b"", NDJSON)

    def test_a_line_that_is_wrong_is_named(self) -> None:
        assert "line 3" in refused(b'{"body":""}\n\n{"body":\n{"body":""}', NDJSON)
        assert "line 2" in refused(b'{"body":""}\n[]', NDJSON)
        assert "line 2" in refused(b'{"body":""}\n{"body":"","ttl":-1}', NDJSON)

    @pytest.mark.parametrize("message", [b"null", b"1", b'"x"', b"[]", b"true"])
    def test_a_message_that_is_no_object(self, message: bytes) -> None:
        assert "no object" in refused_message(message)

    def test_a_message_without_body(self) -> None:
        assert "body" in refused_message(b"{}")
        assert "body" in refused_message(b'{"id":"x"}')

    @pytest.mark.parametrize("name", ["x", "Body", "receipt", "", "\\u0000", "\\ud800", "x" * 100_000])
    def test_an_unknown_member(self, name: str) -> None:
        detail = refused_message(b'{"body":"","%b":1}' % name.encode())
        assert len(detail) < 300

    @pytest.mark.parametrize("name", ["body", "ttl", "id"])
    def test_a_member_that_is_there_twice(self, name: str) -> None:
        message = b'{"body":"","%b":null,"%b":"1"}' % (name.encode(), name.encode())
        assert f"'{name}'" in refused(b'{"messages":[%b]}' % message)
        assert f"line 2 is no JSON: the member '{name}'" in refused(b'{"body":""}\n' + message, NDJSON)

    def test_a_member_of_a_body_that_is_there_twice(self) -> None:
        assert "'a'" in refused(b'{"messages":[{"body":[{"a":1,"b":{},"a":1}]}]}')

    def test_messages_that_are_there_twice(self) -> None:
        assert "'messages'" in refused(b'{"messages":[{"body":""}],"messages":[]}')

    @pytest.mark.parametrize("value", ["-1", "2147483648", "1.0", "1e3", "true", '"5"', "[]", "{}", "1" * 400])
    @pytest.mark.parametrize("name", ["ttl", "hide"])
    def test_seconds_that_are_none(self, name: str, value: str) -> None:
        detail = refused_message(f'{{"body":"","{name}":{value}}}'.encode())
        assert name in detail
        assert len(detail) < 300

    @pytest.mark.parametrize("value", ["1" * 5000, "-" + "1" * 100_000])
    def test_numbers_that_take_long_to_read(self, value: str) -> None:
        assert refused(f'{{"messages":[{{"body":"","ttl":{value}}}]}}'.encode())
        assert refused(f'{{"messages":[{{"body":{value}}}]}}'.encode())

    @pytest.mark.parametrize("id", ["", ".", "..", "a/b", "a\x00", "\x7f", "\x85", "x" * 256, "é" * 128])
    def test_a_name_that_breaks_the_rules(self, id: str) -> None:
        refused_message(json.dumps({"id": id, "body": ""}).encode(), code="bad-name")

    @pytest.mark.parametrize("id", [b"1", b"true", b"[]", b"{}", b'"\\ud800"'])
    def test_an_id_that_is_no_name_at_all(self, id: bytes) -> None:
        refused_message(b'{"body":"","id":%b}' % id)

    @pytest.mark.parametrize("id", ["...", " ", "é" * 127, "😀", '"', "\\", "a\u202eb"])
    def test_any_other_name(self, id: str) -> None:
        assert read_one({"id": id, "body": ""}).id == id


class TestBodies:
    @pytest.mark.parametrize("text", ["", "x", "é€😀", "\x00\x1f\n", '{"base64":"//4="}', "\ufeff"])
    def test_a_string_is_its_utf_8(self, text: str) -> None:
        found = read_one({"body": text})
        assert (found.body, found.meta) == (text.encode(), None)

    @pytest.mark.parametrize("data", [b"", b"\x00", b"\xff\xfe", bytes(range(256))])
    def test_base64_is_its_bytes(self, data: bytes) -> None:
        found = read_one({"body": {"base64": base64.b64encode(data).decode()}})
        assert (found.body, found.meta) == (data, None)

    @pytest.mark.parametrize(
        "text", ["A", "AA", "AAA", "AA=", "AAA==", "=", "====", "AA==AA==", "_-8=", "AA ==", "AAAA\n", "é", "\x00", "*"]
    )
    def test_what_is_no_base64(self, text: str) -> None:
        assert "base64" in refused_message(json.dumps({"body": {"base64": text}}).encode())

    @pytest.mark.parametrize(
        ("value", "stored"),
        [
            ("null", "null"),
            ("true", "true"),
            ("17", "17"),
            ("-0.5", "-0.5"),
            ("12345678901234567890123", "12345678901234567890123"),
            ("[]", "[]"),
            ('[1, "é", null]', '[1,"é",null]'),
            ('{"b": 1, "a": {"c": []}}', '{"b":1,"a":{"c":[]}}'),
            ('{"base64": 5}', '{"base64":5}'),
            ('{"base64": "AA==", "x": 1}', '{"base64":"AA==","x":1}'),
        ],
    )
    def test_any_other_value_is_kept_as_json(self, value: str, stored: str) -> None:
        (found,) = read_messages(f'{{"messages":[{{"body":{value}}}]}}'.encode(), JSON)
        assert (found.body, found.meta) == (stored.encode(), Meta("application/json"))

    def test_a_content_type_that_is_given_is_stronger(self) -> None:
        assert read_one({"body": {"a": 1}, "content_type": "application/geo+json"}).meta == Meta("application/geo+json")
        assert read_one({"body": [], "headers": {"A": "1"}}).meta == Meta("application/json", {"A": "1"})

    @pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "[NaN]", "1e999", "-1e999", "[[1e400]]"])
    def test_what_no_number_of_json_is(self, value: str) -> None:
        refused(f'{{"messages":[{{"body":{value}}}]}}'.encode())
        refused(f'{{"body":{value}}}'.encode(), NDJSON)

    @pytest.mark.parametrize("value", ['"\\ud800"', '"a\\udfffb"', '["\\udc00"]', '{"\\ud800":1}', '"\\udc00\\ud800"'])
    def test_half_of_a_surrogate_pair(self, value: str) -> None:
        assert "surrogate" in refused_message(b'{"body":%b}' % value.encode())

    def test_half_of_a_surrogate_pair_in_an_id(self) -> None:
        assert "surrogate" in refused_message(b'{"id":"\\ud800","body":""}')

    def test_a_surrogate_in_raw_bytes(self) -> None:
        refused(b'{"messages":[{"body":"\xed\xa0\x80"}]}')

    def test_a_whole_surrogate_pair_is_a_character(self) -> None:
        (found,) = read_messages(b'{"messages":[{"body":"\\ud83d\\ude00"}]}', JSON)
        assert found.body == "😀".encode()

    @pytest.mark.parametrize("opening", ["[", '{"a":'])
    def test_nesting_is_kept_or_refused_at_any_depth(self, opening: str) -> None:
        closing = "]" if opening == "[" else "}"
        refusals = 0
        for depth in (50, *range(300, 1000, 25), *range(900, 1000), 5000, 100_000):
            value = f"{opening * depth}0{closing * depth}"
            try:
                (found,) = read_messages(f'{{"messages":[{{"body":{value}}}]}}'.encode(), JSON)
            except HttpError as error:
                assert "nested too deeply" in error.detail  # noqa: PT017 - both are right
                refusals += 1
            else:
                assert found.body == value.encode()
        assert refusals

    @pytest.mark.parametrize("name", ["ttl", "id", "content_type", "headers"])
    def test_nesting_in_other_members(self, name: str) -> None:
        for depth in (50, *range(900, 1000, 5), 100_000):
            refused(f'{{"messages":[{{"body":"","{name}":{"[" * depth}{"]" * depth}}}]}}'.encode())


BAD_VALUES = ["a\r\nb", "a\nb", "a\rb", "\x00", "a\x1bb", "\x7f", " a", "a ", "\ta", "a\u2003", "\ud800"]


class TestMeta:
    @pytest.mark.parametrize("value", ["", "a", "a\tb", "é", "😀", 'a"b', "a\\b", "x" * 8000, "a\u2028b"])
    def test_any_text_may_be_a_header(self, value: str) -> None:
        assert read_one({"body": "", "headers": {"A": value}}).meta == Meta(None, {"A": value})

    @pytest.mark.parametrize("value", BAD_VALUES)
    def test_a_header_that_no_http_can_carry(self, value: str) -> None:
        assert "'A'" in refused_message(json.dumps({"body": "", "headers": {"A": value}}).encode())

    @pytest.mark.parametrize("value", [None, 1, True, [], {}])
    def test_a_header_that_is_no_text(self, value: Any) -> None:
        assert "'A'" in refused_message(json.dumps({"body": "", "headers": {"A": value}}).encode())

    @pytest.mark.parametrize("name", ["", " ", "a b", "a:", "a\r\nb", "é", "a\x00", "(a)", "x" * 256, "\ud800"])
    def test_a_header_name_that_no_http_can_carry(self, name: str) -> None:
        refused_message(json.dumps({"body": "", "headers": {name: "1"}}).encode())

    @pytest.mark.parametrize("value", ["[]", '"A: 1"', "1", "true"])
    def test_headers_that_are_no_object(self, value: str) -> None:
        assert "headers" in refused_message(b'{"body":"","headers":%b}' % value.encode())

    def test_no_headers_are_none(self) -> None:
        assert read_one({"body": "", "headers": {}}).meta is None

    def test_headers_have_8_kib_together(self) -> None:
        fits = {f"{number:04}": "x" * 1020 for number in range(8)}
        assert read_one({"body": "", "headers": fits}).meta == Meta(None, fits)
        assert "8,193" in refused_message(json.dumps({"body": "", "headers": {**fits, "x": ""}}).encode())

    def test_headers_are_measured_in_bytes(self) -> None:
        assert "bytes" in refused_message(json.dumps({"body": "", "headers": {"a": "é" * 4096}}).encode())

    @pytest.mark.parametrize("value", ["", "x" * 256, "a\r\nb", "\x00", "é" * 128, "a\x7f", "\ud800"])
    def test_a_content_type_that_is_none(self, value: str) -> None:
        assert "content type" in refused_message(json.dumps({"body": "", "content_type": value}).encode())

    @pytest.mark.parametrize("value", [b"1", b"[]", b"{}", b"false"])
    def test_a_content_type_that_is_no_text(self, value: bytes) -> None:
        assert "content_type" in refused_message(b'{"body":"","content_type":%b}' % value)

    def test_what_the_headers_of_a_put_say(self) -> None:
        given = [
            (b"Host", b"x"),
            (b"CONTENT-TYPE", b"a/b; c=d"),
            (b"Leveret-Header-Trace", b"1"),
            (b"leveret-header-trace", b"2"),
            (b"LEVERET-HEADER-trace", b"3"),
            (b"Leveret-Header-Utf", "é".encode()),
            (b"Leveret-Header-Latin", b"\xe9"),
            (b"Leveret-Headers", b"no"),
        ]
        assert meta_of(given) == Meta("a/b; c=d", {"Trace": "1", "trace": "2, 3", "Utf": "é", "Latin": "é"})

    def test_headers_that_say_nothing(self) -> None:
        assert meta_of([]) is None
        assert meta_of([(b"Host", b"x"), (b"Accept", b"*/*")]) is None

    @pytest.mark.parametrize(
        "header",
        [
            (b"Leveret-Header-", b"x"),
            (b"Leveret-Header-A", b"\x1b"),
            (b"Leveret-Header-A", b"x" * 8192),
            (b"Leveret-Header-" + b"A" * 256, b""),
            (b"Content-Type", b""),
            (b"Content-Type", b"x" * 256),
        ],
    )
    def test_headers_that_say_too_much(self, header: tuple[bytes, bytes]) -> None:
        with pytest.raises(HttpError) as caught:
            meta_of([header])
        assert (caught.value.status, caught.value.code) == (400, "bad-header")


class TestPolicies:
    def test_members_to_set_and_to_remove(self) -> None:
        body = b'{"default_ttl":0,"default_hide":2147483647,"max_deliveries":1,"max_messages":9007199254740992}'
        assert read_policy(body) == {
            "default_ttl": 0, "default_hide": 2**31 - 1, "max_deliveries": 1, "max_messages": 2**53
        }  # fmt: skip
        assert read_policy(b'{"max_bytes":null,"dead_letter":"\xc3\xbc"}') == {"max_bytes": None, "dead_letter": "ü"}

    def test_nothing_and_all(self) -> None:
        assert read_policy(b"{}") == {}
        assert read_policy(b" null ") is None

    @pytest.mark.parametrize(
        "body",
        ["", " ", "[]", "1", '"x"', "true", "{", '{"default_ttl":5}x', '{"x":1}', '{"Default_ttl":1}', '{"":1}',
         '{"\\ud800":1}', "NaN", '{"default_ttl":NaN}', '{"default_ttl":1e999}', '{"max_bytes":1,"max_bytes":2}'],
    )  # fmt: skip
    def test_what_is_no_policy(self, body: str) -> None:
        self.refused(body)

    @pytest.mark.parametrize(
        ("name", "low", "high"),
        [
            ("default_ttl", 0, 2**31 - 1),
            ("default_hide", 0, 2**31 - 1),
            ("max_deliveries", 1, 2**31 - 1),
            ("max_messages", 1, 2**53),
            ("max_bytes", 1, 2**53),
        ],
    )
    def test_numbers_out_of_their_range(self, name: str, low: int, high: int) -> None:
        for value in (low, high):
            assert read_policy(f'{{"{name}":{value}}}'.encode()) == {name: value}
        for wrong in (low - 1, high + 1, 10**300, 1.0, 1e3, True, "5", [], {}, [[[[]]]]):
            assert name in self.refused(json.dumps({name: wrong}))

    @pytest.mark.parametrize(
        "name", ["", ".", "..", "a/b", "a\x00b", "\x7f", "é" * 128, "x" * 256, "\ud800", 5, True, [], {}]
    )
    def test_no_name_for_a_dead_letter_queue(self, name: Any) -> None:
        assert "dead_letter" in self.refused(json.dumps({"dead_letter": name}))

    def test_nesting_at_any_depth(self) -> None:
        for depth in (50, *range(900, 1000, 3), 100_000):
            self.refused(f'{{"default_ttl":{"[" * depth}{"]" * depth}}}')
            self.refused(f'{{"dead_letter":{"[" * depth}{"]" * depth}}}')

    @staticmethod
    def refused(body: str) -> str:
        with pytest.raises(HttpError) as caught:
            read_policy(body.encode())
        assert (caught.value.status, caught.value.code) == (400, "bad-policy")
        json.loads(caught.value.body())
        assert len(caught.value.detail) < 400
        return caught.value.detail
