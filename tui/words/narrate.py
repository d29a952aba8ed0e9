"""What happened to jobs, in words: the act line has the latest, and each job keeps what is not a batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from numamig.model.events import (
    BatchMoved,
    Event,
    JobAdded,
    JobAsked,
    JobChecked,
    JobEnded,
    JobFailed,
    JobStarted,
    JobVerified,
    PassEnded,
)
from numamig.model.outcome import Outcome
from numamig.units import format_count

__all__ = ["Narrator"]

_KEPT = 200
"""Of each job."""


class Narrator:
    """Hears every event once, in order."""

    def __init__(self, notice: str = "") -> None:
        self.command = ""
        self.note = notice
        self._told: dict[int, deque[str]] = {}
        self._missed = 0

    def say(self, command: str, note: str) -> None:
        self.command, self.note = command, note

    def hear(self, events: Iterable[Event], missed: int = 0) -> list[str]:
        """What went wrong, to be said where everybody sees it.

        :param missed: events in all that came too fast to be heard
        """
        wrong = []
        for event in events:
            words = _words(event)
            if not words:
                continue
            self.note = f"job {event.job} {words}"
            if isinstance(event, JobFailed) or (isinstance(event, JobVerified) and any(event.elsewhere.values())):
                wrong.append(self.note)
            if not isinstance(event, BatchMoved):
                self._told.setdefault(event.job, deque(maxlen=_KEPT)).append(words)
        if missed > self._missed:
            self.note = f"{missed - self._missed:,} events came too fast to be told"
            self._missed = missed
        return wrong

    def told_of(self, job: int) -> list[str]:
        """What happened to a job beside its batches, in order."""
        return list(self._told.get(job, ()))


def _words(event: Event) -> str:
    """Behind ``job 7``; "" for what this console does not know."""
    if isinstance(event, BatchMoved):
        return f"step {event.step}: {event.outcomes[Outcome.MOVED]} of {event.outcomes.total} moved"
    if isinstance(event, JobEnded):
        moved, total = event.outcomes[Outcome.MOVED], event.outcomes.total
        return f"{event.reason}: {format_count(moved)} of {format_count(total)} moved"
    if isinstance(event, JobAdded):
        what = f"takes back job {event.undoes}" if event.undoes is not None else "added"
        return f"{what}: {event.planned_pages:,} pages"
    if isinstance(event, JobAsked):
        return f"asked: {event.what}"
    if isinstance(event, JobStarted):
        return f"began: {event.planned_pages:,} pages planned"
    if isinstance(event, PassEnded):
        return f"pass {event.pass_number} ended: {event.busy_pages:,} busy"
    if isinstance(event, JobChecked):
        return f"looked at again: {'; '.join(finding.reason for finding in event.findings) or 'nothing against it'}"
    if isinstance(event, JobVerified):
        return f"verified: {event.in_place:,} of {event.expected:,} pages are where they were moved to"
    return f"failed, and is held: {event.error}" if isinstance(event, JobFailed) else ""
