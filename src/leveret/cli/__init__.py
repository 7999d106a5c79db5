"""The command line: one file for each command. Knows no wire format and no store."""

from leveret.cli.main import main

__all__ = ["main"]
