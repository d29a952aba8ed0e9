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
from numamig.backends.linux.pagereaders import ABSENT, HUGE, Ask, Entries, Keys, Scratch, ask_nodes, whole_huge_pages

__all__ = ["FrameReader", "PageFlags"]

_COMPOUND_TAIL: Final = 1 << 16
_THP: Final = 1 << 22
_ZERO_PAGE: Final = 1 << 24


_FRAME: Final = int(PFN_MASK)  # numpy's numbers are slow one by one
_IS_EXCLUSIVE: Final = int(EXCLUSIVE)
_NO_ROWS: Final = np.empty(0, np.intp)
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

    def keys(self, pagemap: Pagemap, chunk: Chunk, entries: Entries, scratch: Scratch) -> Keys:
        keys = scratch.keys[: chunk.slots]
        node = self._only_node(entries)
        if node != UNCLEAR:
            if self._none_aligned(chunk, entries.array):
                return node
            if not self._mark_huge_pages(pagemap, chunk, entries.array, keys, node, scratch):
                return node
            return int(keys[0]) if (keys == keys[0]).all() else keys
        array = entries.array
        block = np.left_shift(array, _FLAG_BITS, out=scratch.blocks[: chunk.slots])
        block = np.right_shift(block, self._shift, out=block)
        np.take(self._quick.nodes, block.view(np.int64), mode="clip", out=keys)
        if not entries.full:
            absent = np.less(array, PRESENT, out=scratch.mask[: chunk.slots])
            np.copyto(keys, ABSENT, where=absent)
        if keys.min() == UNCLEAR:
            self._clear_up(pagemap, chunk, array, keys)
        self._mark_huge_pages(pagemap, chunk, array, keys, UNCLEAR, scratch)
        return keys

    def _only_node(self, entries: Entries) -> int:
        """The node of all these pages, at a fifth of the cost; ``UNCLEAR`` where they may be on several, or not there.

        Where the least and the greatest entry agree in their flags, all do, and the frames lie between theirs. Mapped
        exclusively there is no zero page among them.
        """
        least, greatest = entries.least, entries.greatest
        if not entries.full or (least ^ greatest) > _FRAME:
            return UNCLEAR
        return (self._table if least & _IS_EXCLUSIVE else self._quick).node_of_all(least & _FRAME, greatest & _FRAME)

    def _none_aligned(self, chunk: Chunk, entries: NDArray[np.uint64]) -> bool:
        """Whether a glance tells that there is no huge page: no aligned address shows an aligned frame."""
        if len(chunk.pieces) > 1 or chunk.slot_bytes >= self._huge_page_size:
            return False
        first = -chunk.pieces[0][0] % self._huge_page_size // chunk.slot_bytes
        per_huge = self._huge_page_size // chunk.slot_bytes
        return bool((entries[first::per_huge] & np.uint64(per_huge - 1)).all())

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
        self,
        pagemap: Pagemap,
        chunk: Chunk,
        entries: NDArray[np.uint64],
        keys: NDArray[np.int16],
        node: int,
        scratch: Scratch,
    ) -> bool:
        """Add ``HUGE`` to the keys of all pages of huge pages that are mapped as a whole, at an aligned address.

        :param node: where all pages are present and on one node that node, and ``keys`` are written only if need be
        :returns: whether any were marked
        """
        if not (self._flags.readable or pagemap.scans):
            return False
        marked = False
        per_huge = self._huge_page_size // chunk.slot_bytes
        for slot, count, address in whole_huge_pages(chunk, self._huge_page_size):
            entry = entries[slot : slot + count * per_huge].reshape(count, per_huge)
            rows = _in_one_piece(entry, scratch)
            if not len(rows):
                continue
            if node != UNCLEAR and not marked:
                keys.fill(node)
            marked = True
            key = keys[slot : slot + count * per_huge].reshape(count, per_huge)
            if node == UNCLEAR:
                rows = rows[(key[rows, 0] >= 0) & (key[rows] == key[rows, :1]).all(axis=1)]
            self._mark(pagemap, key, entry[:, 0] & PFN_MASK, rows, address)
        return marked

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


def _in_one_piece(entry: NDArray[np.uint64], scratch: Scratch) -> NDArray[np.intp]:
    """Which rows of entries, shape (rows, pages of a huge page), show frames one after the other from an aligned one.

    Entries that are not present may look like it too.
    """
    per_huge = entry.shape[1]
    head = entry[:, 0]
    # The first look rules out nearly every small page, the second most of the rest.
    likely = head & np.uint64(per_huge - 1) == 0
    if not likely.any():
        return _NO_ROWS
    rows = np.flatnonzero(likely & ((entry[:, -1] ^ head) & PFN_MASK == per_huge - 1))
    if not len(rows):
        return _NO_ROWS
    some = entry if len(rows) == len(entry) else entry[rows]
    # The head is aligned, so that the nth frame after it differs in the bits of n.
    frames = scratch.blocks[: some.size].reshape(some.shape)
    np.bitwise_xor(some, some[:, :1], out=frames)
    np.bitwise_and(frames, PFN_MASK, out=frames)
    found: NDArray[np.intp] = rows[(frames == np.arange(per_huge, dtype=np.uint64)).all(axis=1)]
    return found
