"""What the documentation takes from the code when it is built: the REST API, the commands, the settings.

A page says where by a comment, such as `<!-- generated: settings -->`. What stands from there to `<!-- end -->` is for
those who read the page as it is, and is replaced too. Each is text in, Markdown out; MkDocs is not needed to make it,
and so the tests make it as well.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import click

from leveret.cli.main import cli
from leveret.client.calls import Call
from leveret.client.local import LocalTransport
from leveret.server import ServerConfig, available_modules
from leveret.store.memory import MemoryStore

_METHODS: Final = ("get", "put", "post", "patch", "delete")
_MOST: Final = 1 << 53  # a maximum of this and more is nobody's limit
_EVERYWHERE: Final = ("401", "403", "414", "429", "431")  # answers that every request may get, or nearly every one


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by MkDocs for each page."""
    place = r"<!-- generated: (.+?) -->(?:(?:(?!<!--).)*<!-- end -->)?"
    return re.sub(place, lambda found: GENERATED[found[1]](), markdown, flags=re.DOTALL)


# The REST API.


def openapi() -> dict[str, Any]:
    """What the server answers to GET /openapi.json."""
    transport = LocalTransport(MemoryStore())
    try:
        document: dict[str, Any] = json.loads(transport.send(Call("GET", "/openapi.json")).body)
        return document
    finally:
        transport.close()


def rest(version: str) -> str:
    """All operations of a version of the API, by path."""
    paths = {path: item for path, item in openapi()["paths"].items() if path.startswith(f"/{version}")}
    return "\n".join(line for path, item in paths.items() for line in _path(path, item))


def _path(path: str, item: Mapping[str, Any]) -> Iterator[str]:
    for method in (each for each in _METHODS if each in item):
        operation = item[method]
        title = f"<span class='method {method}'>{method.upper()}</span> <span class='path'>{path}</span>"
        yield f"### {title} {{ #{operation['operationId']} data-toc-label='{method.upper()} {_tail(path)}' }}"
        yield ""
        yield f"{operation['summary']} [Takes the right](#who-may) to `{operation['x-leveret-action']}`."
        yield ""
        parameters = operation.get("parameters", [])
        if parameters:
            yield from _table(
                ("Parameter", "Value", "Meaning"),
                ((_named(each), _type(each["schema"]), each["description"]) for each in parameters),
            )
        if "requestBody" in operation:
            body = operation["requestBody"]
            said = body.get("description", "A JSON object.")
            yield f"**Body**: {said} {_content(body['content'])}".rstrip()
            yield ""
        yield from _table(
            ("Answer", "When", "With"),
            (
                (f"**{status}**", answer["description"], _content(answer.get("content", {})))
                for status, answer in operation["responses"].items()
                if status not in _EVERYWHERE
            ),
        )


def _named(parameter: Mapping[str, Any]) -> str:
    return f"`{parameter['name']}`{' (header)' if parameter['in'] == 'header' else ''}"


def _tail(path: str) -> str:
    """The end of a path, which says enough in a narrow column."""
    return f"…/{path.rpartition('/')[2]}" if path.count("/") > 1 else path


def _content(content: Mapping[str, Any]) -> str:
    shown = [f"`{kind}`{_of(media.get('schema'))}" for kind, media in content.items() if "problem" not in kind]
    return ", ".join(shown) or ("[Problem](#problem)" if content else "")


def _of(schema: Mapping[str, Any] | None) -> str:
    if not schema or schema == {"type": "string"}:
        return ""
    return f": {_type(schema)}"


def schemas() -> str:
    """The objects of the API, with their members."""
    found = openapi()["components"]["schemas"]
    return "\n".join(line for name, schema in found.items() for line in _schema(name, schema))


def _schema(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield f"### {name}"
    yield ""
    if "description" in schema:
        yield schema["description"]
        yield ""
    if "properties" not in schema:
        shapes = [each for each in schema["anyOf"] if "properties" not in each or len(each["properties"]) < 2]
        schema = next((each for each in schema["anyOf"] if each not in shapes), {})
        if not schema:
            yield " or ".join(map(_type, shapes)) + "."
            yield ""
            return
    required = schema.get("required", ())
    yield from _table(
        ("Member", "Value", "Meaning"),
        (
            (f"`{member}`", _type(each), each.get("description", "") + ("" if member in required else " *(optional)*"))
            for member, each in schema["properties"].items()
        ),
    )


def _type(schema: Mapping[str, Any]) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if "enum" in schema:
        words = (f"`{word}` (default)" if word == schema.get("default") else f"`{word}`" for word in schema["enum"])
        return ", ".join(words)
    kind = schema.get("type")
    if kind == "array":
        most = f", up to {schema['maxItems']:,}" if "maxItems" in schema else ""
        return f"array of {_type(schema['items'])}{most}"
    if kind == "object":
        members = schema.get("properties")
        return f"`{{{', '.join(json.dumps(name) for name in members)}: …}}`" if members else "object of texts"
    if isinstance(kind, list):
        return " or ".join(_type({**schema, "type": each}) for each in kind)
    if kind == "integer":
        return _range(schema.get("minimum"), schema.get("maximum"), schema.get("default"))
    return {"string": "text", "boolean": "`true` or `false`", "null": "`null`", None: "any"}[kind]


def _range(low: int | None, high: int | None, default: int | None) -> str:
    said = f"whole number, {low:,} or more" if low is not None else "whole number"
    if high is not None and high < _MOST:
        said = f"whole number, {low:,} to {high:,}"
    return said if default is None else f"{said}; {default} by default"


# The commands.


def commands() -> str:
    """All commands, by section, as `--help` describes them."""
    return "\n".join(_commands())


def _commands() -> Iterator[str]:
    root = click.Context(cli, info_name="leveret")
    for title, section in cli.sections.items():  # type: ignore[attr-defined]
        yield f"## {title}"
        yield ""
        for name in section:
            command = cli.get_command(root, name)
            assert command is not None
            context = click.Context(command, info_name=name, parent=root)
            yield from _command(command, context)
            if isinstance(command, click.Group):
                for part, each in command.commands.items():
                    yield from _command(each, click.Context(each, info_name=part, parent=context))


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f"### {context.command_path}"
    yield ""
    yield "```text"
    yield f"{context.command_path} {' '.join(command.collect_usage_pieces(context))}"
    yield "```"
    yield ""
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        if paragraph.startswith("\b\n"):
            title, _, lines = paragraph.removeprefix("\b\n").partition("\n")
            yield title
            yield ""
            yield "```bash"
            yield textwrap.dedent(lines)
            yield "```"
        else:
            yield _escaped(paragraph)
        yield ""
    records = [each.get_help_record(context) for each in command.get_params(context)]
    options = ((f"`{each[0]}`", _escaped(each[1])) for each in records if each is not None)
    yield from _table(("Option", "Meaning"), options)


# The settings.


def settings() -> str:
    """All settings, by section, with their defaults and what the comments beside them say."""
    return "\n".join(_settings())


def _settings() -> Iterator[str]:
    sections: dict[str, type[Any]] = {"server": ServerConfig}
    sections.update((name, module.Config) for name, module in available_modules().items())
    for section, config in sections.items():
        rows = list(_fields(section, config))
        if rows:
            yield f"## {section}"
            yield ""
            yield from _table(("Setting", "Default", "Meaning"), rows)


def _fields(section: str, config: type[Any]) -> Iterator[tuple[str, ...]]:
    """A section's own fields, after those of what it is made from."""
    for part in reversed(config.__mro__):
        if dataclasses.is_dataclass(part):
            yield from _own_fields(section, part)


def _own_fields(section: str, config: type[Any]) -> Iterator[tuple[str, ...]]:
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    source = textwrap.dedent(inspect.getsource(config))
    lines = source.splitlines()
    (body,) = ast.parse(source).body
    assert isinstance(body, ast.ClassDef)
    for field in body.body:
        if not isinstance(field, ast.AnnAssign) or field.value is None:
            continue
        assert field.end_lineno is not None
        name = ast.unparse(field.target)
        comment = lines[field.end_lineno - 1].partition("  # ")[2] or _above(lines, field.lineno - 1)
        default = defaults[name]
        unset = default is None or default is dataclasses.MISSING
        # What depends on whose it is: where data are kept.
        here = {"data": '"…/leveret"', "store": '"sqlite:///…/leveret/queue.db"'} if section == "server" else {}
        told = here.get(name) or ("" if unset else json.dumps(getattr(default, "value", default)))
        yield f"`{section}.{name}`", f"`{told}`" if told else "none", _escaped(comment) + _bounds(config, name)


def _above(lines: list[str], number: int) -> str:
    """The comment that ends before a line: where it doesn't fit beside a setting."""
    start = number
    while lines[start - 1].lstrip().startswith("# "):
        start -= 1
    return " ".join(line.strip()[2:] for line in lines[start:number])


def _bounds(config: type[Any], name: str) -> str:
    """The range or the words that a setting takes, where its type says so."""
    hint = inspect.get_annotations(config, eval_str=True)[name]
    for each in getattr(hint, "__metadata__", ()):
        return f" ({each})"
    words = getattr(hint, "__args__", ())
    return f" ({', '.join(words)})" if words and all(isinstance(word, str) for word in words) else ""


# Markdown.


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield _row(head)
    yield _row(("---",) * len(head))
    yield from map(_row, rows)
    yield ""


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _escaped(text: str) -> str:
    return re.sub(r"([<>*_\[\]])", r"\\\1", text)


GENERATED: Final[dict[str, Callable[[], str]]] = {
    "rest v1.0": lambda: rest("v1.0"),
    "rest v1.1": lambda: rest("v1.1"),
    "schemas": schemas,
    "commands": commands,
    "settings": settings,
}
