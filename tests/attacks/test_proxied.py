"""Behind nginx and HAProxy nothing gets out of step: each answer is that of its request, and no body becomes a request.

The proxy gives each request that it passes on a stamp of its own, which no client knows. A request without one, or with
one that was seen before, would have come out of another's body; an answer with another's stamp would be another's.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from attacks.corpus import CORPUS
from attacks.framing import Case
from attacks.proxied import STARTS, Proxied, proxied
from support.figures import show
from support.web import Answer, Raw

ROUNDS = int(
    os.environ.get("LEVERET_PROXY_ROUNDS", "1")
)  # how often the corpus is sent, over connections that are kept
SILENCE = 0.1  # seconds without a byte, after which a proxy is taken to wait for more of a request

pytestmark = [pytest.mark.alone, pytest.mark.timeout(180 + 120 * ROUNDS)]


@pytest.fixture(params=STARTS)
def proxy(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Proxied]]:
    if not shutil.which(request.param, path="/usr/sbin:/usr/local/bin:/usr/bin"):
        pytest.skip(f"{request.param} is not installed")
    with proxied(request.param, tmp_path) as running:
        yield request.param, running


def marked(name: str) -> bytes:
    return f"GET /v1.1/a/marked/{name} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


def own(answer: Answer, name: str) -> bool:
    """Whether it is the answer to that marked request."""
    return answer.status == 200 and answer.json["line"] == f"GET /v1.1/a/marked/{name}"


def answers(raw: Raw, case: Case, name: str) -> list[Answer]:
    """All that comes, up to the answer to the marked request, the end of the connection, or silence."""
    found: list[Answer] = []
    raw.socket.settimeout(SILENCE)
    with contextlib.suppress(OSError, AssertionError, KeyError, IndexError, ValueError):
        while not (found and own(found[-1], name)):
            found.append(raw.answer(to_head=not found and case.sent.startswith(b"HEAD")))
    return [answer for answer in found if answer.status == 200 and answer.body]


def faults(running: Proxied, found: list[Answer], mark: str) -> list[str]:
    """What is wrong with the answers on a connection: each has to be of a request that came by it, in order."""
    seen = {each.stamps: (place, each.line) for place, each in enumerate(running.recorder.seen)}
    wrong = []
    last = -1
    for answer in found:
        line = answer.json["line"]
        place, expected = seen[answer.json["stamp"].encode(),]
        if line != expected or place <= last:
            wrong.append(f"the answer to {line} came in the place of another")
        if "/marked/" in line and not own(answer, mark):
            wrong.append(f"the answer to {line} came to somebody else")
        last = place
    return wrong


def test_no_case_of_the_corpus_brings_a_proxy_and_the_server_out_of_step(proxy: tuple[str, Proxied]) -> None:
    name, running = proxy
    wrong: list[str] = []
    other = Raw(running.port)
    for number, (index, case) in itertools.product(range(ROUNDS), enumerate(CORPUS)):
        mark = f"{number}-{index}"
        with Raw(running.port) as raw:
            with contextlib.suppress(OSError):  # it was refused before all of it was sent
                raw.send(case.sent + marked(mark))
            found = answers(raw, case, mark)
        answer = other.send(marked(f"{mark}-other")).answer()
        if not own(answer, f"{mark}-other"):
            wrong.append(f"{case.name}: the answer on another connection was another's")
        if answer.headers.get("connection") == "close":  # as nginx says after a thousand requests
            other.close()
            other = Raw(running.port)
        wrong += [f"{case.name}: {fault}" for fault in faults(running, found, mark)]
    other.close()
    seen = running.recorder.seen
    wrong += [f"{each.line} was in no request" for each in seen if len(each.stamps) != 1]
    stamps = [each.stamps for each in seen]
    assert len(set(stamps)) == len(stamps), "a stamp came twice"
    show(
        "smuggling-behind-proxies",
        f"{name}: {ROUNDS * len(CORPUS):,} cases, {len(seen):,} requests passed on: {len(wrong)} out of step",
    )
    assert not wrong, "\n".join(wrong)
    assert len(seen) > len(CORPUS) * 1.5 * ROUNDS, "hardly anything of the corpus was passed on"
