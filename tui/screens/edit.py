"""The dialog that changes a job which has not ended: where the rest of it goes, and how gently."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from textual.binding import BindingType

from numamig.migrate.destination import Node
from numamig.migrate.plan import Plan
from numamig.migrate.snapshot import JobSnapshot
from numamig.model.topology import Topology
from tui.action import bindings
from tui.actions.dialogs import EDIT_ACTIONS
from tui.bridge import Bridge
from tui.form import BATCHES, BUDGETS, RATES, beside, budget_text, rate_text
from tui.look import Look, Spans
from tui.planning import Wanted
from tui.present import short_size
from tui.screens.asking import Asking
from tui.screens.findinglines import blocked_by, finding_lines, fitted, key_line, plans_in, time_line
from tui.screens.planlines import field_line
from tui.snapshots import Pace
from tui.widgets.bars import machine_spans

__all__ = ["EditDialog", "Edited"]

_SEVERAL = -1
"""As a target: those that the job has, which are not one node."""
_FIELDS = ("To", "Batch", "Budget", "Rate")


@dataclass(frozen=True, slots=True)
class Edited:
    """What a job is to be from here on; a field that stays as it was says so by being equal."""

    target: int
    batch_pages: int
    pace: Pace


class EditDialog(Asking[Edited]):
    """Another target is planned for at once, so that what speaks against it is seen before ``y``."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(EDIT_ACTIONS)]

    def __init__(self, look: Look, bridge: Bridge, job: JobSnapshot, pace: Pace, topology: Topology) -> None:
        super().__init__(look, bridge, f"change job {job.number}")
        self.job = job
        self.nodes = topology.memory_nodes
        to = job.request.to
        self.before = Edited(to.node if isinstance(to, Node) else _SEVERAL, job.batch_pages, pace)
        self.edited = self.before
        self._field = 0 if self._may_retarget else 1

    @property
    def _may_retarget(self) -> bool:
        """Pages that go back have each a node that they came from."""
        return self.job.plan.undoes is None

    def wanted(self) -> tuple[Wanted, ...]:
        if self.edited.target == self.before.target:
            return ()
        return (replace(self.job.request, to=Node(self.edited.target)),)

    def accepted(self, plans: tuple[Plan, ...], how: str) -> Edited:
        return self.edited

    def action_field(self, way: int) -> None:
        first = 0 if self._may_retarget else 1
        self._field = first + (self._field - first + way) % (len(_FIELDS) - first)
        self.draw()

    def action_value(self, way: int) -> None:
        self._change(self._with_value(self._field, way))

    def action_node(self, node: int) -> None:
        if node in self.nodes and self._may_retarget:
            self._change(replace(self.edited, target=node))

    def _with_value(self, field: int, way: int) -> Edited:
        edited, pace = self.edited, self.edited.pace
        if field == 0:
            return replace(edited, target=beside(self.nodes, edited.target, way) or 0)
        if field == 1:
            return replace(edited, batch_pages=beside(BATCHES, edited.batch_pages, way) or edited.batch_pages)
        if field == 2:
            return replace(edited, pace=pace._replace(budget_ns=beside(BUDGETS, pace.budget_ns, way)))
        return replace(edited, pace=pace._replace(rate=beside(RATES, pace.rate, way)))

    def _change(self, edited: Edited) -> None:
        again = edited.target != self.edited.target
        if edited != self.edited:
            self.edited = edited
            (self.ask if again else self.draw)()

    def lines(self, room: tuple[int, int]) -> list[Spans]:
        look, job, (width, most) = self.look, self.job, room
        process = job.plan.process
        left = max(0, job.plan.pages - job.chosen)
        rest = f"{left:,} pages have had no turn yet"
        head: list[Spans] = [
            [(f" {look.shown(process.name)} {process.pid}", look.bold), (f"  job {job.number}", look.label)],
            [*machine_spans(look, self.bridge.backend.capabilities), ("  ", look.plain), (rest, look.bold)],
            [],
            *(self._line(number) for number in range(len(_FIELDS))),
            time_line(look, plans_in(self.shown)),
            [],
        ]
        run = [] if blocked_by(self.shown) else [("y", "change")]
        keys = [*run, ("esc", "back"), ("j k", "field"), ("h l", "value"), ("0-9", "node")]
        findings = finding_lines(look, self.shown, width) if self.wanted() else []
        lines, self.top = fitted(look, head, findings, [[], key_line(look, width, keys, self.note)], most, self.top)
        return lines

    def _line(self, number: int) -> Spans:
        look, edited, pages = self.look, self.edited, self.edited.batch_pages
        if number == 0 and not self._may_retarget:
            return field_line(look, "To", f"undo of {self.job.plan.undoes}", (False, False), here=False)
        values: list[str | Spans] = [
            self.job.request.to.words
            if edited.target == _SEVERAL
            else [("node ", look.plain), look.chip(edited.target)],
            f"{pages} pages = {short_size(pages * self.job.plan.page_size)}",
            budget_text(edited.pace.budget_ns),
            rate_text(edited.pace.rate),
        ]
        ends = (self._with_value(number, -1) != edited, self._with_value(number, 1) != edited)
        return field_line(look, _FIELDS[number], values[number], ends, here=number == self._field)
