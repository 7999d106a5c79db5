"""No tenant reads, changes, or learns anything of another: every route and verb, with every kind of credentials.

The matrix is made from the routes of a server with all its modules, and what is expected is worked out from the action
that a route declares and from its path alone. A new route is in it by being there.
"""

import base64
import re
import time
from contextlib import contextmanager
from urllib.parse import quote

import pytest

from leveret.actions import ACTIONS, POLICY, READ, RECEIVE, SEND
from leveret.keys import TOKENS
from leveret.model import Filters, Message, Page
from leveret.server import Server
from leveret.service import QueueService
from scalestack.auth.keys import issue, signed
from scalestack.auth.keys.file import NAME, KeyFile
from scalestack.config import Override
from scalestack.http.router import ADMIN, METRICS, PUBLIC
from scalestack.http.server import HttpServer
from support.web import Client, Raw

# What takes the right to "admin", which no tenant has. A route that declares nothing is one of these.
ADMINS_ONLY = {
    ("GET", "/v1.0"),
    ("DELETE", "/v1.0"),
    ("GET", "/v1.1"),
    ("DELETE", "/v1.1"),
    ("GET", "/admin/modules"),
    ("PUT", "/admin/modules/{name}"),
    ("DELETE", "/admin/modules/{name}"),
}
# What those may see, too, who watch the service, and may do nothing else.
WATCHERS = {("GET", "/metrics")}
# What anybody may see. It must say nothing of any tenant.
EVERYBODY = {("GET", "/"), ("GET", "/openapi.json"), ("GET", "/health/live"), ("GET", "/health/ready")}

ALL = (SEND, RECEIVE, READ, POLICY)
# Modules that serve nothing, and are not to be loaded beside the others.
WITHOUT_ROUTES = {"memory", "sqlite", "otel"}

OWN, OTHER = "acme", "umbrella"
# Names that are there and names that aren't: who may not ask must not be able to tell one from the other.
ACCOUNTS = {OWN: (OWN, "nobody"), OTHER: (OTHER, "nowhere")}
QUEUES = ("jobs-1", "ghost")
MESSAGES = ("m1", "phantom")
SECRETS = {OWN: b"crown-jewels", OTHER: b"umbrella-plans"}

BODIES = {"PUT": b'{"messages":[{"body":"x"}]}', "PATCH": b'{"max_messages":1000}'}
VERBS = ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")


class Tenants:
    """A server that two tenants share, and the credentials of all kinds of callers."""

    def __init__(self, server, file):
        self.server = server
        self.file = file
        self.routes = server.kernel.get(HttpServer).routes
        self.service = server.kernel.get(QueueService)
        self.client = Client(server.addresses[0].port)
        now = time.time()
        self.keys = {
            "root": self.key(None, (ADMIN,)),
            "watcher": self.key(None, (METRICS,)),
            "own": self.key(OWN, ALL),
            "other": self.key(OTHER, ALL),
            "reader": self.key(OWN, (READ,)),
            "sender": self.key(OWN, (SEND,)),
            "narrow": self.key(OWN, ALL, ("jobs-*",)),
            "elsewhere": self.key(OWN, ALL, ("mail-*",)),
            "expired": self.key(OWN, ALL, now=now - 100, lifetime=10),
            "revoked": self.key(OWN, ALL),
        }
        issue.revoke(file, self.keys["revoked"][0].id, now)

    def key(self, account, actions, resources=("*",), now=None, **more):
        now = time.time() if now is None else now
        key, token = issue.create(self.file, TOKENS, now, account=account, actions=actions, resources=resources, **more)
        return key, token.text

    def fill(self):
        """The same in each account, again."""
        for account, body in SECRETS.items():
            for queue in ("jobs-1", "mail-1"):
                for id in ("m1", "m2", "m3"):
                    self.service.put(account, queue, self.service.draft(id, body, 0, 0))

    def contents(self):
        """All that there is."""
        accounts = self.service.list_accounts(Page())
        found = {}
        for account in accounts:
            states = self.service.describe_queues(account, Page())
            for state in states:
                messages = self.service.select(account, state.name, Filters(match_hidden=True))
                found[account, state.name] = (
                    state,
                    [[getattr(each, name) for name in Message.__slots__] for each in messages],
                )
        return found

    def ask(self, who, method, path):
        """The answer to `who`: its status, and all else that it says but for the time of day."""
        headers, query = credentials(self, who, method, path)
        answer = self.client(method, path + query, BODIES.get(method), headers)
        del answer.headers["date"]
        return answer.status, answer.headers, answer.body


def credentials(tenants, who, method, path):
    """The headers and the query by which one asks."""
    kind, _, name = who.partition(" of ")
    if kind == "nobody":
        return {}, ""
    if kind == "garbage":
        return {"Authorization": "Bearer \xff==, Basic"}, ""
    if kind == "a typing error":
        return {"Authorization": f"Bearer {tenants.keys['own'][1][:-1]}!"}, ""
    if kind == "unknown":
        return {"Authorization": f"Bearer {TOKENS.make().text}"}, ""
    key, token = tenants.keys[name or kind]
    if kind == "password":
        return {"Authorization": "Basic " + base64.b64encode(f"x:{token}".encode()).decode()}, ""
    if kind == "URL":
        return {}, url(key, method, path)
    if kind == "URL for another path":
        return {}, url(key, method, path + "x")
    if kind == "URL for another method":
        return {}, url(key, "DELETE" if method != "DELETE" else "PUT", path)
    if kind == "late URL":
        return {}, url(key, method, path, int(time.time()) - 1)
    return {"Authorization": f"Bearer {token}"}, ""


def url(key, method, path, expires=None):
    return "?" + signed.sign(key, method, path, "", expires or int(time.time()) + 60).partition("?")[2]


# Who is known, with account, actions and queues; by each kind of credentials that they may show.
KNOWN = {
    "root": (None, (ADMIN,), None),
    "watcher": (None, (METRICS,), None),
    "own": (OWN, ALL, None),
    "other": (OTHER, ALL, None),
    "reader": (OWN, (READ,), None),
    "sender": (OWN, (SEND,), None),
    "narrow": (OWN, ALL, "jobs-"),
    "elsewhere": (OWN, ALL, "mail-"),
}
CALLERS = {
    **KNOWN,
    **{f"URL of {name}": KNOWN[name] for name in ("own", "other", "reader", "elsewhere")},
    "password of own": KNOWN["own"],
    "password of other": KNOWN["other"],
}
# Who is not; all of these are to be told the same.
STRANGERS = (
    "nobody",
    "garbage",
    "a typing error",
    "unknown",
    "expired",
    "revoked",
    "password of revoked",
    "URL of revoked",
    "URL of expired",
    "URL for another path of own",
    "URL for another method of own",
    "late URL of own",
)


def may(rights, action, account, queue):
    """What is expected, said once more: whether one with these rights is let pass."""
    own, actions, start = rights
    if own is None:
        return ADMIN in actions or action in actions
    if action == ADMIN or account != own or action not in actions:
        return False
    return start is None or (queue is not None and queue.startswith(start))


def targets(route, accounts):
    """The paths of a route, with each combination of names, and the account and the queue in them."""
    paths = [(route.path, None, None)]
    if "{account}" in route.path:
        paths = [(path.replace("{account}", name), name, None) for path, _, _ in paths for name in accounts]
    if "{queue}" in route.path:
        paths = [(path.replace("{queue}", name), account, name) for path, account, _ in paths for name in QUEUES]
    names = MESSAGES if "{message}" in route.path else ("",)
    # Any other parameter: the name of nothing.
    return [
        (re.sub(r"\{\w+\}", "phantom", path.replace("{message}", name)), account, queue)
        for path, account, queue in paths
        for name in names
    ]


def verbs(route):
    return (route.method, "HEAD") if route.method == "GET" else (route.method,)


@contextmanager
def sharing(directory):
    options = {
        "server.data": str(directory),
        "server.store": "memory://",
        "server.auth": "keys",
        "http.port": "0",
        "auth.failures": "1000000",
        "auth.failure_rate": "1000000",
        "auth.refusals": "1000000",
        "auth.refusal_rate": "1000000",
    }
    server = Server(overrides=[Override(key, value, "test") for key, value in options.items()])
    server.addresses = server.start()
    try:
        # All that may have routes, so that none is left out.
        for name in server.modules:
            if not name.startswith("auth.") and name not in WITHOUT_ROUTES:
                server.kernel.load(name)
        tenants = Tenants(server, KeyFile(directory / NAME))
        try:
            yield tenants
        finally:
            tenants.client.close()
    finally:
        server.stop()


@pytest.fixture(scope="module")
def tenants(tmp_path_factory):
    with sharing(tmp_path_factory.mktemp("data")) as tenants:
        yield tenants


@pytest.fixture
def filled(tenants):
    tenants.service.delete_accounts(Page())
    tenants.fill()
    return tenants


def test_every_route_is_for_some_whom_this_test_knows(tenants):
    told = (
        "A new route? Give it the action that it takes: Route(..., action=...), one of leveret.actions. If it is for "
        "admins only, or for everybody, add it to ADMINS_ONLY or EVERYBODY in this test, and say why in the docs."
    )
    closed = {(route.method, route.path) for route in tenants.routes if route.action == ADMIN}
    assert closed == ADMINS_ONLY, told
    assert {(route.method, route.path) for route in tenants.routes if route.action == METRICS} == WATCHERS, told
    public = {(route.method, route.path) for route in tenants.routes if route.action == PUBLIC}
    assert public == EVERYBODY, told
    assert {route.action for route in tenants.routes} <= {PUBLIC, *ACTIONS}, told


def test_a_path_names_the_account_before_the_queue_or_is_for_admins(tenants):
    """The guard takes the parameter {account} for the account, and the one after it for the queue."""
    for route in tenants.routes:
        if route.action not in {ADMIN, METRICS, PUBLIC}:
            assert route.parameters[:2] in {("account",), ("account", "queue")}, route.path


def test_who_may_is_let_pass(filled):
    for route in filled.routes:
        for who, rights in CALLERS.items():
            for path, account, queue in targets(route, (OWN, OTHER)):
                if route.action == PUBLIC or may(rights, route.action, account, queue):
                    for verb in verbs(route):
                        filled.fill()
                        status, _, body = filled.ask(who, verb, path)
                        # A URL that is signed passes parameters to routes that take none; that is not at issue here.
                        assert status not in {401, 403}, (who, verb, path, body)


def test_who_may_not_is_told_the_same_whatever_is_there_and_changes_nothing(filled):
    refused = {}
    before = filled.contents()
    for route in filled.routes:
        if route.action == PUBLIC:
            continue
        for who, rights in CALLERS.items():
            for verb in verbs(route):
                for path, account, queue in targets(route, [*ACCOUNTS[OWN], *ACCOUNTS[OTHER]]):
                    if not may(rights, route.action, account, queue):
                        status, headers, body = filled.ask(who, verb, path)
                        assert status == 403, (who, verb, path)
                        # The refusal names the right that the route takes, and nothing of what was asked for.
                        told = refused.setdefault((route.action, verb == "HEAD"), set())
                        told.add((tuple(headers.items()), body))
    assert set(map(len, refused.values())) == {1}, refused
    assert filled.contents() == before
    for told in refused.values():
        for _, body in told:
            assert not any(name.encode() in body for name in (OWN, OTHER, *QUEUES, *MESSAGES))


def test_who_is_not_known_is_told_the_same_whatever_is_wrong_and_changes_nothing(filled):
    refused = set()
    before = filled.contents()
    for route in filled.routes:
        if route.action == PUBLIC:
            continue
        for who in STRANGERS:
            for verb in verbs(route):
                for path, _, _ in targets(route, ACCOUNTS[OWN]):
                    status, headers, body = filled.ask(who, verb, path)
                    assert status == 401, (who, verb, path)
                    assert "www-authenticate" in headers
                    refused.add((verb == "HEAD", tuple(headers.items()), body))
    assert len(refused) == 2, refused
    assert filled.contents() == before


def test_what_is_public_says_the_same_to_all(filled):
    for method, path in EVERYBODY:
        for verb in (method, "HEAD"):
            answers = [filled.ask(who, verb, path) for who in ("nobody", "garbage", "revoked", "own", "other")]
            assert {answer[0] for answer in answers} == {200}
            assert all(answer == answers[0] for answer in answers)
            assert not any(name.encode() in answers[0][2] for name in (OWN, OTHER, "jobs-1"))


@pytest.mark.parametrize("verb", VERBS)
def test_what_is_no_operation_of_a_path_tells_nothing_of_what_is_there(filled, verb):
    """OPTIONS, and methods that a path doesn't have, are answered to all, without a look at what is there."""
    before = filled.contents()
    for path in {route.path for route in filled.routes}:
        routes = [route for route in filled.routes if route.path == path]
        if any(verb in verbs(route) for route in routes):
            continue
        answers = [
            filled.ask(who, verb, target)
            for who in ("nobody", "own", "other", "revoked")
            for target, _, _ in targets(routes[0], [*ACCOUNTS[OWN], OTHER])
        ]
        assert answers[0][0] == (204 if verb == "OPTIONS" else 405), path
        assert all(answer == answers[0] for answer in answers), path
    assert filled.contents() == before


@pytest.mark.parametrize(
    "write",
    [
        "/v1.1/{other}/jobs-1",
        "/v1.1/%75mbrella/jobs-1",  # the same name
        "/v1.1/{own}/../{other}/jobs-1",
        "/v1.1/{own}/%2e%2e/{other}",
        "/v1.1/{own}%2f..%2f{other}/jobs-1",
        "/v1.1/{own}//{other}",
        "//v1.1/{other}/jobs-1",
        "/v1.1/{other}/jobs-1?account={own}",
        "/v1.1/{other};{own}/jobs-1",
        "http://{own}/v1.1/{other}/jobs-1",
        "/V1.1/{other}/jobs-1",
    ],
)
def test_no_way_to_write_a_path_leads_to_another_s_queue(filled, write):
    path = write.format(own=OWN, other=OTHER)
    token = filled.keys["own"][1]
    with Raw(filled.server.addresses[0].port) as raw:
        head = f"GET {path} HTTP/1.1\r\nHost: {OWN}\r\nAuthorization: Bearer {token}\r\n\r\n"
        answer = raw.send(head.encode()).answer()
    assert answer.status in {400, 403, 404}
    assert SECRETS[OTHER] not in answer.body


@pytest.mark.parametrize("name", ["Authorization", "X-Forwarded-User", "X-Account", "Cookie", "Proxy-Authorization"])
def test_no_second_header_lends_the_rights_of_another(filled, name):
    own, other = filled.keys["own"][1], filled.keys["other"][1]
    with Raw(filled.server.addresses[0].port) as raw:
        for first, second in ((own, other), (other, own)):
            head = (
                f"GET /v1.1/{OTHER}/jobs-1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {first}\r\n"
                f"{name}: Bearer {second}\r\n\r\n"
            )
            status = raw.send(head.encode()).answer().status
            assert status == (400 if name == "Authorization" else 403 if first is own else 200)
            if name == "Authorization":
                break  # it can be read in two ways, and so nothing more is read


def test_a_signed_url_beside_another_s_key_is_refused(filled):
    path = f"/v1.1/{OTHER}/jobs-1"
    query = url(filled.keys["other"][0], "GET", path)
    answer = filled.client("GET", path + query, None, {"Authorization": f"Bearer {filled.keys['own'][1]}"})
    assert answer.status == 401


def test_pages_and_their_links_hold_nobody_else_s_names(filled):
    token = {"Authorization": f"Bearer {filled.keys['own'][1]}"}
    for first in (f"/v1.1/{OWN}?limit=1&detail=all", f"/v1.1/{OWN}/jobs-1?limit=1", f"/v1.0/{OWN}/jobs-1?limit=1"):
        seen, path = 0, first
        while path:
            answer = filled.client("GET", path, None, token)
            assert OTHER.encode() not in answer.body
            assert SECRETS[OTHER] not in answer.body
            link = answer.headers.get("link", "")
            assert OTHER not in link
            found = re.fullmatch(r'<(.*)>; rel="next"', link)
            assert found or answer.status == 404 or not link
            path = found[1] if found else ""
            assert not path or path.startswith(f"/v1.1/{OWN}")
            seen += 1
        assert seen


def test_a_marker_of_another_s_queue_is_none_of_one_s_own(filled):
    own, other = [{"Authorization": f"Bearer {filled.keys[who][1]}"} for who in ("own", "other")]
    marker = filled.client("GET", f"/v1.1/{OTHER}/jobs-1", None, other).json[0]["marker"]
    answer = filled.client("GET", f"/v1.1/{OWN}/jobs-1?after={marker}", None, own)
    assert SECRETS[OTHER] not in answer.body


def test_a_receipt_of_another_s_message_is_none_of_one_s_own(filled):
    own, other = [{"Authorization": f"Bearer {filled.keys[who][1]}"} for who in ("own", "other")]
    claimed = filled.client("POST", f"/v1.1/{OTHER}/jobs-1?limit=1&hide=60&detail=all", None, other).json[0]
    before = filled.contents()
    answer = filled.client(
        "DELETE", f"/v1.1/{OWN}/jobs-1/{claimed['id']}?receipt={quote(claimed['receipt'])}", None, own
    )
    assert answer.status == 409
    assert filled.contents() == before


class TestDeadLetters:
    """They are put into another queue, by the right of whoever sets the policy."""

    def patch(self, tenants, who, queue, body):
        token = {"Authorization": f"Bearer {tenants.keys[who][1]}"}
        return tenants.client("PATCH", f"/v1.1/{OWN}/{queue}", body, token)

    def test_go_where_one_may_set_policies(self, filled):
        assert self.patch(filled, "narrow", "jobs-1", b'{"dead_letter":"jobs-dead"}').status == 200

    @pytest.mark.parametrize("target", ["mail-1", "ghost"])
    def test_and_nowhere_else_whether_it_is_there_or_not(self, filled, target):
        before = filled.contents()
        answer = self.patch(filled, "narrow", "jobs-1", b'{"dead_letter":"%b"}' % target.encode())
        refused = filled.ask("narrow", "PATCH", f"/v1.1/{OWN}/mail-1")
        assert (answer.status, answer.body) == (403, refused[2])
        assert filled.contents() == before

    def test_stay_in_the_account(self, filled):
        answer = self.patch(filled, "own", "jobs-1", b'{"dead_letter":"%b/jobs-1"}' % OTHER.encode())
        assert answer.status == 400


def test_metrics_and_lists_of_accounts_are_no_tenant_s(filled):
    for who in CALLERS:
        for path in ("/metrics", "/v1.1", "/v1.0"):
            status, _, body = filled.ask(who, "GET", path)
            if KNOWN.get(who, (OWN,))[0] is not None or (who == "watcher" and path != "/metrics"):
                assert status == 403
                assert OTHER.encode() not in body
