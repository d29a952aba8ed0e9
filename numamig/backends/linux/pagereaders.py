"""Present pages with their nodes: by page frame numbers where those are visible, else by asking move_pages.

Both readers take pagemap's word for what is present, chunk by chunk: memory use does not depend on the size of the
process, and the target's mmap lock is taken for one page table at a time. Each page becomes a *key*: its node,
``UNKNOWN_NODE``, or one of the marks below; equal keys side by side become a run.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from numamig.backends.base import MovePagesReturn
from numamig.backends.linux._errors import gone, refused
from numamig.backends.linux.looks import CHUNK_SLOTS, Chunk, cut_into_chunks, plan_looks
from numamig.backends.linux.maps import Span
from numamig.backends.linux.pagemap import EXCLUSIVE, PRESENT, Pagemap
from numamig.errors import BackendError
from numamig.model.pages import UNKNOWN_NODE, PageRuns, Ranges

__all__ = ["ABSENT", "Ask", "KeyReader", "Scratch", "ask_nodes", "join_runs", "read_runs", "whole_huge_pages"]

ABSENT: Final = -2
"""Key of a page that is not there."""
_ZERO = np.zeros(1, np.int64)
HUGE: Final = 1 << 14
"""Added to the key of every page that is part of a huge one."""

Ask = Callable[[int, NDArray[np.uint64]], MovePagesReturn]
"""move_pages(pid, addresses) that only asks."""


class Scratch:
    """Arrays that one thread uses at a time, again and again: to have fresh memory costs as much as the work."""

    def __init__(self) -> None:
        self.entries = np.empty(CHUNK_SLOTS, np.uint64)
        self.blocks = np.empty(CHUNK_SLOTS, np.uint64)
        self.keys = np.empty(CHUNK_SLOTS, np.int16)
        self.mask = np.empty(CHUNK_SLOTS, np.bool_)


# One for each thread that ever read at the same time as others; a deque, because those are safe between threads.
_idle_scratch: deque[Scratch] = deque(maxlen=8)


class KeyReader(Protocol):
    """Tells where pages are."""

    def keys(
        self, pagemap: Pagemap, chunk: Chunk, entries: NDArray[np.uint64], full: bool, scratch: Scratch
    ) -> NDArray[np.int16]:
        """Key of each slot from its pagemap entry, shape (chunk.slots,) both; the keys may lie in ``scratch``.

        :param full: all slots are present; some are in any case
        """
        ...


def read_runs(
    reader: KeyReader,
    proc_root: Path,
    pid: int,
    spans: Sequence[Span],
    ranges: Ranges,
    *,
    page_size: int,
    huge_page_size: int,
    threads: int = 1,
) -> Iterator[PageRuns]:
    """Present pages of the ranges, a chunk at a time, ascending; chunks without any are left out.

    :param spans: where ``pid`` has mappings, read just before
    :param threads: how many chunks may be read at the same time
    :raises TargetGone: the process ended, or replaced its memory
    :raises RefusedError: the caller may not look
    """
    looks = plan_looks(spans, ranges, page_size, huge_page_size)

    def look(chunk: Chunk) -> PageRuns:
        try:
            scratch = _idle_scratch.pop()
        except IndexError:
            scratch = Scratch()
        try:
            entries = scratch.entries[: chunk.slots]
            pagemap.read(chunk, entries)
            # Present is the top bit. Holes are not all 0: they show soft-dirty, and what is swapped out.
            full = bool(entries.min() >= PRESENT)
            if not full and entries.max() < PRESENT:
                return PageRuns.empty()
            return join_runs(chunk, reader.keys(pagemap, chunk, entries, full, scratch), huge_page_size)
        finally:
            _idle_scratch.append(scratch)

    with Pagemap(proc_root, pid, page_size) as pagemap:
        for runs in _in_order(look, cut_into_chunks(looks, huge_page_size, pagemap.next_present), threads):
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


def join_runs(chunk: Chunk, keys: NDArray[np.int16], huge_page_size: int) -> PageRuns:
    """Runs of equal keys: what ``PageRuns.of_folios`` makes of the single pages, at a fraction of its cost."""
    if chunk.unwanted:
        keys = np.where(chunk.unwanted_slots() & (keys < HUGE - 1), ABSENT, keys).astype(np.int16, copy=False)
    change = keys[1:] != keys[:-1]
    if len(chunk.pieces) > 1:
        change[chunk.first_slots()[1:] - 1] = True  # addresses jump between pieces
    edges = np.concatenate((_ZERO, change.nonzero()[0] + 1, [len(keys)]))
    first = edges[:-1]
    count = edges[1:] - first
    node = keys[first]
    there = node != ABSENT
    if not there.all():
        first, count, node = first[there], count[there], node[there]
    size = np.full(len(node), chunk.slot_bytes)
    huge = node >= HUGE - 1  # HUGE + UNKNOWN_NODE is the least of them
    if huge.any():
        size[huge] = huge_page_size
        count[huge] //= huge_page_size // chunk.slot_bytes
        node[huge] -= HUGE
    return PageRuns(chunk.addresses(first), size, count, node)


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
