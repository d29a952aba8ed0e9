"""The plan dialog: where to, how gently, and what that comes to, seen before anything moves."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType

from numamig.errors import NumamigError
from numamig.migrate.plan import Plan
from numamig.model.topology import Topology
from tui.action import bindings
from tui.actions import PLAN_ACTIONS
from tui.bridge import Bridge
from tui.choice import Target
from tui.form import first_form
from tui.look import Look
from tui.screens.dialog import Dialog
from tui.screens.planlines import findings_of, plan_lines

__all__ = ["Accepted", "PlanDialog"]

_CHANGE = 0.02
"""A plan that differs by more than this from the one that was shown is shown again."""

Accepted = tuple[tuple[Plan, ...], bool]
"""Plans, and whether they run at once."""


class PlanDialog(Dialog[Accepted | None]):
    """Plans are worked out by the bridge; what is typed never waits for them."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(PLAN_ACTIONS)]

    def __init__(self, look: Look, bridge: Bridge, targets: tuple[Target, ...], topology: Topology) -> None:
        super().__init__(look, "move pages")
        self.bridge = bridge
        self.topology = topology
        self.form = first_form(targets, topology)
        self._asked = 0
        self._shown: tuple[Plan | NumamigError, ...] | None = None
        """What the operator has seen for the fields as they are; None while it is worked out."""
        self._accepting: str | None = None
        self._note = ""

    def on_mount(self) -> None:
        self._ask()
        self.set_interval(1 / 20, self._poll)

    def on_resize(self) -> None:
        self._draw()

    def action_field(self, way: int) -> None:
        self.form = self.form.with_field(way)
        self._draw()

    def action_value(self, way: int) -> None:
        self._change(self.form.with_value(way))

    def action_node(self, node: int) -> None:
        self._change(self.form.with_target(node))

    def action_accept(self, how: str) -> None:
        """Look again before anything is begun: what was shown may be minutes old."""
        if self._shown is not None and any(isinstance(plan, NumamigError) or plan.errors for plan in self._shown):
            self._note = "it cannot work: see what is marked"
            self._draw()
            return
        self._accepting = how
        self._asked = self.bridge.ask_plans(self.form.requests())

    def action_leave(self) -> None:
        self.dismiss(None)

    def _change(self, form: object) -> None:
        if form != self.form:
            self.form = form  # type: ignore[assignment]
            self._accepting, self._note = None, ""
            self._ask()

    def _ask(self) -> None:
        self._shown = None
        self._asked = self.bridge.ask_plans(self.form.requests())
        self._draw()

    def _poll(self) -> None:
        ready = self.bridge.plans
        if ready.serial != self._asked:
            return
        if self._accepting is not None:
            self._settle(ready.results)
        elif self._shown is not ready.results:
            self._shown = ready.results
            self._draw()

    def _settle(self, results: tuple[Plan | NumamigError, ...]) -> None:
        """``y`` or ``s`` was pressed, and this is what it would come to now."""
        how, self._accepting = self._accepting, None
        before, self._shown = self._shown, results
        plans = tuple(plan for plan in results if isinstance(plan, Plan))
        if len(plans) < len(results) or any(plan.errors for plan in plans):
            self._note = "it cannot work: see what is marked"
        elif before is None and any(plan.warnings for plan in plans):
            self._note = "read the warning, then y again"
        elif before is not None and _differ(before, plans):
            self._note = "this has changed just now: y again"
        else:
            self.dismiss((tuple(plan for plan in plans if plan.pages) or plans, how == "run"))
            return
        self._draw()

    def _draw(self) -> None:
        if not self.is_mounted:
            return
        room = (min(78, self.size.width) - 4, self.size.height - 2)
        capabilities = self.bridge.backend.capabilities
        lines = plan_lines(self.look, self.form, self._shown, self.topology, capabilities, room, self._note)
        self.box.show(lines)


def _differ(before: tuple[Plan | NumamigError, ...], now: tuple[Plan, ...]) -> bool:
    """More than a little: the pages, or what speaks against it."""
    old = [plan for plan in before if isinstance(plan, Plan)]
    if len(old) != len(now) or {f.check for f in findings_of(old)} != {f.check for f in findings_of(now)}:
        return True
    a, b = sum(plan.pages for plan in old), sum(plan.pages for plan in now)
    return abs(a - b) > _CHANGE * max(a, b, 1)
