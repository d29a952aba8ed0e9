"""What only a machine that one can look inside tells: where moving time goes, who holds locks, how workloads fare."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["LockFigures", "MovingFigures", "Workings", "WorkloadFigures"]


@dataclass(frozen=True, slots=True)
class LockFigures:
    """A lock since the machine began. All times in ns."""

    holds: int = 0
    held_ns: int = 0
    longest_hold_ns: int = 0
    waits: int = 0
    """How often somebody had to wait for it."""
    waited_ns: int = 0
    longest_wait_ns: int = 0
    waiting: int = 0
    """Who waits right now."""


@dataclass(frozen=True, slots=True)
class MovingFigures:
    """Moving calls since the machine began."""

    calls: int = 0
    pages: dict[tuple[int, int], int] = field(default_factory=dict)
    """Base pages moved, by (from, to)."""
    outcomes: dict[str, int] = field(default_factory=dict)
    """Base pages by what became of them: "moved", "already_there", or the name of an errno."""
    phases_ns: dict[str, int] = field(default_factory=dict)
    """Time by phase: "scan", "allocation", "locks", "flush", "copy", …"""


@dataclass(frozen=True, slots=True)
class WorkloadFigures:
    """One workload as it is now."""

    name: str
    pid: int
    threads: int
    done: float | None
    """Part of its work, 0 to 1; None where it has no end."""
    accesses_per_s: float
    """Of all its threads together."""
    speed: float
    """In relation to all of its memory being local, 0 to 1."""
    local: float
    """Part of its accesses that is local, 0 to 1."""
    latency_ns: float
    """Of a mean access."""
    stalled_ns: int
    """That its threads spent waiting for pages under migration, all threads together."""
    longest_stall_ns: int
    finished_ns: int | None = None
    """When its work was done."""


@dataclass(frozen=True, slots=True)
class Workings:
    """All of it, at one moment."""

    time_ns: int
    moving: MovingFigures = field(default_factory=MovingFigures)
    lock: LockFigures = field(default_factory=LockFigures)
    workloads: tuple[WorkloadFigures, ...] = ()
