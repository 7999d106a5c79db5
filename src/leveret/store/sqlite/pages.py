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

INTERIOR: Final = 5  # the first byte of a page of a table whose rows are in pages below
LEAF: Final = 13  # of one that has rows itself

FREE: Final = 2  # kinds of pages in a pointer map, which has others for those of trees
OVERFLOW: Final = (3, 4)
_MAGIC: Final = b"SQLite format 3\0"
_FRACTIONS: Final = bytes((64, 32, 32))
_SIZES: Final = (4096, 512, 1024, 2048, 8192, 16384, 32768, 65536)  # of pages; the usual one first
_LOCKED: Final = 1 << 30  # the page with this byte is used by nobody, not for a map either
_LOG_ORDERS: Final = {0x377F0682: "<", 0x377F0683: ">"}  # of the bytes in a word, for checksums; by how a log begins
_LOG_VERSION: Final = 3_007_000
_LOG_HEADER: Final = 32
_FRAME_HEADER: Final = 24
_MASK: Final = 0xFFFFFFFF
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
        cells.append(_cell(rowid, size, page[here:end], 0 if size <= most else _word(page, end)))
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
        below.append(_word(page, at))
        room -= end - at
    below.append(_word(page, start + 8))
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


def _word(page: bytes, at: int) -> int:
    return int.from_bytes(page[at : at + 4], "big")


class Log:
    """What counts of a write-ahead log: its frames up to the last commit that is there with all before it."""

    def __init__(self, file: int) -> None:
        header = _read(file, _LOG_HEADER, 0)
        magic, version, size, _, _, _, *sums = struct.unpack(">8I", header.ljust(_LOG_HEADER, b"\0"))
        order = _LOG_ORDERS.get(magic, "")
        right = order and version == _LOG_VERSION and size in _SIZES and _checksum(header[:24], order, 0, 0) == sums
        self.page_size = size if right else 0  # 0 where nothing counts
        self.count = 0  # pages of the database, after that commit
        self.frames: dict[int, int] = {}  # by page: where in the log its content is
        self.behind: dict[int, int] = {}  # the same, of frames of this log that don't count
        self.broken = (0, 0)  # the page of the first of those, and where it begins
        self.cut = not right and bool(header.strip(b"\0"))  # there are such, or there was a log
        if right:
            end = self._follow(file, header[16:24], order, sums)
            self._look_behind(file, header[16:24], end)

    def _follow(self, file: int, salts: bytes, order: str, sums: list[int]) -> int:
        """Go on as long as frames are right; answers where they end."""
        at = _LOG_HEADER
        size = _FRAME_HEADER + self.page_size
        pending: dict[int, int] = {}
        while len(frame := _read(file, size, at)) == size and frame[8:16] == salts:
            number, count, _, _, *said = struct.unpack_from(">6I", frame)
            sums = _checksum(frame[_FRAME_HEADER:], order, *_checksum(frame[:8], order, *sums))
            if not number or said != sums:
                break
            pending[number] = at + _FRAME_HEADER
            if count:
                self.frames |= pending
                pending.clear()
                self.count = count
            at += size
        return at

    def _look_behind(self, file: int, salts: bytes, end: int) -> None:
        """Find the frames after the end that are of this log, and so are damaged: former logs had other salts."""
        for at in range(end, os.fstat(file).st_size - 16, _FRAME_HEADER + self.page_size):
            header = _read(file, _FRAME_HEADER, at)
            if at == end:
                self.broken = (_word(header, 0), at + _FRAME_HEADER)
            if header[8:16] == salts:
                self.cut = True
                self.behind[_word(header, 0)] = at + _FRAME_HEADER


def _checksum(data: bytes, order: str, one: int, two: int) -> list[int]:
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for first, second in zip(words[::2], words[1::2], strict=True):
        one = (one + first + two) & _MASK
        two = (two + second + one) & _MASK
    return [one, two]


def _read(file: int, size: int, at: int) -> bytes:
    """What can be read there; nothing where the disk fails."""
    try:
        return os.pread(file, size, at)
    except OSError:
        return b""


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
    if size not in _SIZES or size - data[20] < 480:
        return None
    count = _word(data, 28) if _word(data, 24) == _word(data, 92) else 0
    return Header(size, data[20], count, _word(data, 32), _word(data, 52) > 0)


class Pages:
    """The pages of a database file and its log, as they were last committed. They are numbered from 1."""

    def __init__(self, path: Path) -> None:
        """`OSError` where there is no such file, or it may not be read."""
        self._log_file: int | None = None
        self._frames: dict[int, int] = {}
        self.log_cut = False
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
        # A log stays after all of it was moved into the file, until something is written. Where it lost its tail then,
        # what is left of it would put old pages in the place of newer ones.
        if not log.cut or not self._is_moved(log, self._log_file):
            self._frames = log.frames
            self.log_cut = log.cut
        return log

    def _is_moved(self, log: Log, file: int) -> bool:
        size, (page, end) = log.page_size, log.broken
        newest = (log.frames | log.behind).items()  # but for the one that is broken
        frames = [(number, at) for number, at in newest if at != end and (number != page or at > end)]
        same = (_read(file, size, at) == _read(self._file, size, max(0, number - 1) * size) for number, at in frames)
        return bool(frames) and all(same)

    def _measure(self, log: Log | None) -> None:
        """Find out how large pages are, and how many there are. The header may be wrong, a log that is right is not."""
        size = os.fstat(self._file).st_size
        self._size = logged = log.page_size if log else 0
        self.last = _LAST  # page that may be there
        header = read_header(self.page(1) if 1 in self._frames else _read(self._file, 100, 0))
        sizes = [logged] if logged else [header.page_size if header else _SIZES[0], *_SIZES]
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
            page = _read(self._log_file, self._size, self._frames[number])
        else:
            page = _read(self._file, self._size, (number - 1) * self._size)
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
            number = _word(page, 0)
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
