"""What can go wrong, as exceptions: one for each thing that a caller would do something else about. Does nothing."""

from __future__ import annotations

from typing import ClassVar, Final


class InvalidUrl(ValueError):
    """A URL that can't be connected to; its text says which can."""


class LeveretError(Exception):
    """What a service refused or failed to do, and of which nothing was done, unless the class says otherwise.

    `code` is for a program to test, in words joined by hyphens; `status` is that of HTTP, None where there was no
    answer; `detail`, which is also the text of the exception, is for a person to act on.
    """

    def __init__(self, code: str, status: int | None, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.status = status
        self.detail = detail

    def __reduce__(self) -> tuple[type[LeveretError], tuple[str, int | None, str]]:
        return type(self), (self.code, self.status, self.detail)


class LeaseLost(LeveretError):
    """The lease of a claim ended: another worker may have the message, and it was left alone."""


class Exists(LeveretError):
    """There is a message with this id already, and it was to be new."""


class QueueFull(LeveretError):
    """The queue's policy allows no more messages, or no more bytes; a worker has to take some first."""


class TooLarge(LeveretError):
    """The message is larger than the service takes."""


class BadRequest(LeveretError):
    """The service finds the request wrong: to repeat it is no use."""


class Unavailable(LeveretError):
    """The service could not be reached, did not answer in time, or has no room, also when asked again.

    Where it didn't answer (`status` is None), it may have done what it was asked for.
    """


class ServerFailed(LeveretError):
    """The service failed at the request, or what answered is no Leveret; it may have done a part."""


class ClientClosed(LeveretError):
    """The client was closed, before the call or while it waited."""

    DETAIL: ClassVar = "the client is closed"

    @classmethod
    def now(cls) -> ClientClosed:
        return cls("client-closed", None, cls.DETAIL)

    @classmethod
    def forked(cls) -> ClientClosed:
        return cls(
            "client-forked", None, "the client was opened by another process, before a fork; connect in each process"
        )


# Answers that the same request may not get again: RFC 6585 section 4, RFC 9110 section 15.6, RFC 4918 section 11.5.
PASSING: Final = frozenset({429, 502, 503, 504, 507})

_BY_CODE: Final[dict[str, type[LeveretError]]] = {"lease-lost": LeaseLost, "queue-full": QueueFull}
_BY_STATUS: Final[dict[int, type[LeveretError]]] = {400: BadRequest, 412: Exists, 413: TooLarge}


def error_for(code: str, status: int, detail: str) -> LeveretError:
    """The exception for an answer with this status (400 or more) and code."""
    kind = _BY_CODE.get(code) or _BY_STATUS.get(status)
    if kind is None:
        kind = Unavailable if status in PASSING else ServerFailed if status >= 500 else LeveretError
    return kind(code, status, detail)
