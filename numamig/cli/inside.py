"""What a machine that one can look inside has counted while a job ran: simulated kernels, and those of 2004."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import click

from numamig.backends.base import TellsWorkings
from numamig.model.workings import LockFigures, MovingFigures, Workings
from numamig.units import format_duration, format_percent

if TYPE_CHECKING:
    from numamig.backends.base import Backend

__all__ = ["as_dict", "counted_since", "look_inside", "print_phases"]

_Key = TypeVar("_Key")


def look_inside(backend: Backend) -> Workings | None:
    """None where one cannot."""
    return backend.workings() if isinstance(backend, TellsWorkings) else None


def counted_since(backend: Backend, before: Workings | None) -> Workings | None:
    """What was counted since an earlier look, whoever caused it; the longest hold and wait are those of all time."""
    now = look_inside(backend)
    if now is None or before is None:
        return None
    moving, then = now.moving, before.moving
    lock, lock_then = now.lock, before.lock
    return replace(
        now,
        moving=MovingFigures(
            moving.calls - then.calls,
            _more(moving.pages, then.pages),
            _more(moving.outcomes, then.outcomes),
            _more(moving.phases_ns, then.phases_ns),
        ),
        lock=LockFigures(
            lock.holds - lock_then.holds,
            lock.held_ns - lock_then.held_ns,
            lock.longest_hold_ns,
            lock.waits - lock_then.waits,
            lock.waited_ns - lock_then.waited_ns,
            lock.longest_wait_ns,
            lock.waiting,
        ),
    )


def _more(now: Mapping[_Key, int], then: Mapping[_Key, int]) -> dict[_Key, int]:
    """By how much each has grown, those that have."""
    return {name: more for name, count in now.items() if (more := count - then.get(name, 0))}


def as_dict(counted: Workings) -> dict[str, object]:
    """For ``--json``. Pages are base pages, times ns."""
    moving, lock = counted.moving, counted.lock
    return {
        "calls": moving.calls,
        "moved": [{"from": a, "to": b, "pages": pages} for (a, b), pages in sorted(moving.pages.items())],
        "outcomes": dict(sorted(moving.outcomes.items())),
        "phases_ns": dict(sorted(moving.phases_ns.items())),
        "lock": {
            "holds": lock.holds,
            "held_ns": lock.held_ns,
            "longest_hold_ns": lock.longest_hold_ns,
            "waits": lock.waits,
            "waited_ns": lock.waited_ns,
            "longest_wait_ns": lock.longest_wait_ns,
        },
    }


def print_phases(counted: Workings) -> None:
    """What the kernel's time was spent on, the most first, on stdout."""
    phases = sorted(counted.moving.phases_ns.items(), key=lambda phase: (-phase[1], phase[0]))
    total = sum(spent for _, spent in phases)
    for number, (phase, spent) in enumerate(phases):
        label = "in the kernel" if number == 0 else ""
        click.echo(f"  {label:<14} {phase:>12}  {format_duration(spent):>10} {format_percent(spent, total):>10}")
