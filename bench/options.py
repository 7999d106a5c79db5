"""Options of the benches. What can't be done is one line, which says what would be right, and exit code 2."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn

from bench import servers, wrk


class Options(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def __init__(self, module: str, about: str | None) -> None:
        super().__init__(prog=f"python -m {module}", description=(about or "").splitlines()[0])

    def error(self, message: str) -> NoReturn:
        print(f"bench: {message}", file=sys.stderr)
        sys.exit(2)


def count(text: str) -> int:
    """A number of things, of which there is one at least."""
    if not (text.isascii() and text.isdigit() and 0 < len(text) <= 9 and int(text)):
        raise argparse.ArgumentTypeError(f"'{text}' is none; a whole number from 1 on is expected")
    return int(text)


def end_with(main: Callable[[], int]) -> NoReturn:
    """Call `main`, and end with its exit code."""
    try:
        sys.exit(main())
    except (wrk.NoWrk, servers.NotReady) as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
