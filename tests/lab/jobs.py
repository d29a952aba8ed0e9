"""Jobs on workloads, run to their end."""

from __future__ import annotations

from numamig.migrate.destination import Destination, Node
from numamig.migrate.job import Job
from numamig.migrate.plan import plan_request
from numamig.migrate.request import Request, Retry, RetryMode
from numamig.migrate.run import run_job
from numamig.migrate.snapshot import JobSnapshot
from tests.lab.conftest import PAGE, LabTarget, LabWorkshop

__all__ = ["NEVER", "counts", "migrate", "new_job"]

NEVER = Retry(RetryMode.NEVER)


def new_job(workshop: LabWorkshop, target: LabTarget, to: int | Destination, **asked: object) -> Job:
    """A job for the areas of a target, and nothing else of it; without the default limit of calls per second."""
    areas = sorted(zip(target.starts, target.areas, strict=True), key=lambda pair: pair[0])
    within = [(start, start + area.pages * PAGE) for start, area in areas]
    asked = {"within": within, "most_calls": None, **asked}
    destination = Node(to) if isinstance(to, int) else to
    request = Request(target.pid, destination, **asked)  # type: ignore[arg-type]
    return Job(1, workshop.backend, plan_request(workshop.backend, request))


def migrate(workshop: LabWorkshop, target: LabTarget, to: int | Destination, **asked: object) -> JobSnapshot:
    """Move the areas of a target; the account holds after every step."""
    job = new_job(workshop, target, to, **asked)
    for _ in run_job(job, workshop.backend):
        snapshot = job.snapshot()
        assert snapshot.outcomes.total == snapshot.chosen
    return job.snapshot()


def counts(job: JobSnapshot) -> dict[str, int]:
    return {outcome.key: pages for outcome, pages in job.outcomes.items() if pages}
