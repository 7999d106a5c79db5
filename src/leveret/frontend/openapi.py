"""The description of the REST API as an OpenAPI 3.1 document, made from its table of routes. Serves nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from leveret import __version__
from leveret.frontend.parameters import Accepted
from leveret.frontend.schemas import NAME, PARAMETERS, RECEIPTS, SCHEMAS, TEXT, Schema, array, reference
from leveret.frontend.security import REFUSALS, SCHEMES, restrict
from scalestack.http.router import Route

_JSON: Final = "application/json"
_BYTES: Final = "application/octet-stream"


class Shape(Enum):
    """What the answers of an operation hold, and what it takes."""

    VERSIONS = "versions"
    NAMES = "names"
    MESSAGES = "messages"
    MESSAGE = "message"
    PUT = "put"
    # Of v1.1
    NAMES_11 = "names of v1.1"
    QUEUES = "queues"
    MESSAGES_11 = "messages of v1.1"
    MESSAGE_11 = "message of v1.1"
    PUT_11 = "put of v1.1"
    IDS = "ids"
    POLICY = "policy"


@dataclass(frozen=True)
class Operation:
    """What is to be said of a route beyond its method and path."""

    summary: str
    shape: Shape
    accepted: Accepted | None = None  # None: no parameters


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
        "components": {"schemas": SCHEMAS, "responses": REFUSALS, "securitySchemes": SCHEMES},
    }


def _item(path: str) -> dict[str, Any]:
    names = re.findall(r"\{(\w+)\}", path)
    parameters = [{"name": name, "in": "path", "required": True, "schema": NAME} for name in names]
    return {"parameters": parameters} if parameters else {}


def _operation(route: Route, about: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": _identifier(route),
        "summary": about.summary,
        "responses": dict(sorted(_responses(route, about).items())),
    }
    parameters: list[dict[str, Any]] = []
    if about.accepted is not None:
        parameters += [_parameter(name, about.accepted) for name in sorted(about.accepted.names)]
    if about.shape is Shape.PUT_11:
        text = "`*`: only where there is no message with this id."
        parameters.append(_header("If-None-Match", text, {"type": "string", "enum": ["*"]}))
    if about.shape in {Shape.PUT_11, Shape.IDS}:
        text = "The trace that the sender is in (W3C Trace Context), which is kept with the message."
        parameters.append(_header("traceparent", text, TEXT))
    if about.shape is Shape.MESSAGES_11 and route.method == "GET":
        text = "The id of the last event that was seen: what came after it is streamed."
        parameters.append(_header("Last-Event-ID", text, PARAMETERS["after"][1]))
    if parameters:
        described["parameters"] = parameters
    body = _BODIES.get(about.shape)
    if body is not None:
        described["requestBody"] = body
    restrict(route, described)
    return described


def _identifier(route: Route) -> str:
    words = re.findall(r"[a-z0-9]+", route.path.lower())
    return "_".join([route.method.lower(), *words]) if words else f"{route.method.lower()}_versions"


def _parameter(name: str, accepted: Accepted) -> dict[str, Any]:
    if name == "detail":
        schema: Schema = {
            "type": "string",
            "enum": list(accepted.details),
            "default": accepted.default,
        }
        text = "How much of each object is answered."
    elif name == "receipt" and name in accepted.repeated:
        text, schema = RECEIPTS
    else:
        text, schema = PARAMETERS[name]
    return {"name": name, "in": "query", "description": text, "schema": schema}


def _header(name: str, text: str, schema: Schema) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": text, "schema": schema}


_ANY_BODY: Final = {
    "description": "The message's body, kept byte for byte whatever its content type.",
    "content": {"*/*": {}},
}
_BODIES: Final[dict[Shape, dict[str, Any]]] = {
    Shape.PUT: _ANY_BODY,
    Shape.PUT_11: {
        **_ANY_BODY,
        "description": "The message's body, kept byte for byte, and its content type. "
        "Headers that begin with `Leveret-Header-` are kept as the message's.",
    },
    Shape.IDS: {
        "description": "The messages; as `application/x-ndjson`, one on each line. All are stored, or none.",
        "required": True,
        "content": {
            _JSON: {"schema": reference("NewMessages")},
            "application/x-ndjson": {"schema": TEXT},
        },
    },
    Shape.POLICY: {"required": True, "content": {_JSON: {"schema": reference("PolicyChange")}}},
}


def _responses(route: Route, about: Operation) -> dict[str, Any]:
    found: dict[str, Any] = {}
    shape = about.shape
    if about.accepted is not None:
        found["400"] = _problem("A name, a parameter or the body is wrong.")
    found["414"] = _problem("The request target is too long.")
    found["431"] = _problem("The headers are too large.")
    if shape in {Shape.PUT, Shape.PUT_11}:
        found["201"] = {"description": "The message is new."}
        found["204"] = {"description": "The message took the place of the one that had its id."}
    elif shape is Shape.IDS:
        found["200"] = _listed("The ids; all of them were there, and their messages are replaced.", TEXT)
        found["201"] = _listed("The ids; one message at least is new.", TEXT)
    else:
        found["200"] = {"description": "What matches.", "content": _content(route, shape)}
        if shape not in {Shape.VERSIONS, Shape.POLICY}:
            found["204"] = {"description": "Something matches, and detail is none."}
            found["404"] = _problem("Nothing matches.")
    if shape in {Shape.PUT, Shape.PUT_11, Shape.IDS}:
        found["409"] = _problem("The queue is full, by its policy.")
        found["413"] = _problem("The body is too large.")
        found["507"] = _problem("The disk is full.")
    if shape is Shape.POLICY:
        found["413"] = _problem("The body is too large.")
        found["507"] = _problem("The disk is full.")
    if shape is Shape.PUT_11:
        found["412"] = _problem("There is a message with this id already.")
    if shape is Shape.MESSAGE_11 and route.method != "GET":
        found["409"] = _problem("The lease of the receipt has ended, or the message is another's.")
    if shape in _LINKED and route.method == "GET":
        text = "Leads to the next page, with `rel=next`, where more may follow."
        found["200"]["headers"] = {"Link": {"description": text, "schema": TEXT}}
    return found


_LINKED: Final = frozenset({Shape.NAMES_11, Shape.QUEUES, Shape.MESSAGES_11})


def _problem(text: str) -> dict[str, Any]:
    return {"description": text, "content": {"application/problem+json": {"schema": reference("Problem")}}}


def _listed(text: str, item: Schema) -> dict[str, Any]:
    return {"description": text, "content": {_JSON: {"schema": array(item)}}}


def _content(route: Route, shape: Shape) -> dict[str, Any]:
    if shape is Shape.POLICY:
        return {_JSON: {"schema": reference("Policy")}}
    if shape in _ITEMS:
        items = _ITEMS[shape]
        content: dict[str, Any] = {_JSON: {"schema": array(items[0] if len(items) == 1 else {"anyOf": list(items)})}}
        if shape is Shape.MESSAGES_11 and route.method == "GET":
            content["text/event-stream"] = {"schema": TEXT}
        return content
    # The id and the body of one message are sent as they are; in v1.1 the body has its own content type.
    if shape is Shape.MESSAGE_11:
        own = {"description": "The message's body, where detail is body and it was put as JSON."}
        return {_JSON: {"schema": {"anyOf": [reference("Message11"), own]}}, "*/*": {}}
    return {_JSON: {"schema": reference("Message")}, _BYTES: {}}


# What the arrays of an answer may hold.
_ITEMS: Final[dict[Shape, tuple[Schema, ...]]] = {
    Shape.VERSIONS: (TEXT,),
    Shape.NAMES: (TEXT, reference("Name")),
    Shape.NAMES_11: (TEXT, reference("Name")),
    Shape.QUEUES: (TEXT, reference("Queue")),
    Shape.MESSAGES: (reference("Message"), reference("Body")),
    Shape.MESSAGES_11: (reference("Message11"), reference("Outcome"), reference("Body")),
}
