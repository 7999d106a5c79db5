"""The fixtures that programs which use Leveret get for their tests, in a pytest of its own."""

import os
import subprocess
import sys

import pytest

from support.web import PATIENCE

TESTS = """
import pytest

seen = []

@pytest.mark.parametrize("_", range(2))
def test_queue(leveret_queue, leveret_server, _):
    assert list(leveret_queue.messages()) == []
    leveret_queue.put("x")
    seen.append((leveret_server.url, leveret_queue.account))

def test_one_server_and_an_account_for_each():
    (first, mine), (second, other) = seen
    assert first == second
    assert first.startswith("http://127.0.0.1:")
    assert mine != other

def test_logs_are_caught(leveret_queue, caplog):
    import logging
    logging.getLogger("x").warning("seen")
    assert caplog.messages == ["seen"]
"""


@pytest.fixture
def run(tmp_path):
    def run(tests, *options, **environ):
        (tmp_path / "test_it.py").write_text(tests)
        command = [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "leveret.pytest_plugin", *options]
        # By its name, whether or not this installation has its entry point already.
        environ = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **environ}
        return subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=3 * PATIENCE, env=environ, check=False
        )

    return run


def test_there_is_a_server_for_all_tests_and_an_empty_queue_for_each(run):
    done = run(TESTS)
    assert (done.returncode, done.stderr) == (0, "")
    assert "4 passed" in done.stdout


def test_the_fixtures_are_listed_with_what_they_are(run):
    said = run("", "--fixtures").stdout
    assert "leveret_server [session scope]" in said
    assert "An empty queue of `leveret_server`" in said


def test_nothing_is_loaded_before_a_test_asks_for_it(run):
    done = run(
        "import sys\ndef test_it(): assert {n for n in sys.modules if n[:7] in ('leveret', 'httpx', 'scalest')}"
        " == {'leveret', 'leveret.pytest_plugin'}"
    )
    assert done.returncode == 0, done.stdout


def test_a_server_that_does_not_start_says_why(run):
    done = run("def test_it(leveret_server): pass", LEVERET_HTTP__PORTT="1")
    assert done.returncode == 1
    assert "leveret serve did not start" in done.stdout
    assert "portt" in done.stdout
