"""Which page reader this machine allows: chosen by trying, kept, and tried again as memory comes and goes."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Final

import numpy as np

from numamig.backends.linux.frame_reader import FrameReader, PageFlags
from numamig.backends.linux.frames import UNCLEAR, FrameTable, read_frame_table
from numamig.backends.linux.hugetlb import HugetlbSizes
from numamig.backends.linux.looks import cut_into_chunks, plan_looks
from numamig.backends.linux.maps import parse_spans, read_maps
from numamig.backends.linux.ownpages import ZeroFrames, learn_zero_frames, private_pages, sees_frames
from numamig.backends.linux.pagemap import PFN_MASK, Pagemap
from numamig.backends.linux.pagereaders import Ask, KeyReader
from numamig.backends.linux.query_reader import QueryReader
from numamig.clock import Clock

__all__ = ["Readers", "table_agrees"]

_TABLE_KEEPS_NS = 30 * 10**9  # memory blocks are switched on and off by operators and hypervisors, not by programs
_CHUNKS, _PAGES_OF_A_CHUNK = 8, 128


class Readers:
    """Hands out the reader to use now."""

    def __init__(
        self, proc_root: Path, sys_root: Path, ask: Ask, clock: Clock, page_size: int, huge_page_size: int
    ) -> None:
        self._proc_root = proc_root
        self._sys_root = sys_root
        self.ask: Final = ask
        self._clock = clock
        self._page_size = page_size
        self._huge_page_size = huge_page_size
        self.query_reader: Final = QueryReader(ask, huge_page_size)
        self.page_flags: Final = PageFlags(proc_root)
        self._zero = ZeroFrames()
        self._sees_frames: bool | None = None
        self._frame_reader: FrameReader | None = None
        self._table: FrameTable | None = None
        self._read_ns = 0
        self._lock = threading.Lock()

    @property
    def frame_reader(self) -> FrameReader | None:
        """None where frames are not visible, or the table does not agree with what the kernel answers."""
        with self._lock:
            if self._sees_frames is None:
                self._sees_frames = sees_frames(self._proc_root)
                if self._sees_frames:
                    self._zero = learn_zero_frames(self._proc_root, self._huge_page_size)
            if self._sees_frames and (self._table is None or self._clock.now_ns() - self._read_ns > _TABLE_KEEPS_NS):
                self._renew_table()
            return self._frame_reader

    @property
    def sees_frames(self) -> bool:
        """Whether pagemap shows page frames at all."""
        return self.frame_reader is not None or bool(self._sees_frames)

    def current(self) -> KeyReader:
        """The best one."""
        return self.frame_reader or self.query_reader

    def _renew_table(self) -> None:
        self._read_ns = self._clock.now_ns()
        table = read_frame_table(self._sys_root, self._proc_root, self._page_size)
        if self._table and np.array_equal(table.nodes, self._table.nodes) and table.spans == self._table.spans:
            return
        self._table = table
        agrees = table_agrees(table, self._zero, self._proc_root, self.ask, self._page_size, self._huge_page_size)
        self._frame_reader = (
            FrameReader(table, self._zero, self.page_flags, self.ask, self._huge_page_size) if agrees else None
        )


def table_agrees(
    table: FrameTable, zero: ZeroFrames, proc_root: Path, ask: Ask, page_size: int, huge_page_size: int
) -> bool:
    """Whether the table says of some hundreds of our own pages what move_pages says: of the libraries, spread over
    all nodes like any file, as well as of fresh memory."""
    me = os.getpid()
    compared = 0
    with private_pages(_PAGES_OF_A_CHUNK * page_size) as fresh:
        fresh.bytes_[::page_size] = 1
        spans = parse_spans(read_maps(proc_root, me), HugetlbSizes(), page_size)
        looks = plan_looks(spans, [(0, 1 << 62)], page_size, huge_page_size)
        looks = [look for look in looks if look.slot_bytes == page_size]
        with Pagemap(proc_root, me, page_size) as pagemap:
            for nth, chunk in enumerate(cut_into_chunks(looks, huge_page_size, pagemap.next_present)):
                if nth == _CHUNKS:
                    break
                before, after = np.zeros((2, chunk.slots), np.uint64)
                pagemap.read(chunk, before)
                slots = np.flatnonzero(before.view(np.int64) < 0)
                slots = slots[:: max(1, len(slots) // _PAGES_OF_A_CHUNK)]
                answer = ask(me, chunk.addresses(slots))
                if answer.returned < 0:
                    return True  # it may not be called here: then nothing says that the table is wrong
                pagemap.read(chunk, after)
                frames = before[slots] & PFN_MASK
                nodes = table.nodes_of(frames)
                # A page that moved while we looked says nothing, nor does one that the table leaves to others.
                tells = (frames == after[slots] & PFN_MASK) & ~zero.within(frames) & (nodes != UNCLEAR)
                tells &= answer.status >= 0
                if not np.array_equal(nodes[tells], answer.status[tells]):
                    return False
                compared += int(tells.sum())
    return compared > 0
