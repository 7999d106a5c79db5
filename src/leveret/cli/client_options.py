"""The options by which a command finds its server, and what becomes of a client's errors. Knows no command."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import click
from click.shell_completion import CompletionItem

from leveret.cli.exits import Code, Ended
from leveret.cli.profile import Profile, choose, profile_file
from leveret.client import (
    BadRequest,
    Client,
    Exists,
    LeaseLost,
    LeveretError,
    Queue,
    Unavailable,
    connect,
)
from leveret.store.base import Unusable


@dataclass(frozen=True)
class Target:
    """The server and the account that a command is for."""

    server: str  # URL
    account: str
    options: tuple[str, ...] = ()  # by which another command finds the same, as words of a command line

    @contextmanager
    def client(self) -> Iterator[Client]:
        with connect(self.server) as client:
            yield client

    @contextmanager
    def queue(self, name: str) -> Iterator[Queue]:
        with self.client() as client:
            yield client.queue(self.account, name)


def client_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a client. It gets a `target`, and its client's errors become exit codes."""

    @functools.wraps(command)
    def run(*arguments: Any, server: str | None, account: str | None, profile: str | None, **options: Any) -> Any:
        target = find_target(server, account, profile)
        with client_errors():
            return command(*arguments, target=target, **options)

    for option in (
        click.option("--profile", metavar="NAME", help="A profile of client.toml. [LEVERET_PROFILE]"),
        click.option("--account", metavar="NAME", help="The account; 'default' by default. [LEVERET_ACCOUNT]"),
        click.option(
            "--server",
            metavar="URL",
            help="The server, http://127.0.0.1:8080 by default; or a file, sqlite:///queue.db. [LEVERET_SERVER]",
        ),
    ):
        run = option(run)
    return run


def queue_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command its QUEUE, which shells complete."""
    return click.argument("queue", shell_complete=_complete_queues)(command)


def queues_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command any number of queues."""
    return click.argument("queues", metavar="[QUEUE]...", nargs=-1, shell_complete=_complete_queues)(command)


def find_target(server: str | None, account: str | None, profile: str | None) -> Target:
    chosen = choose(Profile(server, account), profile, os.environ, profile_file())
    assert chosen.server is not None
    assert chosen.account is not None
    if chosen.server == "memory://":
        raise Ended(Code.WRONG_USE, "memory:// ends with this command; name a server, or a file: sqlite:///queue.db")
    given = (("--server", server), ("--account", account), ("--profile", profile))
    return Target(
        chosen.server, chosen.account, tuple(word for name, text in given if text is not None for word in (name, text))
    )


@contextmanager
def client_errors() -> Iterator[None]:
    """Have a client's errors end the command, with the code that scripts know."""
    try:
        yield
    except LeveretError as error:
        raise Ended(code_of(error), str(error)) from error
    except UnicodeEncodeError as error:
        raise Ended(Code.WRONG_USE, f"{error.object!a} is no UTF-8 text, which names and headers are") from error
    except ValueError as error:  # of a name, a URL or a header that can't be
        raise Ended(Code.WRONG_USE, str(error)) from error
    except Unusable as error:
        raise Ended(Code.UNREACHABLE, str(error)) from error


def code_of(error: LeveretError) -> Code:
    if isinstance(error, LeaseLost | Exists):
        return Code.CONFLICT
    if isinstance(error, BadRequest):
        return Code.WRONG_USE
    # A disk that is full is no matter of reaching the server.
    if isinstance(error, Unavailable) and error.status != 507:
        return Code.UNREACHABLE
    return Code.FAILED


def _complete_queues(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The account's queues, where its server answers at once; a key press is no time for errors."""
    given = (ctx.params.get(name) for name in ("server", "account", "profile"))
    try:
        target = find_target(*given)
        with connect(target.server, timeout=1, retries=0) as client:
            return [CompletionItem(name) for name in client.queues(target.account) if name.startswith(incomplete)]
    except Exception:
        return []
