"""What the tour sees of the console: its target and its jobs, the dialog that is open, and facts in words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from textual.app import App
from textual.screen import Screen

from numamig.migrate.snapshot import JobSnapshot
from numamig.model.outcome import Outcome
from numamig.units import format_bytes, format_count
from tui.screens.main import MainScreen
from tui.threads.bridge import Bridge
from tui.threads.snapshots import Identity, ProcessSeen
from tui.tour.speeds import CountedSpeed, InsideSpeed, Speed
from tui.words.present import duration_text, remote_text

__all__ = ["Facts", "Scene"]

_THERE = (Outcome.MOVED, Outcome.ALREADY_THERE)


class Facts(dict[str, str]):
    """For the braces of captions; what is not known yet is a few dots."""

    def __missing__(self, name: str) -> str:
        return "..."


class Scene:
    """Reads snapshots and widgets; does nothing.

    :param pid: the process that the tour is about; None: the one with the most remote memory
    :param count: how fast it is, where it counts that itself
    """

    def __init__(
        self, app: App[int], bridge: Bridge, file: Path, pid: int | None, count: Callable[[], float | None] | None
    ) -> None:
        self.app = app
        self.bridge = bridge
        self.file = file
        self.pid = pid
        self.speed: Speed = InsideSpeed(bridge, lambda: self.pid) if count is None else CountedSpeed(count)
        self._before: float | None = None

    # What is on the screen

    @property
    def screen(self) -> Screen[object]:
        """On top: the main screen, or a dialog."""
        return self.app.screen

    @property
    def main(self) -> MainScreen:
        """Below every dialog. There is one from the first moment of a tour."""
        return next(screen for screen in self.app.screen_stack if isinstance(screen, MainScreen))

    @property
    def in_dialog(self) -> bool:
        return not isinstance(self.screen, MainScreen)

    # The target

    @property
    def target(self) -> ProcessSeen | None:
        census = self.bridge.looker.census
        if census is None:
            return None
        if self.pid is not None:
            return next((row for row in census.rows if row.process.pid == self.pid), None)
        if not census.complete:
            return None
        found = max(census.rows, key=lambda row: row.remote_bytes or 0, default=None)
        self.pid = found.process.pid if found is not None else None
        return found

    @property
    def identity(self) -> Identity | None:
        target = self.target
        return target.identity if target is not None else None

    @property
    def selected(self) -> bool:
        """The cursor is on the target, and nothing else would be planned for."""
        return self.identity is not None and {t.seen.identity for t in self.main.targets()} == {self.identity}

    @property
    def away(self) -> int | None:
        """The node that most of its remote memory is on."""
        target = self.target
        if target is None or target.placement is None:
            return None
        parts = {n: held for n, held in target.placement.bytes_by_node.items() if n not in target.home and n >= 0}
        return max(parts, key=lambda node: parts[node], default=None)

    # Its jobs

    def _jobs(self) -> list[JobSnapshot]:
        return [job for job in self.bridge.jobs() if job.plan.process.identity == self.identity]

    @property
    def job(self) -> JobSnapshot | None:
        """The latest that moves its pages home."""
        return max((j for j in self._jobs() if j.plan.undoes is None), key=lambda job: job.number, default=None)

    @property
    def undo(self) -> JobSnapshot | None:
        """The latest that takes a job back."""
        return max((j for j in self._jobs() if j.plan.undoes is not None), key=lambda job: job.number, default=None)

    # Speed

    def note_speed(self) -> None:
        """Remember how fast it is before the move."""
        self._before = self.speed.now()

    # Words

    @property
    def facts(self) -> Facts:
        """Names of processes are made harmless here."""
        look, known = self.main.look, Facts(file=str(self.file))
        target, away = self.target, self.away
        if target is not None:
            placement = target.placement
            total = placement.total_bytes if placement is not None else 0
            known["name"] = look.shown(target.process.name)
            known["pid"] = str(target.process.pid)
            known["home"] = " and ".join(map(str, target.home)) or "..."
            known["remote"] = remote_text(target.remote_bytes, total)
            known["remote_size"] = format_bytes(target.remote_bytes or 0)
        if away is not None:
            known["away"] = str(away)
        marked = self.main.regions.marked
        known["marked"] = f"{len(marked)} regions, {format_bytes(sum(region.size_bytes for region in marked))}"
        self._tell_speed(known)
        if self.job is not None:
            _tell_job(known, self.job)
        if self.undo is not None:
            known["back"] = format_count(self.undo.outcomes[Outcome.MOVED])
        return known

    def _tell_speed(self, known: Facts) -> None:
        speed = self.speed
        now = speed.now()
        if now is None:
            return
        known["speed"] = speed.words(now)
        if self._before:
            known["change"] = speed.change(self._before, now)


def _tell_job(known: Facts, job: JobSnapshot) -> None:
    stayed = {what: pages for what, pages in job.outcomes.items() if pages and what not in _THERE}
    known["batch"] = str(job.batch_pages)
    known["planned"] = format_count(job.plan.pages)
    known["moved"] = format_count(job.outcomes[Outcome.MOVED])
    known["left"] = format_count(max(0, job.plan.pages - job.chosen))
    known["took"] = duration_text(job.busy_ns)
    known["stayed"] = ", ".join(f"{pages:,} {what.words}" for what, pages in stayed.items()) or "none"
