"""From URLs to clients: which there are, and what is said of the others."""

import subprocess
import sys
from contextlib import closing

import pytest

from leveret import connect, connect_async
from leveret.client import InvalidUrl, Unavailable
from support.process import leveret
from support.web import Client


@pytest.mark.parametrize("url", ["sqlite:///~/q.db", "sqlite:///q.db?mode=ro", "sqlite:///my%20q.db"])
def test_a_path_that_may_be_meant_otherwise_is_refused(url):
    with pytest.raises(InvalidUrl, match="is taken as it is"):
        connect(url)


@pytest.mark.parametrize("url", ["", "sqlite://", "sqlite:///", "redis://x", "memory://x", "jobs.db", "127.0.0.1:80"])
@pytest.mark.parametrize("open", [connect, connect_async])
def test_another_url_is_refused_with_those_that_are_known(url, open):
    with pytest.raises(InvalidUrl, match=r"http://host:port.+sqlite:///relative\.db.+sqlite:////absolute\.db"):
        open(url)


@pytest.mark.parametrize(
    "url", ["http://", "http:///path", "http://x:port", "http://x?a=1", "https://x#a", "unix://", "unix://x/y"]
)
def test_an_address_that_can_not_be_is_refused(url):
    with pytest.raises(InvalidUrl, match=r"expected|no port"):
        connect(url)


def test_a_host_that_can_not_be_named_so_is_refused():
    with pytest.raises(InvalidUrl, match="has a host that can't be named so"):
        connect("http://a..b")


def test_a_client_of_a_server_asks_it_nothing_before_it_must():
    with connect("http://127.0.0.1:1", retries=0) as client:
        queue = client.queue("acme", "jobs")
        with pytest.raises(Unavailable, match=r"http://127\.0\.0\.1:1 can't be reached") as caught:
            queue.put("")
    assert caught.value.code == "unreachable"


@pytest.mark.parametrize("wrong", [{"timeout": 0}, {"retries": -1}])
def test_options_are_checked(wrong):
    with pytest.raises(ValueError, match="expected"):
        connect("memory://", **wrong)


def test_a_file_keeps_what_is_in_it_and_a_server_serves_it(tmp_path):
    url = f"sqlite:///{tmp_path}/jobs.db"
    with connect(url) as client:
        client.queue("acme", "jobs").put("hello", id="1")
        with pytest.raises(Unavailable, match="is in use by process"):
            connect(url)
    with leveret("--store", url) as server, closing(Client(server.port)) as ask:
        assert ask("GET", "/v1.0/acme/jobs/1?detail=body").body == b"hello"


def loaded_by(program):
    code = f"{program}; import sys; print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_the_package_alone_loads_no_client_and_a_client_of_a_file_no_http():
    assert not {name for name in loaded_by("import leveret") if name.startswith("leveret.")}
    assert "httpx" not in loaded_by("import leveret; leveret.connect('memory://').close()")
    assert "httpx" not in loaded_by("import leveret.server")


def test_a_client_of_a_server_loads_no_store():
    found = loaded_by("import leveret; leveret.connect('http://127.0.0.1:1').close()")
    assert not {name for name in found if name.startswith("leveret.store")}


def test_what_the_package_does_not_have_is_an_attribute_error():
    import leveret

    with pytest.raises(AttributeError, match="no attribute 'conect'"):
        leveret.conect  # noqa: B018


def test_a_url_into_the_api_is_none_of_a_server():
    with pytest.raises(InvalidUrl, match=r"give the server alone: http://127\.0\.0\.1:1$"):
        connect("http://127.0.0.1:1/v1.1")
    connect("http://127.0.0.1:1/queues/").close()
