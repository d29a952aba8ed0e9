"""The ledger of a job: what became of its pages, why some stayed and what would help, by region; and what happened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from textwrap import wrap
from typing import ClassVar

from rich.style import Style
from textual.binding import BindingType

from numamig.migrate.ledger import LedgerRow
from numamig.migrate.plan import Plan
from numamig.migrate.snapshot import JobSnapshot
from numamig.model.outcome import Outcome
from tui.action import bindings
from tui.actions.dialogs import LEDGER_ACTIONS
from tui.look import Look, Spans
from tui.present import remote_text, size_text
from tui.screens.dialog import Dialog

__all__ = ["Account", "LedgerDialog", "ledger_lines"]

Account = tuple[JobSnapshot, Sequence[LedgerRow], Sequence[str]]
"""A job, its ledger, and what happened to it beside its batches."""
_THERE = (Outcome.MOVED, Outcome.ALREADY_THERE)


class LedgerDialog(Dialog[None]):
    """Follows the job while it is open."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(LEDGER_ACTIONS)]

    def __init__(self, look: Look, number: int, account: Callable[[], Account]) -> None:
        super().__init__(look, f"ledger of job {number}")
        self._account = account
        self._top = 0

    def on_mount(self) -> None:
        self.draw()
        self.set_interval(1 / 4, self.draw)

    def on_resize(self) -> None:
        self.draw()

    def action_scroll(self, lines: int) -> None:
        self._top += lines
        self.draw()

    def action_leave(self) -> None:
        self.dismiss(None)

    def draw(self) -> None:
        if not self.is_mounted:
            return
        look = self.look
        lines = ledger_lines(look, self._account(), min(78, self.size.width) - 4)
        room = max(3, self.size.height - 4)
        self._top = max(0, min(len(lines) - room, self._top))
        shown = lines[self._top : self._top + room]
        below = len(lines) - self._top - len(shown)
        foot: Spans = [(" esc", look.bold), (" back", look.label)]
        if below or self._top:
            foot += [("   j k", look.bold), (f" scroll, {below} more", look.label)]
        self.box.show([*shown, [], foot])


def ledger_lines(look: Look, account: Account, width: int) -> list[Spans]:
    """All of it."""
    job, rows, told = account
    plan = job.plan
    head = f"{look.shown(plan.process.name)} {plan.process.pid}"
    lines: list[Spans] = [[(f" {head}", look.bold), (f"  {job.chosen:,} pages had their turn", look.label)]]
    for outcome, pages in job.outcomes.items():
        if pages:
            lines.append([_amount(look, outcome, pages, plan), (f" {remote_text(pages, job.chosen):>5}", look.plain)])
    for (source, target), pages in sorted(job.moved.items()):
        ends: Spans = [look.chip(source), (f" {look.glyphs.arrow} ", look.plain), look.chip(target)]
        lines.append(
            [("   ", look.plain), *ends, (f"  {pages:,} pages = {size_text(pages * plan.page_size)}", look.plain)]
        )
    lines += [[], *_stayed(look, rows, plan, width)]
    if told:
        lines += [[], [(" What happened", look.label)]]
        lines += [[(f"   {line}", look.plain)] for words in told for line in wrap(look.shown(words), width - 4)]
    return lines


def _amount(look: Look, outcome: Outcome, pages: int, plan: Plan) -> tuple[str, Style]:
    return f"   {outcome.words:<14} {pages:>13,} {size_text(pages * plan.page_size):>7}", look.plain


def _stayed(look: Look, rows: Sequence[LedgerRow], plan: Plan, width: int) -> list[Spans]:
    """By region, and in it by what became of the pages: the regions in their order."""
    stayed: dict[int, dict[tuple[Outcome, str, str], int]] = {}
    for row in rows:
        if row.outcome not in _THERE:
            said = row.as_dict(plan)
            key = (row.outcome, str(said["why"] or ""), str(said["help"] or ""))
            parts = stayed.setdefault(row.region, {})
            parts[key] = parts.get(key, 0) + row.pages
    if not stayed:
        return [[(" Nothing stayed", look.label)]]
    lines: list[Spans] = [[(" What stayed, by region", look.label)]]
    for region, parts in stayed.items():
        known = 0 <= region < len(plan.selected)
        where = f"{plan.ranges[region][0]:012x} {look.shown(plan.selected[region].label)}" if known else "somewhere"
        lines.append([(f" {where}", look.bold)])
        for (outcome, why, helps), pages in parts.items():
            lines.append([_amount(look, outcome, pages, plan)])
            lines += [[(f"     {line}", look.plain)] for line in wrap(why, width - 6)]
            lines += [[(f"     {line}", look.label)] for line in wrap(helps, width - 6)]
    return lines
