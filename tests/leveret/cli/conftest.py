"""A server, an account for each test, and a way to run commands in this process."""

from __future__ import annotations

import io
import json
import os
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from leveret import connect
from leveret.cli import main
from leveret.client import Client, Queue
from support.process import leveret


@dataclass
class Said:
    """What came of a command."""

    code: int
    raw: bytes  # standard output
    err: str

    @property
    def out(self) -> str:
        return self.raw.decode()

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def json(self) -> list[Any]:
        return [json.loads(line) for line in self.lines]

    @property
    def rows(self) -> list[list[str]]:
        """Of a table, without its head."""
        return [line.split() for line in self.lines[1:]]


Run = Callable[..., Said]


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """None of what the user has set reaches a test; answers where client.toml is looked for."""
    for name in os.environ:
        if name.startswith("LEVERET_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "leveret"


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    """A server for all tests of the command line."""
    with leveret("--store", "memory://") as server:
        yield f"http://127.0.0.1:{server.port}"


@pytest.fixture
def account(url: str, environment: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An account of the test's own, which is the one that commands take."""
    name = uuid.uuid4().hex
    monkeypatch.setenv("LEVERET_SERVER", url)
    monkeypatch.setenv("LEVERET_ACCOUNT", name)
    return name


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with connect(url) as client:
        yield client


@pytest.fixture
def jobs(client: Client, account: str) -> Queue:
    """The queue `jobs` of the test's account."""
    return client.queue(account, "jobs")


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def run(capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in this process, with what is piped into it, or typed at a terminal."""

    def run(*arguments: object, stdin: bytes = b"", terminal: bool = False) -> Said:
        kind = Terminal if terminal else io.TextIOWrapper
        with kind(io.BytesIO(stdin)) as stream:
            monkeypatch.setattr(sys, "stdin", stream)
            with pytest.raises(SystemExit) as ended:
                main([str(argument) for argument in arguments])
        raw, err = capsysbinary.readouterr()
        return Said(int(ended.value.code or 0), raw, err.decode())

    return run
