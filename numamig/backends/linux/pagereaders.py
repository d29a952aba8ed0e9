"""Present pages with their nodes: by page frame numbers where those are visible, else by asking move_pages.

Both readers take pagemap's word for what is present, chunk by chunk: memory use does not depend on the size of the
process, and the target's mmap lock is taken for one page table at a time. Each page becomes a key (``keys``).
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from numamig.backends.base import MovePagesReturn
from numamig.backends.linux._errors import gone, refused
from numamig.backends.linux.keys import ABSENT, JoinedRuns, Keys
from numamig.backends.linux.looks import BLOCK_SLOTS, Chunk, cut_into_blocks, cut_into_chunks, plan_looks
from numamig.backends.linux.maps import Span
from numamig.backends.linux.pagemap import EXCLUSIVE, PRESENT, Pagemap
from numamig.errors import BackendError
from numamig.model.pages import UNKNOWN_NODE, PageRuns, Ranges

__all__ = ["Ask", "Entries", "KeyReader", "OpenPagemap", "Scratch", "ask_nodes", "read_runs", "whole_huge_pages"]

_PRESENT = int(PRESENT)  # numpy's numbers are slow one by one
Ask = Callable[[int, NDArray[np.uint64]], MovePagesReturn]
"""move_pages(pid, addresses) that only asks."""
OpenPagemap = Callable[[], AbstractContextManager[Pagemap]]
"""Opens the pagemap of a process, or hands out one that is open."""


class Scratch:
    """Arrays that one thread uses at a time, again and again: to have fresh memory costs as much as the work."""

    def __init__(self) -> None:
        self.entries = np.empty(BLOCK_SLOTS, np.uint64)
        self.bytes = self.entries.data.cast("B")
        self.blocks = np.empty(BLOCK_SLOTS, np.uint64)
        self.keys = np.empty(BLOCK_SLOTS, np.int16)
        self.mask = np.empty(BLOCK_SLOTS, np.bool_)


# One for each thread that ever read at the same time as others; a deque, because those are safe between threads.
_idle_scratch: deque[Scratch] = deque(maxlen=8)


class Entries(NamedTuple):  # not a dataclass: one is made for each block, right behind the kernel's cold caches
    """Pagemap entries of a block."""

    array: NDArray[np.uint64]
    """Shape (slots,)."""
    least: int
    greatest: int

    @classmethod
    def of(cls, array: NDArray[np.uint64]) -> Entries:
        return cls(array, int(array.min()), int(array.max()))

    @property
    def full(self) -> bool:
        """All are of present pages."""
        return self.least >= _PRESENT

    @property
    def empty(self) -> bool:
        """None is. Holes are not all 0: they show soft-dirty, and what is swapped out."""
        return self.greatest < _PRESENT


class KeyReader(Protocol):
    """Tells where pages are."""

    def only_key(self, entries: Entries, address: int) -> int | None:
        """The key of all base pages from an address on, where a glance at their entries tells that they have one."""
        ...

    def keys(self, pagemap: Pagemap, chunk: Chunk, entries: Entries, scratch: Scratch) -> Keys:
        """Keys of all slots from their pagemap entries; they may lie in ``scratch``."""
        ...


def read_runs(
    reader: KeyReader,
    open_pagemap: OpenPagemap,
    spans: Sequence[Span],
    ranges: Ranges,
    *,
    page_size: int,
    huge_page_size: int,
    threads: int = 1,
) -> Iterator[PageRuns]:
    """Present pages of the ranges, a chunk at a time, ascending; chunks without any are left out.

    :param open_pagemap: opens that of the process; left when the last page was read
    :param spans: where the process has mappings, read just before
    :param threads: how many chunks may be read at the same time
    :raises TargetGone: the process ended, or replaced its memory
    :raises RefusedError: the caller may not look
    """
    looks = plan_looks(spans, ranges, page_size, huge_page_size)
    hole = True

    def skip(start: int, end: int) -> int:
        # Where pages are dense a scan would find nothing.
        return pagemap.next_present(start, end) if hole else start

    def look(chunk: Chunk) -> PageRuns:
        try:
            scratch = _idle_scratch.pop()
        except IndexError:
            scratch = Scratch()
        runs = JoinedRuns(huge_page_size)
        try:
            if chunk.slots <= BLOCK_SLOTS or chunk.unwanted or chunk.slot_bytes != page_size:
                for block in cut_into_blocks(chunk, huge_page_size, skip):
                    array = scratch.entries[: block.slots]
                    pagemap.read(block, array)
                    add(runs, block, Entries.of(array), scratch)
            else:
                look_at_stretch(chunk, runs, scratch)
            return runs.all()
        finally:
            _idle_scratch.append(scratch)

    def look_at_stretch(chunk: Chunk, runs: JoinedRuns, scratch: Scratch) -> None:
        # The same, with as few steps as can be where all is alike: the kernel's work leaves none of ours in the caches.
        ((at, end),) = chunk.pieces
        while at < end:
            until = min(end, (at + BLOCK_SLOTS * page_size) // huge_page_size * huge_page_size)
            slots = (until - at) // page_size
            pagemap.fill(scratch.bytes[: slots * 8], at)
            entries = Entries.of(scratch.entries[:slots])
            key = reader.only_key(entries, at)
            if key is not None:
                runs.extend(at, until, key, page_size)
            else:
                add(runs, chunk.part(at, until), entries, scratch)
                if hole:
                    until = max(until, skip(until, end) // huge_page_size * huge_page_size)
            at = until

    def add(runs: JoinedRuns, block: Chunk, entries: Entries, scratch: Scratch) -> None:
        nonlocal hole
        hole = entries.empty
        if not hole:
            runs.add(block, reader.keys(pagemap, block, entries, scratch))

    with open_pagemap() as pagemap:
        for runs in _in_order(look, cut_into_chunks(looks, huge_page_size, skip), threads):
            if len(runs):
                yield runs
        if looks:
            # A process that ends looks like holes to the scan, and to move_pages like the next with its pid.
            pagemap.check_alive(looks[-1].start)


def _in_order(look: Callable[[Chunk], PageRuns], chunks: Iterator[Chunk], threads: int) -> Iterator[PageRuns]:
    """``look`` at each chunk, ``threads`` at a time, answers in order."""
    first = next(chunks, None)
    if first is None:
        return
    second = next(chunks, None) if threads > 1 else None
    if second is None:  # small, or asked to: no threads for that
        yield look(first)
        yield from map(look, chunks)
        return
    with ThreadPoolExecutor(threads, "numamig-pages") as pool:
        waiting: deque[Future[PageRuns]] = deque((pool.submit(look, first), pool.submit(look, second)))
        try:
            while waiting:
                # One more than there are threads, so that none waits for us.
                while len(waiting) <= threads and (chunk := next(chunks, None)) is not None:
                    waiting.append(pool.submit(look, chunk))
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def whole_huge_pages(chunk: Chunk, huge_page_size: int) -> Iterator[tuple[int, int, int]]:
    """First slot, how many, and address of the stretches of a chunk that could be huge pages one after the other."""
    slot = 0
    for start, end in chunk.pieces:
        first = -(-start // huge_page_size) * huge_page_size
        count = (end - first) // huge_page_size
        if count > 0 and chunk.slot_bytes < huge_page_size:
            yield slot + (first - start) // chunk.slot_bytes, count, first
        slot += (end - start) // chunk.slot_bytes


def ask_nodes(ask: Ask, pid: int, addresses: NDArray[np.uint64], entries: NDArray[np.uint64]) -> NDArray[np.int16]:
    """Keys of pages that pagemap shows present, by asking move_pages.

    A zero page is ``ABSENT``. A page that move_pages does not see although pagemap does is marked by NUMA balancing
    on an older kernel: it is there, and where is not known. Such a mark shows as -ENOENT on a small page and as
    -EFAULT, like a zero page, on a huge one; but no zero page is ever mapped exclusively.

    :param addresses: shape (pages,)
    :param entries: shape (pages,), their pagemap entries
    """
    answer = ask(pid, addresses)
    if answer.returned < 0:
        if answer.errno in (errno.ESRCH, errno.EINVAL):  # EINVAL: a zombie
            raise gone(pid)
        if answer.errno in (errno.EPERM, errno.EACCES):
            raise refused(pid, answer.errno)
        raise BackendError(f"move_pages does not answer about process {pid}", pid=pid, errno=answer.errno)
    status = answer.status
    zero = (status == -errno.EFAULT) & ((entries & EXCLUSIVE) == 0)
    return np.where(status >= 0, status, np.where(zero, ABSENT, UNKNOWN_NODE)).astype(np.int16)
