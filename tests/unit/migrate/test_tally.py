"""What would be chosen, counted in one walk."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from numamig.migrate.destination import Node
from numamig.migrate.preflight.tally import SAMPLE, Tally, count_chosen
from numamig.migrate.request import Request
from numamig.migrate.select import select_regions
from numamig.model.pages import PageRuns, Ranges
from numamig.model.process import Region, RegionKind
from tests.machines import PID, START, add_process, machine

PAGE = 4096
HUGE = 2 << 20


class Runs:
    """A backend that shows runs, in chunks of one each; all that a tally asks for."""

    def __init__(self, *runs: tuple[int, int, int, int]) -> None:
        self.runs = runs

    def page_runs(self, pid: int, ranges: Ranges) -> Iterator[PageRuns]:
        for address, size, count, node in self.runs:
            yield PageRuns(
                np.array([address], np.uint64),
                np.array([size], np.int64),
                np.array([count], np.int64),
                np.array([node], np.int16),
            )


def region(first: int, pages: int, kind: RegionKind = RegionKind.ANON, page_size: int = PAGE) -> Region:
    start = first * PAGE
    return Region(start, start + pages * PAGE, kind, "rw-p", page_size=page_size)


def tally(runs: Runs, *regions: Region, request: Request | None = None) -> Tally:
    selected = [(each, each.start, each.end) for each in regions]
    return count_chosen(runs, request or Request(1, Node(1)), selected, PAGE)  # type: ignore[arg-type]


def test_a_run_goes_on_from_one_region_into_the_next() -> None:
    """As readers show mappings side by side; the second region is skipped by the run after it."""
    found = tally(Runs((10 * PAGE, PAGE, 30, 0)), region(10, 10), region(20, 5), region(30, 20))
    assert found.bytes_by_range.tolist() == [10 * PAGE, 5 * PAGE, 10 * PAGE]


def test_pages_on_the_target_and_on_other_nodes_are_not_wanted() -> None:
    runs = Runs((0, PAGE, 10, 0), (10 * PAGE, PAGE, 5, 1), (15 * PAGE, PAGE, 2, 2), (17 * PAGE, PAGE, 3, -1))
    every = tally(runs, region(0, 20))
    assert every.bytes_by_node == {0: 10 * PAGE, 1: 5 * PAGE, 2: 2 * PAGE, -1: 3 * PAGE}
    assert (every.wanted_bytes, every.bytes_by_range.tolist()) == (15 * PAGE, [15 * PAGE])
    some = tally(runs, region(0, 20), request=Request(1, Node(1), sources=(2,)))
    assert (some.wanted_bytes, some.folios) == (2 * PAGE, {PAGE: 2})
    assert some.sample.tolist() == [15 * PAGE, 16 * PAGE]


def test_folios_by_size_and_kind() -> None:
    pool = region(0, 1024, RegionKind.HUGETLB, HUGE)
    runs = Runs((0, HUGE, 2, 0), (4 * HUGE, HUGE, 3, 0), (8 * HUGE, PAGE, 7, 0))
    found = tally(runs, pool, region(4 * 512, 5 * 512))
    assert found.folios == {HUGE: 5, PAGE: 7}
    assert found.hugetlb == {HUGE: 2}
    assert found.transparent(HUGE) == 3
    assert found.wanted_bytes == 5 * HUGE + 7 * PAGE


def test_few_pages_are_all_looked_at() -> None:
    found = tally(Runs((0, PAGE, 3, 0), (10 * PAGE, HUGE, 1, 0)), region(0, 2000))
    assert found.sampled_all
    assert found.sample.tolist() == [*range(0, 3 * PAGE, PAGE), *range(10 * PAGE, 10 * PAGE + HUGE, PAGE)]


@pytest.mark.parametrize("chunk", [1, 700, 40_000])
def test_a_sample_is_spread_over_everything(chunk: int) -> None:
    """However the pages come; each part of them has its share of the probes."""
    pages = 120_000
    found = tally(Runs(*((n * PAGE, PAGE, min(chunk, pages - n), 0) for n in range(0, pages, chunk))), region(0, pages))
    assert not found.sampled_all
    assert SAMPLE * 0.7 <= len(found.sample) <= 2 * SAMPLE
    assert (np.diff(found.sample.astype(np.int64)) > 0).all()
    parts, _ = np.histogram(found.sample // np.uint64(PAGE), bins=10, range=(0, pages))
    assert parts.min() > 0.6 * parts.mean()


def test_on_a_machine() -> None:
    backend = machine()
    layout = np.random.default_rng(1).integers(0, 3, 5000).astype(np.uint8)
    add_process(backend, layout, [2] * 77)
    request = Request(PID, Node(1), sources=(2,))
    found = count_chosen(backend, request, select_regions(backend.regions(PID), request), PAGE)
    assert found.bytes_by_range.tolist() == [int((layout == 2).sum()) * PAGE, 77 * PAGE]
    assert found.wanted_bytes == sum(found.bytes_by_range.tolist())
    first = (found.sample[found.sample < START + 5000 * PAGE] - np.uint64(START)) // np.uint64(PAGE)
    assert (layout[first.astype(int)] == 2).all()
