"""What a run came to, and whether that is what the profile expects."""

from __future__ import annotations

from dataclasses import dataclass, field

from numamig.backends.base import Backend
from numamig.errors import NumamigError, TargetGone
from numamig.migrate.snapshot import JobSnapshot
from numamig.model.outcome import Outcome, OutcomeCounts
from numamig.model.pages import UNKNOWN_NODE
from numamig.model.process import Process
from numamig.observe.placement import Placement, count_ranges, movable
from numamig.replay.schema import Expect

__all__ = ["Report", "judge", "placement_of"]


@dataclass(slots=True)
class Report:
    """What a run came to."""

    title: str
    machine: dict[str, object]
    steps: list[dict[str, object]] = field(default_factory=list)
    jobs: list[JobSnapshot] = field(default_factory=list)
    placement: dict[int, Placement] = field(default_factory=dict)
    """pid → where its memory is at the end."""
    expectations: int = 0
    failed: int = 0
    """Expectations that did not hold."""
    error: NumamigError | None = None
    """What ended the run early, after it had begun."""
    failures: list[NumamigError] = field(default_factory=list)
    """Why some of ``which: all`` were not moved; the others were."""
    interrupted: bool = False
    """Not all steps were done, because that was not wanted any more."""

    @property
    def outcomes(self) -> OutcomeCounts:
        return sum((job.outcomes for job in self.jobs), OutcomeCounts())

    @property
    def passed(self) -> bool:
        """The profile's own expectations decide; without any, whether every chosen page is where it should be."""
        if self.interrupted or self.error is not None or self.failures:
            return False
        if self.expectations:
            return not self.failed
        there = self.outcomes[Outcome.MOVED] + self.outcomes[Outcome.ALREADY_THERE]
        return there == self.outcomes.total

    def as_dict(self) -> dict[str, object]:
        return {
            "title": self.title,
            **self.machine,
            "passed": self.passed,
            "chosen": sum(job.chosen for job in self.jobs),
            "outcomes": self.outcomes.as_dict(),
            "seconds": round(sum(job.busy_ns for job in self.jobs) / 1e9, 9),
            "steps": self.steps,
            "placement": {
                str(pid): {
                    "unknown" if n == UNKNOWN_NODE else str(n): b for n, b in sorted(where.bytes_by_node.items())
                }
                for pid, where in sorted(self.placement.items())
            },
        }


def judge(backend: Backend, expect: Expect, report: Report, touched: dict[int, Process]) -> list[dict[str, object]]:
    outcomes = report.outcomes
    judged: list[dict[str, object]] = []
    for name, bound in expect.bounds().items():
        if name == "remote":
            part, whole = _remote(backend, touched)
        else:
            part, whole = outcomes[Outcome[name.upper()]], outcomes.total
        holds = bound.holds(part, whole)
        report.expectations += 1
        report.failed += not holds
        actual = f"{100 * part / whole if whole else 0:.2f}%" if bound.in_percent else f"{part}"
        judged.append({"what": name, "expected": bound.text, "actual": actual, "holds": holds})
    return judged


def _remote(backend: Backend, touched: dict[int, Process]) -> tuple[int, int]:
    """Bytes that are not where their process runs, and bytes in all, of the processes that were migrated."""
    remote = total = 0
    for process in touched.values():
        where = placement_of(backend, process)
        if where is not None:
            remote += where.remote_bytes(process.cpu_nodes) or 0
            total += where.total_bytes
    return remote, total


def placement_of(backend: Backend, process: Process) -> Placement | None:
    """Counted, not estimated; None when the process is gone."""
    try:
        return Placement(count_ranges(backend, process.pid, movable(backend.regions(process.pid))))
    except TargetGone:
        return None
