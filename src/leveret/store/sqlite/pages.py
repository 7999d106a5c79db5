"""A database file of SQLite, read page by page without SQLite, however damaged it is. Knows no table, and never writes.

The format is that of https://www.sqlite.org/fileformat2.html. Nothing in a file is believed before it was compared with
how much of it there is, so that none can make a reader loop, or take more memory than its largest value takes room.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from leveret.store.sqlite.wal import SIZES, Log, read, word

INTERIOR: Final = 5  # the first byte of a page of a table whose rows are in pages below
LEAF: Final = 13  # of one that has rows itself

FREE: Final = 2  # kinds of pages in a pointer map, which has others for those of trees
OVERFLOW: Final = (3, 4)
_MAGIC: Final = b"SQLite format 3\0"
_FRACTIONS: Final = bytes((64, 32, 32))
_LOCKED: Final = 1 << 30  # the page with this byte is used by nobody, not for a map either
_SAMPLE: Final = 64  # pages that are looked at to see how large pages are
_COLUMNS: Final = 16  # no table of ours has more
_AGAIN: Final = 16  # times that all pages may be read as overflow; a file that needs more was made to keep us busy
_LAST: Final = (1 << 32) - 2  # the number of a page
_SLACK: Final = 1 << 16  # pages that may be neither in the file nor in the log, being free

_TYPES: Final = tuple(zip("NIIIIIIRII", (0, 1, 2, 3, 4, 6, 8, 8, 0, 0), strict=True))  # kind and size, by serial type


class Damaged(Exception):
    """Bytes as SQLite would not have written them."""


class Cell(NamedTuple):
    """A row of a table, as it is in a leaf. What its columns are is left out where that is damaged."""

    rowid: int
    size: int  # of its record
    local: bytes  # as much of the record as is in the leaf
    overflow: int  # the page in which it goes on
    kinds: str  # of values: N is NULL, I an integer, R a float, T a text, B a blob
    types: tuple[int, ...]  # the serial types
    at: int  # where the values begin


def varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at a position, and the position after it."""
    value = 0
    try:
        for here in range(at, at + 8):
            byte = data[here]
            value = value << 7 | byte & 0x7F
            if byte < 0x80:
                return value, here + 1
        value = value << 8 | data[at + 8]
    except IndexError:
        raise Damaged from None
    return value - (1 << 64) if value >> 63 else value, at + 9


def _type(code: int) -> tuple[str, int]:
    if code >= 12:
        return "BT"[code & 1], (code - 12) >> 1
    if not 0 <= code < len(_TYPES):
        raise Damaged
    return _TYPES[code]


@lru_cache(maxsize=1024)
def _columns(header: bytes, at: int) -> tuple[str, tuple[int, ...], int]:
    """Kinds, serial types, and how many bytes the values take, out of the header of a record."""
    kinds, types, whole = "", [], 0
    while at < len(header):
        code, at = varint(header, at)
        kind, size = _type(code)
        kinds += kind
        types.append(code)
        whole += size
        if len(types) > _COLUMNS:
            raise Damaged
    return kinds, tuple(types), whole


def _cell(rowid: int, size: int, local: bytes, overflow: int) -> Cell:
    try:
        header, at = varint(local, 0)
        if 0 < header <= len(local):
            kinds, types, whole = _columns(local[: min(header, 9 * _COLUMNS)], at)
            if header + whole == size:
                return Cell(rowid, size, local, overflow, kinds, types, header)
    except Damaged:
        pass
    return Cell(rowid, size, local, overflow, "", (), 0)


def values(record: bytes, cell: Cell, count: int = _COLUMNS) -> list[Any]:
    """The values of a row, or the first of them, out of its record, or the beginning of it."""
    found: list[Any] = []
    at = cell.at
    for code in cell.types[:count]:
        kind, size = _type(code)
        part = record[at : at + size]
        at += size
        if len(part) < size:
            raise Damaged
        if kind == "I":
            found.append(int.from_bytes(part, "big", signed=True) if code < 8 else code - 8)
        elif kind == "R":
            found += struct.unpack(">d", part)
        elif kind == "T":
            try:
                found.append(part.decode())
            except UnicodeDecodeError:
                raise Damaged from None
        else:
            found.append(part if kind == "B" else None)
    return found


def leaf(page: bytes, start: int, usable: int) -> tuple[list[Cell], bool]:
    """The rows in a leaf that begins at `start`, and whether it is sound: all in it is as SQLite leaves it."""
    pointers, room, sound = _content(page, start, 8, usable)
    most = usable - 35
    least = (usable - 12) * 32 // 255 - 23
    cells: list[Cell] = []
    for at in pointers:
        try:
            size, here = varint(page, at)
            rowid, here = varint(page, here)
        except Damaged:
            sound = False
            continue
        local = size if size <= most else least + (size - least) % (usable - 4)
        end = here + (local if local <= most else least)
        after = end if size <= most else end + 4
        room -= max(after - at, 4)
        if size < 0 or after > usable or room < -usable:  # or cells that overlap might be as many as one likes
            sound = False
            continue
        sound = sound and not (cells and rowid <= cells[-1].rowid)
        cells.append(_cell(rowid, size, page[here:end], 0 if size <= most else word(page, end)))
    return cells, sound and not room


def interior(page: bytes, start: int, usable: int) -> tuple[list[int], bool]:
    """The pages below an interior page of a table, in order, and whether it is sound."""
    pointers, room, sound = _content(page, start, 12, usable)
    below: list[int] = []
    for at in pointers:
        try:
            _, end = varint(page, at + 4)
        except Damaged:
            sound = False
            continue
        below.append(word(page, at))
        room -= end - at
    below.append(word(page, start + 8))
    return below, sound and not room


def _content(page: bytes, start: int, header: int, usable: int) -> tuple[Sequence[int], int, bool]:
    """Where the cells of a page begin, how many bytes they should take together, and whether all that may be."""
    free, count, content = struct.unpack_from(">HHH", page, start + 1)
    content = content or 65536
    first = start + header
    possible = min(count, (usable - first) // 2)
    pointers = [at for at in struct.unpack_from(f">{possible}H", page, first) if first <= at <= usable - 4]
    room = usable - content - page[start + 7]
    here = content
    while here <= free <= usable - 4:  # free blocks come one after the other
        here = free
        free, size = struct.unpack_from(">HH", page, here)
        here += max(size, 4)
        room -= size
    return pointers, room, not free and len(pointers) == count and first + 2 * count <= content <= usable


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself."""

    page_size: int
    reserved: int  # bytes at the end of each page
    count: int  # pages; 0 where that is not known
    trunk: int  # the first page of the list of free ones; 0 where there is none
    mapped: bool  # there are pointer maps


def read_header(data: bytes) -> Header | None:
    """The header of a file; None where it doesn't begin as one of SQLite's."""
    if len(data) < 100 or data[:16] != _MAGIC or data[21:24] != _FRACTIONS:
        return None
    size = int.from_bytes(data[16:18], "big")
    size = 65536 if size == 1 else size
    if size not in SIZES or size - data[20] < 480:
        return None
    count = word(data, 28) if word(data, 24) == word(data, 92) else 0
    return Header(size, data[20], count, word(data, 32), word(data, 52) > 0)


class Pages:
    """The pages of a database file and its log, as they were last committed. They are numbered from 1."""

    def __init__(self, path: Path) -> None:
        """`OSError` where there is no such file, or it may not be read."""
        self._log_file: int | None = None
        self._frames: dict[int, int] = {}
        self.log_cut = False  # its end is not there, or something in it is damaged
        self.log_outlived = False  # what is damaged is in its midst
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._measure(self._open_log(path.with_name(path.name + "-wal")))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        for file in (self._file, self._log_file):
            if file is not None:
                os.close(file)

    def _open_log(self, path: Path) -> Log | None:
        try:
            self._log_file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        log = Log(self._log_file)
        self.log_cut, self.log_outlived = log.cut, log.outlived
        if log.cut and log.is_in(self._file):
            self.log_cut = self.log_outlived = False
        elif log.outlived:
            # Pages of different times: what each message was written as, its checksum tells.
            log.count = log.later_count or log.count
            self._frames = {page: at for page, at in (log.frames | log.later).items() if page <= log.count}
        else:
            self._frames = log.frames
        return log

    def _measure(self, log: Log | None) -> None:
        """Find out how large pages are, and how many there are. The header may be wrong, a log that is right is not."""
        size = os.fstat(self._file).st_size
        self._size = logged = log.page_size if log else 0
        self.last = _LAST  # page that may be there
        header = read_header(self.page(1) if 1 in self._frames else read(self._file, 100, 0))
        sizes = [logged] if logged else [header.page_size if header else SIZES[0], *SIZES]
        shapes = [(each, reserved) for each in sizes for reserved in ((header.reserved, 0) if header else (0,))]
        self._size, reserved = next((shape for shape in shapes if self._fits(*shape, size)), shapes[0])
        self.usable = self._size - reserved
        there = -(-size // self._size)
        self.last = min(max(there, max(self._frames, default=0)), there + len(self._frames) + _SLACK)
        count = log.count if log and self._frames else header.count if header else 0
        self.count = min(count or self.last, self.last)
        self._trunk = header.trunk if header else 0
        self._map = (0, b"")
        second = self.page(2)
        self._mapped = bool(header and header.mapped) or (bool(second) and max(second[: self.usable - 4 : 5]) <= 5)
        self._patience = _AGAIN * (self.last + _SAMPLE)

    def _fits(self, page_size: int, reserved: int, size: int) -> bool:
        """Whether pages are so large: then there is a sound leaf among some of them."""
        self._size = page_size
        last = max(-(-size // page_size), max(self._frames, default=0))
        for number in {*range(1, min(last, _SAMPLE) + 1), *range(1, last + 1, last // _SAMPLE + 1)}:
            page = self.page(number)
            start = 100 if number == 1 else 0
            if page and page[start] == LEAF and leaf(page, start, page_size - reserved)[1]:
                return True
        return False

    def page(self, number: int) -> bytes:
        """A page; nothing where there is none, or the disk fails. Zeros are for what is missing at its end."""
        if not 0 < number <= self.last:
            return b""
        if number in self._frames and self._log_file is not None:
            page = read(self._log_file, self._size, self._frames[number])
        else:
            page = read(self._file, self._size, (number - 1) * self._size)
        return page and page.ljust(self._size, b"\0")

    def record(self, cell: Cell) -> tuple[bytes, Sequence[int]]:
        """The whole record of a row, and the pages in which it goes on."""
        left = cell.size - len(cell.local)
        room = self.usable - 4
        if left > self.last * room:
            raise Damaged
        parts = [cell.local]
        chain: dict[int, None] = {}
        number = cell.overflow
        while left > 0:
            self._patience -= 1
            page = self.page(number) if number not in chain and self._patience > 0 else b""
            if not page:
                raise Damaged
            chain[number] = None
            parts.append(page[4 : 4 + min(left, room)])
            left -= room
            number = word(page, 0)
        return b"".join(parts), tuple(chain)

    def free(self) -> bytearray:
        """For each page, whether it is on the list of free ones."""
        free = bytearray(self.last + 1)
        number = self._trunk
        while (page := self.page(number)) and not free[number]:
            free[number] = 1
            number, count = struct.unpack_from(">II", page)
            for each in struct.unpack_from(f">{min(count, self.usable // 4 - 2)}I", page, 8):
                if each <= self.last:
                    free[each] = 1
        return free

    def kind(self, number: int) -> int:
        """What is in a page, by the pointer map; 0 where that isn't known."""
        of = number - (number - 2) % (self.usable // 5 + 1)  # the page of the map that speaks of it
        of += of == _LOCKED // self._size + 1
        if not self._mapped or not 1 < of < number:
            return 0
        if self._map[0] != of:
            self._map = (of, self.page(of))
        kind = self._map[1][5 * (number - of - 1) :][:1]
        return kind[0] if kind and kind[0] <= 5 else 0
