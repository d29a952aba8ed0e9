"""What the act line says: the latest act as a command, and in a few words what came of it."""

from __future__ import annotations

from collections.abc import Iterable

from numamig.model.events import BatchMoved, Event, JobEnded
from numamig.model.outcome import Outcome
from numamig.units import format_count

__all__ = ["Narrator"]


class Narrator:
    """Hears events in their order and keeps the latest that is worth a word."""

    def __init__(self, notice: str = "") -> None:
        self.command = ""
        self.note = notice

    def say(self, command: str, note: str) -> None:
        self.command, self.note = command, note

    def hear(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, BatchMoved):
                moved = event.outcomes[Outcome.MOVED]
                self.note = f"job {event.job} step {event.step}: {moved} of {event.outcomes.total} moved"
            elif isinstance(event, JobEnded):
                moved, total = event.outcomes[Outcome.MOVED], event.outcomes.total
                self.note = f"job {event.job} {event.reason}: {format_count(moved)} of {format_count(total)} moved"
