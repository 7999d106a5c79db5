"""The write-ahead log of a database, read without SQLite: what counts of it, and what damage keeps from counting.

The format is that of https://www.sqlite.org/fileformat2.html#walformat. SQLite takes a log up to the first frame that
is not right, and forgets what comes behind, without a word: that is what a write leaves that was torn. But who syncs
each commit begins no other before it is on the disk. So where a frame is right that was written after the transaction
of the broken one was at its end, nothing was torn: what is broken was damaged, and acknowledged.
"""

from __future__ import annotations

import os
import struct
from itertools import product
from typing import Final

SIZES: Final = (4096, 512, 1024, 2048, 8192, 16384, 32768, 65536)  # of pages; the usual one first

_ORDERS: Final = {0x377F0682: "<", 0x377F0683: ">"}  # of the bytes in a word, for checksums; by how a log begins
_VERSION: Final = 3_007_000
_HEADER: Final = 32
_FRAME_HEADER: Final = 24
_MASK: Final = 0xFFFFFFFF
_NO_COUNT: Final = bytes(4)
_ROUNDS: Final = 1 << 24  # logs that were written into one file, one after the other


class Log:
    """What counts of a write-ahead log: its frames up to the last commit that is there with all before it."""

    def __init__(self, file: int) -> None:
        header = read(file, _HEADER, 0)
        magic, version, size, _, _, _, *sums = struct.unpack(">8I", header.ljust(_HEADER, b"\0"))
        order = _ORDERS.get(magic, "")
        right = order and version == _VERSION and size in SIZES and _checksum(header[:24], order, 0, 0) == sums
        self._file = file
        self._order = order
        self._salts = header[16:24]
        self.page_size = size if right else 0  # 0 where nothing counts
        self.count = 0  # pages of the database, after that commit
        self.end = 0  # bytes of it that count, up to the end of that commit
        self.frames: dict[int, int] = {}  # by page: where in the log its content is
        self.behind: dict[int, int] = {}  # the same, of frames of this log that don't count
        self.later: dict[int, int] = {}  # of these, those up to the last commit behind what is broken
        self.later_count = 0  # pages of the database, after that one
        self.broken = (0, 0)  # the page of the first of those, and where it begins
        self.unfinished: dict[int, int] = {}  # the same, of frames that are right, and whose commit is not there
        # There are such that don't count, or there was a log.
        self.cut = not right and (bool(header.strip(b"\0")) or os.fstat(file).st_size > _HEADER)
        self.outlived = False  # what is broken had been committed: something was written after it
        if right:
            end = self._follow(_HEADER, sums)
            self._look_behind(end, sums)
        elif self.cut:
            self._do_without_header(sums)

    def _follow(self, at: int, sums: list[int]) -> int:
        """Go on as long as frames are right; answers where they end, and leaves in `sums` what they end with."""
        size = _FRAME_HEADER + self.page_size
        pending: dict[int, int] = {}
        while len(frame := read(self._file, size, at)) == size and frame[8:16] == self._salts:
            number, count, _, _, *said = struct.unpack_from(">6I", frame)
            if not number or said != self._sums_of(frame, sums):
                break
            sums[:] = said
            pending[number] = at + _FRAME_HEADER
            if count:
                self.frames |= pending
                pending.clear()
                self.count = count
                self.end = at + size
            at += size
        self.unfinished = pending
        return at

    def _look_behind(self, end: int, sums: list[int]) -> None:
        """Find the frames after the end that are of this log, and so are damaged or torn: former logs had other salts.

        What such a frame says of itself is held to what the one before it said: that one may be broken.
        """
        size = _FRAME_HEADER + self.page_size
        ended = False  # the transaction of the first that is broken
        starts: list[list[int]] = []  # what a checksum may go on from
        pending: dict[int, int] = {}
        for at in range(end, os.fstat(self._file).st_size - 16, size):
            frame = read(self._file, size, at)
            number = word(frame, 0)
            if at == end:
                self.broken = (number, at + _FRAME_HEADER)
            if not self._is_ours(frame):
                starts = []
                if at == end and not self._is_former(frame):
                    self.cut = True
                    self.broken = (0, at + _FRAME_HEADER)
                continue
            self.cut = True
            self.behind[number] = pending[number] = at + _FRAME_HEADER
            whole = len(frame) == size
            right = False
            if whole and frame[8:16] == self._salts:
                said = list(struct.unpack_from(">2I", frame, 16))
                if right := any(said == self._sums_of(frame, start) for start in starts):
                    self.outlived = self.outlived or ended
            # Damaged may be the frame, or only what it says of itself.
            starts = [list(struct.unpack_from(">2I", frame, 16))] if whole else []
            if at == end and whole:
                starts.append(self._sums_of(frame, sums))
            if frame[4:8] != _NO_COUNT:
                ended = True
                self.later |= pending
                if right or not self.later_count:
                    self.later_count = word(frame, 4)
                pending.clear()

    def _is_ours(self, frame: bytes) -> bool:
        """Whether it is of this log: of two salts, one may be damaged."""
        return frame[8:12] == self._salts[:4] or frame[12:16] == self._salts[4:]

    def _is_former(self, frame: bytes) -> bool:
        """Whether it may be of a log that was in the same file before: the first salt goes up by one each time."""
        return (word(self._salts, 0) - word(frame, 8)) & _MASK < _ROUNDS

    def _do_without_header(self, sums: list[int]) -> None:
        """Where the header is damaged nothing counts for SQLite. What it said is found out from the frames."""
        for size, order in product(SIZES, "<>"):
            step = _FRAME_HEADER + size
            first, second = read(self._file, step, _HEADER), read(self._file, step, _HEADER + step)
            said = [word(first, 16), word(first, 20)]
            for frame, at, start in ((first, _HEADER, sums), (second, _HEADER + step, said)):
                self.page_size, self._order, self._salts = size, order, frame[8:16]
                if len(frame) == step and [word(frame, 16), word(frame, 20)] == self._sums_of(frame, start):
                    self._look_behind(self._follow(at, start), start)
                    # It was synced before the first frame was written, and so is not torn.
                    self.outlived = bool(self.frames)
                    if self.outlived and frame is second:  # what it follows on may be right: nothing tells
                        self.frames.setdefault(word(first, 0), _HEADER + _FRAME_HEADER)
                    self.later = self.frames | self.later
                    self.later_count = self.later_count or self.count
                    self.behind = self.frames | self.behind
                    self.frames = {}
                    self.end = 0
                    return
        self.page_size = 0

    def _sums_of(self, frame: bytes, start: list[int]) -> list[int]:
        return _checksum(frame[_FRAME_HEADER:], self._order, *_checksum(frame[:8], self._order, *start))

    def is_in(self, database: int) -> bool:
        """Whether all of it that can be read is what stands in the file: then it was moved there, and stayed."""
        # A log stays after all of it was moved into the file, until something is written. Where it lost its tail then,
        # what is left of it would put old pages in the place of newer ones.
        size, (page, end) = self.page_size, self.broken
        newest = (self.frames | self.unfinished | self.behind).items()  # but for the one that is broken
        frames = [(number, at) for number, at in newest if at != end and (number != page or at > end)]
        others = 0
        for number, at in frames:
            others += read(self._file, size, at) != read(database, size, max(0, number - 1) * size)
        # Of a frame that says nothing it isn't known whose page it replaced.
        return others <= (end > 0 and not page) and others < len(frames)


def _checksum(data: bytes, order: str, one: int, two: int) -> list[int]:
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for first, second in zip(words[::2], words[1::2], strict=True):
        one = (one + first + two) & _MASK
        two = (two + second + one) & _MASK
    return [one, two]


def word(page: bytes, at: int) -> int:
    return int.from_bytes(page[at : at + 4], "big")


def read(file: int, size: int, at: int) -> bytes:
    """What can be read there; nothing where the disk fails."""
    try:
        return os.pread(file, size, at)
    except OSError:
        return b""
