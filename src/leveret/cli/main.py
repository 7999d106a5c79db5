"""The `leveret` command: all commands, and what is wrong on one line. Knows nothing of what they do."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Final

import click

from leveret import __version__
from leveret.cli.exits import EXPLAINED, Code, Ended
from leveret.cli.group import LazyGroup

_SECTIONS: Final = {
    "Server": {
        "serve": ("leveret.cli.serve:serve", "Run a server, until SIGTERM or Ctrl-C."),
        "config": ("leveret.cli.config:config", "Print the settings, and where each comes from."),
        "modules": ("leveret.cli.modules:modules", "Print the modules, or load and unload those of a server."),
        "salvage": ("leveret.cli.salvage:salvage", "Copy what can be read of a damaged database into a new one."),
    },
    "Messages": {
        "put": ("leveret.cli.put:put", "Put a message, or each line of a file."),
        "get": ("leveret.cli.get:get", "Print a message, or list those of a queue."),
        "pop": ("leveret.cli.pop:pop", "Take the next message and delete it."),
        "claim": ("leveret.cli.claim:claim", "Take the next message, and hide it from others for a while."),
        "extend": ("leveret.cli.lease:extend", "Keep a claimed message for longer."),
        "release": ("leveret.cli.lease:release", "Give a claimed message back."),
        "delete": ("leveret.cli.delete:delete", "Delete messages by their ids."),
        "follow": ("leveret.cli.follow:follow", "Print messages as they come."),
        "work": ("leveret.cli.work:work", "Run a command for each message."),
    },
    "Queues": {
        "queues": ("leveret.cli.queues:queues", "List the queues of an account, with their counts."),
        "accounts": ("leveret.cli.queues:accounts", "List the accounts."),
        "stats": ("leveret.cli.stats:stats", "Watch how queues grow and shrink."),
        "policy": ("leveret.cli.policy:policy", "Print or change the policy of a queue."),
        "purge": ("leveret.cli.purge:purge", "Delete all messages of a queue."),
        "export": ("leveret.cli.export:export", "Copy the messages of a queue to a file."),
        "import": ("leveret.cli.import_:import_", "Put the messages of a file into a queue."),
    },
    "Access": {
        "keys": ("leveret.cli.keys:keys", "Make, list, revoke and rotate the keys of a server."),
        "sign": ("leveret.cli.sign:sign", "Print a URL that needs no key, for a while."),
    },
    "More": {
        "bench": ("leveret.cli.bench:bench", "Measure what a server can do."),
        "completion": ("leveret.cli.completion:completion", "Print the script by which a shell completes commands."),
    },
}


@click.group(
    cls=LazyGroup,
    sections=_SECTIONS,
    epilog=EXPLAINED,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="leveret", message="%(prog)s %(version)s")
def cli() -> None:
    """A fast, simple, multi-tenant message queue service over HTTP.

    \b
    Example:
      leveret serve &
      leveret put jobs 'resize cat.jpg'
      leveret work jobs -- sh -c 'echo working on "$(cat)"'
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command that `arguments` name (those of the process by default), and exit with its code."""
    sys.exit(run(None if arguments is None else list(arguments)))


def run(arguments: list[str] | None) -> int:
    """Run the command, and answer the code to exit with."""
    try:
        code = cli.main(args=arguments, prog_name="leveret", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else Code.DONE
    except Ended as ended:
        return _end(str(ended), ended.code)
    except click.Abort:
        return Code.INTERRUPTED
    except click.UsageError as error:
        return _misused(error)
    except click.ClickException as error:
        return _end(error.format_message(), Code.WRONG_USE)
    except BrokenPipeError:
        return _nobody_listens()
    except Exception as error:
        if os.environ.get("LEVERET_TRACEBACK"):
            raise
        explained = import_module("leveret.cli.failures").explain(error)
        if explained is not None:
            return _end(*explained)
        what = " ".join(f"{type(error).__name__}: {error}".split())
        return _end(f"unexpected {what} (LEVERET_TRACEBACK=1 shows where)", Code.FAILED)


def _misused(error: click.UsageError) -> int:
    """What is wrong with the command line, and where to read more."""
    message = error.format_message()
    if "\n" in message:  # no command is given, and this is the help
        click.echo(message, err=True)
        return Code.WRONG_USE
    path = error.ctx.command_path if error.ctx is not None else "leveret"
    return _end(f"{message.rstrip('.')}; see '{path} --help'", Code.WRONG_USE)


def _end(message: str, code: Code) -> int:
    with suppress(BrokenPipeError):
        sys.stdout.flush()
        if message:
            click.echo(f"leveret: {message}", err=True)
    return code


def _nobody_listens() -> int:
    """Whoever read our output has gone. What is still in the buffer must not be tried again as the process ends."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    return Code.FAILED
