"""A name is what its sender wrote, byte for byte after one decoding, or 400: in each store, of whatever it is.

No two names that differ in a byte are one, whatever a file system, a browser or Unicode would make of them.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import unquote_to_bytes

import pytest

from leveret.client import connect
from support.figures import show
from support.metered import Metered, metered
from support.web import Client

GOOD: Final = (
    "a", "A", "%41%41", "%20", "%20a", "a%20", "+", "%2B%2B", "a+b", "a%20b", "%25", "%252f", "%252F", "%2500",
    "%252e", "%2e%2e%2e", "..a", "a..", ".a", "a.", "%3F", "a%3Fb=c", "%23", "a%23b", "%26", "a;b=c", "a,b",
    "a:b@c", "a=b", "%5C", "a%5C..%5Cb", "%22", "%27", "%3Cb%3E", "%7B%7D", "%7C", "%60", "~", "*", "C:", "nul",
    "CON", "-rf", "--", "%24(a)", "';drop%20table%20m;--", "%C3%A9", "e%CC%81", "%C3%89", "%E2%84%AA", "K", "k",
    "%CE%A9", "%E2%84%A6", "%C3%9F", "ss", "%EF%BD%81", "%E2%80%AEa", "%E2%80%8B", "a%E2%80%8Bb", "%EF%BB%BF",
    "%EF%BB%BFa", "%E2%80%A8", "%F0%9F%90%87", "%F4%8F%BF%BF", "%EF%BF%BD", "%EF%BF%BF", "%CC%81", "%C2%A0",
    "%C2%AD", "i", "%C4%B1", "%C4%B0", "%D0%B0", "1", "01", "-1", "null", "true", "a" * 255, "%C3%A9" * 127,
    "%61" * 254,
)  # fmt: skip
GOOD_NAMES: Final = tuple(unquote_to_bytes(written).decode() for written in GOOD)
BAD: Final = (
    ".", "..", "%2e", "%2E", "%2e%2e", "%2E%2e", ".%2e", "%2e.", "%2f", "%2F", "a%2fb", "a%2F..%2Fb", "%2e%2e%2f",
    "%00", "a%00", "%00a", "a%00b", "%01", "%09", "%0a", "%0d", "%0d%0a", "%1b", "%1f", "%7f", "%C2%80", "%C2%85",
    "%C2%9F", "%c0%af", "%c0%ae%c0%ae", "%c0%80", "%e0%80%af", "%f0%80%80%af", "%ed%a0%80", "%ed%bf%bf",
    "%ed%a0%80%ed%b0%80", "%f4%90%80%80", "%f8%88%80%80%80", "%ff", "%fe", "%80", "%c3", "a%c3", "%e2%82",
    "%f0%9f%90", "%c3%28", "%a0%a1", "%", "a%", "%2", "%zz", "%%", "%u002e", "%-1", "%+1", "%0x", "a" * 256,
    "%61" * 256, "%C3%A9" * 128,
)  # fmt: skip
BAD_IN_JSON: Final = (
    "", ".", "..", "a/b", "/", "\0", "a\0", "\n", "\x1b", "\x7f", "\x85", "\ud800", "\udc00a", "a" * 256, "é" * 128,
)  # fmt: skip
SLASHES: Final = (
    "/v1.1//q/1", "/v1.1/a//1", "/v1.1/a/q/", "/v1.1/a/", "/v1.1/", "//v1.1/a/q/1", "/v1.1/a/q/1/", "/v1.1/a/q/1/2",
    "/v1.1/a/q//", "/v1.1/./a/q/1", "/v1.1/../v1.1/a/q/1", "/v1.1/a/../a/q", "/v1.1%2fa/q/1", "/V1.1/a/q/1",
    "/v1.1;x/a/q/1", "/v1.1/a/q/1/..", "\\v1.1\\a\\q\\1",
)  # fmt: skip


@pytest.fixture(params=["memory", "sqlite"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Metered]:
    with metered(tmp_path if request.param == "sqlite" else None) as running:
        yield running


def listed(client: Client, path: str) -> list[str]:
    answer = client("GET", path)
    return list(answer.json) if answer.status == 200 else []


def test_each_name_is_its_own_in_a_path(site: Metered) -> None:
    ask = site.client
    for written, name in zip(GOOD, GOOD_NAMES, strict=True):
        for path in (f"/v1.1/messages/q/{written}", f"/v1.1/queues/{written}/1", f"/v1.1/{written}/q/1"):
            assert ask("PUT", path, name.encode()).status in {201, 204}, path
    for written, name in zip(GOOD, GOOD_NAMES, strict=True):
        for path in (f"/v1.1/messages/q/{written}", f"/v1.1/queues/{written}/1", f"/v1.1/{written}/q/1"):
            assert ask("GET", f"{path}?detail=body").body == name.encode(), path
    assert listed(ask, "/v1.1/messages/q?detail=id") == list(dict.fromkeys(GOOD_NAMES))
    assert sorted(listed(ask, "/v1.1/queues")) == sorted(set(GOOD_NAMES))
    assert sorted(listed(ask, "/v1.1")) == sorted({*GOOD_NAMES, "messages", "queues"})


def test_what_is_encoded_without_need_is_the_same_name(site: Metered) -> None:
    assert site.client("PUT", "/%76%31.1/a%61/%71/%31", b"body").status == 201
    assert site.client("GET", "/v1.1/aa/q/1?detail=body").body == b"body"
    assert site.client("GET", "/v1.1/%61%61/q/%31?detail=body").body == b"body"


def test_what_can_be_no_name_is_refused_wherever_it_stands(site: Metered, request: pytest.FixtureRequest) -> None:
    store = request.node.callspec.params["site"]
    ask = site.client
    ask("PUT", "/v1.1/a/q/1", b"body")
    taken = []
    asked = 0
    for name, method in itertools.product(BAD, ("GET", "PUT", "POST", "DELETE")):
        for path in (
            f"/v1.1/a/q/{name}",
            f"/v1.1/a/{name}/1",
            f"/v1.1/{name}/q/1",
            f"/v1.1/a/{name}",
            f"/v1.1/{name}",
            f"/v1.0/a/q/{name}",
        ):
            asked += 1
            status = ask(method, path).status
            if status != 400 and not (status == 405 and method in {"PUT", "POST"}):
                taken.append((status, method, path))
    for path in SLASHES:
        asked += 1
        status = ask("PUT", path, b"body").status
        if status not in {400, 404, 405}:
            taken.append((status, "PUT", path))
    left = [listed(ask, path) for path in ("/v1.1", "/v1.1/a", "/v1.1/a/q?detail=id")]
    show(
        "names",
        f"{store}: {len(BAD) + len(SLASHES)} names and paths that can't be, {asked:,} requests: {len(taken)} taken; "
        f"{len(set(GOOD_NAMES))} names that can be, each its own",
    )
    assert not taken, taken
    assert left == [["a"], ["q"], ["1"]]


def test_each_name_is_its_own_in_json(site: Metered) -> None:
    messages = [{"id": name, "body": name} for name in GOOD_NAMES]
    for ascii_only in (True, False):
        answer = site.client("PUT", "/v1.1/a/q", json.dumps({"messages": messages}, ensure_ascii=ascii_only).encode())
        assert answer.json == list(GOOD_NAMES)
    assert {each["id"]: each["body"] for each in site.client("GET", "/v1.1/a/q").json} == {
        name: name for name in GOOD_NAMES
    }


def test_what_can_be_no_name_is_refused_in_json_and_nothing_of_its_batch_is_there(site: Metered) -> None:
    for name in BAD_IN_JSON:
        body = json.dumps({"messages": [{"id": "good", "body": 1}, {"id": name, "body": 1}]}).encode()
        assert site.client("PUT", "/v1.1/a/q", body).status == 400, name
        assert site.client("PATCH", "/v1.1/a/q", json.dumps({"dead_letter": name}).encode()).status == 400, name
    assert listed(site.client, "/v1.1") == []


def test_each_name_is_its_own_over_the_client(site: Metered) -> None:
    with closing(connect(f"http://127.0.0.1:{site.port}")) as client:
        for name in GOOD_NAMES:
            client.queue("messages", "q").put(name, id=name)
            client.queue("queues", name).put(name, id="1")
            client.queue(name, "q").put(name, id="1")
        for name in GOOD_NAMES:
            places = (("messages", "q", name), ("queues", name, "1"), (name, "q", "1"))
            for account, queue, id in places:
                found = client.queue(account, queue).get(id)
                assert found is not None, (account, queue, id)
                assert (found.id, found.body) == (id, name.encode())
        assert sorted(client.queues("queues")) == sorted(GOOD_NAMES)
        assert sorted(client.accounts()) == sorted({*GOOD_NAMES, "messages", "queues"})
