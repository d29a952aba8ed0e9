"""What move_pages(2) hides, case by case, on a real kernel: the engine's account against numa_maps and vmstat."""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from numamig.backends.base import UNWRITTEN, MovePagesReturn
from numamig.migrate.batch import Batch
from numamig.migrate.mover import Stop, move_batch
from numamig.model.outcome import Outcome
from numamig.testing import Area
from tests.lab.conftest import PAGE, LabTarget, LabWorkshop
from tests.lab.jobs import NEVER, counts, migrate, new_job
from tests.lab.settings import POOLS, written

MIN_FREE = Path("/proc/sys/vm/min_free_kbytes")
COMPACT_LOCKED = Path("/proc/sys/vm/compact_unevictable_allowed")
MTHP = Path("/sys/kernel/mm/transparent_hugepage/hugepages-64kB/enabled")
WHOLE = Path("/sys/kernel/mm/transparent_hugepage/hugepages-2048kB/enabled")


def vmstat(name: str) -> int:
    lines = Path("/proc/vmstat").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{name} ")).split()[1])


def pages(target: LabTarget, area: int = 0) -> np.ndarray:
    return target.starts[area] + np.arange(target.areas[area].pages, dtype=np.uint64) * PAGE


def noted(workshop: LabWorkshop, target: LabTarget, monkeypatch: pytest.MonkeyPatch) -> list[MovePagesReturn]:
    """What the kernel will have answered to the moving calls for this process."""
    answers: list[MovePagesReturn] = []
    move_pages = workshop.backend.move_pages

    def noting(pid: int, addresses: np.ndarray, nodes: np.ndarray | None, flags: int = 2) -> MovePagesReturn:
        answer = move_pages(pid, addresses, nodes, flags)
        if nodes is not None and pid == target.pid:
            answers.append(answer)
        return answer

    monkeypatch.setattr(workshop.backend, "move_pages", noting)
    return answers


def all_of(target: LabTarget, pages: int) -> dict[int, int]:
    """Pages by node, when nobody works on them any more: a page that the kernel compacts is on no node for a moment."""
    for _ in range(50):
        if sum((at := target.pages_by_node(0)).values()) == pages:
            break
        time.sleep(0.1)
    return at


def test_a_bad_node_in_the_middle_hides_nothing_that_moved(workshop: LabWorkshop) -> None:
    target = workshop.start(Area(300, 0))
    where = pages(target)
    to = np.repeat(np.array([1, 9, 2], np.int32), 100)
    batch = Batch(where, np.full(300, PAGE), np.zeros(300, np.int16), to)
    result = move_batch(workshop.backend, target.pid, batch, PAGE, shared=False)
    at = target.pages_by_node(0)
    assert {o.key: n for o, n in result.outcomes.items() if n} == {"moved": 200, "refused": 100}
    assert result.stop is Stop.NODE_OFFLINE
    assert at == {0: 100, 1: 100, 2: 100}
    assert result.moved == {(0, node): at[node] for node in (1, 2)}


def test_pages_that_need_no_move_are_not_named(workshop: LabWorkshop, monkeypatch: pytest.MonkeyPatch) -> None:
    target = workshop.start(Area(1000, 0))
    other = pages(target)[::2].copy()
    assert workshop.backend.move_pages(target.pid, other, np.full(500, 1, np.int32)).returned == 0
    answers = noted(workshop, target, monkeypatch)
    assert counts(migrate(workshop, target, 1)) == {"moved": 500}
    assert sum(len(answer.status) for answer in answers) == 500
    assert target.pages_by_node(0) == {1: 1000}


def test_a_failing_run_ends_at_a_page_that_is_there_already(
    workshop: LabWorkshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = workshop.start(Area(300, 0, pinned=(0, 7, 99, 200)))
    where = pages(target)
    assert workshop.backend.move_pages(target.pid, where[100:101], np.array([1], np.int32)).returned == 0
    answers = noted(workshop, target, monkeypatch)
    batch = Batch(where, np.full(300, PAGE), np.zeros(300, np.int16), np.full(300, 1, np.int32))
    result = move_batch(workshop.backend, target.pid, batch, PAGE, shared=False)
    # What this test is about: three failed, 199 were not tried, and of the run that failed nothing is written.
    assert answers[0].returned == 3 + 199
    assert (answers[0].status == UNWRITTEN).nonzero()[0].tolist() == [*range(100), *range(101, 300)]
    assert {o.key: n for o, n in result.outcomes.items() if n} == {"moved": 296, "busy": 4}
    assert sorted(result.left.addresses(PAGE).tolist()) == where[[0, 7, 99, 200]].tolist()
    assert target.pages_by_node(0) == {0: 4, 1: 296}
    assert target.intact()


def test_a_second_address_of_a_huge_page_is_not_busy_when_the_page_has_moved(
    workshop: LabWorkshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = workshop.start(Area(3 * 512, 0, "huge"))
    where = pages(target)
    answers = noted(workshop, target, monkeypatch)
    # As somebody would name them who cannot see that they are huge.
    batch = Batch(where, np.full(1536, PAGE), np.zeros(1536, np.int16), np.full(1536, 1, np.int32))
    result = move_batch(workshop.backend, target.pid, batch, PAGE, shared=False)
    assert -errno.EBUSY in answers[0].status
    assert {o.key: n for o, n in result.outcomes.items() if n} == {"moved": 1536}
    assert target.pages_by_node(0) == {1: 1536}
    assert target.intact()


def test_what_overlapping_ranges_have_in_common_is_moved_once(
    workshop: LabWorkshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = workshop.start(Area(512, 0, "huge"), Area(300, 0))
    huge, small = target.starts
    parts = [(huge, 100, 250), (huge, 200, 400), (small, 0, 200), (small, 50, 60), (small, 100, 300)]
    within = sorted((start + first * PAGE, start + end * PAGE) for start, first, end in parts)
    answers = noted(workshop, target, monkeypatch)
    job = migrate(workshop, target, 1, within=within)
    assert counts(job) == {"moved": 512 + 300}
    assert sum(len(answer.status) for answer in answers) == 1 + 300
    assert not any((answer.status == -errno.EBUSY).any() for answer in answers)
    assert [target.pages_by_node(area) for area in range(2)] == [{1: 512}, {1: 300}]
    assert target.intact()


@pytest.mark.skipif(not MTHP.exists(), reason="missing: folios of 64 KiB (this kernel has none)")
def test_folios_that_nobody_can_see_are_not_called_busy(workshop: LabWorkshop) -> None:
    with written(MTHP, "always"), written(WHOLE, "never"):
        target = workshop.start(Area(1024, 0, "as_comes"))
    before = vmstat("pgmigrate_success")
    job = migrate(workshop, target, 1, retry=NEVER)
    assert counts(job) == {"moved": 1024}
    assert target.pages_by_node(0) == {1: 1024}
    assert vmstat("pgmigrate_success") - before >= 1024
    assert target.intact()


@pytest.mark.skipif(not MTHP.exists(), reason="missing: folios of 64 KiB (this kernel has none)")
def test_no_more_moves_than_a_step_says_where_folios_are_larger_than_pages(workshop: LabWorkshop) -> None:
    with written(MTHP, "always"), written(WHOLE, "never"):
        target = workshop.start(Area(1024, 0, "as_comes"))
        job = new_job(workshop, target, 1, batch_pages=133)
        for _ in range(3):
            job.step()
            moved = job.snapshot().outcomes[Outcome.MOVED]
            assert target.pages_by_node(0) == {0: 1024 - moved, 1: moved}
            assert moved > 100 * job.snapshot().steps
        job.cancel()


def test_a_huge_page_is_split_where_the_target_has_only_small_ones(workshop: LabWorkshop) -> None:
    free = workshop.backend.node_counters().free_bytes[2] // PAGE
    target = workshop.start(Area(20 * 512, 0, "huge"))
    split = vmstat("thp_migration_split")
    # All but a little is taken, and of that every second page given back: there is room, but no two pages together, and
    # none of those between them may be moved out of the way.
    with written(COMPACT_LOCKED, "0"), written(MIN_FREE, "4096"):
        workshop.start(Area(free - 30_000, 2, "locked"), Area(24_000, 2, "holes"))
        job = migrate(workshop, target, 2, retry=NEVER, reserve_bytes=0)
    at = all_of(target, 20 * 512)
    assert vmstat("thp_migration_split") > split
    assert job.outcomes[Outcome.MOVED] == at.get(2, 0) > 0
    assert job.outcomes.total == 20 * 512 == sum(at.values())
    assert target.intact()


def test_pages_of_a_pool_move_to_a_node_without_one(workshop: LabWorkshop) -> None:
    pools = [Path(POOLS.format(node)) for node in (0, 1)]
    with written(pools[0], "6"), written(pools[1], "0"):
        target = workshop.start(Area(4 * 512, 0, "hugetlb"))
        job = migrate(workshop, target, 1)
        assert counts(job) == {"moved": 4 * 512}
        assert job.as_dict()["moved"] == [{"from": 0, "to": 1, "pages": 2048, "bytes": 8 << 20}]
        assert target.pages_by_node(0) == {1: 4 * 512}
        assert target.intact()
        target.end()


def test_a_target_that_is_killed_within_a_call_is_gone(workshop: LabWorkshop) -> None:
    target = workshop.start(Area(60_000, 0))
    job = new_job(workshop, target, 1, batch_pages=20_000)

    def kill() -> None:
        while target.pages_by_node(0).get(1, 0) < 500:
            time.sleep(0)
        os.kill(target.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    while not job.state.ended:
        job.step()
    killer.join()
    # The call in progress holds the memory, and goes on to its end: what it says is true.
    assert counts(job.snapshot()) == {"moved": 20_000, "gone": 40_000}


@pytest.mark.parametrize("threads", [2, 3])
def test_calls_made_together_account_for_every_page(workshop: LabWorkshop, threads: int) -> None:
    target = workshop.start(Area(8000, 0, pinned=(5, 4100, 7999)), Area(4 * 512, 0, "huge"), Area(300, 0, "shared"))
    job = migrate(workshop, target, 1, threads=threads, batch_pages=4096, retry=NEVER)
    assert counts(job) == {"moved": 7997 + 4 * 512, "busy": 3, "shared": 300}
    assert [target.pages_by_node(area) for area in range(3)] == [{0: 3, 1: 7997}, {1: 2048}, {0: 300}]
    assert target.intact()
