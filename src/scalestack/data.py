"""The directory in which a server keeps what outlives it. Knows nothing of what that is."""

from __future__ import annotations

from pathlib import Path


class DataDirectory:
    """A directory of the server's own, made when something is to be kept in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def file(self, name: str) -> Path:
        """The path of a file in it, which may not be there; the directory is, for its owner alone. `OSError`."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self.path / name
