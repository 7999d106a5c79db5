"""The `leveret` command: all commands, and what is wrong on one line. Knows nothing of what they do."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from leveret import __version__
from leveret.cli import config, modules, salvage, serve
from leveret.store.base import Unusable
from scalestack.config import ConfigError
from scalestack.kernel import KernelError
from scalestack.net.address import AddressError
from scalestack.net.tls import TlsError

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


for _command in (serve.serve, config.config, modules.modules, salvage.salvage):
    cli.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command that `arguments` name (those of the process by default), and exit with its code."""
    try:
        cli.main(args=None if arguments is None else list(arguments), prog_name="leveret")
    except ConfigError as error:
        fail(str(error), _WRONG_USE)
    except KernelError as error:
        # A store that says what to do about it needs no word of modules.
        plain = next((cause for cause in error.errors if isinstance(cause, Unusable)), error)
        fail(str(plain), _FAILED)
    except (AddressError, TlsError) as error:
        fail(str(error), _FAILED)


def fail(message: str, code: int) -> None:
    """Say on one line what is wrong, and exit."""
    click.echo(f"leveret: {message}", err=True)
    sys.exit(code)
