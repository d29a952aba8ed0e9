"""What a run came to, and whether that is what the profile expects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from numamig.backends.base import Backend
from numamig.errors import NumamigError, TargetGone
from numamig.migrate.breaker import Limits
from numamig.migrate.snapshot import JobSnapshot
from numamig.model.outcome import Outcome, OutcomeCounts
from numamig.model.pages import UNKNOWN_NODE
from numamig.model.process import Process
from numamig.observe.placement import Placement, count_ranges, movable
from numamig.observe.verify import Verified
from numamig.replay.schema import Expect

__all__ = ["Done", "Report", "judge", "placement_of", "verified_words"]


@dataclass(slots=True)
class Done:
    """A job of a run that has ended."""

    job: JobSnapshot
    process: Process
    record: int
    """Its number in the journal; ``job.number`` counts within the run."""
    limits: Limits
    undoes: int | None = None
    """Number of the job that it took back."""
    undone: bool = False
    """It was taken back."""
    verified: Verified | None = None
    """Where what it moved was when it had ended; None where nothing was, or it could not be seen."""

    @property
    def number(self) -> int:
        return self.job.number

    def as_dict(self, backend: Backend) -> dict[str, object]:
        """Its account; without the number that ``undo`` takes where every run of a profile has the same report."""
        said = self.job.as_dict()
        if backend.capabilities.lasting and not backend.capabilities.virtual_time:
            said["journal"] = self.record
        if self.undoes is not None:
            said["undoes"] = self.undoes
        said["verified"] = None if self.verified is None else _as_dict(self.verified)
        return said


def _as_dict(seen: Verified) -> dict[str, object]:
    elsewhere = {_node(node): pages for node, pages in sorted(seen.elsewhere.items()) if pages}
    return {"in_place_pages": seen.in_place, "elsewhere": elsewhere, "absent_pages": seen.absent}


def _node(node: int) -> str:
    return "unknown" if node == UNKNOWN_NODE else str(node)


def verified_words(seen: Verified) -> str:
    """In a sentence: "3,072 pages are where they were moved to; 12 on node 0"."""
    away = [
        f"{pages:,} on {'a node not known' if node == UNKNOWN_NODE else f'node {node}'}"
        for node, pages in sorted(seen.elsewhere.items())
        if pages
    ]
    away += [f"{seen.absent:,} not present"] if seen.absent else []
    return "; ".join([f"{seen.in_place:,} pages are where they were moved to", *([", ".join(away)] if away else [])])


@dataclass(slots=True)
class Report:
    """What a run came to."""

    title: str
    machine: dict[str, object]
    steps: list[dict[str, object]] = field(default_factory=list)
    done: list[Done] = field(default_factory=list)
    """Jobs, those that took others back among them."""
    placement: dict[int, Placement] = field(default_factory=dict)
    """pid → where its memory is at the end."""
    expectations: int = 0
    failed: int = 0
    """Expectations that did not hold."""
    error: NumamigError | None = None
    """What ended the run early, after it had begun."""
    failures: list[NumamigError] = field(default_factory=list)
    """Why some of several processes were not moved; the others were."""
    interrupted: bool = False
    """Not all steps were done, because that was not wanted any more."""

    @property
    def jobs(self) -> list[JobSnapshot]:
        """That migrated something."""
        return [done.job for done in self.done if done.undoes is None]

    @property
    def outcomes(self) -> OutcomeCounts:
        """Of the migrations; what took them back is left out."""
        return sum((job.outcomes for job in self.jobs), OutcomeCounts())

    @property
    def passed(self) -> bool:
        """The profile's own expectations decide; without any, whether every chosen page is where it should be."""
        if self.interrupted or self.error is not None or self.failures:
            return False
        if self.expectations:
            return not self.failed
        every = sum((done.job.outcomes for done in self.done), OutcomeCounts())
        return every[Outcome.MOVED] + every[Outcome.ALREADY_THERE] == every.total

    def as_dict(self) -> dict[str, object]:
        return {
            "title": self.title,
            **self.machine,
            "passed": self.passed,
            "chosen": sum(job.chosen for job in self.jobs),
            "outcomes": self.outcomes.as_dict(),
            "seconds": round(sum(done.job.busy_ns for done in self.done) / 1e9, 9),
            "steps": self.steps,
            "placement": {
                str(pid): {_node(n): b for n, b in sorted(where.bytes_by_node.items())}
                for pid, where in sorted(self.placement.items())
            },
        }


def judge(
    backend: Backend, expect: Expect, report: Report, touched: Mapping[int, Process], process: Process | None = None
) -> list[dict[str, object]]:
    """What is expected of the migrations so far, each with what is so.

    :param process: only what was done to this one counts
    """
    done = [d for d in report.done if d.undoes is None and (process is None or d.process.identity == process.identity)]
    processes = [p for p in touched.values() if process is None or p.identity == process.identity]
    outcomes = sum((each.job.outcomes for each in done), OutcomeCounts())
    judged: list[dict[str, object]] = []
    for name, bound in expect.bounds().items():
        if name == "remote":
            part, whole = _remote(backend, processes)
        elif name == "chosen":
            part = whole = outcomes.total
        elif name == "in_place":
            seen = [each.verified for each in done if each.verified is not None]
            part, whole = sum(each.in_place for each in seen), sum(each.present for each in seen)
        else:
            part, whole = outcomes[Outcome[name.upper()]], outcomes.total
        holds = bound.holds(part, whole)
        report.expectations += 1
        report.failed += not holds
        actual = f"{100 * part / whole if whole else 0:.2f}%" if bound.in_percent else f"{part}"
        judged.append({"what": name, "expected": bound.text, "actual": actual, "holds": holds})
    return judged


def _remote(backend: Backend, processes: list[Process]) -> tuple[int, int]:
    """Bytes that are not where their process runs, and bytes in all."""
    remote = total = 0
    for process in processes:
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
