"""What would be chosen, counted in one walk: bytes by node and region, folios by size, and a sample of its pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from numamig.backends.base import Backend
from numamig.migrate.request import Request
from numamig.migrate.select import meant, narrowed
from numamig.model.pages import PageRuns
from numamig.model.process import Region, RegionKind

__all__ = ["SAMPLE", "Tally", "count_chosen"]

SAMPLE: Final = 2000
"""Pages looked at one by one, this many to twice as many: enough for some two percent."""

_TOGETHER: Final = 4096  # runs added up at a time: a process has hundreds of mappings, most of them small


@dataclass(frozen=True, slots=True)
class Tally:
    """Of the selected ranges; "wanted" is what is present on a source node."""

    bytes_by_node: dict[int, int]
    """All that is present."""
    bytes_by_range: NDArray[np.int64]
    """Wanted, in each selected range; shape (ranges,)."""
    folios: Mapping[int, int]
    """Bytes of a folio → how many are wanted."""
    hugetlb: Mapping[int, int]
    """Of these, the pages of hugetlb pools."""
    ways: Mapping[tuple[int, int], int] = field(default_factory=dict)
    """(from, to) → bytes of what is wanted."""
    sample: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))
    """Addresses of wanted base pages, one at random from each of many equal parts; ascending, shape (probes,)."""
    sampled_all: bool = False
    """The sample is every wanted page."""

    @property
    def wanted_bytes(self) -> int:
        return sum(size * count for size, count in self.folios.items())

    @property
    def hugetlb_bytes(self) -> int:
        return sum(size * count for size, count in self.hugetlb.items())

    def transparent(self, huge_page_size: int) -> int:
        """Wanted huge pages that are not of a hugetlb pool."""
        return max(0, self.folios.get(huge_page_size, 0) - self.hugetlb.get(huge_page_size, 0))


def count_chosen(
    backend: Backend, request: Request, selected: Sequence[tuple[Region, int, int]], page_size: int, *, seed: int = 0
) -> Tally:
    """Walk over the selected ranges once.

    :param selected: (region, start, end), ascending
    :raises TargetGone: the process ended
    :raises RefusedError: the caller may not look
    """
    walk = _Walk(backend, request, selected, page_size, seed)
    parts: list[PageRuns] = []
    waiting = 0
    for runs in backend.page_runs(request.pid, [(start, end) for _, start, end in selected]):
        parts.append(runs)
        waiting += len(runs)
        if waiting >= _TOGETHER:
            walk.add(PageRuns.concatenate(parts))
            parts, waiting = [], 0
    if waiting:
        walk.add(PageRuns.concatenate(parts))
    return walk.tally()


class _Walk:
    """Adds up chunks of runs; keeps nothing that grows with the memory of the process."""

    def __init__(
        self,
        backend: Backend,
        request: Request,
        selected: Sequence[tuple[Region, int, int]],
        page_size: int,
        seed: int,
    ) -> None:
        self._backend = backend
        self._request = request
        self._ways: Counter[tuple[int, int]] = Counter()
        self._regions = [region for region, _, _ in selected]
        edges = np.array([(start, end) for _, start, end in selected], np.uint64).reshape(-1, 2)
        self._start, self._end = edges[:, 0], edges[:, 1]
        self._page = page_size
        self._random = np.random.default_rng(seed)
        self._by_node: Counter[int] = Counter()
        self._by_range = np.zeros(len(selected), np.int64)
        self._folios: Counter[int] = Counter()
        self._sample: list[NDArray[np.uint64]] = []
        self._probes = 0
        self._stride = 1
        """Wanted pages for each probe."""

    def add(self, runs: PageRuns) -> None:
        """Runs in ascending order, above all that were added before, but for a folio that reaches over."""
        self._by_node.update(runs.bytes_by_node())
        runs, _ = meant(runs, self._request, self._page)
        runs = narrowed(self._backend, runs, self._request)
        if not len(runs):
            return
        self._add_to_ways(runs)
        for size in np.unique(runs.page_size).tolist():
            self._folios[size] += int(runs.count[runs.page_size == size].sum())
        size_bytes = runs.size_bytes
        self._add_to_ranges(runs.address, size_bytes)
        self._take_sample(runs.address, size_bytes // self._page)

    def tally(self) -> Tally:
        pools: Counter[int] = Counter()
        for region, size in zip(self._regions, self._by_range.tolist(), strict=True):
            if region.kind is RegionKind.HUGETLB and size:
                pools[region.page_size] += -(-size // region.page_size)
        sample = np.concatenate(self._sample) if self._sample else np.empty(0, np.uint64)
        return Tally(
            dict(self._by_node),
            self._by_range,
            dict(self._folios),
            dict(pools),
            dict(self._ways),
            sample,
            sampled_all=self._stride == 1,
        )

    def _add_to_ways(self, runs: PageRuns) -> None:
        target = self._request.to.targets(runs.address, runs.page_size, runs.node)
        for node in np.unique(target).tolist():
            for source, count in runs[target == node].bytes_by_node().items():
                self._ways[source, node] += count

    def _add_to_ranges(self, address: NDArray[np.uint64], size_bytes: NDArray[np.int64]) -> None:
        """A run may go on from one range into the next, where mappings are side by side."""
        low, high = address[0], address[-1] + np.uint64(size_bytes[-1])
        first = int(np.searchsorted(self._end, low, side="right"))
        last = int(np.searchsorted(self._start, high))
        if last <= first + 1:
            self._by_range[min(first, len(self._by_range) - 1)] += int(size_bytes.sum())
            return
        below = np.concatenate((np.zeros(1, np.int64), np.cumsum(size_bytes)))

        def bytes_below(edge: NDArray[np.uint64]) -> NDArray[np.int64]:
            run = np.maximum(np.searchsorted(address, edge, side="right") - 1, 0)
            inside = np.where(edge > address[run], edge - address[run], np.uint64(0)).astype(np.int64)
            found: NDArray[np.int64] = below[run] + np.minimum(inside, size_bytes[run])
            return found

        ranges = slice(first, last)
        self._by_range[ranges] += bytes_below(self._end[ranges]) - bytes_below(self._start[ranges])

    def _take_sample(self, address: NDArray[np.uint64], pages: NDArray[np.int64]) -> None:
        end = np.cumsum(pages)
        total = int(end[-1])
        while self._probes + total // self._stride > 2 * SAMPLE:
            self._thin()
        if self._stride == 1:
            part = np.arange(total)
        else:
            exact = total / self._stride
            probes = int(exact) + (self._random.random() < exact % 1)
            part = ((np.arange(probes) + self._random.random(probes)) * (total / max(probes, 1))).astype(np.int64)
        run = np.searchsorted(end, part, side="right")
        nth = part - (end[run] - pages[run])
        self._sample.append(address[run] + (nth * self._page).view(np.uint64))
        self._probes += len(part)

    def _thin(self) -> None:
        """Every second probe stands for twice as many pages from now on."""
        self._stride *= 2
        if self._sample:
            kept = np.concatenate(self._sample)[::2]
            self._sample, self._probes = [kept], len(kept)
