"""Which page reader this machine allows: chosen by trying, kept, and tried again as memory comes and goes."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final

import numpy as np

from numamig.backends.linux.calibration import table_agrees
from numamig.backends.linux.frame_reader import FrameReader, PageFlags
from numamig.backends.linux.frames import FrameTable, read_frame_table
from numamig.backends.linux.ownpages import ZeroFrames, learn_zero_frames, sees_frames
from numamig.backends.linux.pagereaders import Ask, KeyReader
from numamig.backends.linux.query_reader import QueryReader
from numamig.backends.linux.sysfs import NODES, read_list
from numamig.clock import Clock

__all__ = ["Readers"]

_TABLE_KEEPS_NS = 30 * 10**9  # memory blocks are switched on and off by operators and hypervisors, not by programs


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
        nodes = read_list(self._sys_root / NODES / "has_memory") or ()
        sizes = self._page_size, self._huge_page_size
        agrees = table_agrees(table, self._zero, self._proc_root, self.ask, *sizes, nodes)
        self._frame_reader = (
            FrameReader(table, self._zero, self.page_flags, self.ask, self._huge_page_size) if agrees else None
        )
