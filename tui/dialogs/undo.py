"""The dialog before a job is taken back: what would go back where, and what speaks against it."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType

from numamig.migrate.plan import Plan
from numamig.migrate.snapshot import JobSnapshot
from tui.actions.action import bindings
from tui.actions.dialogs import UNDO_ACTIONS
from tui.dialogs.asking import Asking
from tui.dialogs.findinglines import blocked_by, finding_lines, fitted, key_line, plans_in
from tui.style.look import Look, Spans
from tui.threads.bridge import Bridge
from tui.threads.planning import Wanted
from tui.widgets.bars import machine_spans
from tui.widgets.jobwords import flush_pages, job_stall_ns
from tui.words.present import duration_text, size_text, undo_command

__all__ = ["UndoDialog"]

_MOST_WAYS = 6


class UndoDialog(Asking[bool]):
    """Answers whether it runs at once, or None where nothing goes back."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(UNDO_ACTIONS)]

    def __init__(
        self, look: Look, bridge: Bridge, number: int, who: tuple[str, int], job: JobSnapshot | None = None
    ) -> None:
        """
        :param who: name and pid of the process
        :param job: None where it is one of an earlier run
        """
        super().__init__(look, bridge, f"undo job {number}")
        self.number = number
        self.who = who
        self.job = job

    def wanted(self) -> tuple[Wanted, ...]:
        return (self.number,)

    def accepted(self, plans: tuple[Plan, ...], how: str) -> bool:
        return how == "run"

    def lines(self, room: tuple[int, int]) -> list[Spans]:
        look, number, (width, most) = self.look, self.number, room
        capabilities = self.bridge.backend.capabilities
        name, pid = self.who
        head: list[Spans] = [
            [(f" {look.shown(name)} {pid}", look.bold), (f"  undo of job {number}", look.label)],
            [*machine_spans(look, capabilities), ("  ", look.plain), *self._pages()],
            [],
            *self._ways(),
            self._time(),
            [],
        ]
        command = undo_command(number, simulated=capabilities.simulated)
        act: Spans = [(" $ ", look.bold), (look.fit(command, width - 4).rstrip(), look.label)]
        run = [] if blocked_by(self.shown) else [("y", "put them back"), ("s", "queue held")]
        foot = [[], act, key_line(look, width, [*run, ("esc", "back")], self.note)]
        lines, self.top = fitted(look, head, finding_lines(look, self.shown, width), foot, most, self.top)
        return lines

    def _pages(self) -> Spans:
        plans = plans_in(self.shown)
        if self.shown is None:
            return [("counting", self.look.label)]
        if not plans:
            return [("nothing goes back", self.look.bold)]
        pages = f"{plans[0].pages:,} pages = {size_text(plans[0].bytes)}"
        return [(pages, self.look.bold), (" go back where they were", self.look.plain)]

    def _ways(self) -> list[Spans]:
        """From where to where, as many pages as the job moved the other way."""
        lines: list[Spans] = []
        if self.job is None:
            return lines
        look, page = self.look, self.job.plan.page_size
        for (origin, target), pages in sorted(self.job.moved.items()):
            words = f"  {pages:>11,} pages = {size_text(pages * page)}"
            ends: Spans = [look.chip(target), (f" {look.glyphs.arrow} ", look.plain), look.chip(origin)]
            lines.append([(" ", look.plain), *ends, (words, look.plain)])
        if len(lines) > _MOST_WAYS:
            lines = [*lines[: _MOST_WAYS - 1], [(f"   and {len(lines) - _MOST_WAYS + 1} ways more", look.label)]]
        return lines

    def _time(self) -> Spans:
        """At the pace that the job had."""
        look, job, plans = self.look, self.job, plans_in(self.shown)
        if not plans or job is None or not job.pages_per_second:
            return []
        words = f"~{duration_text(plans[0].pages / job.pages_per_second * 1e9)} as fast as job {job.number}"
        stall = job_stall_ns(job, flush_pages(self.bridge.backend.capabilities.kernel))
        if stall is not None:
            words += f" {look.glyphs.dot} a thread waits up to ~{duration_text(stall)}"
        return [(f" {'Time':<8}", look.label), (words, look.plain)]
