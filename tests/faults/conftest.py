"""Disks of the tests' own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.loopdevice import LoopDevice, unavailable


@pytest.fixture
def device(tmp_path: Path) -> Iterator[LoopDevice]:
    """64 MB, whose power can be cut off."""
    if reason := unavailable():
        pytest.skip(reason)
    with LoopDevice(tmp_path, 64) as device:
        yield device
