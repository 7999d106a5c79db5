"""How a command ends: exit codes that scripts may rely on, and one line that says why. Knows no command."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Code(IntEnum):
    """What the process ends with."""

    DONE = 0
    FAILED = 1
    WRONG_USE = 2  # of the command line, or in the configuration
    NOTHING = 3  # no such message, or an empty queue
    UNREACHABLE = 4
    CONFLICT = 5  # a lease that is lost, or an id that is taken
    REFUSED = 6  # for want of a key, or of rights that it has
    INTERRUPTED = 130  # as shells have it for Ctrl-C


EXPLAINED: Final = (
    "Exit codes: 0 done; 1 failed; 2 wrong use or configuration; 3 nothing there (no such message, an empty queue); "
    "4 the server can't be reached, or says to come later; 5 a lease is lost, or an id is taken; 6 a key is missing, "
    "is not good, or doesn't allow it; 130 Ctrl-C."
)


class Ended(Exception):
    """A command is over: with this code, and with this line, where there is something to say."""

    def __init__(self, code: Code, message: str = "") -> None:
        super().__init__(message)
        self.code = code
