"""What the plan dialog says, line by line: from its fields and the plans that they come to."""

from __future__ import annotations

from numamig.backends.base import Capabilities
from numamig.errors import NumamigError
from numamig.migrate.plan import Plan
from numamig.model.pages import UNKNOWN_NODE
from numamig.model.topology import Topology
from tui.form import HOME, Form
from tui.look import Look, Spans
from tui.present import command_line, remote_text, short_size, size_text
from tui.screens.findinglines import blocked_by, finding_lines, fitted, key_line, plans_in, time_line
from tui.widgets.bars import machine_spans

__all__ = ["field_line", "plan_lines"]


def plan_lines(
    look: Look,
    form: Form,
    results: tuple[Plan | NumamigError, ...] | None,
    topology: Topology,
    capabilities: Capabilities,
    room: tuple[int, int],
    note: str,
    top: int = 0,
) -> tuple[list[Spans], int]:
    """The whole dialog, in at most ``room`` cells and lines, and how far its findings are scrolled.

    What matters least is left out first.
    """
    width, most = room
    plans = plans_in(results)
    what: Spans = [*machine_spans(look, capabilities), ("  ", look.plain), *_pages(look, plans, results is None)]
    head = [_what(look, form), what, [], *(_field(look, form, number) for number in range(len(form.fields))), []]
    head += [*_bars(look, form, plans, width), *_rooms(look, plans, topology), time_line(look, plans), []]
    command = command_line(form.requests()[0], simulated=capabilities.simulated)
    more = f"  and {len(form.targets) - 1} more" if len(form.targets) > 1 else ""
    act: Spans = [(" $ ", look.bold), (look.fit(command, width - 4 - len(more)).rstrip() + more, look.label)]
    run = [] if blocked_by(results) else [("y", "run"), ("s", "queue held")]
    keys = [*run, ("esc", "back"), ("j k", "field"), ("h l", "value"), ("a", _turn(form)), ("0-9", "node")]
    foot = [[], act, key_line(look, width, keys, note)]
    return fitted(look, head, finding_lines(look, results, width), foot, most, top)


def _turn(form: Form) -> str:
    """What is behind the key for the other fields."""
    count = f" ({form.advanced_set} set)" if form.advanced_set and not form.advanced else ""
    return f"{'less' if form.advanced else 'more'}{count}"


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


def _field(look: Look, form: Form, number: int) -> Spans:
    name = form.fields[number]
    value: Spans | None = [("node ", look.plain), look.chip(form.to)] if name == "To" and form.to != HOME else None
    return field_line(look, name, value or form.value(name), form.ends(name), here=number == form.field)


def field_line(look: Look, name: str, value: str | Spans, ends: tuple[bool, bool], *, here: bool) -> Spans:
    """A stepper: its name and its value, with signs at the sides where there are others."""
    before, after = ends
    spans: Spans = [
        (look.glyphs.focus if here else " ", look.bold),
        (f"{name:<8}", look.bold if here else look.label),
        ("< " if before and here else "  ", look.bold),
    ]
    spans += [(value, look.bold if here else look.plain)] if isinstance(value, str) else value
    return [*spans, (" >" if after and here else "", look.bold)]


def _bars(look: Look, form: Form, plans: tuple[Plan, ...], width: int) -> list[Spans]:
    """Bytes by node, before and after; one process has a home to be remote from, several have not."""
    before: dict[int, int] = {}
    after: dict[int, int] = {}
    for plan in plans:
        for node, count in plan.bytes_by_node.items():
            before[node] = before.get(node, 0) + count
            after[node] = after.get(node, 0) + count
        for (source, target), count in plan.ways.items():
            if source != UNKNOWN_NODE:  # of which nobody knows where they are, or whether they will move
                after[source] -= count
                after[target] = after.get(target, 0) + count
    home = form.targets[0].seen.home if len(form.targets) == 1 else ()
    room = max(10, width - 26)
    lines: list[Spans] = []
    for label, parts in (("Before", before), ("At best", after)):
        total = sum(parts.values())
        away = sum(count for node, count in parts.items() if node not in home) if home else None
        words = f"  {remote_text(away, total)} remote" if away is not None and total else ""
        lines.append([(f" {label:<10}", look.label), *look.bar(parts, room, home), (words, look.plain)])
    return lines


def _rooms(look: Look, plans: tuple[Plan, ...], topology: Topology) -> list[Spans]:
    """How full the targets get."""
    wanted: dict[int, int] = {}
    for plan in plans:
        for node, count in plan.bytes_to.items():
            wanted[node] = wanted.get(node, 0) + count
    lines: list[Spans] = []
    for number, more in sorted(wanted.items()):
        receiving = topology.node(number)
        if receiving is not None:
            used = receiving.total_bytes - receiving.free_bytes
            words = f"{size_text(used)} + {size_text(more)} of {short_size(receiving.total_bytes)}"
            lines.append([(f" Node {number:<5}", look.label), (words, look.plain)])
    return lines or [[]]
