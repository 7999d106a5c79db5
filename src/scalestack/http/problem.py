"""Errors for programs and for people: `application/problem+json` (RFC 9457). Knows no routes and no connections."""

from __future__ import annotations

import json
from http import HTTPStatus

CONTENT_TYPE = b"application/problem+json"


class HttpError(Exception):
    """A request that can't be answered as it was meant.

    `code` is for a program to test, in words joined by hyphens; `detail` is for a person to act on.
    """

    def __init__(self, status: int, code: str, detail: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers

    def body(self) -> bytes:
        """The problem document."""
        document = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }
        return json.dumps(document, separators=(",", ":")).encode()
