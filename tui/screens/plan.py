"""The plan dialog: where to, how gently, and what that comes to, seen before anything moves."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType

from numamig.migrate.plan import Plan
from numamig.model.topology import Topology
from tui.action import bindings
from tui.actions.dialogs import PLAN_ACTIONS
from tui.bridge import Bridge
from tui.choice import Target
from tui.consent import asked_of
from tui.form import Form, first_form
from tui.look import Look, Spans
from tui.planning import Wanted
from tui.screens.asking import Asking
from tui.screens.planlines import plan_lines

__all__ = ["Accepted", "PlanDialog"]

Accepted = tuple[tuple[Plan, ...], bool]
"""Plans, and whether they run at once."""


class PlanDialog(Asking[Accepted]):
    """Fields are steppers, so that every other key acts at once."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(PLAN_ACTIONS)]

    def __init__(self, look: Look, bridge: Bridge, targets: tuple[Target, ...], topology: Topology) -> None:
        super().__init__(look, bridge, "move pages")
        self.topology = topology
        self.form = first_form(targets, topology)

    def wanted(self) -> tuple[Wanted, ...]:
        return self.form.requests()

    def asks(self, plans: tuple[Plan, ...]) -> str:
        return asked_of(plans)

    def accepted(self, plans: tuple[Plan, ...], how: str) -> Accepted:
        return tuple(plan for plan in plans if plan.pages) or plans, how == "run"

    def action_field(self, way: int) -> None:
        self.form = self.form.with_field(way)
        self.draw()

    def action_value(self, way: int) -> None:
        self._change(self.form.with_value(way))

    def action_node(self, node: int) -> None:
        self._change(self.form.with_target(node))

    def action_advanced(self) -> None:
        self.form = self.form.turned()
        self.draw()

    def _change(self, form: Form) -> None:
        if form != self.form:
            self.form = form
            self.ask()

    def lines(self, room: tuple[int, int]) -> list[Spans]:
        capabilities = self.bridge.backend.capabilities
        lines, self.top = plan_lines(
            self.look, self.form, self.shown, self.topology, capabilities, room, self.note, self.top
        )
        return lines
