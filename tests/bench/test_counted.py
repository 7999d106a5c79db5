"""What is counted runs to its end, with each part in two sizes."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_each_part_is_there_in_two_sizes(tmp_path):
    command = [sys.executable, "-m", "bench.counted", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=True)
    names = [name.rpartition("/") for name in json.loads(done.stdout) if name]
    sizes = [(name, int(size)) for name, _, size in names]
    assert len(sizes) == 12
    assert all(
        less[0] == more[0] and 2 * less[1] == more[1] for less, more in zip(sizes[::2], sizes[1::2], strict=True)
    )
