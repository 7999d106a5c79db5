"""From claims to rights."""

import pytest

from scalestack.auth.authority import Denied
from scalestack.auth.jwt.claims import principal_of
from scalestack.auth.jwt.config import JwtConfig

CLAIMS = {"sub": "alice", "account": "acme", "scope": "read send", "exp": 1000}


def made(settings=None, **claims):
    return principal_of({**CLAIMS, **claims}, JwtConfig(**(settings or {})))


def test_account_actions_and_all_queues():
    found = made()
    assert (found.account, found.actions, found.resources) == ("acme", {"read", "send"}, ("*",))


def test_it_is_called_by_its_subject():
    assert made().name == "jwt alice"


def test_its_name_does_no_harm_in_a_log():
    assert made(sub="a\nb\x1b[31m").name == "jwt a\\nb\\x1b[31m"
    assert len(made(sub="x" * 10_000).name) == len("jwt ") + 100


@pytest.mark.parametrize("sub", [None, "", 5, ["alice"]])
def test_a_subject_is_text(sub):
    with pytest.raises(Denied, match="sub"):
        made(sub=sub)


@pytest.mark.parametrize("scope", ["read send", " read  send ", ["read", "send"], "read send read"])
def test_actions_are_text_with_spaces_or_a_list(scope):
    assert made(scope=scope).actions == {"read", "send"}


@pytest.mark.parametrize("scope", [None, "", []])
def test_without_actions_nothing_is_allowed(scope):
    found = made(scope=scope)
    assert not found.allows("read", "acme", "jobs")


@pytest.mark.parametrize("scope", [5, True, {"read": True}, ["read", 5], [["read"]]])
def test_actions_that_are_none_are_denied(scope):
    with pytest.raises(Denied, match="'scope'"):
        made(scope=scope)


def test_with_a_prefix_only_what_has_it_is_an_action():
    found = made({"actions_prefix": "leveret:"}, scope="leveret:read send other:policy leveret: openid")
    assert found.allows("read", "acme", "jobs")
    assert not found.allows("send", "acme", "jobs")
    assert not found.allows("policy", "acme", "jobs")


def test_queues_are_patterns():
    found = made(queues=["jobs-*", "mail"])
    assert found.allows("read", "acme", "jobs-1")
    assert found.allows("read", "acme", "mail")
    assert not found.allows("read", "acme", "mails")


def test_one_pattern_may_be_text():
    assert made(queues="jobs-*").resources == ("jobs-*",)


def test_an_empty_list_of_queues_is_none_of_them():
    assert not made(queues=[]).allows("read", "acme", "jobs")


@pytest.mark.parametrize("queues", [None, 5, {"jobs": 1}, ["jobs", None]])
def test_queues_that_are_none_are_denied(queues):
    with pytest.raises(Denied, match="'queues'"):
        made(queues=queues)


@pytest.mark.parametrize("account", [None, "", 5, ["acme"], True])
def test_without_an_account_there_are_no_rights(account):
    with pytest.raises(Denied, match="'account'"):
        made(account=account)


def test_but_for_those_who_run_the_service():
    found = made(account=None, scope="admin")
    assert found.account is None
    assert found.allows("admin", None, None)


def test_a_token_without_an_account_may_watch_and_nothing_else():
    found = made(account=None, scope="metrics send read")
    assert found.allows("metrics", None, None)
    assert not found.allows("send", "acme", "jobs")


def test_admin_of_one_account_is_nothing():
    assert not made(scope="admin").allows("admin", "acme", "jobs")
    assert not made(scope="admin").allows("read", "acme", "jobs")


def test_claims_may_be_called_otherwise():
    settings = {"account_claim": "https://a/tenant", "actions_claim": "roles", "queues_claim": "q"}
    found = made(settings, **{"https://a/tenant": "other", "roles": ["policy"], "q": ["x"], "queues": 5})
    assert (found.account, found.actions, found.resources) == ("other", {"policy"}, ("x",))


def test_it_expires_when_the_slowest_clock_says_so():
    assert made({"leeway": 30.0}).expires == 1030.0
    assert made({"leeway": 0.0}, exp=1000.5).expires == 1000.5
    assert made(exp=10**400).expires > 1e15


@pytest.mark.parametrize("exp", [None, "1000", True, [1000]])
def test_its_end_is_a_number(exp):
    with pytest.raises(Denied, match="exp"):
        made(exp=exp)
