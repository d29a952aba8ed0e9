"""The reader that sees page frames: pagemap says which frame, a table says on which node; the kernel is asked nothing.

Source: Documentation/admin-guide/mm/pagemap.rst, for pagemap and /proc/kpageflags.
"""

from __future__ import annotations

import mmap
import os
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from numamig.backends.linux.frames import UNCLEAR, FrameTable
from numamig.backends.linux.keys import ABSENT, HUGE, KeyRuns, Keys
from numamig.backends.linux.looks import Chunk
from numamig.backends.linux.ownpages import ZeroFrames
from numamig.backends.linux.pagemap import EXCLUSIVE, PFN_MASK, PRESENT, Pagemap
from numamig.backends.linux.pagereaders import Ask, Entries, Scratch, ask_nodes, whole_huge_pages

__all__ = ["FrameReader", "PageFlags"]

_COMPOUND_TAIL: Final = 1 << 16
_THP: Final = 1 << 22
_ZERO_PAGE: Final = 1 << 24


_PRESENT: Final = int(PRESENT)
_FRAME: Final = int(PFN_MASK)  # numpy's numbers are slow one by one
_IS_EXCLUSIVE: Final = int(EXCLUSIVE)
_NO_ROWS: Final = np.empty(0, np.intp)


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
        self._number = PFN_MASK >> table.shift
        self._last = np.uint64(len(table.nodes) - 1)
        self._least = PRESENT >> table.shift
        self._exclusive = EXCLUSIVE >> table.shift
        self._zero = zero
        self._flags = flags
        self._ask = ask
        self._huge_page_size = huge_page_size
        self._page_size = mmap.PAGESIZE
        self._per_huge = huge_page_size // mmap.PAGESIZE
        self._within_huge = np.uint64(self._per_huge - 1)

    def only_key(self, entries: Entries, address: int) -> int | None:
        node = self._only_node(entries)
        first = -address % self._huge_page_size // self._page_size
        # A huge page would show an aligned frame at an aligned address.
        if node == UNCLEAR or not (entries.array[first :: self._per_huge] & self._within_huge).all():
            return None
        return node

    def keys(self, pagemap: Pagemap, chunk: Chunk, entries: Entries, scratch: Scratch) -> Keys:
        node = self._only_node(entries)
        keys = node if node != UNCLEAR else self._look_up(pagemap, chunk, entries.array, scratch)
        return self._mark_huge_pages(pagemap, chunk, entries.array, keys, scratch)

    def _look_up(self, pagemap: Pagemap, chunk: Chunk, entries: NDArray[np.uint64], scratch: Scratch) -> Keys:
        """Keys by memory block: one for all neighbours in one block, where those are many."""
        # The flags stay above the number of the block; what is not present is less than all that is.
        block = np.right_shift(entries, self._table.shift, out=scratch.blocks[: chunk.slots])
        change = np.not_equal(block[1:], block[:-1], out=scratch.mask[: chunk.slots - 1]).nonzero()[0]
        keys = scratch.keys[: chunk.slots]
        if len(change) < chunk.slots // 8:
            first = np.zeros(len(change) + 1, np.int64)
            np.add(change, 1, out=first[1:])
            block = block[first]
            number = np.minimum(block & self._number, self._last).view(np.int64)
            # Mapped exclusively it is no zero page.
            found = np.where(block & self._exclusive, self._table.nodes[number], self._quick.nodes[number])
            found[block < self._least] = ABSENT
            if not (found == UNCLEAR).any():
                return int(found[0]) if (found == found[0]).all() else KeyRuns(first, found)
            KeyRuns(first, found).write_to(keys)
        else:
            absent = np.less(block, self._least, out=scratch.mask[: chunk.slots])
            np.bitwise_and(block, self._number, out=block)
            np.take(self._quick.nodes, block.view(np.int64), mode="clip", out=keys)
            np.copyto(keys, ABSENT, where=absent)
        if keys.min() == UNCLEAR:
            self._clear_up(pagemap, chunk, entries, keys)
        return keys

    def _only_node(self, entries: Entries) -> int:
        """The node of all these pages, at a fifth of the cost; ``UNCLEAR`` where they may be on several, or not there.

        Where the least and the greatest entry agree in their flags, all do, and the frames lie between theirs. Mapped
        exclusively there is no zero page among them.
        """
        _, least, greatest = entries
        if least < _PRESENT or (least ^ greatest) > _FRAME:
            return UNCLEAR
        return (self._table if least & _IS_EXCLUSIVE else self._quick).node_of_all(least & _FRAME, greatest & _FRAME)

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
        self, pagemap: Pagemap, chunk: Chunk, entries: NDArray[np.uint64], keys: Keys, scratch: Scratch
    ) -> Keys:
        """Add ``HUGE`` to the keys of all pages of huge pages that are mapped as a whole, at an aligned address."""
        if not (self._flags.readable or pagemap.scans):
            return keys
        each: NDArray[np.int16] | None = None
        alike = isinstance(keys, int)
        per_huge = self._huge_page_size // chunk.slot_bytes
        for slot, count, address in whole_huge_pages(chunk, self._huge_page_size):
            entry = entries[slot : slot + count * per_huge].reshape(count, per_huge)
            rows = _in_one_piece(entry, scratch)
            if not len(rows):
                continue
            if each is None:
                each = _each(keys, scratch.keys[: chunk.slots])
            key = each[slot : slot + count * per_huge].reshape(count, per_huge)
            if not alike:
                rows = rows[(key[rows, 0] >= 0) & (key[rows] == key[rows, :1]).all(axis=1)]
            self._mark(pagemap, key, entry[:, 0] & PFN_MASK, rows, address)
        if each is None:
            return keys
        return int(each[0]) if alike and (each == each[0]).all() else each

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


def _each(keys: Keys, out: NDArray[np.int16]) -> NDArray[np.int16]:
    """The key of every slot, in ``out`` where it is not in an array already."""
    if isinstance(keys, int):
        out.fill(keys)
    elif isinstance(keys, KeyRuns):
        keys.write_to(out)
    else:
        return keys
    return out


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
