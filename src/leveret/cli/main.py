"""The `leveret` command and what all its commands share: options of the configuration, and errors on one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from leveret import __version__
from leveret.server import Server
from scalestack.config import ConfigError, Override, parse_assignment
from scalestack.kernel import KernelError
from scalestack.net.address import AddressError
from scalestack.net.tls import TlsError

F = TypeVar("F", bound=Callable[..., Any])

_WRONG_USE = 2  # the exit code where the command line or the configuration is at fault
_FAILED = 1


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="leveret", message="%(prog)s %(version)s")
def cli() -> None:
    """A fast, simple, multi-tenant message queue service over HTTP.

    \b
    Example:
      leveret serve
      curl -X PUT -d 'hello' http://127.0.0.1:8080/v1.0/account/queue/message
    """


def configured(command: F) -> F:
    """The options by which every command that configures a server is configured."""
    for option in reversed(
        [
            click.option("--config", "file", type=click.Path(path_type=Path), help="A TOML file with settings."),
            click.option("--host", help="The address to listen on. [http.host]"),
            click.option("--port", help="The port to listen on; 0 takes a free one. [http.port]"),
            click.option("--store", help="Where messages are kept: memory://. [server.store]"),
            click.option("--insecure", is_flag=True, help="Listen beyond loopback without authentication."),
            click.option("--set", "settings", multiple=True, metavar="MODULE.KEY=VALUE", help="Set anything else."),
        ]
    ):
        command = option(command)
    return command


def make_server(
    file: Path | None, host: str | None, port: str | None, store: str | None, insecure: bool, settings: Sequence[str]
) -> Server:
    """The server that these options, the environment and the file describe."""
    overrides = [parse_assignment(text, origin="--set") for text in settings]
    for key, text, origin in (
        ("http.host", host, "--host"),
        ("http.port", port, "--port"),
        ("server.store", store, "--store"),
        ("server.insecure", "true" if insecure else None, "--insecure"),
    ):
        if text is not None:
            overrides.append(Override(key, text, origin))
    return Server(file, os.environ, overrides)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command that `arguments` name (those of the process by default), and exit with its code."""
    # Each command registers itself; they are imported here because they need what is above.
    from leveret.cli import config, modules, serve  # noqa: F401, PLC0415

    try:
        cli.main(args=None if arguments is None else list(arguments), prog_name="leveret")
    except ConfigError as error:
        fail(str(error), _WRONG_USE)
    except (KernelError, AddressError, TlsError) as error:
        fail(str(error), _FAILED)


def fail(message: str, code: int) -> None:
    """Say on one line what is wrong, and exit."""
    click.echo(f"leveret: {message}", err=True)
    sys.exit(code)
