"""`leveret sign`: a URL by which one who has no key can do one thing, for a while. Speaks to nobody."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, quote, urlsplit

import click

from leveret.actions import READ, RECEIVE, SEND
from leveret.cli.durations import seconds
from leveret.cli.exits import Code, Ended
from leveret.cli.key_options import complete_id, key_options
from leveret.keys import TOKENS
from leveret.model import check_name
from scalestack.auth.keys import issue, signed
from scalestack.auth.keys.file import KeyFile
from scalestack.auth.keys.key import Key, State, timestamp
from scalestack.auth.keys.token import Malformed, digest

ACTIONS: Final = {"GET": READ, "PUT": SEND, "POST": RECEIVE, "DELETE": RECEIVE}  # what a method takes the right for
_VERSIONS: Final = ("v1.0", "v1.1")


@dataclass(frozen=True)
class _What:
    """What is to be signed."""

    method: str
    account: str
    queue: str
    path: str  # percent-encoded

    @property
    def action(self) -> str:
        return ACTIONS[self.method]

    def allowed_by(self, key: Key) -> bool:
        return key.principal().allows(self.action, self.account, self.queue)

    def __str__(self) -> str:
        return f"'{self.action}' on queue '{self.queue}' of account '{self.account}'"


@click.command
@click.argument("method")
@click.argument("path")
@click.option(
    "--expires",
    type=seconds(1, signed.LONGEST),
    metavar="TIME",
    default="10m",
    show_default=True,
    help="For how long the URL is good: 90s, 10m, 12h, 7d at most.",
)
@click.option("--param", "parameters", metavar="NAME=VALUE", multiple=True, help="Fix a parameter. May be repeated.")
@click.option("--key-id", "id", metavar="ID", shell_complete=complete_id, help="Sign with this key of the server's.")
@click.option("--server", metavar="URL", help="Print the whole URL, on this server. [LEVERET_SERVER]")
@key_options
def sign(
    file: KeyFile,
    method: str,
    path: str,
    expires: float,
    parameters: tuple[str, ...],
    id: str | None,
    server: str | None,
) -> None:
    """Print PATH, signed: whoever has it can send METHOD to it, without a key of their own, until it expires.

    It is signed with the key in LEVERET_KEY, on any machine; where there is none, or --key-id names one, with a key of
    the server on this machine.

    METHOD is GET, which allows HEAD too, PUT, POST or DELETE; PATH is that of a queue or a message, with names as they
    are, not percent-encoded, and may end with a query. Parameters are fixed: nobody can add one, or leave one out. The
    body and the headers are free. The URL ends with its key, at the latest; to revoke the key ends it at once.

    \b
    Examples:
      leveret sign PUT /v1.1/acme/uploads/report.pdf --expires 10m --param ttl=86400
      curl --data-binary @report.pdf -X PUT "$(leveret sign PUT /v1.1/acme/uploads/1 --server http://127.0.0.1:8080)"
      leveret sign GET '/v1.1/acme/jobs?limit=10&detail=id' --expires 7d
    """
    written, _, query = path.partition("?")
    what = _parse(method, written)
    fixed = _fixed(query, parameters)
    now = time.time()
    token = os.environ.get("LEVERET_KEY")
    key = _of_token(token.strip()) if token and id is None else _choose(file.read(), what, id, now)
    end = math.ceil(now + expires)
    more = ""
    if end > key.expires:
        end = int(key.expires)
        more = f", which expires {timestamp(end)}, and the URL with it"
    if server is None and os.environ.get("LEVERET_SERVER", "").startswith(("http://", "https://")):
        server = os.environ["LEVERET_SERVER"]
    url = _base(server) + signed.sign(key, what.method, what.path, fixed, end)
    click.echo(f"signed with key {key.id}{more}", err=True)
    click.echo(url)


def _parse(method: str, path: str) -> _What:
    if method.upper() not in ACTIONS:
        more = "; a URL for GET is good for HEAD" if method.upper() == "HEAD" else ""
        raise click.BadParameter(f"'{method}' can't be signed; {', '.join(ACTIONS)} can{more}.", param_hint="'METHOD'")
    method = method.upper()
    start, *names = path.split("/")
    if start or len(names) not in {3, 4} or names[0] not in _VERSIONS:
        raise click.BadParameter(
            f"'{path}' is no path of a queue or a message; /v1.1/ACCOUNT/QUEUE or /v1.1/ACCOUNT/QUEUE/MESSAGE is "
            "expected, or /v1.0/… as well.",
            param_hint="'PATH'",
        )
    version, *named = names
    for kind, name in zip(("account", "queue", "message"), named, strict=False):
        check_name(kind, name)
    if method == "PUT" and len(named) == 2 and version == "v1.0":
        raise click.BadParameter("v1.0 has no PUT to a queue; v1.1 has, or name a message.", param_hint="'PATH'")
    encoded = "/".join(quote(name, safe="") for name in named)
    return _What(method, named[0], named[1], f"/{version}/{encoded}")


def _fixed(query: str, parameters: Sequence[str]) -> str:
    """The parameters of the query and those that are given beside it, percent-encoded."""
    pairs = parse_qsl(query, keep_blank_values=True)
    for text in parameters:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise click.BadParameter(f"'{text}' is no parameter; NAME=VALUE is expected.", param_hint="'--param'")
        pairs.append((name, value))
    for name, _ in pairs:
        if name.strip().lower().encode() in signed.RESERVED:
            raise click.BadParameter(f"the parameter '{name}' is made by signing, and can't be given.")
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)


def _of_token(token: str) -> Key:
    """A key of which no more is known than its token: the server knows what it allows."""
    try:
        id = TOKENS.read(token.encode())
    except (Malformed, UnicodeEncodeError) as error:
        raise Ended(
            Code.WRONG_USE, "LEVERET_KEY is no key of 'leveret keys create', with which URLs are signed"
        ) from error
    return Key(id, digest(token.encode()), "", ())


def _choose(keys: dict[str, Key], what: _What, wanted: str | None, now: float) -> Key:
    """The key to sign with: the one that is wanted, or the only one that could."""
    if wanted is not None:
        id = TOKENS.id_in(wanted.strip())
        if id is None:  # it may be a token that was cut off in the middle, and so is not said again
            raise click.BadParameter(
                "this is no id of a key; 10 letters and digits are expected.", param_hint="'--key-id'"
            )
        key = issue.find(keys, id)
        state = key.state(now)
        if state is not State.VALID:
            raise Ended(Code.FAILED, f"key {id} is {state.value}, and what it signs would be no good")
        if not what.allowed_by(key):
            raise Ended(Code.FAILED, f"key {id} does not allow {what}, and so can't sign for it")
        return key
    able = [key for key in keys.values() if key.state(now) is State.VALID and what.allowed_by(key)]
    # An admin's key signs for accounts that nobody has, and what it signed outlives the tenant's: it has to be named.
    admins = [key.id for key in able if key.account is None]
    able = [key for key in able if key.account is not None]
    if not able:
        more = f", or --key-id {' or '.join(admins)} signs it as an admin" if admins else ""
        raise Ended(Code.FAILED, f"no valid key of the account allows {what}; 'leveret keys create' makes one{more}")
    if len(able) > 1:
        raise Ended(
            Code.WRONG_USE, f"several keys could sign this; give --key-id {' or '.join(key.id for key in able)}"
        )
    return able[0]


def _base(server: str | None) -> str:
    if server is None:
        return ""
    parts = urlsplit(server)
    if parts.scheme not in {"http", "https"} or not parts.netloc or parts.query or parts.fragment:
        raise click.BadParameter(f"'{server}' is no URL of a server; one such as https://queues.example is expected.")
    return server.rstrip("/")
