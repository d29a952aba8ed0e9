"""The dialog that changes a job which has not ended: where the rest of it goes, and how gently."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from textual.binding import BindingType

from numamig.migrate.destination import Destination, Interleave
from numamig.migrate.plan import Plan
from numamig.migrate.snapshot import JobSnapshot
from numamig.model.topology import Topology
from tui.actions.action import bindings
from tui.actions.dialogs import EDIT_ACTIONS
from tui.dialogs.filling import Filling
from tui.dialogs.findinglines import blocked_by, finding_lines, fitted, key_line, plans_in, time_line
from tui.plans.form import Form
from tui.plans.goals import Home, tier_weights
from tui.style.look import Look, Spans
from tui.threads.bridge import Bridge
from tui.threads.planning import Wanted
from tui.threads.snapshots import Pace
from tui.widgets.bars import machine_spans

__all__ = ["EditDialog", "Edited"]

_FIELDS = ("To", "Batch", "Budget", "Rate")


@dataclass(frozen=True, slots=True)
class Edited:
    """What a job is to be from here on; a field that stays as it was says so by being equal."""

    to: Destination
    batch_pages: int
    pace: Pace


class EditDialog(Filling[Edited]):
    """Another target is planned for at once, so that what speaks against it is seen before ``y``."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(EDIT_ACTIONS)]

    def __init__(self, look: Look, bridge: Bridge, job: JobSnapshot, pace: Pace, topology: Topology) -> None:
        self.job = job
        super().__init__(look, bridge, f"change job {job.number}", self._form_of(job, pace, topology))
        self.before = self._edited()

    def _form_of(self, job: JobSnapshot, pace: Pace, topology: Topology) -> Form:
        memory, to = topology.memory_nodes, job.request.to
        if isinstance(to, Interleave):
            to = replace(to, unit_bytes=0)  # as it is typed: the machine's part in it is settled again
        return Form(
            targets=(),
            nodes=memory,
            presets=(),
            page_size=topology.page_size,
            to=to,
            by_tier=tier_weights(memory, tuple(node.id for node in topology.nodes if node.cpus), None),
            batch_pages=job.batch_pages,
            budget_ns=pace.budget_ns,
            rate=pace.rate,
            usual=_FIELDS if self._may_retarget else _FIELDS[1:],
        )

    @property
    def _may_retarget(self) -> bool:
        """Pages that go back have each a node that they came from."""
        return self.job.plan.undoes is None

    def _edited(self) -> Edited:
        form = self.form
        assert not isinstance(form.to, Home)
        return Edited(form.to, form.batch_pages, Pace(form.budget_ns, form.rate))

    def wanted(self) -> tuple[Wanted, ...]:
        to = self._edited().to
        return () if to == self.before.to else (replace(self.job.request, to=to),)

    def accepted(self, plans: tuple[Plan, ...], how: str) -> Edited:
        return self._edited()

    def action_node(self, node: int) -> None:
        if self._may_retarget:
            super().action_node(node)

    def change(self, form: Form) -> None:
        again = form.to != self.form.to
        if not again and form != self.form:
            self.form = form
            self.draw()
        super().change(form)

    def lines(self, room: tuple[int, int]) -> list[Spans]:
        look, job, (width, most) = self.look, self.job, room
        process = job.plan.process
        left = max(0, job.plan.pages - job.chosen)
        rest = f"{left:,} pages have had no turn yet"
        undo: list[Spans] = [] if self._may_retarget else [[(f" To        undo of {job.plan.undoes}", look.label)]]
        head: list[Spans] = [
            [(f" {look.shown(process.name)} {process.pid}", look.bold), (f"  job {job.number}", look.label)],
            [*machine_spans(look, self.bridge.backend.capabilities), ("  ", look.plain), (rest, look.bold)],
            [],
            *undo,
            *self.field_lines(),
            time_line(look, plans_in(self.shown)),
            [],
        ]
        run = [] if blocked_by(self.shown) else [("y", "change")]
        keys = [*run, ("esc", "back"), ("j k", "field"), ("h l", "value"), ("enter", "type"), ("0-9", "node")]
        findings = finding_lines(look, self.shown, width) if self.wanted() else []
        lines, self.top = fitted(look, head, findings, [[], key_line(look, width, keys, self.note)], most, self.top)
        return lines
