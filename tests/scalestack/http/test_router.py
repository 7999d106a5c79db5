"""Paths to handlers."""

import pytest

from scalestack.http.message import Response
from scalestack.http.problem import HttpError
from scalestack.http.router import Route, RouteClash, Router


def named(name):
    response = Response(200, name.encode())
    return lambda request, *parameters: response


ROUTER = Router(
    [
        Route("GET", "/", named("root")),
        Route("GET", "/v1", named("all")),
        Route("GET", "/v1/{account}", named("one")),
        Route("DELETE", "/v1/{account}", named("delete")),
        Route("PUT", "/v1/{account}/{queue}", named("put")),
        Route("GET", "/v1/special", named("special")),
    ]
)


def found(method, path):
    entry, parameters = ROUTER.find(f"{method} {path}")
    return entry.handler(None, *parameters).body.decode(), list(parameters)


def refused(method, path):
    with pytest.raises(HttpError) as caught:
        ROUTER.find(f"{method} {path}")
    return caught.value


def test_a_path_without_parameters():
    assert found("GET", "/") == ("root", [])
    assert found("GET", "/v1") == ("all", [])


def test_path_parameters_in_their_order():
    assert found("PUT", "/v1/a/b") == ("put", ["a", "b"])


def test_a_fixed_segment_wins_over_a_parameter():
    assert found("GET", "/v1/special") == ("special", [])


def test_head_is_where_get_is():
    assert found("HEAD", "/v1/a") == ("one", ["a"])


def test_options_say_what_is_allowed():
    entry, parameters = ROUTER.find("OPTIONS /v1/a")
    response = entry.handler(None, *parameters)
    assert response.status == 204
    assert response.headers == ((b"Allow", b"DELETE, GET, HEAD, OPTIONS"),)


def test_options_of_the_whole_server():
    entry, _ = ROUTER.find("OPTIONS *")
    assert entry.handler(None).headers == ((b"Allow", b"DELETE, GET, HEAD, OPTIONS, PUT"),)


def test_another_method_on_a_known_path_is_405_with_allow():
    error = refused("POST", "/v1/a")
    assert (error.status, error.code) == (405, "method-not-allowed")
    assert error.headers == ((b"Allow", b"DELETE, GET, HEAD, OPTIONS"),)


@pytest.mark.parametrize("path", ["/v2", "/v1/", "/v1//b", "/v1/a/", "/v1/a/b/c", "//", "/V1"])
def test_an_unknown_path_is_404(path):
    assert refused("GET", path).status == 404


def test_a_path_is_decoded_once_and_after_it_was_split():
    assert found("GET", "/v1/a%2Fb") == ("one", ["a/b"])
    assert found("GET", "/v1/a%252Fb") == ("one", ["a%2Fb"])
    assert found("GET", "/v1/%C3%A9+") == ("one", ["é+"])
    assert found("GET", "/%76%31") == ("all", [])


@pytest.mark.parametrize("segment", ["%", "%4", "%zz", "%ff", "%c0%af", "a%", "%+1", "% 1"])
def test_a_broken_percent_encoding_is_400(segment):
    error = refused("GET", "/v1/" + segment)
    assert (error.status, error.code) == (400, "bad-encoding")


def test_two_routes_for_the_same_clash():
    with pytest.raises(RouteClash, match="two routes for GET /a"):
        Router([Route("GET", "/a", named("1")), Route("GET", "/a", named("2"))])


def test_what_is_remembered_is_bounded_and_right():
    router = Router([Route("GET", "/{account}/{queue}", named("queue"))])
    for number in range(10_000):
        _, parameters = router.find(f"GET /{number}/q")
        assert parameters == (str(number), "q")
    assert len(router.paths) <= 4096
    assert router.find(f"GET /{'x' * 5000}/q")[1][0] == "x" * 5000
