"""The process that fuzzes: libFuzzer calls a target with bytes, and sees which branches of the program they reach.

`python tests/fuzz/engine.py TARGET ...libFuzzer's own arguments`; `python tests/fuzz` starts it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import atheris

sys.path[0] = str(Path(__file__).parents[1])

with atheris.instrument_imports(include=["scalestack", "leveret"]):
    from fuzz.targets import TARGETS

if __name__ == "__main__":
    check = TARGETS[sys.argv.pop(1)].check
    sys.argv[0] = os.environ.get("LEVERET_FUZZ_AGAIN", sys.argv[0])  # by which libFuzzer starts itself, to merge
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
