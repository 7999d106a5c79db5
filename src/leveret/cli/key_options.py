"""The options by which a command finds the keys of a server, and what becomes of their errors. Knows no command."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from leveret.cli.exits import Code, Ended
from leveret.cli.options import make_server
from leveret.model import InvalidName
from leveret.server import Server
from scalestack.audit.module import open_audit
from scalestack.audit.trail import local_user
from scalestack.auth.keys.file import NAME, KeyFile
from scalestack.auth.keys.issue import NoSuchKey, NotRotated
from scalestack.auth.keys.key import Key
from scalestack.data import DataDirectory
from scalestack.http.module import HttpConfig
from scalestack.private import Unusable


def key_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say whose keys are meant. It gets their `file`; errors become exit codes."""

    @functools.wraps(command)
    def run(*arguments: Any, config: Path | None, data: str | None, **options: Any) -> Any:
        with _key_errors():
            server = _server(config, data)
            click.get_current_context().obj = server
            return command(*arguments, file=KeyFile(server.config.data / NAME), **options)

    for option in (
        click.option("--config", type=click.Path(path_type=Path), help="The server's TOML file with settings."),
        click.option("--data", metavar="DIR", help="The server's data directory. [server.data]"),
    ):
        run = option(run)
    return run


def find_file(config: Path | None, data: str | None) -> KeyFile:
    """The file of keys of the server that is configured so."""
    return KeyFile(_server(config, data).config.data / NAME)


def record(action: str, key: Key, **details: Any) -> None:
    """Have the audit log say what was done with a key, by a command that has these options."""
    server: Server = click.get_current_context().obj
    audit = open_audit(DataDirectory(server.config.data), server.settings.section("audit").file)
    audit.record(local_user(), action, key=key.id, account=key.account, **details)


def url_of_server() -> str:
    """Where the server is to be reached from its own machine, as far as its settings say that."""
    server: Server = click.get_current_context().obj
    http: HttpConfig = server.settings.section("http")
    everywhere = http.host in {"0.0.0.0", "::"}
    host = "127.0.0.1" if everywhere else f"[{http.host}]" if ":" in http.host else http.host
    return f"{'https' if http.tls_certificate else 'http'}://{host}:{http.port}"


def _server(config: Path | None, data: str | None) -> Server:
    return make_server(config, host=None, port=None, store=None, data=data, auth=None, insecure=False, settings=())


@contextmanager
def _key_errors() -> Iterator[None]:
    try:
        yield
    except NoSuchKey as error:
        raise Ended(Code.NOTHING, str(error)) from error
    except (Unusable, NotRotated) as error:
        raise Ended(Code.FAILED, str(error)) from error
    except InvalidName as error:
        raise Ended(Code.WRONG_USE, str(error)) from error
    except UnicodeEncodeError as error:
        raise Ended(Code.WRONG_USE, f"{error.object!a} is no UTF-8 text, which names and comments are") from error


def complete_id(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The ids of keys; a key press is no time for errors."""
    try:
        keys = find_file(ctx.params.get("config"), ctx.params.get("data")).read()
    except Exception:
        return []
    return [CompletionItem(id, help=key.comment) for id, key in keys.items() if id.startswith(incomplete)]
