"""Jobs in their order, and the loop that runs one: step, wait the gap, look whether to go on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from numamig.backends.base import Backend
from numamig.clock import Clock, PacedClock
from numamig.errors import UsageError
from numamig.migrate.job import Job
from numamig.migrate.plan import Plan
from numamig.migrate.snapshot import JobSnapshot, JobState
from numamig.model.events import BatchMoved, Event, PassEnded

__all__ = ["JobQueue", "gap_after", "nap", "run_job"]

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
        clock.sleep_ns(piece)
        slept += piece
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


class JobQueue:
    """Many jobs; one of them is stepped at a time. Safe to ask and to steer from any thread."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._jobs: list[Job] = []
        self._lock = threading.RLock()
        self._stepping = threading.Lock()
        self._cancelled: set[int] = set()

    def add(self, plan: Plan) -> int:
        """A new job, held; its number."""
        with self._lock:
            number = len(self._jobs) + 1
            self._jobs.append(Job(number, self._backend, plan))
            return number

    def snapshots(self) -> tuple[JobSnapshot, ...]:
        """Every job, in order. Waits for no step: what a step in progress has booked is shown as it is."""
        with self._lock:
            jobs = list(self._jobs)
        return tuple(job.snapshot() for job in jobs)

    def run(self, number: int) -> None:
        """Let a held job run."""
        self._job(number).run()

    def hold(self, number: int) -> None:
        """Pause a job after the step it is in."""
        self._job(number).hold()

    def cancel(self, number: int) -> None:
        """End a job after the step it is in."""
        with self._lock:
            if not self._job(number).state.ended:
                self._cancelled.add(number)

    def set_batch(self, number: int, pages: int) -> None:
        """Base pages of the job's next batch."""
        self._job(number).pacer.batch_pages = max(1, pages)

    def next_running(self) -> int | None:
        """The first job that wants a step: running, or to be cancelled."""
        with self._lock:
            for job in self._jobs:
                if job.number in self._cancelled or job.state is JobState.RUNNING:
                    return job.number
        return None

    def step(self, number: int) -> list[Event]:
        """One step of a job, or its cancellation where that was asked for."""
        job = self._job(number)
        with self._stepping:
            with self._lock:
                cancelled = number in self._cancelled
                self._cancelled.discard(number)
            return job.cancel() if cancelled else job.step()

    def waited(self, number: int, duration_ns: int) -> None:
        """A gap has passed for a job."""
        self._job(number).waited(duration_ns)

    def _job(self, number: int) -> Job:
        with self._lock:
            if not 1 <= number <= len(self._jobs):
                raise UsageError(
                    f"there is no job {number}", hint=f"jobs: 1 to {len(self._jobs)}" if self._jobs else None
                )
            return self._jobs[number - 1]
