"""What `leveret serve` imports, in a process of its own: what is not needed to serve would make it start later."""

import subprocess
import sys

import pytest

from support.web import PATIENCE

PROGRAM = """
import sys
import leveret.cli.serve
from leveret.cli.options import make_server

store, data, *settings = sys.argv[1:]
server = make_server(None, None, "0", store, data, None, False, settings)
server.start()
print(*sys.modules)
server.stop()
"""

# Other commands, other ways to configure it, and what only a scrape, a client or a terminal needs.
NEVER = (
    "attr",
    "cattrs",
    "cryptography",
    "http.client",
    "http.server",
    "httpx",
    "jwt",
    "leveret.client",
    "leveret.tracing.spans",
    "opentelemetry",
    "prometheus_client",
    "pygments",
    "rich",
    "scalestack.auth.jwt.authenticator",
    "scalestack.auth.keys.keyring",
    "scalestack.limits.limiter",
    "scalestack.metrics.exposition",
    "structlog",
)


def loaded(*arguments):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    return set(done.stdout.split())


@pytest.fixture(scope="module")
def with_memory(tmp_path_factory):
    return loaded("memory://", tmp_path_factory.mktemp("memory"))


@pytest.fixture(scope="module")
def with_sqlite(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sqlite")
    return loaded(f"sqlite:///{folder}/queue.db", folder)


@pytest.mark.parametrize("name", NEVER)
def test_what_is_not_needed_to_serve_is_not_imported(name, with_memory, with_sqlite):
    assert name not in with_memory | with_sqlite


@pytest.mark.parametrize("name", ["sqlite3", "leveret.store.sqlite"])
def test_with_messages_in_memory_sqlite_is_not_imported(name, with_memory):
    assert name not in with_memory


def test_with_sqlite_the_store_in_memory_is_not_imported(with_sqlite):
    assert "leveret.store.memory" not in with_sqlite


def test_what_the_settings_ask_for_is_imported(tmp_path):
    assert "scalestack.limits.limiter" in loaded("memory://", tmp_path, "limits.requests=10")
