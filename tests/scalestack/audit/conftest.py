"""An audit log of a test, and what it says."""

import json
import threading

import pytest

from scalestack.audit.file import AppendFile
from scalestack.audit.trail import Audit
from scalestack.event.worker import Worker
from support.web import PATIENCE


class Trail:
    """An audit log in a directory, by a clock that stands still."""

    def __init__(self, path):
        self.path = path
        self.now = 1_767_225_600.25  # 2026-01-01
        self.worker = Worker("audit")
        self.file = AppendFile(lambda: path)
        self.audit = self.kept(anyone=False)

    def kept(self, anyone):
        return Audit(self.file, self.worker, anyone, lambda: self.now)

    @property
    def entries(self):
        """All that was written, once all that is to be is."""
        written = threading.Event()
        self.worker.do(written.set)
        assert written.wait(PATIENCE)
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []


@pytest.fixture
def trail(tmp_path):
    trail = Trail(tmp_path / "audit.jsonl")
    yield trail
    trail.worker.join()
    trail.file.close()
