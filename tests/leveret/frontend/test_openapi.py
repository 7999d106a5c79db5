"""The description of the API, held against the API."""

import re

import pytest

from leveret.frontend.parameters import parse
from leveret.frontend.rest import Rest
from leveret.store.memory import MemoryStore
from scalestack.http.problem import HttpError
from support.queues import serving_queues

ROUTES = [route for route in Rest(None).routes() if route.path != "/openapi.json"]
EXAMPLES = {"limit": "1", "marker": "m", "match_hidden": "true", "wait": "0", "ttl": "1", "hide": "1", "detail": "none"}


@pytest.fixture(scope="module")
def described():
    with serving_queues(MemoryStore()) as queues:
        ask = queues.client()
        answer = ask("GET", "/openapi.json")
        ask.close()
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    return answer.json


def operation(described, route):
    return described["paths"][route.path][route.method.lower()]


def test_it_is_openapi(described):
    assert described["openapi"] == "3.1.0"
    assert set(described) >= {"info", "paths", "components"}


def test_it_is_valid(described):
    validator = pytest.importorskip("openapi_spec_validator", reason="it is there with `make lint`, not on every build")
    validator.validate(described)


def test_every_reference_leads_somewhere(described):
    def follow(node):
        if isinstance(node, dict):
            if "$ref" in node:
                target = described
                for step in node["$ref"].removeprefix("#/").split("/"):
                    target = target[step]
            for value in node.values():
                follow(value)
        elif isinstance(node, list):
            for value in node:
                follow(value)

    follow(described)


def test_operations_have_names_of_their_own(described):
    names = [operation(described, route)["operationId"] for route in ROUTES]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
class TestEveryRoute:
    def test_is_described_with_its_path_parameters(self, described, route):
        assert operation(described, route)["summary"]
        path = described["paths"][route.path]
        assert [parameter["name"] for parameter in path.get("parameters", [])] == re.findall(r"\{(\w+)\}", route.path)

    def test_takes_the_parameters_that_are_described_and_no_others(self, described, route):
        names = {parameter["name"] for parameter in operation(described, route).get("parameters", [])}
        if route.about.accepted is None:
            assert names == set()
            return
        for name, value in EXAMPLES.items():
            query = f"{name}={value}"
            if name in names:
                parse(query, route.about.accepted)
            else:
                with pytest.raises(HttpError, match="there is no parameter"):
                    parse(query, route.about.accepted)


PUBLIC = {("GET", "/")}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
class TestWhoMayCallIt:
    def test_is_said(self, described, route):
        assert operation(described, route)["x-leveret-action"] == route.action

    def test_public_operations_take_no_credentials_and_all_others_some_that_are_described(self, described, route):
        taken = [name for each in operation(described, route)["security"] for name in each]
        assert (taken == []) == ((route.method, route.path) in PUBLIC)
        assert set(taken) <= described["components"]["securitySchemes"].keys()

    def test_refusals_are_described_where_there_are_any(self, described, route):
        responses = operation(described, route)["responses"].keys()
        refusals = set() if (route.method, route.path) in PUBLIC else {"401", "403"}
        if "{account}" in route.path:
            refusals.add("429")
        assert responses & {"401", "403", "429"} == refusals

    def test_what_can_be_signed_concerns_one_queue(self, described, route):
        signable = "{queue}" in route.path and route.method != "PATCH"
        assert ({"signedUrl": []} in operation(described, route)["security"]) == signable


@pytest.mark.parametrize(
    ("name", "header", "codes"),
    [
        ("Unauthenticated", "WWW-Authenticate", ["unauthenticated"]),
        ("Forbidden", None, ["forbidden"]),
        ("TooMany", "Retry-After", ["too-many-requests", "account-full"]),
    ],
)
def test_a_refusal_has_its_codes_and_its_header(described, name, header, codes):
    refusal = described["components"]["responses"][name]
    assert all(f"`{code}`" in refusal["description"] for code in codes)
    assert list(refusal.get("headers", {})) == ([header] if header else [])


def test_answers_are_those_described(described):
    """Each operation is asked in each detail, where there is something and where there is nothing."""
    with serving_queues(MemoryStore()) as queues:
        ask = queues.client()
        for route in ROUTES:
            about = operation(described, route)
            details = [
                value
                for parameter in about.get("parameters", [])
                if parameter["name"] == "detail"
                for value in parameter["schema"]["enum"]
            ]
            path = re.sub(r"\{\w+\}", "x", route.path)
            for detail in [None, *details]:
                for filled in (True, False):
                    ask("DELETE", "/v1.0")
                    if filled:
                        ask("PUT", "/v1.0/x/x/x", b"body")
                    answer = ask(route.method, path + (f"?detail={detail}" if detail else ""))
                    response = about["responses"][str(answer.status)]
                    if answer.body:
                        assert {answer.headers["content-type"], "*/*"} & response["content"].keys()
        ask.close()
