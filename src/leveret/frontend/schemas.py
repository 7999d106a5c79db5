"""The shapes of what the REST API takes and gives, as JSON Schema (2020-12). Knows no routes."""

from __future__ import annotations

from typing import Any, Final

from leveret.frontend.parameters import MAX_LIMIT, MAX_MANY
from leveret.model import MAX_NAME, MAX_SECONDS

Schema = dict[str, Any]


def seconds(text: str = "", low: int = 0) -> Schema:
    described: Schema = {"type": "integer", "minimum": low, "maximum": MAX_SECONDS}
    return {**described, "description": text} if text else described


def number(low: int = 0, text: str = "") -> Schema:
    described: Schema = {"type": "integer", "minimum": low}
    return {**described, "description": text} if text else described


def closed(properties: Schema, required: list[str]) -> Schema:
    """An object with these members, and no others."""
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


TEXT: Final[Schema] = {"type": "string"}
NAME: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": MAX_NAME}

# Query parameters, by name: what is said of each, and its schema.
PARAMETERS: Final[dict[str, tuple[str, Schema]]] = {
    "limit": ("At most so many objects.", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT}),
    "marker": ("Only objects after this id; from the beginning where it is not there.", TEXT),
    "after": (
        "Only messages after the place that this marker stands for, whether or not its message is still there.",
        {"type": "string", "pattern": "^[0-9a-f]{1,15}$"},
    ),
    "order": ("`lifo` takes the newest first.", {"type": "string", "enum": ["fifo", "lifo"], "default": "fifo"}),
    "match_hidden": ("Whether hidden messages match.", {"type": "boolean"}),
    "wait": ("Seconds to wait where nothing matches now.", {**seconds(), "default": 0}),
    "ttl": ("Seconds from now until the message expires; 0 for never.", seconds()),
    "hide": ("Seconds from now for which the message is hidden; 0 for visible.", seconds()),
    "id": ("The ids of what is meant; takes no filter beside it.", {**array(NAME), "maxItems": MAX_MANY}),
    "receipt": ("The receipt of the lease; without it the message is meant, whoever holds it.", TEXT),
}
RECEIPTS: Final = ("A receipt for each id.", {**array(TEXT), "maxItems": MAX_MANY})

_HEADERS: Final[Schema] = {"type": "object", "additionalProperties": TEXT}
_TIMES: Final[Schema] = {
    "ttl": seconds("Seconds that remain, rounded up; 0 for ever."),
    "hide": seconds("Seconds until it is visible, rounded up; 0 where it is."),
}
_MORE: Final[Schema] = {
    "created": {"type": "string", "format": "date-time"},
    "deliveries": number(text="How often it was claimed."),
    "marker": {
        **TEXT,
        "description": "Its place in the queue: opaque, and good for `after` though the message is gone.",
    },
    "content_type": {"type": ["string", "null"]},
    "headers": _HEADERS,
    "receipt": {**TEXT, "description": "Of its lease, where the request has just hidden it."},
}
_BODY: Final[Schema] = reference("Body")

SCHEMAS: Final[Schema] = {
    "Name": closed({"id": TEXT}, ["id"]),
    "Body": {
        "description": "A string where the body is valid UTF-8, else its base64.",
        "anyOf": [TEXT, closed({"base64": {"type": "string", "contentEncoding": "base64"}}, ["base64"])],
    },
    "Message": closed({"id": TEXT, **_TIMES, "body": _BODY}, ["id", "ttl", "hide"]),
    "Message11": closed(
        {"id": TEXT, **_TIMES, **_MORE, "body": _BODY},
        ["id", "ttl", "hide", "created", "deliveries", "marker", "content_type", "headers"],
    ),
    "Outcome": closed(
        {"id": TEXT, "status": {"type": "string", "enum": ["done", "gone", "held"]}, **_TIMES, **_MORE, "body": _BODY},
        ["id", "status"],
    ),
    "Queue": closed(
        {
            "id": TEXT,
            "messages": number(),
            "visible": number(),
            "hidden": number(),
            "bytes": number(text="Of bodies."),
            "oldest": {
                "type": ["integer", "null"],
                "minimum": 0,
                "description": "Age in seconds of the first message.",
            },
            "policy": reference("Policy"),
            "dropped": number(text="Messages that were delivered too often, where there is no dead letter queue."),
        },
        ["id", "messages", "visible", "hidden", "bytes", "oldest", "policy"],
    ),
    "Policy": closed(
        {
            "default_ttl": seconds("Of messages that are put without one."),
            "default_hide": seconds("Of messages that are put without one."),
            "max_deliveries": seconds("What was claimed so often is a dead letter.", 1),
            "dead_letter": {**NAME, "description": "The queue for dead letters; without it they are dropped."},
            "max_messages": number(1, "A PUT of more is refused."),
            "max_bytes": number(1, "A PUT of more is refused."),
        },
        [],
    ),
    "PolicyChange": {
        "description": "Members to set; null removes one, and null for all of it removes the policy.",
        "anyOf": [
            {"type": "null"},
            closed(
                {
                    "default_ttl": {"anyOf": [seconds(), {"type": "null"}]},
                    "default_hide": {"anyOf": [seconds(), {"type": "null"}]},
                    "max_deliveries": {"anyOf": [seconds(low=1), {"type": "null"}]},
                    "dead_letter": {"anyOf": [NAME, {"type": "null"}]},
                    "max_messages": {"anyOf": [number(1), {"type": "null"}]},
                    "max_bytes": {"anyOf": [number(1), {"type": "null"}]},
                },
                [],
            ),
        ],
    },
    "NewMessage": closed(
        {
            "id": {**NAME, "description": "Given by the server where it is left out."},
            "body": {
                "description": "A string, base64 as in an answer, or any other JSON value, which is kept as JSON."
            },
            "ttl": seconds(),
            "hide": seconds(),
            "content_type": {"type": "string", "minLength": 1, "maxLength": 255},
            "headers": _HEADERS,
        },
        ["body"],
    ),
    "NewMessages": closed(
        {"messages": {**array(reference("NewMessage")), "minItems": 1, "maxItems": MAX_MANY}}, ["messages"]
    ),
    "Problem": {
        "description": "An error (RFC 9457).",
        "type": "object",
        "properties": {
            "type": TEXT,
            "title": TEXT,
            "status": {"type": "integer"},
            "code": {**TEXT, "description": "For a program to test."},
            "detail": {**TEXT, "description": "For a person to act on."},
        },
        "required": ["type", "title", "status", "code", "detail"],
    },
}
