"""Paths to handlers. Percent-decoding happens here, once, after the path was split; names are checked by handlers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from scalestack.http.message import Handler, Request, Response, decode_percent
from scalestack.http.problem import HttpError


@dataclass(frozen=True)
class Route:
    """`method` on `path` is for `handler`, which is called with the request and the path's parameters, in order.

    In `path` a segment in braces is a parameter: "/v1.0/{account}". It matches any one segment that is not empty.
    """

    method: str
    path: str
    handler: Handler
    about: Any = None  # what a document of the API says of it


@dataclass
class _Node:
    literals: dict[str, _Node] = field(default_factory=dict)
    parameter: _Node | None = None
    handlers: dict[bytes, Handler] = field(default_factory=dict)
    allow: bytes = b""


class RouteClash(Exception):
    """Two routes for the same method and path."""


class Router:
    """An unchanging table of routes; a change makes a new one."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Node()
        methods = {b"OPTIONS"}
        for route in routes:
            self._add(route)
        self._finish(self._root, methods)
        # "OPTIONS *" asks for what is possible anywhere (RFC 9110 section 9.3.7).
        self._star = _Node(handlers={b"OPTIONS": self._options(b", ".join(sorted(methods)))})

    def find(self, method: bytes, path: bytes) -> tuple[Handler, list[str]]:
        """The handler and its path parameters; `HttpError` 404 or 405 where there is none."""
        text = path.decode("latin-1")
        segments = text.split("/")
        if "%" in text:
            segments = [decode_percent(segment.encode("latin-1"), "path") for segment in segments]
        node = self._star if text == "*" else self._root
        parameters: list[str] = []
        if text != "/":
            for segment in segments[1:]:
                following = node.literals.get(segment)
                if following is None:
                    following = node.parameter
                    if following is None or not segment:
                        raise self._unknown(text)
                    parameters.append(segment)
                node = following
        handler = node.handlers.get(method)
        if handler is not None:
            return handler, parameters
        if not node.handlers:
            raise self._unknown(text)
        allow = node.allow
        raise HttpError(
            405,
            "method-not-allowed",
            f"{method.decode('latin-1')} is not possible here; {allow.decode()} are",
            ((b"Allow", allow),),
        )

    def _add(self, route: Route) -> None:
        node = self._root
        for segment in [] if route.path == "/" else route.path.split("/")[1:]:
            if segment.startswith("{"):
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.literals.setdefault(segment, _Node())
        method = route.method.encode()
        if method in node.handlers:
            raise RouteClash(f"there are two routes for {route.method} {route.path}")
        node.handlers[method] = route.handler

    def _finish(self, node: _Node, methods: set[bytes]) -> None:
        """HEAD works wherever GET does, and OPTIONS answers with what is allowed."""
        if node.handlers:
            if b"GET" in node.handlers:
                node.handlers.setdefault(b"HEAD", node.handlers[b"GET"])
            methods.update(node.handlers)
            node.allow = b", ".join(sorted({*node.handlers, b"OPTIONS"}))
            node.handlers.setdefault(b"OPTIONS", self._options(node.allow))
        for following in node.literals.values():
            self._finish(following, methods)
        if node.parameter is not None:
            self._finish(node.parameter, methods)

    @staticmethod
    def _options(allow: bytes) -> Handler:
        response = Response(204, headers=((b"Allow", allow),))

        def options(request: Request, *parameters: str) -> Response:
            return response

        return options

    @staticmethod
    def _unknown(path: str) -> HttpError:
        hint = "; it ends with a '/', try without" if len(path) > 1 and path.endswith("/") else ""
        return HttpError(404, "unknown-path", f"there is nothing at this path{hint}")
