"""What the engine announces, in order: plain facts in the past, for console, commands and tests alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from numamig.model.finding import Finding
from numamig.model.outcome import OutcomeCounts

__all__ = [
    "BatchMoved",
    "Event",
    "JobAdded",
    "JobAsked",
    "JobChecked",
    "JobEnded",
    "JobFailed",
    "JobStarted",
    "JobVerified",
    "PassEnded",
]


@dataclass(frozen=True, slots=True)
class JobStarted:
    """A job made its first step."""

    job: int
    pid: int
    at_ns: int
    planned_pages: int


@dataclass(frozen=True, slots=True)
class BatchMoved:
    """A step: one batch went through the kernel, and each of its pages has an outcome."""

    job: int
    pid: int
    at_ns: int
    step: int
    pass_number: int
    start: int
    """First byte of the batch."""
    end: int
    outcomes: OutcomeCounts
    """Base pages of this batch."""
    call_ns: int
    """Duration of its moving calls."""
    gap_ns: int
    """To be waited before the next step."""


@dataclass(frozen=True, slots=True)
class PassEnded:
    """Every selected page has had its turn once more."""

    job: int
    at_ns: int
    pass_number: int
    busy_pages: int
    """Still busy: the next pass, if there is one, looks for these again."""
    gap_ns: int


@dataclass(frozen=True, slots=True)
class JobEnded:
    """A job is done, was cancelled, or had to stop."""

    job: int
    pid: int
    at_ns: int
    reason: str
    """"done", "cancelled", or why it had to stop."""
    outcomes: OutcomeCounts


@dataclass(frozen=True, slots=True)
class JobAdded:
    """A job is in the queue, held."""

    job: int
    pid: int
    at_ns: int
    planned_pages: int
    undoes: int | None
    """The job that it takes back."""


@dataclass(frozen=True, slots=True)
class JobAsked:
    """Somebody asked something of a job; what comes of it is told by other events."""

    job: int
    at_ns: int
    what: str
    """"run", "hold", "step", "cancel", "retarget to node 2", "batch 64", "rate 200.0M/s"."""


@dataclass(frozen=True, slots=True)
class JobChecked:
    """A job that had waited may go on, and this speaks against it now: its warnings."""

    job: int
    at_ns: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class JobVerified:
    """After a job what it moved was looked at once more; base pages, of large jobs those of some batches."""

    job: int
    at_ns: int
    expected: int
    """That were looked at."""
    in_place: int
    elsewhere: Mapping[int, int]
    """Node → pages that are there and not where they were moved to."""


@dataclass(frozen=True, slots=True)
class JobFailed:
    """A step ended in an error that is no outcome: the job is held, the others go on."""

    job: int
    at_ns: int
    error: str


Event = JobAdded | JobAsked | JobChecked | JobStarted | BatchMoved | PassEnded | JobEnded | JobFailed | JobVerified
