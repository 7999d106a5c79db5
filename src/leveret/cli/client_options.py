"""The options by which a command finds its server, and what becomes of a client's errors. Knows no command."""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from click.shell_completion import CompletionItem

from leveret.cli.exits import Code, Ended
from leveret.cli.profile import Profile, choose, profile_file
from leveret.client import (
    AsyncClient,
    BadRequest,
    Client,
    Exists,
    Forbidden,
    InsecureKey,
    LeaseLost,
    LeveretError,
    Queue,
    Unauthorized,
    Unavailable,
    connect,
    connect_async,
)
from leveret.keys import TOKENS
from leveret.store.base import Unusable
from scalestack.auth.keys.token import Malformed

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

_MOST_KEY: Final = 1 << 16  # bytes of a file with a key


@dataclass(frozen=True)
class Target:
    """The server and the account that a command is for, and what it shows there."""

    server: str  # URL
    account: str  # empty for a command that is about none
    options: tuple[str, ...] = ()  # by which another command finds the same, as words of a command line, without a key
    key: str | None = field(default=None, repr=False)
    ca: str | None = None  # what is trusted for https
    withheld: str = ""  # says which key was not sent, since it is for another server

    @contextmanager
    def client(self) -> Iterator[Client]:
        with _warning_people(lambda: connect(self.server, key=self.key, ca=self.ca)) as client:
            yield client

    def async_client(self) -> AsyncClient:
        return _warning_people(lambda: connect_async(self.server, key=self.key, ca=self.ca))

    @contextmanager
    def queue(self, name: str) -> Iterator[Queue]:
        with self.client() as client:
            yield client.queue(self.account, name)


def client_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a client. It gets a `target`, and its client's errors become exit codes."""
    account = click.option("--account", metavar="NAME", help="The account; 'default' by default. [LEVERET_ACCOUNT]")
    return server_options(account(_resolved(command, of_account=True)))


def admin_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """As `client_options`, for a command that is about no account."""
    return server_options(_resolved(command, of_account=False))


def _resolved(command: Callable[..., Any], of_account: bool) -> Callable[..., Any]:
    @functools.wraps(command)
    def run(
        *arguments: Any,
        server: str | None,
        key: str | None,
        key_file: Path | None,
        ca: str | None,
        profile: str | None,
        account: str | None = None,
        **options: Any,
    ) -> Any:
        target = find_target(server, account, key, key_file, ca, profile)
        if not of_account:
            target = replace(target, account="")
        with client_errors(target):
            return command(*arguments, target=target, **options)

    return run


def server_options(command: F) -> F:
    """Give a command the options that say which server is meant, as they are; `find_target` takes them."""
    for option in (
        click.option("--profile", metavar="NAME", help="A profile of client.toml. [LEVERET_PROFILE]"),
        click.option(
            "--ca", metavar="FILE", help="Trust the authorities in this file (PEM) alone, for https. [LEVERET_CA]"
        ),
        click.option("--key-file", type=click.Path(path_type=Path), metavar="FILE", help="The file that has the key."),
        click.option(
            "--key",
            metavar="KEY",
            help="The key. All on this machine see it here, in the list of processes; better is LEVERET_KEY, or "
            "--key-file.",
        ),
        click.option(
            "--server",
            metavar="URL",
            help="The server, http://127.0.0.1:8080 by default; or a file, sqlite:///queue.db. [LEVERET_SERVER]",
        ),
    ):
        command = option(command)
    return command


def queue_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command its QUEUE, which shells complete."""
    return click.argument("queue", shell_complete=_complete_queues)(command)


def queues_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command any number of queues."""
    return click.argument("queues", metavar="[QUEUE]...", nargs=-1, shell_complete=_complete_queues)(command)


def find_target(
    server: str | None,
    account: str | None,
    key: str | None,
    key_file: Path | None,
    ca: str | None,
    profile: str | None,
) -> Target:
    """What these options, the environment and the profile mean; `Ended` where they can't be meant."""
    if key is not None and key_file is not None:
        raise click.UsageError("--key and --key-file are both given; one of them is expected")
    given = Profile(server, account, _read_key(key_file) if key_file is not None else key, ca)
    chosen = choose(given, profile, os.environ, profile_file())
    if chosen.server == "memory://":
        raise Ended(Code.WRONG_USE, "memory:// ends with this command; name a server, or a file: sqlite:///queue.db")
    words = (
        ("--server", server),
        ("--account", account),
        ("--key-file", None if key_file is None else str(key_file)),
        ("--ca", ca),
        ("--profile", profile),
    )
    options = tuple(word for name, text in words if text is not None for word in (name, text))
    return Target(chosen.server, chosen.account, options, chosen.key, chosen.ca, chosen.withheld)


def _read_key(file: Path) -> str:
    # Others may be able to read it: where secrets are mounted as files, that is how they are.
    try:
        with file.open("rb") as stream:
            key = stream.read(_MOST_KEY).decode("ascii", "replace").strip()
    except OSError as error:
        raise Ended(Code.WRONG_USE, f"{file}: can't be read: {error.strerror or error}") from error
    if not key:
        raise Ended(Code.WRONG_USE, f"{file}: is empty; a key is expected, as 'leveret keys create' prints it")
    return key


def _warning_people(make: Callable[[], T]) -> T:
    """What it makes; where a key can be read on its way there, that is said on one line."""
    with warnings.catch_warnings(record=True, action="always", category=InsecureKey) as caught:
        made = make()
    for each in caught:
        if each.category is InsecureKey:
            click.echo(f"leveret: {each.message}", err=True)
    return made


@contextmanager
def client_errors(target: Target) -> Iterator[None]:
    """Have a client's errors end the command, with the code that scripts know."""
    try:
        yield
    except LeveretError as error:
        raise Ended(code_of(error), _told(error, target)) from error
    except UnicodeEncodeError as error:
        raise Ended(Code.WRONG_USE, f"{error.object!a} is no UTF-8 text, which names and headers are") from error
    except ValueError as error:  # of a name, a URL, a key or a header that can't be
        raise Ended(Code.WRONG_USE, str(error)) from error
    except Unusable as error:
        raise Ended(Code.UNREACHABLE, str(error)) from error


def _told(error: LeveretError, target: Target) -> str:
    """What to do about it, where we know that better than the server."""
    if isinstance(error, Unauthorized):
        if target.key is not None:
            wrong = (
                "it is unknown, expired or revoked"
                if _is_whole(target.key)
                else "it is not whole, or has a typing error"
            )
            return f"the server does not take this key: {wrong}"
        more = f" ({target.withheld}, and was not sent)" if target.withheld else ""
        return f"the server asks for a key: set LEVERET_KEY or give --key-file{more}"
    if isinstance(error, Forbidden) and target.account:
        return f"{error} (the account is '{target.account}'; --account or LEVERET_ACCOUNT names another)"
    return str(error)


def _is_whole(key: str) -> bool:
    """Whether it may be good: a key of Leveret's own says whether all of it is there."""
    try:
        return not TOKENS.begins(key.encode()) or bool(TOKENS.read(key.encode()))
    except (Malformed, UnicodeEncodeError):
        return False


def code_of(error: LeveretError) -> Code:
    if isinstance(error, LeaseLost | Exists):
        return Code.CONFLICT
    if isinstance(error, BadRequest):
        return Code.WRONG_USE
    if isinstance(error, Unauthorized | Forbidden):
        return Code.REFUSED
    # A disk that is full is no matter of reaching the server.
    if isinstance(error, Unavailable) and error.status != 507:
        return Code.UNREACHABLE
    return Code.FAILED


def _complete_queues(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The account's queues, where its server answers at once; a key press is no time for errors."""
    given = (ctx.params.get(name) for name in ("server", "account", "key", "key_file", "ca", "profile"))
    try:
        target = find_target(*given)
        with warnings.catch_warnings(action="ignore"):
            client = connect(target.server, key=target.key, ca=target.ca, timeout=1, retries=0)
        with client:
            return [CompletionItem(name) for name in client.queues(target.account) if name.startswith(incomplete)]
    except Exception:
        return []
