"""Flags of single pages, from pagemaps and page flags that the test writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from numamig.backends.linux.frame_reader import PageFlags
from numamig.backends.linux.pageflags import read_page_flags
from numamig.errors import TargetGone
from numamig.model.pageflags import PageFlag

PID, PAGE = 4711, 4096
PRESENT, EXCLUSIVE, SWAPPED = 1 << 63, 1 << 56, 1 << 62
LOCKED, WRITEBACK, HEAD, TAIL, HUGETLB, POISONED, THP, ZERO, MLOCKED = (
    1 << bit for bit in (0, 8, 15, 16, 17, 19, 22, 24, 33)
)
BY_FRAME = PageFlag.BUSY | PageFlag.WRITEBACK | PageFlag.HUGE | PageFlag.POISONED | PageFlag.MLOCKED


def written(root: Path, entries: dict[int, int], frames: dict[int, int] | None) -> PageFlags:
    """/proc with the pagemap of one process, by page, and flags by frame: None, where nobody may read those."""
    folder = root / str(PID)
    folder.mkdir()
    (folder / "stat").write_text(f"{PID} (x) S 1")
    for path, words in ((folder / "pagemap", entries), (root / "kpageflags", frames)):
        if words is not None:
            array = np.zeros(max(words) + 1, np.uint64)
            array[list(words)] = list(words.values())
            path.write_bytes(array.tobytes())
    return PageFlags(root)


def told(root: Path, flags: PageFlags, *pages: int) -> tuple[list[int], list[int]]:
    seen = read_page_flags(root, PID, np.array(pages, np.uint64) * np.uint64(PAGE), PAGE, flags, 512)
    return seen.flags.tolist(), seen.known.tolist()


def test_without_rights_only_sharing_is_told(tmp_path: Path) -> None:
    flags = written(tmp_path, {1: PRESENT | EXCLUSIVE, 2: PRESENT, 3: SWAPPED, 9: PRESENT | EXCLUSIVE}, None)
    assert told(tmp_path, flags, 1, 2, 3, 4, 9) == ([0, PageFlag.SHARED, 0, 0, 0], [1, 1, 0, 0, 1])


def test_frames_that_are_hidden_are_not_taken_for_frame_0(tmp_path: Path) -> None:
    flags = written(tmp_path, {1: PRESENT | EXCLUSIVE}, {0: LOCKED})
    assert told(tmp_path, flags, 1) == ([0], [PageFlag.SHARED])


def test_each_bit_of_a_frame_is_what_it_says(tmp_path: Path) -> None:
    frames = {
        5: LOCKED,
        6: WRITEBACK,
        7: HUGETLB | HEAD,
        8: POISONED,
        9: THP | HEAD,
        10: MLOCKED,
        11: ZERO,
        12: LOCKED | MLOCKED,
    }
    entries = {page: PRESENT | EXCLUSIVE | page for page in frames} | {11: PRESENT | 11, 12: PRESENT | 12}
    found, known = told(tmp_path, written(tmp_path, entries, frames), *frames)
    assert found == [
        PageFlag.BUSY,
        PageFlag.WRITEBACK,
        PageFlag.HUGE,
        PageFlag.POISONED,
        PageFlag.HUGE,
        PageFlag.MLOCKED,
        0,
        PageFlag.BUSY | PageFlag.MLOCKED | PageFlag.SHARED,
    ]
    every = PageFlag.SHARED | BY_FRAME
    assert known == [every] * 6 + [0, every]  # the zero page is nobody's
    assert PageFlag.PINNED not in PageFlag(every)


def test_a_huge_page_is_told_by_its_first_page(tmp_path: Path) -> None:
    frames = {512: THP | HEAD | MLOCKED, 513: TAIL | THP, 600: TAIL | THP, 1024: 0, 1030: TAIL | THP}
    entries = {nth: PRESENT | EXCLUSIVE | frame for nth, frame in enumerate(frames)}
    found, _ = told(tmp_path, written(tmp_path, entries, frames), *range(5))
    assert found == [PageFlag.HUGE | PageFlag.MLOCKED] * 3 + [0, PageFlag.HUGE]


def test_pages_far_from_each_other_are_each_read_where_they_are(tmp_path: Path) -> None:
    pages = [*range(3, 20), 40, 41, 400, 9000]
    flags = written(tmp_path, {page: PRESENT | (0 if page % 2 else EXCLUSIVE) for page in pages}, None)
    assert told(tmp_path, flags, *pages)[0] == [page % 2 for page in pages]
    assert told(tmp_path, flags) == ([], [])


def test_a_process_that_ended_is_gone(tmp_path: Path) -> None:
    with pytest.raises(TargetGone):
        told(tmp_path, PageFlags(tmp_path), 1)
