"""What the plan dialog says, line by line: from its fields and the plans that they come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from numamig.backends.base import Capabilities
from numamig.errors import NumamigError
from numamig.migrate.plan import Plan
from numamig.model.finding import Severity
from numamig.model.topology import Topology
from tui.dialogs.cometo import bar_lines, room_lines, way_lines
from tui.dialogs.findinglines import blocked_by, fitted, item_lines, items_of, key_line, plans_in, time_line
from tui.plans.form import Form
from tui.plans.remedies import fix_for
from tui.style.look import Look, Spans
from tui.widgets.bars import machine_spans
from tui.words.present import command_line, size_text

__all__ = ["PlanSaid", "plan_lines"]

_LEVELS = 6
"""From all that can be said to what has to be."""


@dataclass(frozen=True, slots=True)
class PlanSaid:
    """What the dialog is to say."""

    form: Form
    fields: Sequence[Spans]
    results: tuple[Plan | NumamigError, ...] | None
    topology: Topology
    capabilities: Capabilities
    twin: Sequence[Spans] = ()
    """What the rehearsal came to."""
    note: str = ""
    at: int | None = None
    """The finding that the cursor is on."""
    open: bool = False
    """All that is well is told in full."""
    keys: tuple[tuple[str, str], ...] = ()


def plan_lines(look: Look, said: PlanSaid, room: tuple[int, int], top: int = 0) -> tuple[list[Spans], int]:
    """The whole dialog, in at most ``room`` cells and lines, and how far its findings are scrolled.

    What matters least is left out first.
    """
    width, most = room
    for level in range(_LEVELS):
        head, foot = _head(look, said, width, level), _foot(look, said, width, level)
        findings, here = _findings(look, said, width, level)
        if len(head) + len(findings) + len(foot) <= most:
            return [*head, *findings, *foot], 0
    left = max(2, most - len(head) - len(foot)) - 1
    if said.at is not None:  # the cursor is in view
        ends = sorted((here[0], here[1] - left))
        top = max(ends[0], min(top, ends[1]))
    return fitted(look, head, findings, foot, most, top)


def _head(look: Look, said: PlanSaid, width: int, level: int) -> list[Spans]:
    form, plans = said.form, plans_in(said.results)
    what: Spans = [
        *machine_spans(look, said.capabilities),
        ("  ", look.plain),
        *_pages(look, plans, said.results is None),
    ]
    gap: list[Spans] = [[]] if level < 1 else []
    head = [_what(look, form), what, *gap, *said.fields, *gap, *bar_lines(look, form, plans, width)]
    head += way_lines(look, plans, width) if level < 5 else []
    return [*head, *room_lines(look, plans, said.topology, width), time_line(look, plans), *said.twin, *gap]


def _foot(look: Look, said: PlanSaid, width: int, level: int) -> list[Spans]:
    form = said.form
    command = command_line(form.requests()[0], simulated=said.capabilities.simulated, page_size=form.page_size)
    more = f"  and {len(form.targets) - 1} more" if len(form.targets) > 1 else ""
    act: Spans = [(" $ ", look.bold), (look.fit(command, width - 4 - len(more)).rstrip() + more, look.label)]
    gap: list[Spans] = [[]] if level < 1 else []
    return [*gap, *([act] if level < 5 else []), key_line(look, width, _keys(said), said.note)]


def _keys(said: PlanSaid) -> list[tuple[str, str]]:
    if said.keys:
        return list(said.keys)
    run = [] if blocked_by(said.results) else [("y", "run"), ("s", "queue held")]
    rehearse = [] if blocked_by(said.results) else [("r", "rehearse")]
    form = said.form
    count = f" ({form.advanced_set} set)" if form.advanced_set and not form.advanced else ""
    turn = f"{'less' if form.advanced else 'more'}{count}"
    acts = [*run, *rehearse, ("w", "save"), ("esc", "back")]
    return [*acts, ("a", turn), ("f", "findings"), ("enter", "type"), ("j k h l", "field")]


def _findings(look: Look, said: PlanSaid, width: int, level: int) -> tuple[list[Spans], tuple[int, int]]:
    """All of them, and between which lines the one under the cursor is."""
    if said.results is None:
        return [[(" looking", look.label)]], (0, 0)
    plans, lines, here = plans_in(said.results), list[Spans](), (0, 0)
    for number, item in enumerate(items_of(said.results)):
        at = number == said.at
        fine = item.severity is Severity.OK
        fix = fix_for(item.check, said.form, plans, said.topology)
        full = level < 2 or said.open if fine else level < 3 or at
        before = len(lines)
        words = fix.words if fix is not None else ""
        if fine and not full:
            words = "tells what was found" if at else ""
        lines += item_lines(look, item, width, here=at, fix=words, full=full)
        if at:
            here = before, len(lines)
    return lines, here


def _what(look: Look, form: Form) -> Spans:
    target = form.targets[0]
    process = target.seen.process
    if len(form.targets) > 1:
        names = ", ".join(look.shown(t.seen.process.name) for t in form.targets)
        return [(f" {len(form.targets)} processes", look.bold), (f"  {names}", look.label)]
    part = look.shown(target.words)
    owner = "yours" if process.yours else look.shown(process.user)
    dot = look.glyphs.dot
    return [(f" {look.shown(process.name)} {process.pid}", look.bold), (f" ({owner}) {dot} {part}", look.label)]


def _pages(look: Look, plans: tuple[Plan, ...], waiting: bool) -> Spans:
    if waiting:
        return [("counting", look.label)]
    pages = sum(plan.pages for plan in plans)
    return [(f"{pages:,} pages = {size_text(sum(plan.bytes for plan in plans))}", look.bold), (" to move", look.plain)]
