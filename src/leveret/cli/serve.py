"""`leveret serve`: runs a server until a signal ends it."""

from __future__ import annotations

import gc
import resource
from contextlib import suppress
from typing import Any

import click

from leveret import __version__
from leveret.cli.options import configured, make_server
from scalestack.run import run


@click.command
@configured
def serve(**options: Any) -> None:
    """Serve until SIGTERM or Ctrl-C. Needs no configuration.

    SIGTERM drains: parked long polls are answered and requests under way are finished. SIGHUP reads certificates again.

    \b
    Examples:
      leveret serve
      leveret serve --port 0 --store memory://
      LEVERET_HTTP__PORT=9000 leveret serve --set event.threads=4
    """
    server = make_server(**options)
    _raise_descriptor_limit()
    _calm_collector()

    def start() -> None:
        server.start()
        where = " and ".join(server.urls)
        click.echo(f"leveret {__version__} is ready on {where}, storing in {server.config.store} ({server.durability})")

    run(start, server.stop, server.reload)


def _raise_descriptor_limit() -> None:
    """Each connection takes a descriptor, and the usual limit of 1,024 is for programs that hold few."""
    with suppress(ValueError, OSError):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _calm_collector() -> None:
    """Have the cyclic garbage collector leave alone what lives long: nearly all messages, and everything imported.

    Nothing on the way of a request makes a cycle, and with many messages a full collection stops all for too long.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 50, 1_000)
