"""How large a request may be, and what is said to one that is larger."""

from __future__ import annotations

from dataclasses import dataclass

from scalestack.http.problem import HttpError


@dataclass(frozen=True, slots=True)
class ParserLimits:
    max_target: int = 128 << 10  # bytes of the request target; more is 414
    max_head: int = 160 << 10  # bytes of request line and headers together; more is 431
    max_headers: int = 100  # header lines, and as many trailers; more is 431
    max_body: int = 8 << 20  # bytes; more is 413
    cross_origin: bool = False  # what a browser sends for a page of another origin is taken, and is not 403

    def head_too_large(self, target: bytes) -> HttpError:
        """For a head that is too large with this target, as far as it came."""
        if len(target) > self.max_target:
            return HttpError(414, "target-too-long", f"the request target may have at most {self.max_target} bytes")
        return HttpError(431, "headers-too-large", f"request line and headers may have at most {self.max_head} bytes")

    def too_many(self, what: str) -> HttpError:
        """For more header lines than are allowed, or trailers."""
        return HttpError(431, "too-many-headers", f"a request may have at most {self.max_headers} {what}")

    def body_too_large(self) -> HttpError:
        """For a body that is too large, or is said to be."""
        return HttpError(413, "body-too-large", f"a body may have at most {self.max_body} bytes")
