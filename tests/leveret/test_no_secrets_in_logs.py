"""No secret is in anything that a server writes down or tells others: each is marked, sent, and looked for."""

import base64
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from leveret.keys import TOKENS
from scalestack.auth.keys import issue, signed
from scalestack.auth.keys.file import NAME, KeyFile
from support.web import PATIENCE, Raw

# `leveret`, with a route whose handler fails with secrets in its hands.
PROGRAM = """
import leveret.server
from scalestack.http.router import PUBLIC, Route
from scalestack.http.server import HttpServer
from scalestack.module import Module

class Broken(Module):
    name = "broken"
    depends = (HttpServer,)

    def __init__(self, config, needs):
        super().__init__(config, needs)
        routes = [Route("PUT", "/broken", self.fail, action=PUBLIC), Route("PUT", "/broken/{account}", self.fail)]
        self.start = lambda: needs[HttpServer].mount(routes)

    def fail(self, request, *parameters):
        held = (request.body, request.headers, request.query_string)
        raise ValueError(f"{request!r} is too much")

leveret.server._OWN += (Broken,)

from leveret.cli.main import main
main()
"""


class Secrets:
    """Those that were sent, by what they are."""

    def __init__(self):
        self.all = {}

    def mark(self, what):
        """A secret that is nowhere else."""
        return self.keep(what, f"canary{secrets.token_hex(12)}")

    def keep(self, what, value):
        """One whose form is given."""
        self.all[f"{what} ({len(self.all)})"] = value
        return value

    def token(self, token, what):
        """The token of a key, whose secret part is what is looked for."""
        self.keep(what, token.rpartition("_")[2])
        return token

    def basic(self, user, password):
        text = base64.b64encode(f"{user}:{password}".encode()).decode()
        return self.keep("Basic", text)

    def found_in(self, text):
        return [what for what, value in self.all.items() if value in text]


class Sender:
    """Sends requests, and keeps what others are told."""

    def __init__(self, port, kept):
        self.port = port
        self.kept = kept
        self.told = []  # answers that are to hold no secret, also not the sender's own

    def raw(self, data):
        """Bytes that may be no request."""
        with Raw(self.port) as raw:
            raw.send(data if isinstance(data, bytes) else data.encode())
            raw.half_close()
            answer = raw.answer()
        self.told.append(f"{answer.status} {answer.headers} {answer.text}")
        return answer.status

    def __call__(self, method, target, authorization=None, body="", **headers):
        lines = [f"{method} {target} HTTP/1.1", "Host: a", f"Content-Length: {len(body)}"]
        if authorization:
            lines.append(f"Authorization: {authorization}")
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        return self.raw("\r\n".join([*lines, "", body]))


@contextmanager
def serving(directory):
    """A server with everything on; gives its port, and what it has written when it has ended."""
    program = directory / "broken_leveret.py"
    program.write_text(PROGRAM)
    written = directory / "stderr"
    settings = ["log.level=debug", "log.access=true", "auth.failures=10000", "auth.failure_rate=10000"]
    modules = "server.modules=broken,admin,queue.health,queue.metrics"
    options = [option for each in (*settings, modules) for option in ("--set", each)]
    command = [
        sys.executable,
        program,
        "serve",
        "--port",
        "0",
        "--data",
        directory / "data",
        "--auth",
        "keys",
        *options,
    ]
    output = []
    with written.open("w") as stderr:
        popen = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=stderr, text=True, env={**os.environ, "PYTHONASYNCIODEBUG": "1"}
        )
        with popen:
            try:
                line = popen.stdout.readline()
                assert "ready on" in line, line + written.read_text()
                yield int(line.partition("127.0.0.1:")[2].split(",")[0]), output
                popen.send_signal(signal.SIGTERM)
                assert popen.wait(PATIENCE) == 0
                output.extend([line + popen.stdout.read(), written.read_text()])
            finally:
                popen.kill()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """All secrets, all that the server wrote, by where, and all that others were told."""
    directory = tmp_path_factory.mktemp("secrets")
    kept = Secrets()
    file = KeyFile(directory / "data" / NAME)
    now = time.time()

    def key(what, account, actions, **more):
        made, token = issue.create(file, TOKENS, now, account=account, actions=actions, **more)
        return made, kept.token(token.text, f"token of the {what} key")

    good, token = key("good", "acme", ("send", "receive", "read", "policy"))
    _, others = key("other's", "umbrella", ("send", "receive", "read", "policy"))
    _, root = key("admin", None, ("admin",))
    revoked, revoked_token = key("revoked", "acme", ("read",))
    issue.revoke(file, revoked.id, now)
    unknown = kept.token(TOKENS.make().text, "token of an unknown key")

    def url(method, path, key=good, query="", end=600):
        made = signed.sign(key, method, path, query, int(now) + end)
        kept.keep("signature", made.rpartition("=")[2])
        return made

    with serving(directory) as (port, output):
        send = Sender(port, kept)
        bearer = f"Bearer {token}"
        path = "/v1.1/acme/jobs"

        # What works.
        assert send("PUT", f"{path}/1", bearer, kept.mark("body"), Leveret_Header_Trace=kept.mark("header")) == 201
        assert send("PUT", f"{path}/2", f"Basic {kept.basic('ann', token)}", kept.mark("body")) == 201
        assert send("PUT", f"{path}/3", f"Basic {kept.basic(token, '')}", kept.mark("body")) == 201
        assert send("PUT", url("PUT", f"{path}/4"), None, kept.mark("body")) == 201
        assert send("POST", f"{path}?limit=1&hide=30&detail=none", bearer) == 204
        assert send("PATCH", path, bearer, '{"dead_letter":"dead"}') == 200
        assert send("DELETE", f"{path}?detail=none", bearer) == 204
        assert send("DELETE", "/v1.1/acme?detail=none", bearer) in {204, 404}
        send("PUT", f"{path}/5", bearer, kept.mark("body"))

        # Who is not let in.
        typo = token[:-1] + ("A" if token[-1] != "A" else "B")
        for bad in (revoked_token, unknown, kept.token(typo, "token with a typing error"), kept.mark("Bearer")):
            assert send("GET", path, f"Bearer {bad}") == 401
            assert send("GET", path, f"Basic {kept.basic('ann', bad)}") == 401
        jwt = ".".join(
            base64.urlsafe_b64encode(part).decode().rstrip("=")
            for part in (b'{"alg":"none"}', b'{"sub":1}', os.urandom(32))
        )
        assert send("GET", path, f"Bearer {kept.keep('JSON Web Token', jwt)}") == 401
        assert send("GET", path, f"Digest {kept.mark('Digest')}") == 401
        assert send("GET", path, bearer + " " + kept.mark("Bearer")) == 401
        for target in (
            url("GET", path, end=-10),
            url("GET", path, revoked),
            url("GET", path) + "x",
            url("GET", path) + "&limit=1",
            url("GET", path + "x").replace("jobsx", "jobs"),
            url("GET", path, end=10 * 86400),
        ):
            assert send("GET", target) == 401
        assert send("GET", url("GET", path), bearer) == 401

        # Who may not.
        assert send("PUT", f"{path}/1", f"Bearer {others}", kept.mark("body")) == 403
        assert send("GET", "/v1.1", bearer) == 403
        assert send("PATCH", "/v1.1/umbrella/jobs", bearer, json.dumps({"dead_letter": kept.mark("policy")})) == 403
        assert send("PUT", "/admin/modules/metrics", bearer) == 403

        # What is wrong.
        assert send("PUT", path, bearer, '{"messages":[{"body":"' + kept.mark("body")) == 400
        assert send("PUT", path, bearer, json.dumps({"messages": [{"body": kept.mark("body"), "ttl": -1}]})) == 400
        assert send("POST", path, bearer, kept.mark("body")) == 400
        assert send("PUT", f"{path}/1", bearer, kept.mark("body"), Leveret_Header_A=kept.mark("header") + "\x01") == 400
        assert send("PUT", f"{path}/1?ttl=x", bearer, kept.mark("body"), Cookie=kept.mark("cookie")) == 400
        assert send("PUT", f"{path}/1", bearer, kept.mark("body"), If_None_Match=kept.mark("header")) == 400

        # Secrets in places where they don't belong.
        for name in ("token", "key", "access_token", "signature", "api-key", "X-Amz-Signature", "%74oken", "password"):
            send("GET", f"/v1.1/acme/jobs?limit=1&{name}={kept.mark(name)}", bearer)
        for target in (url("GET", path), url("PUT", path)):
            assert send("GET", target.replace("/v1.1/acme/jobs", "/nowhere/at/all")) == 404
            assert send("TRACE", target) == 405
            assert send("GET", target.replace("/v1.1/acme/jobs", "/")) == 400
        for target in (
            f"/v1.1/{token}",
            f"/v1.1/{token}/jobs",
            f"/{root}",
            f"/v1.1/acme/jobs?{others}",
            f"/v1.1/{jwt}",
        ):
            send("GET", target, bearer)
        assert send("GET", f"/admin/{token}", bearer) == 404
        assert send("PUT", f"/admin/modules/{token}", bearer) == 403
        assert send("GET", f"http://ann:{kept.mark('password')}@a/v1.1/acme/jobs?detail=id", bearer) in {200, 400, 404}

        # What is no request, or breaks the server.
        for broken in (
            f"GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization {kept.mark('header')}\r\n\r\n",
            f"GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: {kept.mark('header')}\r\nContent-Length: -1\r\n\r\n",
            f"GET {path} HTTP/1.1\r\nHost: a\r\n Authorization: {kept.mark('header')}\r\n\r\n",
            f"GET {path} HTTP/9.9\r\nAuthorization: {kept.mark('header')}\r\n\r\n",
            f"{kept.mark('line')} {kept.mark('line')}\r\n\r\n",
            f"PUT {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz{kept.mark('chunk')}\r\n",
            f"GET {path} HTTP/1.1\r\nHost: a\r\nX: {kept.mark('header') * 2000}\r\n\r\n",
            f"GET {path}?token={kept.mark('target') * 1000} HTTP/1.1\r\nHost: a\r\n\r\n",
        ):
            assert 400 <= send.raw(broken) < 600
        target = f"/broken?signature={kept.mark('signature')}&x=1"
        assert (
            send("PUT", target, f"Bearer {kept.mark('Bearer')}", kept.mark("body"), X_Secret=kept.mark("header")) == 500
        )
        assert send("PUT", f"/broken/{root}", f"Bearer {root}", kept.mark("body")) == 500

        # What is done by admins, and what others see.
        assert send("DELETE", "/admin/modules/queue.health", f"Bearer {root}") == 200
        assert send("PUT", "/admin/modules/queue.health", f"Bearer {root}") == 200
        for target in ("/metrics", "/v1.1", "/admin/modules", "/v1.1/umbrella/jobs", "/openapi.json", "/health/ready"):
            send("GET", target, f"Bearer {root}")

    audit = (directory / "data" / "audit.jsonl").read_text()
    keys = (directory / "data" / NAME).read_text()
    places = {
        "stdout": output[0],
        "stderr": output[1],
        "audit.jsonl": audit,
        NAME: keys,
        "answers": "\n".join(send.told),
    }
    return kept, places


@pytest.mark.parametrize("place", ["stdout", "stderr", "audit.jsonl", NAME, "answers"])
def test_no_secret_is_in(run, place):
    kept, places = run
    assert kept.found_in(places[place]) == []


def test_all_that_was_sent_was_logged(run):
    """Or else there would be nothing to find."""
    _, places = run
    records = [json.loads(line) for line in places["stderr"].splitlines()]
    events = [record["event"] for record in records]
    assert events.count("request") > 70
    assert events.count("credentials are no good") > 10
    assert events.count("a handler failed") == 2
    assert not any("dropped" in event for event in events)
    assert (
        len(
            {
                record["target"]
                for record in records
                if record["event"] == "request" and "[redacted]" in record["target"]
            }
        )
        > 10
    )


def test_the_audit_log_tells_all_that_it_is_for(run):
    _, places = run
    entries = [json.loads(line) for line in places["audit.jsonl"].splitlines()]
    told = [(entry["action"], entry["outcome"]) for entry in entries]
    for expected in [
        ("policy.change", "done"),
        ("messages.delete", "done"),
        ("module.unload", "done"),
        ("module.load", "done"),
        ("admin", "refused"),
        ("policy", "refused"),
    ]:
        assert expected in told
    assert all(entry["who"].startswith("key ") for entry in entries)
