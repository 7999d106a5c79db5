"""What rights allow."""

import pytest

from scalestack.auth.principal import Principal, check_actions, matches


def principal(**changes):
    return Principal(**{"name": "key a", "account": "acme", "actions": frozenset({"send"}), **changes})


def test_an_action_of_its_own_account_is_allowed():
    assert principal().allows("send", "acme", "jobs")


def test_another_action_is_not():
    assert not principal().allows("receive", "acme", "jobs")


def test_another_account_is_not():
    assert not principal().allows("send", "other", "jobs")


def test_all_accounts_are_not():
    assert not principal().allows("send", None, None)


def test_one_for_every_account_is_allowed_in_any():
    assert principal(account=None).allows("send", "other", "jobs")


def test_all_resources_need_a_principal_that_is_for_all():
    assert principal().allows("send", "acme", None)
    assert not principal(resources=("jobs-*",)).allows("send", "acme", None)


def test_a_resource_needs_to_fit_one_pattern():
    some = principal(resources=("jobs-*", "mail"))
    assert [some.allows("send", "acme", name) for name in ("jobs-1", "mail", "mails", "job")] == [
        True,
        True,
        False,
        False,
    ]


def test_admin_without_an_account_allows_everything():
    admin = principal(account=None, actions=frozenset({"admin"}))
    assert admin.allows("send", "acme", "jobs")
    assert admin.allows("admin", None, None)


def test_admin_with_an_account_allows_nothing():
    assert not principal(actions=frozenset({"admin"})).allows("send", "acme", "jobs")
    assert not principal(actions=frozenset({"admin"})).allows("admin", "acme", None)


def test_other_rights_in_every_account_are_not_those_of_an_admin():
    assert not principal(account=None, actions=frozenset({"send", "receive", "read", "policy"})).allows(
        "admin", None, None
    )


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("jobs", "jobs", True),
        ("jobs", "jobs2", False),
        ("jobs", "Jobs", False),
        ("*", "", True),
        ("*", "anything/at all", True),
        ("jobs-*", "jobs-", True),
        ("jobs-*", "jobs", False),
        ("*-dead", "jobs-dead", True),
        ("*-dead", "jobs-dead-not", False),
        ("a*b*c", "abc", True),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*c", "a-c-b", False),
        ("aa*aa", "aaa", False),
        ("a**b", "ab", True),
        ("a.c", "abc", False),
        ("[ab]", "a", False),
        ("?", "a", False),
    ],
)
def test_a_star_is_any_run_of_characters_and_nothing_else_is_special(pattern, name, fits):
    assert matches(pattern, name) is fits


def test_actions_that_the_service_does_not_know_are_named():
    with pytest.raises(ValueError, match=r"there is no action 'write'; known are send, read"):
        check_actions(["send", "write"], ["send", "read"])
