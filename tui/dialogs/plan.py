"""The plan dialog: where to, how gently, and what that comes to, seen before anything moves."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual.binding import BindingType

from numamig.errors import NumamigError
from numamig.migrate.plan import Plan
from numamig.model.finding import Severity
from numamig.model.topology import Topology
from tui.actions.action import bindings
from tui.actions.dialogs import PLAN_ACTIONS
from tui.dialogs.filling import Filling
from tui.dialogs.findinglines import Item, blocked_by, items_of, plans_in
from tui.dialogs.planlines import PlanSaid, plan_lines
from tui.dialogs.save import SaveDialog
from tui.dialogs.twinlines import twin_lines
from tui.plans.choice import Target
from tui.plans.consent import asked_of
from tui.plans.form import Form, first_form
from tui.plans.remedies import fix_for
from tui.style.look import Look, Spans
from tui.threads.acts import Said
from tui.threads.bridge import Bridge
from tui.threads.planning import Wanted
from tui.threads.rehearsing import Rehearsal

__all__ = ["Accepted", "PlanDialog"]

Accepted = tuple[tuple[Plan, ...], bool]
"""Plans, and whether they run at once."""
_NO_TWIN = "there is no twin of this machine to rehearse on"


class PlanDialog(Filling[Accepted]):
    """Fields are steppers, so that every other key acts at once; behind the last of them the cursor is on findings."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(PLAN_ACTIONS)]

    def __init__(
        self,
        look: Look,
        bridge: Bridge,
        targets: tuple[Target, ...],
        topology: Topology,
        *,
        title: str = "move pages",
        form: Form | None = None,
    ) -> None:
        tells_heat = bridge.backend.capabilities.heat
        super().__init__(look, bridge, title, form or first_form(targets, topology, tells_heat=tells_heat))
        self.topology = topology
        self.at: int | None = None
        """The finding that the cursor is on; None: it is on a field."""
        self.open = False
        """What is well is told in full."""
        self.rehearsal: Rehearsal | None = None
        self._saved = ""
        self._drawn: object = None

    def wanted(self) -> tuple[Wanted, ...]:
        return self.form.requests()

    def asks(self, plans: tuple[Plan, ...]) -> str:
        return asked_of(plans)

    def accepted(self, plans: tuple[Plan, ...], how: str) -> Accepted:
        return tuple(plan for plan in plans if plan.pages) or plans, how == "run"

    # Where the cursor is

    @property
    def _items(self) -> list[Item]:
        return items_of(self.shown)

    def step_field(self, way: int) -> None:
        """From the last field on to the findings, and from these back to the fields."""
        items, last = self._items, len(self.form.fields) - 1
        if self.at is None and not (way > 0 and self.form.field == last and items):
            super().step_field(way)
            return
        at = 0 if self.at is None else self.at + way
        if 0 <= at < len(items):
            self._on(at)
        else:
            self._on(None)
            self.form = replace(self.form, field=last if at < 0 else 0)

    def action_findings(self) -> None:
        """To the findings, and back."""
        self._on(0 if self.at is None and self._items else None)
        self.draw()

    def _on(self, at: int | None) -> None:
        self.at, self.on_field, self.note = at, at is None, ""

    def action_enter(self) -> None:
        items = self._items
        if self.at is None or self.at >= len(items):
            self.type()
            return
        item = items[self.at]
        fix = fix_for(item.check, self.form, plans_in(self.shown), self.topology)
        if item.severity is Severity.OK:
            self.open = not self.open
        elif fix is not None:
            self.change(fix.form)
            return
        else:
            self.note = "nothing here can mend that: what helps is said below it"
        self.draw()

    def action_advanced(self) -> None:
        self._on(None)
        self.form = self.form.turned()
        self.draw()

    def change(self, form: Form) -> None:
        if form != self.form:
            self._on(None)
            self._stop()
        super().change(form)

    # What can be done besides moving

    def action_rehearse(self) -> None:
        """On a twin, beside everything else; again where it was done."""
        if blocked_by(self.shown) or self.shown is None:
            self.note = (
                "there is nothing to rehearse yet" if self.shown is None else "it cannot work: see what is marked"
            )
        elif self.bridge.twin_of is None:
            self.note = _NO_TWIN
        else:
            self._stop()
            self.rehearsal = self.bridge.rehearse(self.form.requests())
        self.draw()

    def action_save(self) -> None:
        if plans_in(self.shown):
            self.app.push_screen(SaveDialog(self.look, "what is planned here"), self._named)

    def _named(self, name: str | None) -> None:
        plans = tuple(zip(self.form.requests(), self.shown or (), strict=False))
        if name is not None:
            self.bridge.bring(partial(self._save, name, plans))

    def _save(self, name: str, plans: tuple[tuple[Wanted, Plan | NumamigError], ...]) -> Said:
        planned = [
            (request, plan) for request, plan in plans if isinstance(plan, Plan) and not isinstance(request, int)
        ]
        self.bridge.save_plans(planned, Path(name))
        self._saved = f"saved: numamig replay {name}"
        return Said("saved", f"numamig replay {name}")

    def leave(self) -> None:
        """A rehearsal that goes on is left first."""
        if self.rehearsal is not None and not self.rehearsal.ended:
            self._stop()
            self.draw()
        else:
            self.dismiss(None)

    def _stop(self) -> None:
        if self.rehearsal is not None:
            self.rehearsal.stop()
        self.rehearsal = None

    def on_unmount(self) -> None:
        self._stop()

    # What it says

    def _poll(self) -> None:
        super()._poll()
        if self._saved:
            self.note, self._saved = self._saved, ""
            self.draw()
        rehearsal = self.rehearsal
        state = None if rehearsal is None else (rehearsal, rehearsal.jobs, rehearsal.ended)
        if state != self._drawn:
            self._drawn = state
            self.draw()

    def lines(self, room: tuple[int, int]) -> list[Spans]:
        if self.at is not None and self.at >= len(self._items):
            self._on(None)
        said = PlanSaid(
            form=self.form,
            fields=self.field_lines(),
            results=self.shown,
            topology=self.topology,
            capabilities=self.bridge.backend.capabilities,
            twin=twin_lines(self.look, self.rehearsal, room[0]),
            note=self.note,
            at=self.at,
            open=self.open,
        )
        lines, self.top = plan_lines(self.look, said, room, self.top)
        return lines
