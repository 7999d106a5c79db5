"""Who may know whom, read off the imports."""

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).parent.parent / "src"
IO = {
    "asyncio",
    "http.client",
    "io",
    "os",
    "select",
    "selectors",
    "socket",
    "sqlite3",
    "ssl",
    "subprocess",
    "time",
    "uvloop",
}


# What puts parts together, and so may name a concrete store.
COMPOSITION = {"leveret.modules", "leveret.server", "leveret.client.connect", "leveret.cli.salvage"}


def modules():
    return sorted(SRC.rglob("*.py"))


def imported_by(path):
    """The full names of all modules that a file imports, wherever in it that stands."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def name_of(path):
    parts = path.relative_to(SRC).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


IMPORTS = {name_of(path): imported_by(path) for path in modules()}


def own(name, prefix):
    return name == prefix or name.startswith(prefix + ".")


def importers_of(name):
    return {module for module, names in IMPORTS.items() if any(own(found, name) for found in names)}


def test_the_framework_knows_nothing_of_queues():
    assert {module for module in importers_of("leveret") if own(module, "scalestack")} == set()


def test_the_examples_do_without_the_queue_service():
    for path in (SRC.parent / "examples" / "scalestack").glob("*.py"):
        assert not any(own(name, "leveret") for name in imported_by(path)), path


@pytest.mark.parametrize("module", ["leveret.model", "scalestack.http.parser", "leveret.frontend.parameters"])
def test_what_only_computes_does_no_io(module):
    assert IMPORTS[module] & IO == set()


@pytest.mark.parametrize("module", [name for name in IMPORTS if own(name, "leveret.store")] + ["leveret.waiters"])
def test_stores_and_waiters_read_no_clock(module):
    assert not {"time", "datetime"} & IMPORTS[module]


def test_only_what_puts_the_server_together_names_a_concrete_store():
    concrete = [
        name for name in IMPORTS if own(name, "leveret.store") and name not in {"leveret.store", "leveret.store.base"}
    ]
    for module in concrete:
        users = {user for user in importers_of(module) if not own(user, "leveret.store")}
        assert users <= COMPOSITION, module


def test_stores_know_no_protocol_and_no_service():
    for module, names in IMPORTS.items():
        if own(module, "leveret.store"):
            known = {name for name in names if own(name, "leveret") or own(name, "scalestack")}
            allowed = (
                "leveret.model",
                "leveret.store",
                "scalestack.event",
                "scalestack.log",
                "scalestack.metrics.tally",
            )
            assert all(any(own(name, prefix) for prefix in allowed) for name in known), (module, known)


def test_the_service_and_the_waiters_know_no_protocol():
    for module in ("leveret.service", "leveret.waiters"):
        assert not any(own(name, "scalestack.http") or own(name, "leveret.frontend") for name in IMPORTS[module])


def test_every_file_opens_with_what_it_is():
    for path in modules():
        assert ast.get_docstring(ast.parse(path.read_text())), f"{path} has no docstring"
