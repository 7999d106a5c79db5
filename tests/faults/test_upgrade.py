"""kill -9 in the midst of an upgrade, before any of its writes: started again, it goes on, and all is there."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from leveret.store.sqlite import schema
from support import figures
from support.disk import open_at
from support.older import NOW, assert_whole, unpack

KILLS = int(os.environ.get("LEVERET_UPGRADE_KILLS", "10"))
CALLS = ("pwrite64", "fdatasync", "fsync", "ftruncate", "unlink")

PROGRAM = """
import sys
from pathlib import Path
from leveret.store.sqlite.file import DatabaseFile
from leveret.store.sqlite.files import open_together
(connection,) = open_together([DatabaseFile(Path(sys.argv[1]), "full", 0)])
connection.close()
"""


def under_strace(path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [
        "strace",
        "-f",
        "-qq",
        "-e",
        f"trace={','.join(CALLS)}",
        *options,
        sys.executable,
        "-c",
        PROGRAM,
        str(path),
    ]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def can_trace() -> bool:
    if shutil.which("strace") is None:
        return False
    return (
        subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], capture_output=True, check=False).returncode == 0
    )


def spread(points: Sequence[tuple[str, int]], most: int) -> Sequence[tuple[str, int]]:
    """Up to `most` of them, the first and the last among them."""
    if len(points) <= most:
        return points
    return [points[round(number * (len(points) - 1) / (most - 1))] for number in range(most)]


@pytest.mark.skipif(not can_trace(), reason="strace is not installed, or may not trace here")
@pytest.mark.alone
@pytest.mark.timeout(120 + 4 * KILLS)
def test_an_upgrade_that_is_killed_goes_on(tmp_path: Path) -> None:
    kills = places = 0
    cases = [(version, name) for version in range(1, schema.VERSION) for name in ("closed", "killed")]
    for version, name in cases:
        folder = tmp_path / f"{version}-{name}"
        folder.mkdir()
        traced = under_strace(unpack(version, name, folder))
        assert traced.returncode == 0, traced.stderr
        calls = Counter(found[1] for found in re.finditer(r"^(\w+)\(", traced.stderr, re.MULTILINE))
        points = [(call, number) for call in CALLS for number in range(1, calls[call] + 1)]
        assert len(points) > 10
        places += len(points)
        for call, number in spread(points, KILLS):
            shutil.rmtree(folder)
            folder.mkdir()
            path = unpack(version, name, folder)
            done = under_strace(path, "-e", f"inject={call}:signal=SIGKILL:when={number}")
            assert done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL), done.stderr
            kills += 1
            store = open_at(path, NOW)
            assert_whole(store, version)
            store.close()
    figures.show(
        "upgrade", f"{kills:,} upgrades killed, in {places:,} places where they write, sync or cut: all whole after it"
    )
