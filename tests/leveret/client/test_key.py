"""A key goes to the server that it was given for, and nowhere else: into no text, and to no other server."""

import asyncio
import logging
import pickle
import subprocess
import sys
import warnings

import pytest

from leveret import connect, connect_async, worker
from leveret.client import Forbidden, InsecureKey, InvalidUrl, Unauthorized
from leveret.client.key import authorization
from support.guarded import KEY, READER, guarded


@pytest.fixture(scope="module")
def service():
    with guarded() as service:
        yield service


@pytest.fixture
def own():
    """A service of the test's own, whose keys it may revoke."""
    with guarded() as service:
        yield service


def test_a_key_opens_what_it_is_for(service):
    with connect(service.url, key=KEY) as client:
        jobs = client.queue("acme", "jobs")
        jobs.put("x", id="1")
        assert jobs.get("1").body == b"x"


def test_a_key_opens_it_for_asyncio(service):
    async def main():
        async with connect_async(service.url, key=f" {KEY}\n") as client:
            await client.queue("acme", "jobs").put("x", id="1")

    asyncio.run(main())


def test_after_a_fork_it_has_its_key_still(service):
    program = f"""
import os
from leveret import connect
client = connect({service.url!r}, key={KEY!r})
client.queue("acme", "jobs").put("x")
child = os.fork()
client.queue("acme", "jobs").put("x")
if child:
    assert os.waitpid(child, 0)[1] == 0
os._exit(0)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("key", [None, "tok_unknown"])
def test_without_a_good_key_it_is_unauthorized(service, key):
    with connect(service.url, key=key) as client, pytest.raises(Unauthorized) as caught:
        client.queue("acme", "jobs").put("x")
    assert (caught.value.code, caught.value.status) == ("unauthenticated", 401)


def test_what_the_key_does_not_allow_is_forbidden(service):
    with connect(service.url, key=READER) as client:
        assert list(client.queue("acme", "none").messages()) == []
        for act in (client.queue("acme", "jobs").put, client.queue("other", "jobs").put):
            with pytest.raises(Forbidden) as caught:
                act("x")
            assert (caught.value.code, caught.value.status) == ("forbidden", 403)


def test_a_follower_ends_when_its_key_does(own):
    with connect(own.url, key=KEY) as client:
        jobs = client.queue("acme", "jobs")
        jobs.put("x")
        messages = jobs.follow()
        assert next(messages).body == b"x"
        own.tokens.revoke(KEY)
        with pytest.raises(Unauthorized):
            next(messages)


def test_a_worker_ends_when_its_key_does_and_its_message_is_there_again_later(own, caplog):
    with connect(own.url, key=KEY) as client:
        jobs = client.queue("acme", "jobs")
        jobs.put("x", id="1")

        @worker(jobs, concurrency=1)
        def work(message):
            own.tokens.revoke(KEY)

        with pytest.raises(Unauthorized):
            work.run()
    (record,) = caplog.records
    assert "message '1' may be worked on again" in record.message
    assert record.levelno == logging.WARNING


def test_an_async_worker_ends_when_its_key_does_and_what_runs_may_end(own):
    ended = []

    async def main():
        async with connect_async(own.url, key=KEY) as client:
            jobs = client.queue("acme", "jobs")
            await jobs.put_many(["1", "2"])

            @worker(jobs, concurrency=3)
            async def work(message):
                own.tokens.revoke(KEY)
                await asyncio.sleep(0.01)
                ended.append(message.text)

            with pytest.raises(Unauthorized):
                await work.serve()

    asyncio.run(main())
    assert sorted(ended) == ["1", "2"]


class TestSecrecy:
    def test_no_text_of_a_client_has_it(self, service, caplog):
        with caplog.at_level(0), connect(service.url, key=KEY) as client:
            jobs = client.queue("other", "jobs")
            with pytest.raises(Forbidden) as caught:
                jobs.put("x")
            transport = client._transport
            texts = [client, jobs, transport, transport._client, transport._headers, vars(transport), caught.value]
        assert KEY not in "".join(map(repr, texts)) + str(caught.value) + caplog.text
        assert KEY.encode() not in pickle.dumps(caught.value)

    @pytest.mark.parametrize("key", ["", " ", "canary\u00fc", "canary canary", "canary\r\nX: 1", "canary=x"])
    def test_what_can_not_be_one_is_refused_without_being_said(self, service, key):
        with pytest.raises(ValueError, match="the key") as caught:
            connect(service.url, key=key)
        assert "canary" not in str(caught.value)

    def test_it_is_text(self):
        with pytest.raises(TypeError, match="a key is text, and not bytes"):
            authorization(b"canary")  # type: ignore[arg-type]

    @pytest.mark.parametrize("url", ["https://:canary@h", "http://canary@h:1/x", "redis://u:canary@h", "canary@h"])
    @pytest.mark.parametrize("open", [connect, connect_async])
    def test_a_url_with_a_secret_is_refused_without_saying_it(self, url, open):
        with pytest.raises(InvalidUrl, match="give the key by itself") as caught:
            open(url)
        assert "canary" not in str(caught.value)

    def test_to_another_machine_without_https_it_is_warned_of(self):
        with pytest.warns(InsecureKey, match=r"can be read on its way to http://192\.0\.2\.1; use https") as caught:
            connect("http://192.0.2.1", key="k").close()
        assert caught[0].filename == __file__

    @pytest.mark.parametrize(
        "url", ["https://192.0.2.1", "http://127.0.0.1", "http://[::1]", "unix:///s", "memory://", "sqlite:///{}/q@x"]
    )
    def test_elsewhere_there_is_nothing_to_warn_of(self, url, tmp_path):
        with warnings.catch_warnings(action="error"):
            connect(url.format(tmp_path), key="k").close()

    def test_without_a_key_there_is_nothing_to_warn_of(self):
        with warnings.catch_warnings(action="error"):
            connect("http://192.0.2.1").close()

    def test_no_variable_of_the_environment_is_taken_for_it(self, service, monkeypatch):
        monkeypatch.setenv("LEVERET_KEY", KEY)
        with connect(service.url) as client, pytest.raises(Unauthorized):
            client.queue("acme", "jobs").put("x")
