"""`leveret completion`: the script by which a shell completes commands, options and the names of queues."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script by which SHELL (bash, zsh or fish) completes commands, options and the names of queues.

    \b
    Examples:
      leveret completion bash > ~/.local/share/bash-completion/completions/leveret
      leveret completion zsh > ~/.zfunc/_leveret
      leveret completion fish > ~/.config/fish/completions/leveret.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(ctx.find_root().command, {}, "leveret", "_LEVERET_COMPLETE")
    # Its `source` would run a shell to ask for its version; that is not needed to write the script.
    click.echo(script.source_template % script.source_vars())
