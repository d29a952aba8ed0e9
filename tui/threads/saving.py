"""What was done in the console, or is only planned there, saved as a profile."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from numamig.backends.base import Backend
from numamig.migrate.journal.record import Recorder
from numamig.migrate.plan import Plan
from numamig.migrate.request import Request

__all__ = ["save", "save_plans"]


def save(backend: Backend, recorder: Recorder, jobs: Iterable[int], path: Path) -> int:
    """Write down what some jobs moved, as a profile; how many of them moved nothing.

    :raises UsageError: there is such a file already, it cannot be written, or nothing was moved.
    """
    from numamig.replay.record import machine_named, record, write_profile  # nobody waits for YAML at the start

    entries = [recorder.journal.job(number) for number in sorted(jobs)]
    recording = record(recorder.journal, entries, backend.processes(), by_pid=backend.capabilities.simulated)
    write_profile(path, recording.text("Recorded in the console", *machine_named(backend)))
    return len(recording.left_out)


def save_plans(backend: Backend, plans: Sequence[tuple[Request, Plan]], path: Path) -> None:
    """Write down what is planned, as a profile that does it.

    :raises UsageError: there is such a file already, or it cannot be written.
    """
    from numamig.replay.record import Recording, machine_named, write_profile

    recording, processes = Recording(), backend.processes()
    for request, plan in plans:
        recording.add_plan(plan, request, processes, by_pid=backend.capabilities.simulated)
    write_profile(path, recording.text("Planned in the console", *machine_named(backend)))
