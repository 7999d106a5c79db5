"""What a client asks of a service, and how often: steps for others to take. No I/O, no clock, no threads.

An operation is a generator. It yields a `Call` and is sent the `Reply`, or thrown an `Unsent` or `Unanswered`; it
yields a `Pause`, and goes on after it; a stream of things also yields `Found`. Its value is what the caller gets. So
the blocking and the asynchronous client share all but the waiting.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeAlias, TypeVar

from leveret.client.errors import PASSING, LeveretError, TooManyRequests, Unavailable, error_for

T = TypeVar("T")

JSON: Final = b"application/json"


@dataclass(frozen=True)
class Call:
    """A request."""

    method: str
    target: str  # path and query, percent-encoded
    headers: Sequence[tuple[bytes, bytes]] = ()
    body: bytes = b""
    safe: bool = False  # whether it may be sent again after it may have been received
    wait: int = 0  # seconds that the service may take for it, beside those that every answer may
    patience: float | None = None  # seconds for the answer; None: the client's timeout


@dataclass(frozen=True)
class Reply:
    """An answer."""

    status: int
    headers: Mapping[str, str]  # by lower-case name
    body: bytes
    repeated: bool = False  # whether the service may have received the same call before


@dataclass(frozen=True)
class Pause:
    """To wait for so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Found(Generic[T]):
    """The next things of a stream, in order."""

    items: Sequence[T]


Operation: TypeAlias = Generator[Call | Pause, Any, T]
Stream: TypeAlias = Generator[Call | Pause | Found[T], Any, None]


class Unsent(Exception):
    """The service could not be reached: it knows nothing of the call."""


class Untrusted(Unsent):
    """What answers there could not prove that it is the service: it was told nothing, and to repeat it is no use."""


class Unanswered(Exception):
    """The answer did not come; whether the service received the call is not known."""


@dataclass(frozen=True)
class Retry:
    """How often a call is repeated that may be, and after which pauses."""

    retries: int = 3
    first: float = 0.1  # seconds; each pause is up to twice as long as the one before
    longest: float = 30.0  # seconds
    patience: float = 30.0  # seconds that a call waits at most, in all, because there were too many requests
    spread: Callable[[], float] = field(default=random.random)  # from 0 to 1, so that clients don't come all at once

    def pause(self, attempt: int, reply: Reply | None = None) -> Pause:
        """After the attempt with this number, from 0. The service may say how long (RFC 9110 section 10.2.3)."""
        asked = None if reply is None else _retry_after(reply)
        if asked is not None:
            return Pause(min(float(asked), max(2 * self.longest, self.patience)))
        longest = min(self.longest, self.first * 2.0 ** min(attempt, 30))
        return Pause(longest * (0.5 + 0.5 * self.spread()))


ONCE: Final = Retry(retries=0)


def ask(call: Call, retry: Retry) -> Operation[Reply]:
    """The answer to a call, whatever its status, but for those that pass by.

    Repeats what is safe, what was never received, and what was refused because there were too many requests; raises
    `Unavailable` where that is no use.
    """
    attempt = 0
    repeated = False
    patience = retry.patience if call.patience is None else min(retry.patience, call.patience)
    while True:
        reply: Reply | None = None
        problem: LeveretError
        try:
            reply = yield call
        except Untrusted as error:
            again, problem = False, Unavailable("untrusted", None, str(error))
        except Unsent as error:
            again, problem = True, Unavailable("unreachable", None, str(error))
        except Unanswered as error:
            again, problem = call.safe, Unavailable("unanswered", None, str(error))
            repeated = True
        else:
            assert reply is not None
            if reply.status not in PASSING:
                return Reply(reply.status, reply.headers, reply.body, repeated)
            problem = error_of(reply)
            if isinstance(problem, TooManyRequests):
                asked = problem.retry_after or 0
                again = asked <= patience
                patience -= asked
            elif isinstance(problem, Unavailable):
                again = call.safe
                repeated = True
            else:  # an account that is full is not so for a moment
                raise problem
        if not again or attempt >= retry.retries:
            raise problem
        yield retry.pause(attempt, reply)
        attempt += 1


def error_of(reply: Reply) -> LeveretError:
    """What an answer of 400 or more says: a problem document (RFC 9457), or, of what is in between, anything."""
    code, detail = f"http-{reply.status}", ""
    try:
        document = json.loads(reply.body)
        code, detail = str(document["code"]), str(document["detail"])
    except (ValueError, KeyError, TypeError):
        text = reply.body[:200].decode("utf-8", "replace").strip()
        detail = f"the answer is {reply.status}" + (f": {text}" if text else "")
    return error_for(code, reply.status, detail, _retry_after(reply))


def _retry_after(reply: Reply) -> int | None:
    asked = reply.headers.get("retry-after", "")
    return int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 9 else None
