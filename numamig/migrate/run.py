"""The loop that runs one job: step, wait the gap, look whether to go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from numamig.backends.base import Backend
from numamig.clock import Clock, PacedClock
from numamig.migrate.job import Job
from numamig.model.events import BatchMoved, Event, PassEnded

__all__ = ["gap_after", "nap", "run_job"]

_NAP_NS = 100_000_000  # how long a wait may keep somebody waiting who wants it to end


def gap_after(events: list[Event]) -> int:
    """Nanoseconds to wait after the step that caused ``events``."""
    gap = 0
    for event in events:
        if isinstance(event, (BatchMoved, PassEnded)):
            gap = max(gap, event.gap_ns)
    return gap


def nap(clock: Clock, duration_ns: int, wanted: Callable[[], bool]) -> int:
    """Sleep, but not long after it is not wanted any more; returns how long it slept, in ns."""
    slept = 0
    speed = (clock.speed if isinstance(clock, PacedClock) else None) or 1
    while slept < duration_ns and wanted():
        piece = min(duration_ns - slept, max(1, round(_NAP_NS * speed)))
        began = clock.now_ns()
        clock.sleep_ns(piece)
        slept += max(piece, clock.now_ns() - began)  # a sleep is never as short as it is asked for
    return slept


def _keep_pace(clock: PacedClock, wanted: Callable[[], bool]) -> None:
    """Where time is shown at a pace, wait for the wall; but not long after it is not wanted any more."""
    while clock.keep_pace(_NAP_NS / 1e9) > 0 and wanted():
        pass


def run_job(job: Job, backend: Backend, wanted: Callable[[], bool] = lambda: True) -> Iterator[Event]:
    """Step a job to its end, or until ``wanted`` says no; between steps nothing is held and nothing is half done."""
    job.run()
    paced = backend.clock if isinstance(backend.clock, PacedClock) else None
    while not job.state.ended and wanted():
        events = job.step()
        if paced is not None and paced.speed is not None:
            _keep_pace(paced, wanted)
        yield from events
        gap = 0 if job.state.ended else gap_after(events)
        if gap:
            job.waited(nap(backend.clock, gap, wanted))
    job.hold()
