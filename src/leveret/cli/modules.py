"""`leveret modules`: which modules there are, and how they hang together."""

from __future__ import annotations

from typing import Any

import click
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from leveret.cli.options import configured, make_server


@click.command
@configured
def modules(**options: Any) -> None:
    """Print all modules, as lsmod does: first those that `serve` loads, in their order.

    \b
    Example:
      leveret modules
    """
    table = Table("name", "state", "depends", "used by", box=SIMPLE, pad_edge=False)
    for status in make_server(**options).plan():
        table.add_row(status.name, status.state, ", ".join(status.depends), ", ".join(status.used_by))
    table.caption = "planned: what serve would load with these settings, in this order"
    Console().print(table)
