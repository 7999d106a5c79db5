"""What a trial has shown, in a sentence with its figures; where `make soak` asks for them, they go to a file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

FILE: Final = "LEVERET_FIGURES"  # the variable that names the file, which gets a line of JSON for each


def show(trial: str, figures: str) -> None:
    """Say what came out. `trial` is the name of a trial of `make soak`, and `figures` has what was counted."""
    print(f"{trial}: {figures}")
    path = os.environ.get(FILE)
    if path:
        with Path(path).open("a") as file:
            file.write(json.dumps({"trial": trial, "figures": figures}) + "\n")
