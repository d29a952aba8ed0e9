"""Whether a table of page frames is right: held to what move_pages says of memory of our own."""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from numamig.backends.base import MovePagesReturn
from numamig.backends.linux.frames import UNCLEAR, FrameTable
from numamig.backends.linux.hugetlb import HugetlbSizes
from numamig.backends.linux.looks import cut_into_chunks, plan_looks
from numamig.backends.linux.maps import parse_spans, read_maps
from numamig.backends.linux.ownpages import ZeroFrames, private_pages, read_own_entries
from numamig.backends.linux.pagemap import PFN_MASK, PRESENT, Pagemap
from numamig.backends.linux.pagereaders import Ask
from numamig.backends.linux.syscalls import prefer_node

__all__ = ["table_agrees"]

_CHUNKS, _PAGES_OF_A_CHUNK, _PAGES_OF_A_NODE = 8, 128, 8


def table_agrees(
    table: FrameTable,
    zero: ZeroFrames,
    proc_root: Path,
    ask: Ask,
    page_size: int,
    huge_page_size: int,
    nodes: Sequence[int] = (),
) -> bool:
    """Whether the table says of some hundreds of our own pages what move_pages says.

    These are fresh pages from every node that lets us have some, and pages of our libraries, which are spread like any
    file.

    :param nodes: memory nodes
    """
    on_nodes = _fresh(table, zero, proc_root, ask, page_size, nodes)
    if on_nodes is None:
        return False
    libraries = _libraries(table, zero, proc_root, ask, page_size, huge_page_size)
    return libraries is not None and on_nodes + libraries > 0


def _fresh(
    table: FrameTable, zero: ZeroFrames, proc_root: Path, ask: Ask, page_size: int, nodes: Sequence[int]
) -> int | None:
    """How many fresh pages were compared; None where one contradicts."""
    part = _PAGES_OF_A_NODE * page_size
    pages = _PAGES_OF_A_NODE * max(1, len(nodes))
    with private_pages(pages * page_size, advice=mmap.MADV_NOHUGEPAGE) as own:
        for nth, node in enumerate(nodes):
            # Where that is refused (a cpuset, a filter), or the node is full, they come from elsewhere.
            prefer_node(own.address + nth * part, part, node)
        own.bytes_[::page_size] = 1
        before = read_own_entries(proc_root, own.address, pages)
        answer = ask(os.getpid(), own.address + np.arange(len(before), dtype=np.uint64) * np.uint64(page_size))
        after = read_own_entries(proc_root, own.address, pages)
    return _compared(table, zero, before, after, answer) if len(before) == len(after) else 0


def _libraries(
    table: FrameTable, zero: ZeroFrames, proc_root: Path, ask: Ask, page_size: int, huge_page_size: int
) -> int | None:
    """The same for pages that we have anyway."""
    me, compared = os.getpid(), 0
    spans = parse_spans(read_maps(proc_root, me), HugetlbSizes(), page_size)
    looks = [
        look for look in plan_looks(spans, [(0, 1 << 62)], page_size, huge_page_size) if look.slot_bytes == page_size
    ]
    with Pagemap(proc_root, me, page_size) as pagemap:
        for nth, chunk in enumerate(cut_into_chunks(looks, huge_page_size, pagemap.next_present)):
            if nth == _CHUNKS:
                break
            before, after = np.zeros((2, chunk.slots), np.uint64)
            pagemap.read(chunk, before)
            slots = np.flatnonzero(before & PRESENT)
            slots = slots[:: max(1, len(slots) // _PAGES_OF_A_CHUNK)]
            answer = ask(me, chunk.addresses(slots))
            pagemap.read(chunk, after)
            found = _compared(table, zero, before[slots], after[slots], answer)
            if found is None:
                return None
            compared += found
    return compared


def _compared(
    table: FrameTable,
    zero: ZeroFrames,
    before: NDArray[np.uint64],
    after: NDArray[np.uint64],
    answer: MovePagesReturn,
) -> int | None:
    """How many pages tell that the table is right; None where one tells that it is wrong.

    :param before: pagemap entries, shape (pages,); ``after`` the same, read after move_pages has answered
    """
    if answer.returned < 0:
        return 1  # it may not be called here: then nothing says that the table is wrong
    frames = before & PFN_MASK
    nodes = table.nodes_of(frames)
    # A page that moved while we looked says nothing, nor does one that the table leaves to others.
    tells = (frames == after & PFN_MASK) & (before & after & PRESENT != 0) & ~zero.within(frames) & (nodes != UNCLEAR)
    tells &= answer.status >= 0
    return int(tells.sum()) if np.array_equal(nodes[tells], answer.status[tells]) else None
