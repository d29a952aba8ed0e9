"""Flags of single pages on a real kernel: of memory that is known to be locked, shared, of a file, or in huge pages."""

from __future__ import annotations

import ctypes
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest

from numamig.backends.linux.backend import LinuxBackend
from numamig.model.pageflags import PageFlag
from tests.lab.children import APART, DEFAULT, PAGE, START, checked, forked, libc, make_area

PAGES = 16
HUGE = 2 << 20
MAP_SHARED_ANON_FIXED, MAP_SHARED_FIXED = 0x01 | 0x20 | 0x100000, 0x01 | 0x100000
MADV_HUGEPAGE = 14
needs_huge = pytest.mark.skipif(
    not Path("/sys/kernel/mm/transparent_hugepage").exists(), reason="missing: transparent huge pages"
)


def place(number: int) -> int:
    return START + number * APART


def flags(pid: int, start: int, pages: int = PAGES) -> tuple[set[PageFlag], set[PageFlag]]:
    """What these pages have, and what is known of them: the same of all."""
    where = np.uint64(start) + np.arange(pages, dtype=np.uint64) * np.uint64(PAGE)
    seen = LinuxBackend().page_flags(pid, where)
    (has,), (known,) = np.unique(seen.flags).tolist(), np.unique(seen.known).tolist()
    return set(PageFlag(has)), set(PageFlag(known))


def test_memory_of_ones_own_has_no_flags_and_all_but_pins_and_marks_are_known() -> None:
    with forked(lambda: make_area(0, DEFAULT, pages=PAGES)) as child:
        has, known = flags(child.pid, place(0))
    assert has == set()
    assert known == set(PageFlag) - {PageFlag.PINNED, PageFlag.HINTED}


def test_locked_pages() -> None:
    def work() -> None:
        make_area(0, DEFAULT, pages=PAGES)
        checked(libc.mlock(ctypes.c_void_p(place(0)), ctypes.c_size_t(PAGES * PAGE)))

    with forked(work) as child:
        assert flags(child.pid, place(0))[0] == {PageFlag.MLOCKED}


def test_pages_that_two_processes_map() -> None:
    size = PAGES * PAGE
    checked(libc.mmap(place(1), size, 3, MAP_SHARED_ANON_FIXED, -1, 0))
    try:
        ctypes.memset(place(1), 7, size)
        with forked(lambda: ctypes.memset(place(1), 8, size)) as child:
            assert flags(child.pid, place(1))[0] == {PageFlag.SHARED}
        assert flags(os.getpid(), place(1))[0] == set()
    finally:
        libc.munmap(ctypes.c_void_p(place(1)), ctypes.c_size_t(size))


def test_pages_of_a_file_that_one_process_maps() -> None:
    def work() -> None:
        with tempfile.TemporaryFile(dir="/dev/shm") as file:
            file.truncate(PAGES * PAGE)
            checked(libc.mmap(place(2), PAGES * PAGE, 3, MAP_SHARED_FIXED, file.fileno(), 0))
            ctypes.memset(place(2), 7, PAGES * PAGE)

    with forked(work) as child:
        has, known = flags(child.pid, place(2))
    assert has <= {PageFlag.HUGE} and PageFlag.WRITEBACK in known


@needs_huge
def test_every_page_of_a_huge_page_is_of_it() -> None:
    def work() -> None:
        start = place(3)
        checked(libc.mmap(start, HUGE, 3, 0x02 | 0x20 | 0x100000, -1, 0))
        checked(libc.madvise(start, HUGE, MADV_HUGEPAGE))
        ctypes.memset(start, 7, HUGE)

    with forked(work) as child:
        assert flags(child.pid, place(3), HUGE // PAGE)[0] == {PageFlag.HUGE}


def test_what_was_never_touched_is_not_known() -> None:
    with forked(lambda: checked(libc.mmap(place(4), PAGES * PAGE, 3, 0x02 | 0x20 | 0x100000, -1, 0))) as child:
        assert flags(child.pid, place(4)) == (set(), set())
