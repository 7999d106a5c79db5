"""The description of the REST API as an OpenAPI 3.1 document, made from its table of routes. Serves nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from leveret import __version__
from leveret.frontend.parameters import MAX_LIMIT, Accepted
from leveret.model import MAX_NAME, MAX_SECONDS
from scalestack.http.router import Route


class Shape(Enum):
    """What the answers of an operation hold."""

    VERSIONS = "versions"
    NAMES = "names"
    MESSAGES = "messages"
    MESSAGE = "message"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Operation:
    """What is to be said of a route beyond its method and path."""

    summary: str
    shape: Shape
    accepted: Accepted | None = None  # None: no parameters
    creates: bool = False  # takes a body, and answers 201 where it is new


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """The OpenAPI document of those `routes` that have an `Operation`."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        if isinstance(route.about, Operation):
            item = paths.setdefault(route.path, _item(route.path))
            item[route.method.lower()] = _operation(route, route.about)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Leveret",
            "version": __version__,
            "summary": "A message queue service: accounts, queues and messages.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": _SCHEMAS},
    }


def _item(path: str) -> dict[str, Any]:
    names = re.findall(r"\{(\w+)\}", path)
    schema = {"type": "string", "minLength": 1, "maxLength": MAX_NAME}
    parameters = [{"name": name, "in": "path", "required": True, "schema": schema} for name in names]
    return {"parameters": parameters} if parameters else {}


def _operation(route: Route, about: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": _identifier(route),
        "summary": about.summary,
        "responses": _responses(route, about),
    }
    if about.accepted is not None:
        described["parameters"] = [_parameter(name, about.accepted) for name in sorted(about.accepted.names)]
    if about.creates:
        described["requestBody"] = {
            "description": "The message's body, kept byte for byte whatever its content type.",
            "content": {"*/*": {}},
        }
    return described


def _identifier(route: Route) -> str:
    words = re.findall(r"[a-z0-9]+", route.path.lower())
    return "_".join([route.method.lower(), *words]) if words else f"{route.method.lower()}_versions"


def _parameter(name: str, accepted: Accepted) -> dict[str, Any]:
    if name == "detail":
        schema = {
            "type": "string",
            "enum": [detail.value for detail in accepted.details],
            "default": accepted.default.value,
        }
        text = "How much of each object is answered."
    else:
        text, schema = _PARAMETERS[name]
    return {"name": name, "in": "query", "description": text, "schema": schema}


def _seconds(low: int = 0) -> dict[str, Any]:
    return {"type": "integer", "minimum": low, "maximum": MAX_SECONDS}


_PARAMETERS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "limit": ("At most so many objects.", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT}),
    "marker": ("Only objects after this id; from the beginning where it is not there.", {"type": "string"}),
    "match_hidden": ("Whether hidden messages match.", {"type": "boolean", "default": False}),
    "wait": ("Seconds to wait where nothing matches now.", {**_seconds(), "default": 0}),
    "ttl": ("Seconds from now until the message expires; 0 for never.", _seconds()),
    "hide": ("Seconds from now for which the message is hidden; 0 for visible.", _seconds()),
}


def _responses(route: Route, about: Operation) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if about.creates:
        found["201"] = {"description": "The message is new."}
        found["204"] = {"description": "The message took the place of the one that had its id."}
        found["413"] = _problem("The body is too large.")
    else:
        content = _content(about)
        if content:
            found["200"] = {"description": "What matches.", "content": content}
        if about.accepted is not None:
            found["204"] = {"description": "Something matches, and detail is none."}
            found["404"] = _problem("Nothing matches.")
    if about.accepted is not None:
        found["400"] = _problem("A name or a parameter is wrong.")
    return dict(sorted(found.items()))


def _problem(text: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": text, "content": {"application/problem+json": {"schema": schema}}}


def _content(about: Operation) -> dict[str, Any]:
    name = {"type": "string"}
    message = {"$ref": "#/components/schemas/Message"}
    body = {"$ref": "#/components/schemas/Body"}
    if about.shape is Shape.VERSIONS:
        return {"application/json": {"schema": {"type": "array", "items": name}}}
    if about.shape is Shape.NAMES:
        item = {"anyOf": [name, {"$ref": "#/components/schemas/Name"}]}
        return {"application/json": {"schema": {"type": "array", "items": item}}}
    if about.shape is Shape.MESSAGES:
        item = {"anyOf": [message, body]}
        return {"application/json": {"schema": {"type": "array", "items": item}}}
    # The id and the body of one message are sent as they are.
    return {"application/json": {"schema": message}, "application/octet-stream": {}}


_SCHEMAS: Final[dict[str, Any]] = {
    "Name": {
        "type": "object",
        "properties": {"id": {"type": "string"}},
        "required": ["id"],
        "additionalProperties": False,
    },
    "Body": {
        "description": "A string where the body is valid UTF-8, else its base64.",
        "anyOf": [
            {"type": "string"},
            {
                "type": "object",
                "properties": {"base64": {"type": "string", "contentEncoding": "base64"}},
                "required": ["base64"],
                "additionalProperties": False,
            },
        ],
    },
    "Message": {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "ttl": {**_seconds(), "description": "Seconds that remain, rounded up; 0 for ever."},
            "hide": {**_seconds(), "description": "Seconds until it is visible, rounded up; 0 where it is."},
            "body": {"$ref": "#/components/schemas/Body"},
        },
        "required": ["id", "ttl", "hide"],
        "additionalProperties": False,
    },
    "Problem": {
        "description": "An error (RFC 9457).",
        "type": "object",
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "code": {"type": "string", "description": "For a program to test."},
            "detail": {"type": "string", "description": "For a person to act on."},
        },
        "required": ["type", "title", "status", "code", "detail"],
    },
}
