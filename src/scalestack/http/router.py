"""Paths to handlers. Percent-decoding happens here, once, after the path was split; names are checked by handlers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from scalestack.http.message import Handler, Request, Response, decode_percent
from scalestack.http.problem import HttpError

PUBLIC: Final = "public"  # an action that anybody may do
ADMIN: Final = "admin"  # an action of those who run the service: whoever may do it may do everything
METRICS: Final = "metrics"  # an action of those who watch it, and may do nothing else

_MEMORIES: Final = 4096  # starts of paths that are remembered
_MEMORABLE: Final = 600  # bytes; a longer one is not


@dataclass(frozen=True)
class Route:
    """`method` on `path` is for `handler`, which is called with the request and the path's parameters, in order.

    In `path` a segment in braces is a parameter: "/v1.0/{account}". It matches any one segment that is not empty.
    """

    method: str
    path: str
    handler: Handler
    about: Any = None  # what a document of the API says of it
    # What its caller must be allowed to do, where callers are asked who they are: a route that says nothing is closed.
    action: str = ADMIN

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the path's parameters, in order."""
        return tuple(segment[1:-1] for segment in self.path.split("/") if segment.startswith("{"))


# Puts something before a route's handler: answers what is to be called in its stead.
Layer: TypeAlias = Callable[[Route, Handler], Handler]


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """What a path and a method lead to: the handler, in its layers, and the route that it is of."""

    method: bytes
    handler: Handler
    route: Route | None  # None for the answers to OPTIONS


@dataclass
class _Node:
    literals: dict[str, _Node] = field(default_factory=dict)
    parameter: _Node | None = None
    entries: dict[bytes, Entry] = field(default_factory=dict)
    allow: bytes = b""


class RouteClash(Exception):
    """Two routes for the same method and path."""


class Router:
    """An unchanging table of routes; a change makes a new one."""

    def __init__(self, routes: Iterable[Route], layers: Sequence[Layer] = ()) -> None:
        """Requests pass the first of the `layers` first, and then the next, up to the route's handler."""
        self._root = _Node()
        self._layers = layers
        methods = {b"OPTIONS"}
        for route in routes:
            self._add(route)
        self._finish(self._root, methods)
        # "OPTIONS *" asks for what is possible anywhere (RFC 9110 section 9.3.7).
        self._star = _Node(entries={b"OPTIONS": self._options(b", ".join(sorted(methods)))})
        # Most requests differ in their last segment only, which is a parameter: where the method and the others lead is
        # remembered. But not of HEAD, whose answers are not sent as others are.
        self.paths: dict[str, tuple[Entry, tuple[str, ...]]] = {}

    def find(self, line: str) -> tuple[Entry, tuple[str, ...]]:
        """The entry and its path parameters; `HttpError` 404 or 405 where there is none.

        `line` is the method, a space, and the path as it was sent.
        """
        start, _, last = line.rpartition("/")
        if "%" in last or not last:
            return self._find(line)
        try:
            entry, parameters = self.paths[start]
        except KeyError:
            return self._find(line)
        return entry, (*parameters, last)

    def _find(self, line: str) -> tuple[Entry, tuple[str, ...]]:
        method, _, path = line.partition(" ")
        node, parameters, memorable = self._follow(path)
        entry = node.entries.get(method.encode("latin-1"))
        if entry is None:
            raise self._refusal(node, method, path)
        start = line.rpartition("/")[0]
        if memorable and entry.method != b"HEAD" and len(start) <= _MEMORABLE:
            if len(self.paths) >= _MEMORIES:
                self.paths.clear()
            self.paths[start] = entry, parameters[:-1]
        return entry, parameters

    def _follow(self, path: str) -> tuple[_Node, tuple[str, ...], bool]:
        """Where a path leads, its parameters, and whether all paths that differ in the last segment lead there."""
        if path == "*":
            return self._star, (), False
        node = self._root
        parameters: list[str] = []
        memorable = False
        for segment in [] if path == "/" else path.encode("latin-1").split(b"/")[1:]:
            text = decode_percent(segment, "path")
            following = node.literals.get(text)
            memorable = following is None and not node.literals
            if following is None:
                following = node.parameter
                if following is None or not text:
                    raise self._unknown(path)
                parameters.append(text)
            node = following
        return node, tuple(parameters), memorable

    def _refusal(self, node: _Node, method: str, path: str) -> HttpError:
        if not node.entries:
            return self._unknown(path)
        text = f"{method} is not possible here; {node.allow.decode()} are"
        return HttpError(405, "method-not-allowed", text, ((b"Allow", node.allow),))

    def _add(self, route: Route) -> None:
        node = self._root
        for segment in [] if route.path == "/" else route.path.split("/")[1:]:
            if segment.startswith("{"):
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.literals.setdefault(segment, _Node())
        method = route.method.encode()
        if method in node.entries:
            raise RouteClash(f"there are two routes for {route.method} {route.path}")
        handler = route.handler
        for layer in reversed(self._layers):
            handler = layer(route, handler)
        node.entries[method] = Entry(method, handler, route)

    def _finish(self, node: _Node, methods: set[bytes]) -> None:
        """HEAD works wherever GET does, and OPTIONS answers with what is allowed."""
        if node.entries:
            if b"GET" in node.entries:
                get = node.entries[b"GET"]
                node.entries.setdefault(b"HEAD", Entry(b"HEAD", get.handler, get.route))
            methods.update(node.entries)
            node.allow = b", ".join(sorted({*node.entries, b"OPTIONS"}))
            node.entries.setdefault(b"OPTIONS", self._options(node.allow))
        for following in node.literals.values():
            self._finish(following, methods)
        if node.parameter is not None:
            self._finish(node.parameter, methods)

    @staticmethod
    def _options(allow: bytes) -> Entry:
        response = Response(204, headers=((b"Allow", allow),))

        def options(request: Request, *parameters: str) -> Response:
            return response

        return Entry(b"OPTIONS", options, None)

    @staticmethod
    def _unknown(path: str) -> HttpError:
        hint = "; it ends with a '/', try without" if len(path) > 1 and path.endswith("/") else ""
        return HttpError(404, "unknown-path", f"there is nothing at this path{hint}")
