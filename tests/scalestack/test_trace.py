"""Trace Context, by the rules of https://www.w3.org/TR/trace-context/."""

import pytest

from scalestack.trace import Span, context_in, context_of, parse_parent, parse_state

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01"


class TestParents:
    def test_its_parts(self):
        assert parse_parent(GOOD) == Span(int(TRACE, 16), int(SPAN, 16), 1)
        assert parse_parent(f"00-{TRACE}-{SPAN}-ff").flags == 255

    @pytest.mark.parametrize("version", ["01", "cc", "fe"])
    @pytest.mark.parametrize("more", ["", "-", "-what-the-future-will-be-like", "-00"])
    def test_of_a_later_version_what_is_known_counts(self, version, more):
        assert parse_parent(f"{version}{GOOD[2:]}{more}") == parse_parent(GOOD)

    @pytest.mark.parametrize(
        "text",
        ["", "00", GOOD + "-", GOOD + "-01", GOOD + "x", GOOD + " ", " " + GOOD, GOOD + "\n", GOOD[:-1], GOOD[:-3],
         GOOD.upper(), GOOD.replace("a", "A", 1), GOOD.replace("-", "_"), GOOD.replace("0", "g", 1),
         f"ff-{TRACE}-{SPAN}-01", f"ff-{TRACE}-{SPAN}-01-x", f"0-{TRACE}-{SPAN}-01", f"000-{TRACE}-{SPAN}-01",
         f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE[1:]}-{SPAN}-01", f"00-{TRACE}0-{SPAN}-01",
         f"00-{TRACE}-{SPAN[1:]}-01", f"00-{TRACE}-{SPAN}0-01", f"00-{TRACE}-{SPAN}-1", f"00-{TRACE}-{SPAN}-0g",
         f"01-{TRACE}-{SPAN}-01x", f"01-{TRACE}-{SPAN}-01-é", f"01-{TRACE}-{SPAN}-01-\x7f", f"01-{TRACE}-{SPAN}-01- ",
         f"01-{TRACE}-{SPAN}-01-{'x' * 256}", f"00-{TRACE}-{SPAN}-\u0660\u0661", f"{GOOD},{GOOD}"],
    )  # fmt: skip
    def test_what_is_none(self, text):
        assert parse_parent(text) is None


class TestStates:
    @pytest.mark.parametrize(
        ("text", "kept"),
        [("a=1", "a=1"), ("a=1,b=2", "a=1,b=2"), (" a=1 ,\tb=2 ", "a=1,b=2"), ("a=1,,b=2,", "a=1,b=2"),
         ("fw529a3039@dt=FfAAaa;:x/y", "fw529a3039@dt=FfAAaa;:x/y"), ("0a_-*/@z=!~", "0a_-*/@z=!~"), ("a=b c", "a=b c"),
         (f"{'k' * 256}={'v' * 100}", f"{'k' * 256}={'v' * 100}")],
    )  # fmt: skip
    def test_members_in_their_order(self, text, kept):
        assert parse_state(text) == kept

    @pytest.mark.parametrize(
        "text",
        ["", " ", ",", "a", "a=", "=1", "a==", "a=1=2", "A=1", "@a=1", "a b=1", "a=1,a=2", "a=é", "a=\x7f", "a=x\ty",
         f"{'k' * 257}=1", f"a={'v' * 257}", ",".join(f"k{number}=1" for number in range(33)), "a=1;b=2,c", "a=1\n"],
    )  # fmt: skip
    def test_what_is_none(self, text):
        assert parse_state(text) == ""

    def test_thirty_two_members(self):
        text = ",".join(f"k{number}=1" for number in range(32))
        assert parse_state(text) == text

    def test_what_is_too_long_loses_its_large_members_first_and_then_the_last(self):
        large, small = f"a={'x' * 200}", [f"k{number}={'v' * 50}" for number in range(9)]
        assert parse_state(",".join([large, *small])) == ",".join(small)
        many = [f"k{number:02}={'v' * 50}" for number in range(20)]
        kept = parse_state(",".join(many))
        assert kept == ",".join(many[:9])
        assert len(kept) <= 512
        exact = [f"k={'v' * 100}", f"l={'v' * 100}", f"m={'v' * 100}", f"n={'v' * 100}", f"o={'v' * 98}"]
        assert parse_state(",".join(exact)) == ",".join(exact)


class TestContexts:
    def test_of_a_request(self):
        headers = [(b"Host", b"a"), (b"TraceParent", GOOD.encode()), (b"tracestate", b"a=1"), (b"Tracestate", b"b=2")]
        assert context_of(headers) == {"traceparent": GOOD, "tracestate": "a=1,b=2"}

    def test_of_a_message(self):
        assert context_in({"Traceparent": f" {GOOD} ", "a": "b"}) == {"traceparent": GOOD}

    @pytest.mark.parametrize("value", [b"", b"x", b"\xff", GOOD[:-1].encode()])
    def test_a_state_without_a_parent_is_of_no_use(self, value):
        assert context_of([(b"traceparent", value), (b"tracestate", b"a=1")]) == {}
        assert context_of([(b"tracestate", b"a=1")]) == {}

    def test_of_two_parents_neither_is_believed(self):
        assert context_of([(b"traceparent", GOOD.encode())] * 2) == {}

    def test_a_state_that_is_none_leaves_the_parent(self):
        assert context_of([(b"traceparent", GOOD.encode()), (b"tracestate", b"A=1")]) == {"traceparent": GOOD}
