"""`leveret modules`: which modules there are, how they hang together, and which a running server is to load."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from leveret.cli.client_options import Target, admin_options, client_errors, find_target, server_options
from leveret.cli.exits import Code, Ended
from leveret.cli.options import configured, make_server
from leveret.cli.output import printable
from leveret.client import Client, LeveretError
from leveret.client.admin import AdminCalls


@click.group(invoke_without_command=True)
@server_options
@configured
@click.pass_context
def modules(
    ctx: click.Context,
    /,
    server: str | None,
    key: str | None,
    key_file: Path | None,
    ca: str | None,
    profile: str | None,
    **options: Any,
) -> None:
    """Print all modules, as lsmod does: first those that `serve` loads, in their order; with --server, --profile or
    LEVERET_SERVER, those of a running server.

    'load' and 'unload' change which are loaded in a running server, until it ends.

    \b
    Examples:
      leveret modules
      leveret modules --server https://queue.example.com
      leveret modules load metrics --server https://queue.example.com
    """
    configures = any(options.values())
    if ctx.invoked_subcommand is not None:
        if configures or any(each is not None for each in (server, key, key_file, ca, profile)):
            raise click.UsageError(f"options are expected after '{ctx.invoked_subcommand}'")
        return
    running = not configures and any(name in os.environ for name in ("LEVERET_SERVER", "LEVERET_PROFILE"))
    if server is None and profile is None and not running:
        if any(each is not None for each in (key, key_file, ca)):
            raise click.UsageError("--key, --key-file and --ca are for a running server; --server says which")
        rows = [(each.name, each.state, each.depends, each.used_by) for each in make_server(**options).plan()]
        _print(rows, "planned: what serve would load with these settings, in this order")
        return
    if configures:
        raise click.UsageError("a running server has its own settings; leave out --server, or those")
    target = replace(find_target(server, None, key, key_file, ca, profile), account="")
    with client_errors(target), _admin(target) as (client, calls):
        found = client.perform(calls.modules())
    _print([(each.name, each.state, each.depends, each.used_by) for each in found], f"in the server {target.server}")


@modules.command
@click.argument("name")
@admin_options
def load(target: Target, name: str) -> None:
    """Load a module, and what it needs, into a running server. To load what is loaded already is no error.

    It has the settings that the server was started with. When the server starts again, it loads what its settings say.

    \b
    Example:
      leveret modules load metrics --server https://queue.example.com
    """
    with _admin(target) as (client, calls):
        loaded = client.perform(calls.load(name))
    for each in loaded:
        click.echo(f"loaded {printable(each)} into {target.server}")
    if not loaded:
        click.echo(f"'{printable(name)}' was loaded already")


@modules.command
@click.argument("name")
@admin_options
def unload(target: Target, name: str) -> None:
    """Unload a module from a running server; refused while another module uses it.

    \b
    Example:
      leveret modules unload metrics --server https://queue.example.com
    """
    with _admin(target) as (client, calls):
        client.perform(calls.unload(name))
    click.echo(f"unloaded {printable(name)} from {target.server}")


@contextmanager
def _admin(target: Target) -> Iterator[tuple[Client, AdminCalls]]:
    try:
        with target.client() as client:
            yield client, AdminCalls(client.retry)
    except LeveretError as error:
        if error.code == "unknown-module":
            raise Ended(Code.NOTHING, str(error)) from error
        if error.code in {"unknown-path", "method-not-allowed"}:
            raise Ended(
                Code.FAILED, f"{target.server} has not loaded 'admin', the module that answers this (server.modules)"
            ) from error
        raise


def _print(rows: Iterable[tuple[str, str, Sequence[str], Sequence[str]]], caption: str) -> None:
    table = Table("name", "state", "depends", "used by", box=SIMPLE, pad_edge=False)
    for name, state, depends, used_by in rows:
        # As text, in which nothing is markup.
        table.add_row(*(Text(printable(each)) for each in (name, state, ", ".join(depends), ", ".join(used_by))))
    table.caption = Text(caption)
    Console().print(table)
