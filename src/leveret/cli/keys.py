"""`leveret keys`: makes, lists, revokes and rotates the keys of a server, which need not run. Prints a token once."""

from __future__ import annotations

import math
import os
import time
from typing import Any, Final
from urllib.parse import quote

import click

from leveret.actions import ACTIONS, OF_THE_SERVER, READ, RECEIVE, SEND
from leveret.cli.durations import seconds
from leveret.cli.exits import Code, Ended
from leveret.cli.key_options import complete_id, key_options, record, url_of_server
from leveret.cli.output import print_json, print_table, printable
from leveret.keys import TOKENS
from leveret.model import check_name
from scalestack.auth.keys import issue
from scalestack.auth.keys.file import KeyFile
from scalestack.auth.keys.key import Key, timestamp
from scalestack.auth.keys.token import Token
from scalestack.auth.principal import check_actions
from scalestack.http.router import METRICS

_ORDINARY: Final = f"{SEND},{RECEIVE},{READ}"
_SEEN: Final = 0.2  # seconds in which servers have seen it, and have cut off whoever waited with the key
_MOST_COMMENT: Final = 200  # characters


@click.group
def keys() -> None:
    """Make, list and end the keys that 'leveret serve --auth keys' asks for.

    They are kept in the server's data directory, and what is changed counts from the server's next request on.

    \b
    Examples:
      export LEVERET_KEY=$(leveret keys create --account acme --expires 30d)
      leveret keys list
      leveret keys revoke 4fBq0ZcX9a
    """


@keys.command
@click.option("--account", metavar="NAME", help="The account that the key is for.")
@click.option("--allow", metavar="ACTIONS", default=_ORDINARY, show_default=True, help=f"Of {', '.join(ACTIONS)}.")
@click.option("--queue", "queues", metavar="PATTERN", multiple=True, help="Only these queues: 'jobs-*'; repeatable.")
@click.option(
    "--expires",
    type=seconds(1, never=True),
    metavar="TIME|never",
    default="never",
    help="For how long it is good: 90s, 10m, 12h, 30d; never by default.",
)
@click.option("--comment", metavar="TEXT", default="", help="What it is for, to be listed.")
@key_options
def create(
    file: KeyFile, account: str | None, allow: str, queues: tuple[str, ...], expires: float, comment: str
) -> None:
    """Make a key, and print its token: this once, for only a digest of it is kept.

    send: put messages. receive: claim, pop, change and delete them. read: list and follow them. policy: set the
    policies of queues. metrics: read /metrics. admin: everything, in all accounts. A key for one of these two has no
    account.

    In a pattern, * stands for any characters. To list the queues of an account, or to delete them, takes a key for all
    of them.

    \b
    Examples:
      export LEVERET_KEY=$(leveret keys create --account acme)
      leveret keys create --account acme --allow send --queue 'jobs-*' --expires 30d --comment 'the web shop'
      leveret keys create --allow admin
      leveret keys create --allow metrics --comment prometheus
    """
    actions = _actions(allow)
    whole = next((action for action in actions if action in OF_THE_SERVER), None)
    if whole is not None:
        _refuse_limits(whole, actions, account, queues)
    elif account is None:
        raise click.UsageError(
            f"--account is missing: a key is for one account, unless it is for --allow {' or '.join(OF_THE_SERVER)}"
        )
    else:
        check_name("account", account)
    for pattern in queues:
        check_name("queue", pattern)
    comment.encode()
    if len(comment) > _MOST_COMMENT:
        raise click.BadParameter(f"the comment has {len(comment)} characters; at most {_MOST_COMMENT} are expected.")
    key, token = issue.create(
        file,
        TOKENS,
        time.time(),
        account=account,
        actions=actions,
        resources=dict.fromkeys(queues or ("*",)),
        lifetime=expires,
        comment=comment,
    )
    _record_rights("key.create", key)
    _show(file, key, token)


@keys.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each key, one a line.")
@key_options
def list_(file: KeyFile, as_json: bool) -> None:
    """List all keys, in the order in which they were made; a year after its end a key is forgotten.

    Exits with 3 where there are none.

    \b
    Examples:
      leveret keys list
      leveret keys list --json | jq -r 'select(.state == "valid").id'
    """
    found = file.read()
    if not found:
        raise Ended(Code.NOTHING, f"there are no keys in {file.path}")
    now = time.time()
    if as_json:
        for key in found.values():
            print_json(_object(key, now))
        return
    columns = ["id", "account", "allow", "queues", "state", "expires", "comment"]
    print_table(columns, (_row(key, now) for key in found.values()), elastic="comment")


@keys.command
@click.argument("id", shell_complete=complete_id)
@key_options
def revoke(file: KeyFile, id: str) -> None:
    """End a key, and all URLs that were signed with it, for good. ID may be the key's whole token.

    Running servers refuse it from their next request on.

    \b
    Example:
      leveret keys revoke 4fBq0ZcX9a
    """
    key, newly = issue.revoke(file, _id(id), time.time())
    if newly:
        record("key.revoke", key)
    assert key.revoked is not None
    time.sleep(_SEEN)
    click.echo(f"key {key.id} is revoked" if newly else f"key {key.id} was revoked on {timestamp(key.revoked)} already")


@keys.command
@click.argument("id", shell_complete=complete_id)
@click.option(
    "--overlap",
    type=seconds(0),
    metavar="TIME",
    default="24h",
    show_default=True,
    help="For how long the old one is good as well: 0s, 10m, 12h, 30d.",
)
@key_options
def rotate(file: KeyFile, id: str, overlap: float) -> None:
    """Make a key that takes over from another, and print its token. ID may be the old key's whole token.

    It has the same rights, and is good for as long as the old one was made for. Give it to all who have the old one
    within the overlap.

    \b
    Example:
      export LEVERET_KEY=$(leveret keys rotate 4fBq0ZcX9a --overlap 24h)
    """
    key, token, old = issue.rotate(file, TOKENS, _id(id), overlap, time.time())
    _record_rights("key.rotate", key, rotated_from=old.id)
    _show(file, key, token, f", takes over from {old.id}, which is good until {timestamp(old.expires)}")


def _record_rights(action: str, key: Key, **details: str) -> None:
    expires = None if key.expires == math.inf else timestamp(key.expires)
    record(action, key, allow=list(key.actions), queues=list(key.resources), expires=expires, **details)


def _actions(allow: str) -> list[str]:
    """The actions in a list, each once."""
    wanted = list(dict.fromkeys(word.strip() for word in allow.split(",")))
    try:
        check_actions(wanted, ACTIONS)
    except ValueError as error:
        raise click.BadParameter(f"{error}.", param_hint="'--allow'") from error
    return wanted


def _refuse_limits(whole: str, actions: list[str], account: str | None, queues: tuple[str, ...]) -> None:
    """What can't be said beside an action that is of no account."""
    for given, option in ((account is not None, "--account"), (bool(queues), "--queue"), (len(actions) > 1, "others")):
        if given:
            raise click.UsageError(
                f"--allow {whole} is {OF_THE_SERVER[whole]}, and {option} beside it would change nothing; "
                "leave out one or the other"
            )


def _id(text: str) -> str:
    id = TOKENS.id_in(text.strip())
    if id is None:  # it may be a token that was cut off in the middle, and so is not said again
        raise click.BadParameter("this is no id of a key; 10 letters and digits are expected, as 'keys list' prints.")
    return id


def _show(file: KeyFile, key: Key, token: Token, more: str = "") -> None:
    """The token alone for programs, and what people must know of it beside that."""
    click.echo(token.text)
    end = "never expires" if key.expires == math.inf else f"expires {timestamp(key.expires)}"
    click.echo(f"key {key.id} {end}{more}; it is in {file.path}, and its token is shown this once only", err=True)
    path = "/metrics" if METRICS in key.actions else "/v1.1"
    if key.account is not None:
        path += f"/{quote(key.account, safe='')}"
    server = os.environ.get("LEVERET_SERVER") or url_of_server()
    click.echo(
        "with it in LEVERET_KEY, leveret's commands use it; so does "
        f'curl -H "Authorization: Bearer $LEVERET_KEY" {printable(server)}{path}',
        err=True,
    )


def _object(key: Key, now: float) -> dict[str, Any]:
    """A key in JSON, without what is secret."""
    return {
        "id": key.id,
        "account": key.account,
        "allow": list(key.actions),
        "queues": list(key.resources),
        "state": key.state(now).value,
        "created": timestamp(key.created),
        "expires": None if key.expires == math.inf else timestamp(key.expires),
        "revoked": None if key.revoked is None else timestamp(key.revoked),
        "comment": key.comment,
        "rotated_from": key.rotated_from,
    }


def _row(key: Key, now: float) -> tuple[str, ...]:
    return (
        key.id,
        "(all)" if key.account is None else printable(key.account),
        ",".join(key.actions),
        printable(" ".join(key.resources)),
        key.state(now).value,
        "never" if key.expires == math.inf else timestamp(key.expires)[:10],
        printable(key.comment),
    )
