"""The options by which every command that configures a server is configured. Knows no command."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from leveret.server import PREFIX, Server
from scalestack.config import Override, parse_assignment

F = TypeVar("F", bound=Callable[..., Any])


def configured(command: F) -> F:
    """Give a command these options; `make_server` takes them."""
    for option in reversed(
        [
            click.option("--config", "file", type=click.Path(path_type=Path), help="A TOML file with settings."),
            click.option("--host", metavar="HOST", help="The address to listen on. [http.host]"),
            click.option("--port", metavar="PORT", help="The port to listen on; 0 takes a free one. [http.port]"),
            click.option(
                "--store",
                metavar="URL",
                help="Where messages are kept: sqlite:///queue.db, or memory://. [server.store]",
            ),
            click.option(
                "--data",
                metavar="DIR",
                help="The directory of what outlives the server: messages, keys, the audit log. [server.data]",
            ),
            click.option(
                "--auth", metavar="NAMES", help="Who is asked who sends a request: none, keys, jwt. [server.auth]"
            ),
            click.option("--insecure", is_flag=True, help="Listen beyond loopback without authentication."),
            click.option("--set", "settings", multiple=True, metavar="MODULE.KEY=VALUE", help="Set anything else."),
        ]
    ):
        command = option(command)
    return command


def make_server(
    file: Path | None,
    host: str | None,
    port: str | None,
    store: str | None,
    data: str | None,
    auth: str | None,
    insecure: bool,
    settings: Sequence[str],
) -> Server:
    """The server that these options, the environment and the file describe."""
    overrides = [parse_assignment(text, origin="--set") for text in settings]
    for key, text, origin in (
        ("http.host", host, "--host"),
        ("http.port", port, "--port"),
        ("server.store", store, "--store"),
        ("server.data", data, "--data"),
        ("server.auth", auth, "--auth"),
        ("server.insecure", "true" if insecure else None, "--insecure"),
    ):
        if text is not None:
            overrides.append(Override(key, text, origin))
    # What `leveret work` tells its commands of headers is no setting, whatever the headers are called.
    environ = {name: text for name, text in os.environ.items() if not name.startswith(f"{PREFIX}_HEADER_")}
    return Server(file, environ, overrides)
