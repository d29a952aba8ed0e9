"""What else is known of the buckets of a page map: flags, heat, and what jobs left behind."""

from __future__ import annotations

import numpy as np
import pytest

from numamig.backends.simulator.memory import PAGE, Flag
from numamig.migrate.destination import Node
from numamig.migrate.job import Job
from numamig.migrate.left import LeftPages
from numamig.migrate.plan import plan_request
from numamig.migrate.queue import JobQueue
from numamig.migrate.request import Request, Retry, RetryMode
from numamig.migrate.run import run_job
from numamig.migrate.stayed import NONE_STAYED, Stayed, StayedSeen
from numamig.model.outcome import Outcome
from numamig.model.pageflags import PageFlag
from numamig.observe.bucketheat import look_at_heat
from numamig.observe.flagshares import look_at_flags
from numamig.observe.pagemap import Grid, lay_out
from tests.machines import PID, START, add_process, machine


def test_shares_of_flags_are_those_of_present_pages() -> None:
    backend = machine()
    flags = {**dict.fromkeys(range(4), Flag.PINNED), **dict.fromkeys(range(16, 32), Flag.WRITEBACK)}
    add_process(backend, [0] * 8 + [255] * 8 + [1] * 16 + [255] * 16, flags=flags)
    regions = backend.regions(PID)
    seen = look_at_flags(backend, PID, lay_out(regions, 16 * PAGE), regions, PAGE)
    assert [seen.of(bucket) for bucket in range(3)] == [{PageFlag.PINNED: 0.5}, {PageFlag.WRITEBACK: 1.0}, {}]
    assert np.isnan(seen.share(PageFlag.PINNED)).tolist() == [False, False, True]
    assert seen.whole.all() and seen.told == sum(PageFlag)


def test_no_more_pages_are_asked_for_than_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = machine()
    add_process(backend, [0] * 4096, flags=dict.fromkeys(range(0, 4096, 2), Flag.MLOCKED))
    asked: list[int] = []
    page_flags = backend.page_flags
    monkeypatch.setattr(backend, "page_flags", lambda pid, where: asked.append(len(where)) or page_flags(pid, where))
    regions = backend.regions(PID)
    grid = lay_out(regions, 256 * PAGE)
    seen = look_at_flags(backend, PID, grid, regions, PAGE)
    assert asked == [16 * 64] and not seen.whole.any()
    assert (np.abs(seen.share(PageFlag.MLOCKED) - 0.5) < 0.3).all()
    few = look_at_flags(backend, PID, grid, regions, PAGE, most=10)
    assert asked[1:] == [10]
    assert np.isnan(few.share(PageFlag.MLOCKED)).tolist() == [False] * 10 + [True] * 6


def test_what_is_known_stays_known_where_the_view_is_moved() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 64, flags={5: Flag.PINNED})
    backing.heat = np.array([255] * 32 + [0] * 32, np.uint8)
    regions = backend.regions(PID)
    whole = lay_out(regions, 16 * PAGE)
    moved = Grid(whole.bucket_bytes, whole.start[1:] - np.uint64(32 * PAGE), whole.region[1:])
    seen = look_at_flags(backend, PID, whole, regions, PAGE).for_grid(moved)
    assert [seen.of(bucket) for bucket in range(3)] == [{}, {PageFlag.PINNED: pytest.approx(1 / 16)}, {}]
    heat = look_at_heat(backend, PID, whole, regions)
    assert heat.heat.tolist() == [1.0, 1.0, 0.0, 0.0]
    assert np.isnan(heat.for_grid(moved)).tolist() == [True, False, False]
    assert np.isnan(heat.for_grid(lay_out(regions, 32 * PAGE))).all()


def test_heat_of_a_bucket_that_reaches_beyond_its_region() -> None:
    backend = machine()
    backings = add_process(backend, [0] * 20, [0] * 20)
    backings[0].heat, backings[1].heat = np.full(20, 255, np.uint8), np.zeros(20, np.uint8)
    regions = backend.regions(PID)
    heat = look_at_heat(backend, PID, lay_out(regions, 16 * PAGE), regions)
    assert heat.heat.tolist() == [1.0, 1.0, 0.0, 0.0]


def left(*parts: tuple[int, int, Outcome]) -> LeftPages:
    """Intervals of pages from ``START`` on: (first, end, outcome)."""
    first, end, outcome = (np.array(each) for each in zip(*parts, strict=True))
    address = [np.uint64(START) + each.astype(np.uint64) * np.uint64(PAGE) for each in (first, end)]
    count = len(parts)
    return LeftPages.of(*address, outcome.astype(np.int8), np.zeros(count, np.int16), np.ones(count, np.int32))


def test_the_outcome_of_a_bucket_is_that_of_most_pages_that_stayed_there() -> None:
    grid = Grid(
        16 * PAGE, np.uint64(START) + np.arange(4, dtype=np.uint64) * np.uint64(16 * PAGE), np.zeros(4, np.int32)
    )
    first = left((0, 3, Outcome.BUSY), (4, 6, Outcome.SHARED), (12, 20, Outcome.BUSY), (20, 32, Outcome.SHARED))
    seen = StayedSeen((1,), (first,))
    assert seen.for_grid(grid).tolist() == [Outcome.BUSY, Outcome.SHARED, NONE_STAYED, NONE_STAYED]
    later = left((16, 17, Outcome.NO_ROOM), (63, 64, Outcome.REFUSED))
    both = StayedSeen((1, 2), (first, later))
    assert both.for_grid(grid).tolist() == [Outcome.BUSY, Outcome.NO_ROOM, NONE_STAYED, Outcome.REFUSED]
    assert both.pages_of(START, START + 16 * PAGE, PAGE) == {Outcome.BUSY: 7, Outcome.SHARED: 2}
    assert both.pages_of(START + 16 * PAGE, START + 32 * PAGE, PAGE) == {Outcome.NO_ROOM: 1}
    assert both.pages_of(START + 32 * PAGE, START + 48 * PAGE, PAGE) == {}


def test_a_job_says_where_pages_stayed_and_forgets_those_that_move_after_all() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 32, flags={3: Flag.PINNED, 9: Flag.PINNED})
    backing.sharers[20:24] = 2
    request = Request(PID, Node(1), batch_pages=8, retry=Retry(RetryMode.BOUNDED, passes=2))
    job = Job(1, backend, plan_request(backend, request))
    for _ in range(4):
        job.step()
    assert stays(job) == {3: Outcome.BUSY, 9: Outcome.BUSY, **dict.fromkeys(range(20, 24), Outcome.SHARED)}
    backing.flags[9] = 0
    for _ in run_job(job, backend):
        pass
    assert job.state.ended
    assert stays(job) == {3: Outcome.BUSY, **dict.fromkeys(range(20, 24), Outcome.SHARED)}
    assert backing.node[9] == 1


def stays(job: Job) -> dict[int, Outcome]:
    """Page → why it stayed."""
    pages = job.stayed()
    each = zip(pages.start.tolist(), pages.end.tolist(), pages.outcome.tolist(), strict=True)
    return {(at - START) // PAGE: Outcome(why) for low, high, why in each for at in range(low, high, PAGE)}


def test_too_many_to_be_kept_are_no_longer_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numamig.migrate.stayed._MOST", 3)
    stayed = Stayed()
    stayed.add(left((0, 1, Outcome.BUSY), (1, 2, Outcome.BUSY)))
    stayed.add(left((2, 3, Outcome.BUSY), (3, 4, Outcome.BUSY)))
    assert stayed.complete and len(stayed.pages) == 1  # neighbours are one
    stayed.add(left((10, 11, Outcome.BUSY), (12, 13, Outcome.BUSY), (14, 15, Outcome.BUSY)))
    assert not stayed.complete
    stayed.add(left((20, 21, Outcome.BUSY)))
    assert len(stayed.pages) == 4


def test_a_queue_tells_them_by_process() -> None:
    backend = machine()
    add_process(backend, [0] * 8, flags={3: Flag.PINNED})
    add_process(backend, [0] * 8, pid=PID + 1)
    queue = JobQueue(backend)
    for pid in (PID, PID + 1):
        number = queue.add(plan_request(backend, Request(pid, Node(1), retry=Retry(RetryMode.NEVER))))
        while not queue.snapshot(number).state.ended:
            queue.step(number)
    seen = queue.stayed(backend.process(PID).identity)
    assert seen is not None and seen.left[0].pages(PAGE) == 1
    assert queue.stayed(backend.process(PID + 1).identity) is None
