"""Query parameters, from text to values."""

import pytest

from leveret.frontend.parameters import LIST_MESSAGES, UPDATE_MESSAGES, Detail, parse
from leveret.model import Change, Filters, Page
from scalestack.http.problem import HttpError


def test_all_at_once():
    given = parse("limit=5&marker=a%26b&match_hidden=true&wait=9&ttl=1&hide=2&detail=body", UPDATE_MESSAGES)
    assert given.filters == Filters(5, "a&b", match_hidden=True)
    assert given.page == Page(5, "a&b")
    assert given.change == Change(ttl=1, hide=2)
    assert (given.wait, given.detail) == (9, Detail.BODY)


def test_nothing_is_the_defaults_of_the_request():
    given = parse("", LIST_MESSAGES)
    assert given.filters == Filters(None, None, match_hidden=False)
    assert given.change == Change(None, None)
    assert (given.wait, given.detail) == (0, Detail.ALL)


def test_the_same_query_is_parsed_once():
    assert parse("limit=77", LIST_MESSAGES) is parse("limit=77", LIST_MESSAGES)


def test_a_query_that_is_wrong_is_wrong_each_time():
    for _ in range(2):
        with pytest.raises(HttpError, match="limit is 'x'"):
            parse("limit=x", LIST_MESSAGES)


def test_a_huge_number_is_refused_without_being_converted():
    with pytest.raises(HttpError, match="a whole number from 1"):
        parse("limit=" + "9" * 1_000_000, LIST_MESSAGES)
