"""What the HTTP connections of one thread share, and no other thread touches.

On a free-threaded Python, to use an object that another thread made costs each of them many times as much as to use
one's own: both write to its count of references. So each thread has its own of what every request uses.
"""

from __future__ import annotations

from scalestack.http.known import Known
from scalestack.http.router import Router
from scalestack.http.sending import PIECE
from scalestack.http.unsent import Unsent
from scalestack.http.writer import Writer


class Desk:
    """Only its thread uses this, but for `router`, which anybody may replace."""

    __slots__ = ("known", "piece", "router", "unsent", "writer")

    def __init__(self, router: Router, max_unsent: int) -> None:
        """`max_unsent`: bytes of large answers that clients leave unread."""
        self.router = router
        self.known = Known()
        self.writer = Writer()
        self.unsent = Unsent(max_unsent)
        self.piece = int(str(PIECE))  # bytes that are written at once
