"""Names in the order in which they were entered: found, entered, struck out and read on from any of them in O(1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar


class Entry:
    """What has its name on a roll, and on no other."""

    __slots__ = ("_next", "_previous", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._previous: Entry | None = None
        self._next: Entry | None = None


E = TypeVar("E", bound=Entry)


class Roll(dict[str, E]):
    """Entries by name. Any thread may look one up, by `[name]` or `find`; the rest is for who holds the owner's lock.

    Not by `get`: on free-threaded CPython 3.13 it takes the dictionary's lock, and threads wait for each other.

    A dictionary keeps the order too, but can't be read on from a name in the middle.
    """

    __slots__ = ("_first", "_last")

    def __init__(self) -> None:
        super().__init__()
        self._first: E | None = None
        self._last: E | None = None

    def find(self, name: str) -> E | None:
        """The entry with this name, if there is one."""
        try:
            return self[name]
        except KeyError:
            return None

    def enter(self, entry: E) -> None:
        """Put it at the end."""
        self._link(entry)
        self[entry.name] = entry

    def strike(self, entry: E) -> None:
        del self[entry.name]
        self._unlink(entry)

    def move_to_end(self, entry: E) -> None:
        # It stays in the dictionary all the while, as others look there without the lock.
        self._unlink(entry)
        self._link(entry)

    def _link(self, entry: E) -> None:
        entry._previous = self._last
        entry._next = None
        if self._last is None:
            self._first = entry
        else:
            self._last._next = entry
        self._last = entry

    def _unlink(self, entry: E) -> None:
        previous, following = entry._previous, entry._next
        if previous is None:
            self._first = following  # type: ignore[assignment]  # neighbours are of the same roll
        else:
            previous._next = following
        if following is None:
            self._last = previous  # type: ignore[assignment]
        else:
            following._previous = previous
        entry._previous = entry._next = None

    def after(self, marker: str | None) -> Iterator[E]:
        """The entries after that name, in order; from the beginning where it is None or not there."""
        start = None if marker is None else self.find(marker)
        entry = self._first if start is None else start._next
        while entry is not None:
            following = entry._next  # first, so that the reader may strike out what it was given
            yield entry  # type: ignore[misc]
            entry = following
