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


class AccountFull(LeveretError):
    """The account has as much stored as it may; some of it has to be taken first, and to wait alone is no use."""


class Unauthorized(LeveretError):
    """The service asks for a key, or takes this one not, or no more: it is unknown, expired or revoked."""


class Forbidden(LeveretError):
    """The key is good, and doesn't allow this."""


class TooLarge(LeveretError):
    """The message is larger than the service takes."""


class BadRequest(LeveretError):
    """The service finds the request wrong: to repeat it is no use."""


class Unavailable(LeveretError):
    """The service could not be reached, did not answer in time, or has no room, also when asked again.

    Where it didn't answer (`status` is None), it may have done what it was asked for.
    """


class TooManyRequests(Unavailable):
    """The service is asked for more, or more often, than its limits allow; of this it did nothing, also when asked
    again. `retry_after` is the seconds in which to ask it again, None where it doesn't say."""

    def __init__(self, code: str, status: int | None, detail: str, retry_after: int | None = None) -> None:
        super().__init__(code, status, detail)
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[type[LeveretError], tuple[str, int | None, str, int | None]]:  # type: ignore[override]
        return type(self), (self.code, self.status, self.detail, self.retry_after)


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

_BY_CODE: Final[dict[str, type[LeveretError]]] = {
    "lease-lost": LeaseLost,
    "queue-full": QueueFull,
    "account-full": AccountFull,
}
_BY_STATUS: Final[dict[int, type[LeveretError]]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    412: Exists,
    413: TooLarge,
}


def error_for(code: str, status: int, detail: str, retry_after: int | None = None) -> LeveretError:
    """The exception for an answer with this status (400 or more) and code, and its Retry-After in seconds."""
    kind = _BY_CODE.get(code) or _BY_STATUS.get(status)
    if kind is None and status == 429:
        return TooManyRequests(code, status, detail, retry_after)
    if kind is None:
        kind = Unavailable if status in PASSING else ServerFailed if status >= 500 else LeveretError
    return kind(code, status, detail)
