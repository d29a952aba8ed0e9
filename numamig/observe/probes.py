"""Probes: single pages asked for, spread over an address space so that each stands for as many others.

A probe is one address in a move_pages(2) question: half a microsecond, wherever it lies, and the target's mmap lock is
taken for sixteen of them at a time. Absent pages and zero pages answer with an error, so neither is ever counted.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from numamig.backends.base import Backend
from numamig.errors import BackendError, RefusedError, TargetGone
from numamig.model.pages import UNKNOWN_NODE, PageRuns, Ranges

__all__ = ["NOT_THERE", "UNASKED", "Space", "probe", "spread"]

NOT_THERE: Final = -2
"""In place of a node: no page there that counts."""
UNASKED: Final = -3
"""In place of a node: this probe was given up, and says nothing."""
_SECOND_LOOKS: Final = {False: 32, True: 256}
"""Balancing is on → single pages looked for by a page reader; one costs as much as a hundred probes."""
_MOST_SECOND_LOOKS: Final = 1024


@dataclass(frozen=True, slots=True)
class Space:
    """The pages of some address ranges, numbered without the gaps between them."""

    start: NDArray[np.int64]
    """First address of each range, ascending; shape (ranges,)."""
    before: NDArray[np.int64]
    """Pages of all ranges before; shape (ranges + 1,), the last cell is the number of all pages."""
    page_size: int

    @classmethod
    def of(cls, ranges: Ranges, page_size: int) -> Space:
        edges = np.array(ranges, np.int64).reshape(-1, 2)
        before = np.concatenate((np.zeros(1, np.int64), np.cumsum((edges[:, 1] - edges[:, 0]) // page_size)))
        return cls(edges[:, 0], before, page_size)

    @property
    def pages(self) -> int:
        return int(self.before[-1])

    def below(self, addresses: NDArray[np.uint64]) -> NDArray[np.int64]:
        """How many pages lie below each of these addresses; shape as given."""
        address = addresses.astype(np.int64)
        if not len(self.start):
            return np.zeros(address.shape, np.int64)
        nth = np.maximum(np.searchsorted(self.start, address, side="right") - 1, 0)
        inside = np.maximum(address - self.start[nth], 0) // self.page_size
        pages: NDArray[np.int64] = np.minimum(self.before[nth] + inside, self.before[nth + 1])
        return pages

    def address(self, pages: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Address of each of these pages; shape as given."""
        nth = np.searchsorted(self.before, pages, side="right") - 1
        address: NDArray[np.int64] = self.start[nth] + (pages - self.before[nth]) * self.page_size
        return address.view(np.uint64)


def spread(
    first: NDArray[np.int64], pages: NDArray[np.int64], probes: NDArray[np.int64], random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """One page at random from each of ``probes`` equal parts of each stratum; all pages where there are as many probes.

    At random, because evenly spaced probes would see only one of the nodes that pages are interleaved over.

    :param first: first page of each stratum, shape (strata,), as the other two
    :returns: page and stratum of each probe, shape (probes in all,)
    """
    stratum = np.repeat(np.arange(len(first)), probes)
    nth = np.arange(len(stratum)) - (np.cumsum(probes) - probes)[stratum]
    part = (nth + random.random(len(stratum))) * (pages / np.maximum(probes, 1))[stratum]
    return first[stratum] + np.minimum(part.astype(np.int64), pages[stratum] - 1), stratum


def probe(backend: Backend, pid: int, addresses: NDArray[np.uint64]) -> NDArray[np.int16]:
    """Node of the page at each address, ``UNKNOWN_NODE``, ``NOT_THERE`` or ``UNASKED``; shape as given.

    Older kernels do not see pages that NUMA balancing has marked, and marks outlast it. So some of the absent ones are
    looked for by a page reader; if any is there after all, most probes are given up and the rest are told like that.

    :param addresses: ascending
    :raises TargetGone: the process ended.
    :raises RefusedError: the caller may not look.
    """
    if not len(addresses):
        return np.empty(0, np.int16)
    answer = backend.move_pages(pid, addresses, None)
    if answer.returned < 0:
        if answer.errno in (errno.ESRCH, errno.EINVAL):  # EINVAL: no memory any more, or never any
            raise TargetGone(f"process {pid} has ended", pid=pid, errno=answer.errno)
        if answer.errno in (errno.EPERM, errno.EACCES):
            # The page reader knows why, and what helps.
            list(backend.page_runs(pid, [(int(addresses[0]), int(addresses[0]) + 1)]))
            raise RefusedError(f"process {pid} may not be looked at", pid=pid, errno=answer.errno)
        raise BackendError(f"move_pages does not answer about process {pid}", pid=pid, errno=answer.errno)
    nodes = np.where(answer.status >= 0, answer.status, NOT_THERE).astype(np.int16)
    absent = np.flatnonzero(nodes == NOT_THERE)
    if len(absent):
        some = absent[:: -(-len(absent) // _SECOND_LOOKS[backend.capabilities.balancing])]
        if (_look(backend, pid, addresses[some]) != NOT_THERE).any():
            every = -(-len(absent) // _MOST_SECOND_LOOKS)
            kept = np.arange(0, len(nodes), every)
            thinned = np.full(len(nodes), UNASKED, np.int16)
            thinned[kept] = nodes[kept]
            again = kept[nodes[kept] == NOT_THERE]
            thinned[again] = _look(backend, pid, addresses[again])
            return thinned
    return nodes


def _look(backend: Backend, pid: int, addresses: NDArray[np.uint64]) -> NDArray[np.int16]:
    """The same by a page reader: it sees marked pages, if not always where they are."""
    size = backend.topology().page_size
    pages = np.unique(addresses // np.uint64(size)).tolist()
    runs = PageRuns.concatenate(backend.page_runs(pid, [(page * size, (page + 1) * size) for page in pages]))
    nodes = np.full(len(addresses), NOT_THERE, np.int16)
    if len(runs):
        nth = np.maximum(np.searchsorted(runs.address, addresses, side="right") - 1, 0)
        inside = (addresses >= runs.address[nth]) & (addresses < runs.end[nth])
        nodes[inside] = np.maximum(runs.node[nth[inside]], UNKNOWN_NODE)
    return nodes
