"""The reader that sees page frames: pagemap says which frame, a table says on which node; the kernel is asked nothing.

Source: Documentation/admin-guide/mm/pagemap.rst, for pagemap and /proc/kpageflags.
"""

from __future__ import annotations

import os
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from numamig.backends.linux.frames import UNCLEAR, FrameTable
from numamig.backends.linux.looks import Chunk
from numamig.backends.linux.ownpages import ZeroFrames
from numamig.backends.linux.pagemap import EXCLUSIVE, PFN_MASK, PRESENT, Pagemap
from numamig.backends.linux.pagereaders import ABSENT, HUGE, Ask, Scratch, ask_nodes, whole_huge_pages

__all__ = ["FrameReader", "PageFlags"]

_COMPOUND_TAIL: Final = 1 << 16
_THP: Final = 1 << 22
_ZERO_PAGE: Final = 1 << 24


_FLAG_BITS: Final = np.uint64(9)
"""Above the 55 bits of the frame."""


class PageFlags:
    """/proc/kpageflags, where it can be opened (root, or CAP_DAC_READ_SEARCH)."""

    def __init__(self, proc_root: Path) -> None:
        self._descriptor: int | None = None
        with suppress(OSError):
            self._descriptor = os.open(proc_root / "kpageflags", os.O_RDONLY | os.O_CLOEXEC)
            weakref.finalize(self, os.close, self._descriptor)

    @property
    def readable(self) -> bool:
        return self._descriptor is not None

    def of(self, frames: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Flags of page frames, KPF_* bits; shape as given, 0 for no memory."""
        if self._descriptor is None:
            return np.zeros(frames.shape, np.int64)
        words = [os.pread(self._descriptor, 8, frame * 8) or bytes(8) for frame in frames.tolist()]
        return np.frombuffer(b"".join(words), np.int64)


class FrameReader:
    """Node of a page by its frame.

    The work on each page is a few passes over arrays that stay in the cache; what needs a second look, such as zero
    pages and their neighbours, is marked in the table, so that it costs nothing where there is none.
    """

    def __init__(self, table: FrameTable, zero: ZeroFrames, flags: PageFlags, ask: Ask, huge_page_size: int) -> None:
        self._table = table
        self._quick = table.without(zero.spans)
        self._shift = table.shift + _FLAG_BITS
        self._zero = zero
        self._flags = flags
        self._ask = ask
        self._huge_page_size = huge_page_size

    def keys(
        self, pagemap: Pagemap, chunk: Chunk, entries: NDArray[np.uint64], full: bool, scratch: Scratch
    ) -> NDArray[np.int16]:
        keys = scratch.keys[: chunk.slots]
        node = self._only_node(entries) if full else UNCLEAR
        if node != UNCLEAR:
            keys.fill(node)
        else:
            block = np.left_shift(entries, _FLAG_BITS, out=scratch.blocks[: chunk.slots])
            block = np.right_shift(block, self._shift, out=block)
            np.take(self._quick.nodes, block.view(np.int64), mode="clip", out=keys)
            if not full:
                absent = np.less(entries, PRESENT, out=scratch.mask[: chunk.slots])
                np.copyto(keys, ABSENT, where=absent)
            if keys.min() == UNCLEAR:
                self._clear_up(pagemap, chunk, entries, keys)
        self._mark_huge_pages(pagemap, chunk, entries, keys)
        return keys

    def _only_node(self, entries: NDArray[np.uint64]) -> int:
        """The node of all these present pages, at a fifth of the cost; ``UNCLEAR`` where they may be on several.

        Where the least and the greatest entry agree in their flags, all do, and the frames lie between theirs. Mapped
        exclusively there is no zero page among them.
        """
        least, greatest = entries.min(), entries.max()
        if (least ^ greatest) & ~PFN_MASK or not least & EXCLUSIVE:
            return UNCLEAR
        first, last = (int(entry & PFN_MASK) >> int(self._table.shift) for entry in (least, greatest))
        nodes = self._table.nodes[first : last + 1]
        return int(nodes[0]) if len(nodes) == last - first + 1 and (nodes == nodes[0]).all() else UNCLEAR

    def _clear_up(self, pagemap: Pagemap, chunk: Chunk, entries: NDArray[np.uint64], keys: NDArray[np.int16]) -> None:
        """Take out zero pages; tell the others by the table, by zones, and where those do not tell either by asking."""
        slots = np.flatnonzero(keys == UNCLEAR)
        frames = entries[slots] & PFN_MASK
        found = self._table.nodes_of(frames)
        found[self._zero.within(frames)] = ABSENT
        unclear = np.flatnonzero(found == UNCLEAR)
        if len(unclear):
            found[unclear] = self._table.nodes_by_zone(frames[unclear])
            unclear = np.flatnonzero(found == UNCLEAR)
        if len(unclear):
            asked = slots[unclear]
            found[unclear] = ask_nodes(self._ask, pagemap.pid, chunk.addresses(asked), entries[asked])
        keys[slots] = found

    def _mark_huge_pages(
        self, pagemap: Pagemap, chunk: Chunk, entries: NDArray[np.uint64], keys: NDArray[np.int16]
    ) -> None:
        """Add ``HUGE`` to the keys of all pages of huge pages that are mapped as a whole, at an aligned address."""
        if not (self._flags.readable or pagemap.scans):
            return
        per_huge = self._huge_page_size // chunk.slot_bytes
        for slot, count, address in whole_huge_pages(chunk, self._huge_page_size):
            part = slice(slot, slot + count * per_huge)
            entry = entries[part].reshape(count, per_huge)
            head = entry[:, 0]
            # The first look rules out nearly every small page, the second most of the rest.
            likely = head & np.uint64(per_huge - 1) == 0
            if not likely.any():
                continue
            key = keys[part].reshape(count, per_huge)
            rows = np.flatnonzero(likely & (key[:, 0] >= 0) & ((entry[:, -1] ^ head) & PFN_MASK == per_huge - 1))
            if not len(rows):
                continue
            # The head is aligned, so that the nth frame after it differs in the bits of n.
            frames = (entry[rows] ^ head[rows, np.newaxis]) & PFN_MASK
            same = key[rows] == key[rows, :1]
            rows = rows[((frames == np.arange(per_huge, dtype=np.uint64)) & same).all(axis=1)]
            if len(rows):
                self._mark(pagemap, key, head & PFN_MASK, rows, address)

    def _mark(
        self,
        pagemap: Pagemap,
        key: NDArray[np.int16],
        head: NDArray[np.uint64],
        rows: NDArray[np.intp],
        address: int,
    ) -> None:
        """Ask of each of these rows whether it is one folio, and mark its keys, shape (rows, pages), if it is.

        Where kpageflags can be read one look tells. A frame in the middle of an aligned stretch of this size is the
        head of any smaller folio that it is in, because folios are aligned to their size; as a tail it belongs to
        one that starts at our first frame.
        """
        if self._flags.readable:
            flags = self._flags.of(head[rows] + np.uint64(key.shape[1] // 2))
            # The huge zero page, where ours could not be learned.
            key[rows[flags & _ZERO_PAGE != 0]] = ABSENT
            rows = rows[flags & (_COMPOUND_TAIL | _THP | _ZERO_PAGE) == _COMPOUND_TAIL | _THP]
        else:
            size = self._huge_page_size
            rows = rows[[pagemap.is_huge(address + row * size, size) for row in rows.tolist()]]
        key[rows] += HUGE
