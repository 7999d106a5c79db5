"""Reading a file of SQLite's without SQLite: what SQLite wrote is what is read, and what is damaged harms nobody."""

from __future__ import annotations

import shutil
import sqlite3
import struct
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leveret.store.sqlite.pages import (
    FREE,
    INTERIOR,
    LEAF,
    OVERFLOW,
    Cell,
    Damaged,
    Pages,
    interior,
    leaf,
    read_header,
    values,
    varint,
)
from leveret.store.sqlite.wal import Log

SIZES = [512, 1024, 4096, 65536]  # of pages

# At the borders of all serial types.
VALUES: list[Any] = [
    None, 0, 1, -1, 2, 127, -128, 128, 32767, -32768, 32768, 2**23 - 1, -(2**23), 2**23, 2**31 - 1, -(2**31), 2**31,
    2**47 - 1, -(2**47), 2**47, 2**63 - 1, -(2**63), 0.5, -1e300, "", "text", "\u20ac", "x" * 100,
    b"", b"\0\xff", b"y" * 60,
]  # fmt: skip


@contextmanager
def sqlite(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection for which a log stays as it is left."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA synchronous = OFF")
        yield connection


def make(path: Path, rows: list[Any], page_size: int = 4096, vacuum: str = "INCREMENTAL") -> None:
    """A file with the table `t`, of one column, in page 3, or 2 where nothing is vacuumed."""
    with sqlite(path) as connection:
        connection.execute(f"PRAGMA page_size = {page_size}")
        connection.execute(f"PRAGMA auto_vacuum = {vacuum}")
        connection.execute("CREATE TABLE t (value)")
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO t VALUES (?)", [(row,) for row in rows])
        connection.execute("COMMIT")


def cells(pages: Pages, number: int) -> Iterator[Cell]:
    """Of a table that is whole, in order."""
    page = pages.page(number)
    if page[0] == INTERIOR:
        below, sound = interior(page, 0, pages.usable)
        for each in below:
            yield from cells(pages, each)
    else:
        assert page[0] == LEAF
        here, sound = leaf(page, 0, pages.usable)
        yield from here
    assert sound


def rows(path: Path, root: int = 3) -> list[Any]:
    with closing(Pages(path)) as pages:
        return [values(pages.record(cell)[0], cell)[0] for cell in cells(pages, root)]


def edit(path: Path, at: int, new: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(new)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.db"


class TestNumbers:
    @pytest.mark.parametrize(
        ("encoded", "number"),
        [
            ("00", 0),
            ("7f", 127),
            ("8100", 128),
            ("ff7f", 2**14 - 1),
            ("81808000", 2**21),
            ("ffffffffffffff7f", 2**56 - 1),
            ("808080808080808001", 1),
            ("bfffffffffffffffff", 2**63 - 1),
            ("c08080808080808000", -(2**63)),
            ("ffffffffffffffffff", -1),
        ],
    )
    def test_they_take_one_to_nine_bytes(self, encoded: str, number: int) -> None:
        data = bytes.fromhex(encoded)
        assert varint(b"?" + data + b"!", 1) == (number, 1 + len(data))

    @pytest.mark.parametrize("encoded", [b"", b"\x80", b"\xff" * 8])
    def test_one_without_an_end_is_damaged(self, encoded: bytes) -> None:
        with pytest.raises(Damaged):
            varint(encoded, 0)


class TestRows:
    @pytest.mark.parametrize("page_size", SIZES)
    def test_values_of_all_types_are_what_was_written(self, path: Path, page_size: int) -> None:
        make(path, VALUES, page_size)
        found = rows(path)
        assert found == VALUES
        assert list(map(type, found)) == list(map(type, VALUES))

    @pytest.mark.parametrize("page_size", SIZES)
    def test_rows_of_every_length_around_a_page_are_whole(self, path: Path, page_size: int) -> None:
        near = [*range(100), *range(page_size - 60, page_size + 20), 3 * page_size, 1 << 20]
        bodies = [bytes([size % 251]) * size for size in near]
        make(path, bodies, page_size)
        assert rows(path) == bodies

    def test_thousands_are_in_order_below_interior_pages(self, path: Path) -> None:
        make(path, [f"row {number}" for number in range(20_000)], 512)
        assert rows(path) == [f"row {number}" for number in range(20_000)]

    def test_space_at_the_end_of_pages_is_left_alone(self, path: Path) -> None:
        """As extensions reserve it, and the builds of some vendors."""
        make(path, [])
        with sqlite(path) as connection:
            connection.execute("VACUUM")
        data = bytearray(path.read_bytes())
        body = b"z" * 4200
        usable = 4096 - 16
        size = len(body) + 4  # a header of one column: its length, and a serial type of three bytes
        least = (usable - 12) * 32 // 255 - 23
        local = least + (size - least) % (usable - 4)
        local = local if local <= usable - 35 else least
        code = 12 + 2 * len(body)
        record = bytes((4, 0x80 | code >> 14, 0x80 | code >> 7 & 0x7F, code & 0x7F)) + body
        cell = bytes((0x80 | size >> 7, size & 0x7F, 1)) + record[:local] + struct.pack(">I", 4)
        at = usable - len(cell)
        page = struct.pack(">BHHHBH", LEAF, 0, 1, at, 0, at).ljust(at, b"\0") + cell + b"\xee" * 16
        data[20] = 16
        data[8192:12288] = page
        data[12288:] = struct.pack(">I", 0) + record[local:].ljust(usable - 4, b"\0") + b"\xee" * 16
        path.write_bytes(data)
        assert rows(path) == [body]

    def test_a_leaf_with_too_few_or_too_many_rows_is_not_sound(self, path: Path) -> None:
        make(path, list(range(20)))
        page = path.read_bytes()[8192:12288]
        assert leaf(page, 0, 4096)[1]
        for count in (0, 1, 19, 21, 65535):
            assert not leaf(page[:3] + struct.pack(">H", count) + page[5:], 0, 4096)[1]

    def test_a_row_in_the_place_of_another_is_not_sound(self, path: Path) -> None:
        make(path, list(range(20)))
        page = path.read_bytes()[8192:12288]
        assert not leaf(page[:8] + page[10:12] + page[10:], 0, 4096)[1]

    def test_deleted_rows_leave_a_leaf_sound(self, path: Path) -> None:
        make(path, [f"row {number}" * (number % 7) for number in range(60)])
        with sqlite(path) as connection:
            connection.execute("DELETE FROM t WHERE rowid % 3 = 0")
        with closing(Pages(path)) as pages:
            assert [cell.rowid for cell in cells(pages, 3)] == [number for number in range(1, 61) if number % 3]


class TestOverflow:
    @pytest.fixture
    def chain(self, path: Path) -> Path:
        """Of a row that takes the pages 4 to 27."""
        make(path, [b"x" * 100_000])
        return path

    def fails(self, path: Path) -> bool:
        with closing(Pages(path)) as pages:
            (cell,) = leaf(pages.page(3), 0, 4096)[0]
            with pytest.raises(Damaged):
                pages.record(cell)
        return True

    def test_a_chain_in_a_circle_has_an_end(self, chain: Path) -> None:
        edit(chain, 5 * 4096, struct.pack(">I", 5))
        assert self.fails(chain)

    @pytest.mark.parametrize("next_page", [0, 1 << 31, 0xFFFFFFFF, 9999])
    def test_a_chain_into_nothing_has_an_end(self, chain: Path, next_page: int) -> None:
        edit(chain, 5 * 4096, struct.pack(">I", next_page))
        assert self.fails(chain)

    def test_a_row_that_is_said_to_be_larger_than_the_file_is_not_read(self, chain: Path) -> None:
        with closing(Pages(chain)) as pages, pytest.raises(Damaged):
            pages.record(Cell(1, 1 << 40, b"", 4, "", (), 0))

    def test_many_rows_that_share_a_chain_do_not_keep_one_busy(self, chain: Path) -> None:
        with closing(Pages(chain)) as pages:
            (cell,) = leaf(pages.page(3), 0, 4096)[0]
            for _ in range(10):
                pages.record(cell)
            with pytest.raises(Damaged):
                [pages.record(cell) for _ in range(100)]


class TestHeader:
    @pytest.mark.parametrize("page_size", SIZES)
    def test_it_says_how_large_pages_are_and_how_many(self, path: Path, page_size: int) -> None:
        make(path, VALUES, page_size)
        header = read_header(path.read_bytes()[:100])
        assert header is not None
        assert (header.page_size, header.reserved, header.mapped) == (page_size, 0, True)
        assert header.count == path.stat().st_size // page_size

    @pytest.mark.parametrize("page_size", SIZES)
    def test_where_page_1_is_lost_the_size_is_found_out(self, path: Path, page_size: int) -> None:
        make(path, VALUES, page_size)
        edit(path, 0, bytes(page_size))
        assert rows(path) == VALUES

    @pytest.mark.parametrize("wrong", [b"\x00\x01", b"\x02\x00", b"\x08\x00", b"\x20\x00", b"\x12\x34"])
    def test_where_it_says_another_size_the_right_one_is_found_out(self, path: Path, wrong: bytes) -> None:
        make(path, VALUES)
        edit(path, 16, wrong)
        assert rows(path) == VALUES

    @pytest.mark.parametrize("wrong", [1, 2, 16, 128, 255])
    def test_where_it_reserves_space_that_is_used_that_is_found_out(self, path: Path, wrong: int) -> None:
        make(path, [b"x" * 9000, *VALUES])
        edit(path, 20, bytes((wrong,)))
        assert rows(path) == [b"x" * 9000, *VALUES]

    def test_a_count_that_is_too_small_hides_nothing(self, path: Path) -> None:
        make(path, [b"x" * 9000])
        edit(path, 28, struct.pack(">I", 2))
        assert rows(path) == [b"x" * 9000]

    def test_a_file_that_is_not_there_is_an_error(self, path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            Pages(path)

    def test_pages_that_are_not_there_are_nothing(self, path: Path) -> None:
        make(path, [])
        with closing(Pages(path)) as pages:
            assert [pages.page(number) for number in (-1, 0, 9, 1 << 40)] == [b""] * 4

    def test_half_a_page_is_filled_with_zeros(self, path: Path) -> None:
        make(path, [])
        with path.open("r+b") as file:
            file.truncate(2 * 4096 + 10)
        with closing(Pages(path)) as pages:
            assert pages.page(3) == path.read_bytes()[8192:].ljust(4096, b"\0")


class TestFreePages:
    @pytest.fixture
    def freed(self, path: Path) -> Path:
        make(path, [b"x" * 100_000] * 200)
        with sqlite(path) as connection:
            connection.execute("DELETE FROM t WHERE rowid > 20")
            (self.count,) = connection.execute("PRAGMA freelist_count").fetchone()
        return path

    def test_those_on_the_list_are_known_by_it_and_by_the_map(self, freed: Path) -> None:
        with closing(Pages(freed)) as pages:
            free = [number for number, is_free in enumerate(pages.free()) if is_free]
            assert len(free) == self.count > 1500  # more than one page of the list holds
            assert {pages.kind(number) for number in free} == {FREE}

    def test_the_map_tells_pages_of_overflow_from_those_of_trees(self, freed: Path) -> None:
        with closing(Pages(freed)) as pages:
            (cell, *_) = cells(pages, 3)
            _, chain = pages.record(cell)
            assert {pages.kind(number) for number in chain} == set(OVERFLOW)
            assert pages.kind(3) not in (0, FREE, *OVERFLOW)

    def test_maps_are_found_where_the_header_is_lost(self, freed: Path) -> None:
        with closing(Pages(freed)) as pages:
            before = [pages.kind(number) for number in range(pages.last)]
        edit(freed, 0, bytes(100))
        with closing(Pages(freed)) as pages:
            assert [pages.kind(number) for number in range(pages.last)] == before

    def test_there_are_none_in_a_file_that_has_none(self, path: Path) -> None:
        make(path, VALUES, vacuum="NONE")
        with closing(Pages(path)) as pages:
            assert {pages.kind(number) for number in range(pages.last)} == {0}

    def test_a_list_in_a_circle_has_an_end(self, freed: Path) -> None:
        trunk = int.from_bytes(freed.read_bytes()[32:36], "big")
        edit(freed, (trunk - 1) * 4096, struct.pack(">II", trunk, 0xFFFFFFFF))
        with closing(Pages(freed)) as pages:
            assert pages.free()[trunk]

    @pytest.mark.parametrize("first", [0, 1 << 20, 0xFFFFFFFF])
    def test_a_list_that_begins_nowhere_is_empty(self, freed: Path, first: int) -> None:
        edit(freed, 32, struct.pack(">I", first))
        with closing(Pages(freed)) as pages:
            assert not any(pages.free())


class TestLog:
    """Each of the ten commits behind the first writes one page, the leaf of the table, anew."""

    COMMITS = 10
    FRAME = 24 + 4096

    @pytest.fixture
    def log(self, path: Path) -> Path:
        make(path, ["first"])
        with sqlite(path) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            for number in range(self.COMMITS):
                connection.execute("INSERT INTO t VALUES (?)", (f"logged {number}",))
            copy = path.with_name("copy.db")
            shutil.copy(path, copy)
            shutil.copy(f"{path}-wal", f"{copy}-wal")
        (size,) = (Path(f"{copy}-wal").stat().st_size,)
        assert size == 32 + self.COMMITS * self.FRAME
        return copy

    def read(self, path: Path) -> tuple[int, bool]:
        """How many commits count, and whether the log is cut."""
        with closing(Pages(path)) as pages:
            cut = pages.log_cut
        found = rows(path)
        assert found == ["first", *(f"logged {number}" for number in range(len(found) - 1))]
        return len(found) - 1, cut

    def test_the_last_commit_counts(self, log: Path) -> None:
        assert self.read(log) == (self.COMMITS, False)

    def test_without_it_the_file_is_as_it_was_before(self, log: Path) -> None:
        Path(f"{log}-wal").unlink()
        assert self.read(log) == (0, False)

    @pytest.mark.parametrize("frame", range(COMMITS))
    @pytest.mark.parametrize("at", [0, 3, 4, 7, 8, 15, 16, 23, 24, 3000, 24 + 4095])
    def test_what_is_not_in_a_frame_with_a_flipped_bit_counts(self, log: Path, frame: int, at: int) -> None:
        self.flip(log, 32 + frame * self.FRAME + at)
        last = frame == self.COMMITS - 1
        assert self.read(log) == (self.COMMITS - last, True)
        assert self.is_outlived(log) == (not last)

    @pytest.mark.parametrize("at", [0, 3, 5, 8, 11, 16, 23, 24, 31])
    def test_all_counts_behind_a_header_that_is_damaged(self, log: Path, at: int) -> None:
        self.flip(log, at)
        assert self.read(log) == (self.COMMITS, True)
        assert self.is_outlived(log)

    @pytest.mark.parametrize("frame", [0, 5, 8])
    def test_a_hole_is_damage_where_more_was_committed_behind_it_than_may_be_torn(self, log: Path, frame: int) -> None:
        """The transaction of what is lost may go on behind it, up to the next commit."""
        wal = Path(f"{log}-wal")
        data = bytearray(wal.read_bytes())
        at = 32 + frame * self.FRAME
        data[at : at + self.FRAME] = bytes(self.FRAME)
        wal.write_bytes(data)
        assert self.is_outlived(log) == (frame < 8)

    def test_a_transaction_that_was_torn_in_its_midst_is_no_damage(self, log: Path) -> None:
        """Its last frame is there, and right."""
        self.rewrite(log, lambda frame, header: header[:4] + bytes(4) if 6 <= frame < 9 else header)
        assert self.read(log) == (self.COMMITS, False)
        self.flip(log, 32 + 7 * self.FRAME + 1000)
        assert not self.is_outlived(log)
        assert self.read(log) == (6, True)

    @pytest.mark.parametrize("frame", [0, 5, 9])
    @pytest.mark.parametrize("more", [0, 1, 20, 24, 4000])
    def test_half_a_frame_does_not_count(self, log: Path, frame: int, more: int) -> None:
        with Path(f"{log}-wal").open("r+b") as file:
            file.truncate(32 + frame * self.FRAME + more)
        assert self.read(log) == (frame, more > 16)

    def test_an_empty_log_is_none(self, log: Path) -> None:
        Path(f"{log}-wal").write_bytes(b"")
        assert self.read(log) == (0, False)

    def test_a_transaction_that_was_not_committed_does_not_count_and_is_no_damage(self, log: Path) -> None:
        self.rewrite(log, lambda frame, header: header[:4] + bytes(4) if frame == self.COMMITS - 1 else header)
        assert self.read(log) == (self.COMMITS - 1, False)

    def test_frames_of_a_former_log_are_no_damage(self, log: Path) -> None:
        wal = Path(f"{log}-wal")
        data = bytearray(wal.read_bytes())
        for frame in range(4, self.COMMITS):
            at = 32 + frame * self.FRAME + 8
            salt = (int.from_bytes(data[at : at + 4], "big") - 1) % 2**32  # SQLite counts it up for each log
            data[at : at + 8] = salt.to_bytes(4, "big") + b"once"
        wal.write_bytes(data)
        assert self.read(log) == (4, False)

    def test_zeros_in_the_place_of_the_last_frame_are_no_former_log(self, log: Path) -> None:
        wal = Path(f"{log}-wal")
        data = bytearray(wal.read_bytes())
        data[-self.FRAME :] = bytes(self.FRAME)
        wal.write_bytes(data)
        assert self.read(log) == (self.COMMITS - 1, True)

    def test_checksums_may_be_of_the_other_order_of_bytes(self, log: Path) -> None:
        """As a machine of that order writes them."""
        self.rewrite(log, lambda _, header: header, other_order=True)
        assert self.read(log) == (self.COMMITS, False)

    def test_a_damaged_log_of_which_all_was_moved_into_the_file_is_not_needed(self, path: Path) -> None:
        make(path, ["first"])
        with sqlite(path) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            for number in range(self.COMMITS):
                connection.execute("INSERT INTO t VALUES (?)", (f"logged {number}",))
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
            copy = path.with_name("copy.db")
            shutil.copy(path, copy)
            shutil.copy(f"{path}-wal", f"{copy}-wal")
        self.flip(copy, 32 + 5 * self.FRAME + 1000)
        assert self.read(copy) == (self.COMMITS, False)

    def test_one_that_speaks_of_billions_of_pages_takes_no_memory_for_them(self, log: Path) -> None:
        self.rewrite(log, lambda frame, header: struct.pack(">2I", 1 << 31, 1 << 31) if frame == 9 else header)
        with closing(Pages(log)) as pages:
            assert len(pages.free()) < 1 << 20
            assert pages.page(1 << 31) == b""
        assert self.read(log) == (self.COMMITS - 1, False)

    def test_pages_are_as_large_as_the_log_says_where_the_header_is_lost(self, log: Path) -> None:
        edit(log, 0, bytes(100))
        assert self.read(log) == (self.COMMITS, False)

    @staticmethod
    def is_outlived(log: Path) -> bool:
        with Path(f"{log}-wal").open("rb") as file:
            return Log(file.fileno()).outlived

    @staticmethod
    def flip(log: Path, at: int) -> None:
        data = bytearray(Path(f"{log}-wal").read_bytes())
        data[at] ^= 0x10
        Path(f"{log}-wal").write_bytes(data)

    def rewrite(self, log: Path, change: Callable[[int, bytes], bytes], other_order: bool = False) -> None:
        """Change the first bytes of frames, and make all checksums anew."""
        wal = Path(f"{log}-wal")
        data = bytearray(wal.read_bytes())
        magic = int.from_bytes(data[:4], "big") ^ other_order
        data[:4] = magic.to_bytes(4, "big")
        order = "big" if magic & 1 else "little"
        sums = [0, 0]

        def add(more: bytes) -> bytes:
            for at in range(0, len(more), 8):
                sums[0] = (sums[0] + int.from_bytes(more[at : at + 4], order) + sums[1]) % 2**32
                sums[1] = (sums[1] + int.from_bytes(more[at + 4 : at + 8], order) + sums[0]) % 2**32
            return struct.pack(">2I", *sums)

        data[24:32] = add(data[:24])
        for frame in range(self.COMMITS):
            at = 32 + frame * self.FRAME
            data[at : at + 8] = change(frame, bytes(data[at : at + 8]))
            add(data[at : at + 8])
            data[at + 16 : at + 24] = add(data[at + 24 : at + self.FRAME])
        wal.write_bytes(data)


@given(st.binary(max_size=600), st.sampled_from([0, 100]), st.sampled_from([INTERIOR, LEAF]))
def test_no_page_is_such_that_it_can_not_be_looked_at(garbage: bytes, start: int, kind: int) -> None:
    page = bytearray(garbage.ljust(512, b"\0")[:512])
    page[start] = kind
    found, _ = leaf(bytes(page), start, 512)
    assert sum(len(cell.local) for cell in found) <= 2 * 512
    for cell in found:
        try:
            values(cell.local, cell)
        except Damaged:
            continue
    assert len(interior(bytes(page), start, 512)[0]) <= 256
