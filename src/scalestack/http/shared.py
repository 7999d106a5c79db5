"""What the connections of a server have in common, as each of them sees it. No code but names."""

from __future__ import annotations

from typing import Protocol

from scalestack.event.loops import LoopThread
from scalestack.http.desk import Desk
from scalestack.http.parser import ParserLimits
from scalestack.http.problem import HttpError
from scalestack.http.timeouts import Timeouts
from scalestack.log import Access


class Shared(Protocol):
    """What all connections of a server have in common."""

    parser_limits: ParserLimits
    timeouts: Timeouts
    access: Access | None

    def desk(self, thread: LoopThread, /) -> Desk:
        """What the connections of a thread share."""

    def translate(self, error: BaseException, /) -> HttpError | None:
        """What clients are told of a handler's error; None where nobody knows it."""
