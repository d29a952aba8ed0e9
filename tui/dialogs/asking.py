"""A dialog that asks before something is done: what it would come to is worked out meanwhile, and again on ``y``."""

from __future__ import annotations

from functools import partial
from typing import TypeVar

from textual.timer import Timer

from numamig.errors import NumamigError
from numamig.migrate.plan import Plan
from tui.dialogs.confirm import Confirm
from tui.dialogs.dialog import Dialog
from tui.dialogs.findinglines import blocked_by, findings_of, plans_in
from tui.style.look import Look, Spans
from tui.threads.bridge import Bridge
from tui.threads.planning import Wanted

__all__ = ["Asking"]

_CHANGE = 0.02
"""A plan that differs by more than this from the one that was shown is shown again."""
_REST_S = 0.3
"""Fields rest for so long before a plan is asked for: keys come in runs."""
_NOT_ASKED = -1
_BLOCKED = "it cannot work: see what is marked"

Result = TypeVar("Result")


class Asking(Dialog[Result | None]):
    """Plans are worked out by the bridge; what is typed never waits for them."""

    def __init__(self, look: Look, bridge: Bridge, title: str) -> None:
        super().__init__(look, title)
        self.bridge = bridge
        self.shown: tuple[Plan | NumamigError, ...] | None = None
        """What the operator has seen for what is asked; None while it is worked out."""
        self.note = ""
        self.top = 0
        """How far findings are scrolled."""
        self._asked = _NOT_ASKED
        self._resting: Timer | None = None
        self._accepting: str | None = None

    def wanted(self) -> tuple[Wanted, ...]:
        """What plans are wanted for; nothing where none is needed."""
        raise NotImplementedError

    def lines(self, room: tuple[int, int]) -> list[Spans]:
        """All of the dialog, in so many cells and lines."""
        raise NotImplementedError

    def asks(self, plans: tuple[Plan, ...]) -> str:
        """A sentence that has to be agreed to first; "" where none has."""
        return ""

    def accepted(self, plans: tuple[Plan, ...], how: str) -> Result:
        """What the dialog comes to: every plan is possible, and was seen with its warnings."""
        raise NotImplementedError

    def on_mount(self) -> None:
        self._asked = self._ask(fresh=True)
        self.draw()
        self.set_interval(1 / 20, self._poll)

    def on_resize(self) -> None:
        self.draw()

    def action_accept(self, how: str) -> None:
        """Look again before anything is begun: what was shown may be minutes old."""
        if blocked_by(self.shown):
            self.note = _BLOCKED
            self.draw()
            return
        self._accepting = how
        self._asked = self._ask(fresh=True)

    def action_scroll(self, way: int) -> None:
        self.top = max(0, self.top + way * 3)
        self.draw()

    def action_leave(self) -> None:
        self.dismiss(None)

    def ask(self) -> None:
        """Something else is asked; it is worked out when keys rest."""
        self._accepting, self.note, self.shown, self.top = None, "", None, 0
        self._asked = _NOT_ASKED
        self._rest_no_more()
        self._resting = self.set_timer(_REST_S, self._rested)
        self.draw()

    def _rested(self) -> None:
        self._asked = self._ask(fresh=False)

    def _rest_no_more(self) -> None:
        if self._resting is not None:
            self._resting.stop()

    def _ask(self, *, fresh: bool) -> int:
        self._rest_no_more()
        return self.bridge.ask_plans(self.wanted(), fresh=fresh)

    def _poll(self) -> None:
        ready = self.bridge.plans
        if ready.serial != self._asked:
            return
        if self._accepting is not None:
            self._settle(ready.results)
        elif self.shown is not ready.results:
            self.shown = ready.results
            self.draw()

    def _settle(self, results: tuple[Plan | NumamigError, ...]) -> None:
        """A key was pressed that accepts, and this is what it would come to now."""
        how, self._accepting = self._accepting or "", None
        before, self.shown = self.shown, results
        plans = plans_in(results)
        if blocked_by(results):
            self.note = _BLOCKED
        elif before is None and any(plan.warnings for plan in plans):
            self.note = "read the warning, then y again"
        elif before is not None and _differ(before, plans):
            self.note = "this has changed just now: y again"
        elif sentence := self.asks(plans):
            self.app.push_screen(
                Confirm(self.look, "before it begins", sentence, "go on"), partial(self._agreed, plans, how)
            )
        else:
            self.dismiss(self.accepted(plans, how))
            return
        self.draw()

    def _agreed(self, plans: tuple[Plan, ...], how: str, yes: bool | None) -> None:
        if yes:
            self.dismiss(self.accepted(plans, how))

    def draw(self) -> None:
        if self.is_mounted:
            self.box.show(self.lines((min(78, self.size.width) - 4, self.size.height - 2)))


def _differ(before: tuple[Plan | NumamigError, ...], now: tuple[Plan, ...]) -> bool:
    """More than a little: the pages, or what speaks against it."""
    old = plans_in(before)
    if len(old) != len(now) or {f.check for f in findings_of(old)} != {f.check for f in findings_of(now)}:
        return True
    a, b = sum(plan.pages for plan in old), sum(plan.pages for plan in now)
    return abs(a - b) > _CHANGE * max(a, b, 1)
