"""The engine on a real kernel: its outcomes against numa_maps, in the cases where move_pages hides what it did."""

from __future__ import annotations

import pytest

from numamig.migrate.job import Job
from numamig.migrate.plan import plan_request
from numamig.migrate.queue import run_job
from numamig.migrate.request import Request, Retry, RetryMode
from numamig.migrate.snapshot import JobSnapshot
from numamig.model.outcome import Outcome
from numamig.testing import Area
from tests.lab.conftest import PAGE, LabTarget, LabWorkshop

NEVER = Retry(RetryMode.NEVER)


def migrate(workshop: LabWorkshop, target: LabTarget, to: int, **asked: object) -> JobSnapshot:
    """Move the areas of a target, and nothing else of it."""
    within = [
        (s, s + a.pages * PAGE) for s, a in sorted(zip(target.starts, target.areas, strict=True), key=lambda p: p[0])
    ]
    request = Request(target.pid, to, within=within, **asked)  # type: ignore[arg-type]
    job = Job(1, workshop.backend, plan_request(workshop.backend, request))
    for _ in run_job(job, workshop.backend):
        snapshot = job.snapshot()
        assert snapshot.outcomes.total == snapshot.chosen
    return job.snapshot()


def counts(job: JobSnapshot) -> dict[str, int]:
    return {outcome.key: pages for outcome, pages in job.outcomes.items() if pages}


def test_pinned_pages_are_busy_and_the_others_of_their_run_moved(workshop: LabWorkshop) -> None:
    target = workshop.start(Area(2000, 0, pinned=(3, 700, 1999)))
    job = migrate(workshop, target, 1, retry=NEVER)
    assert counts(job) == {"moved": 1997, "busy": 3}
    assert target.pages_by_node(0) == {0: 3, 1: 1997}
    assert target.intact()


def test_shared_pages_are_told_apart(workshop: LabWorkshop) -> None:
    target = workshop.start(Area(600, 0), Area(100, 0, "shared"))
    assert counts(migrate(workshop, target, 1)) == {"moved": 600, "shared": 100}
    assert target.pages_by_node(1) == {0: 100}
    assert counts(migrate(workshop, target, 1, shared=True)) == {"moved": 100}
    assert target.pages_by_node(1) == {1: 100}
    assert target.intact()


@pytest.mark.parametrize("batch", [64, 512, 3000])
def test_huge_pages_count_in_base_pages(workshop: LabWorkshop, batch: int) -> None:
    target = workshop.start(Area(4 * 512, 0, "huge"), Area(777, 0))
    job = migrate(workshop, target, 2, batch_pages=batch)
    assert counts(job) == {"moved": 4 * 512 + 777}
    assert target.pages_by_node(0) == {2: 4 * 512}
    assert target.pages_by_node(1) == {2: 777}
    assert target.intact()


def test_a_full_target_takes_what_fits_and_the_rest_is_accounted_for(workshop: LabWorkshop) -> None:
    free = workshop.backend.node_counters().free_bytes
    workshop.start(Area((free[2] - (100 << 20)) // (512 * PAGE) * 512, 2, "huge"))
    target = workshop.start(Area((160 << 20) // PAGE, 0))
    before = target.pages_by_node(0)[0]
    job = migrate(workshop, target, 2, batch_pages=8192)
    after = target.pages_by_node(0)
    assert job.outcomes[Outcome.MOVED] == after.get(2, 0) > 0
    assert job.outcomes[Outcome.NO_ROOM] > 0
    assert job.chosen == before == after[0] + after[2]
    assert job.reason == "the target node is full"
    assert target.intact()


def test_a_target_that_ends_in_the_middle_is_gone(workshop: LabWorkshop) -> None:
    target = workshop.start(Area(4096, 0))
    start = target.starts[0]
    request = Request(target.pid, 1, within=[(start, start + 4096 * PAGE)])
    job = Job(1, workshop.backend, plan_request(workshop.backend, request))
    job.step()
    target.end()
    while not job.state.ended:
        job.step()
    assert counts(job.snapshot()) == {"moved": 512, "gone": 3584}
    assert job.reason


def test_cancelling_leaves_the_rest_not_tried(workshop: LabWorkshop) -> None:
    target = workshop.start(Area(2048, 0))
    start = target.starts[0]
    plan = plan_request(workshop.backend, Request(target.pid, 1, within=[(start, start + 2048 * PAGE)]))
    job = Job(1, workshop.backend, plan)
    job.step()
    job.cancel()
    assert counts(job.snapshot()) == {"moved": 512, "not_tried": 1536}
    assert target.pages_by_node(0) == {0: 1536, 1: 512}
