"""A job as it is shown: its state, and everything that can be said of it at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from numamig.migrate.plan import Plan
from numamig.migrate.request import Request
from numamig.model.outcome import Outcome, OutcomeCounts

__all__ = ["JobSnapshot", "JobState"]


class JobState(StrEnum):
    """Where a job is in its life."""

    HELD = "held"
    """Waiting to be stepped or run."""
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    STOPPED = "stopped"
    """Ended early, by what ``reason`` says."""

    @property
    def ended(self) -> bool:
        return self in _ENDED


_ENDED = (JobState.DONE, JobState.CANCELLED, JobState.STOPPED)


@dataclass(frozen=True, slots=True)
class JobSnapshot:
    """A job at one moment, for showing."""

    number: int
    plan: Plan
    state: JobState
    reason: str
    remedy: str
    """What helps, where it ended early and something does."""
    chosen: int
    outcomes: OutcomeCounts
    moved: dict[tuple[int, int], int]
    """(from, to) → base pages."""
    steps: int
    passes: int
    busy_ns: int
    """Time spent in steps and gaps; what the job was held is left out."""
    cursor: int
    """Address that the next batch is chosen from."""
    batch_pages: int
    call_ns: tuple[int, ...]
    """Durations of the latest calls, oldest first."""
    batch_rates: tuple[float, ...] = ()
    """Base pages that each of the latest batches moved per second, the gap before it counted; oldest first."""
    call_since_ns: int | None = None
    """When the call began that the kernel has not answered yet, by the backend's clock; None between calls."""
    budget_note: str = ""
    """Why the latency budget cannot be held; "" where it can."""

    @property
    def request(self) -> Request:
        return self.plan.request

    @property
    def progress(self) -> float:
        """Share of the planned pages that had their turn, 0 to 1; what a job ended before does not count as reached."""
        if self.state is JobState.DONE:
            return 1.0
        tried = self.chosen - self.outcomes[Outcome.NOT_TRIED]
        return min(1.0, tried / self.plan.pages) if self.plan.pages else 0.0

    @property
    def pages_per_second(self) -> float:
        """Base pages moved per second of the backend's clock."""
        return self.outcomes[Outcome.MOVED] * 1e9 / self.busy_ns if self.busy_ns else 0.0

    def as_dict(self) -> dict[str, object]:
        """What ``--json`` prints of a job."""
        page = self.plan.page_size
        return {
            "job": self.number,
            "pid": self.plan.process.pid,
            "name": self.plan.process.name,
            "state": self.state.value,
            "reason": self.reason,
            "remedy": self.remedy,
            "budget_note": self.budget_note,
            "chosen": self.chosen,
            "chosen_bytes": self.chosen * page,
            "outcomes": self.outcomes.as_dict(),
            "outcome_bytes": {key: pages * page for key, pages in self.outcomes.as_dict().items()},
            "moved": [
                {"from": a, "to": b, "pages": pages, "bytes": pages * page}
                for (a, b), pages in sorted(self.moved.items())
            ],
            "steps": self.steps,
            "passes": self.passes,
            "seconds": round(self.busy_ns / 1e9, 9),
            "pages_per_second": round(self.pages_per_second, 3),
        }
