"""What the plan dialog says, line by line: from its fields and the plans that they come to."""

from __future__ import annotations

from collections.abc import Iterable

from numamig.backends.base import Capabilities
from numamig.errors import NumamigError
from numamig.migrate.plan import Plan
from numamig.model.finding import Finding, Severity
from numamig.model.pages import UNKNOWN_NODE
from numamig.model.topology import Topology
from tui.form import FIELDS, HOME, Form
from tui.look import Look, Spans, width_of
from tui.present import command_line, remote_text, short_size, size_text
from tui.widgets.bars import machine_spans

__all__ = ["findings_of", "plan_lines"]


def plan_lines(
    look: Look,
    form: Form,
    results: tuple[Plan | NumamigError, ...] | None,
    topology: Topology,
    capabilities: Capabilities,
    room: tuple[int, int],
    note: str,
) -> list[Spans]:
    """The whole dialog, in at most ``room`` cells and lines; what matters least is left out first."""
    width, most = room
    plans = tuple(plan for plan in results or () if isinstance(plan, Plan))
    errors = tuple(error for error in results or () if isinstance(error, NumamigError))
    what: Spans = [*machine_spans(look, capabilities), ("  ", look.plain), *_pages(look, plans, results is None)]
    head = [_what(look, form), what, [], *(_field(look, form, number) for number in range(len(FIELDS))), []]
    head += [*_bars(look, form, plans, width), *_rooms(look, plans, topology), []]
    command = command_line(form.requests()[0], simulated=capabilities.simulated)
    more = f"  and {len(form.targets) - 1} more" if len(form.targets) > 1 else ""
    act: Spans = [(" $ ", look.bold), (look.fit(command, width - 4 - len(more)).rstrip() + more, look.label)]
    blocked = bool(errors) or any(plan.errors for plan in plans)
    foot = [[], act, _keys(look, width, blocked=blocked, note=note)]
    findings = _findings(look, plans, errors, results is None)
    while len(head) + len(findings) + len(foot) > most and [] in (part := foot if [] in foot else head):
        part.remove([])
    left = max(1, most - len(head) - len(foot))
    if len(findings) > left:
        findings = [*findings[: left - 1], [(f"   and {len(findings) - left + 1} lines more", look.label)]]
    return [*head, *findings, *foot]


def findings_of(plans: Iterable[Plan]) -> list[Finding]:
    return [finding for plan in plans for finding in plan.findings]


def _what(look: Look, form: Form) -> Spans:
    target = form.targets[0]
    process = target.seen.process
    if len(form.targets) > 1:
        names = ", ".join(look.shown(t.seen.process.name) for t in form.targets)
        return [(f" {len(form.targets)} processes", look.bold), (f"  {names}", look.label)]
    part = "all regions"
    if target.regions:
        part = f"{len(target.regions)} region{'s' * (len(target.regions) > 1)}"
    owner = "yours" if process.yours else look.shown(process.user)
    dot = look.glyphs.dot
    return [(f" {look.shown(process.name)} {process.pid}", look.bold), (f" ({owner}) {dot} {part}", look.label)]


def _pages(look: Look, plans: tuple[Plan, ...], waiting: bool) -> Spans:
    if waiting:
        return [("counting", look.label)]
    pages = sum(plan.pages for plan in plans)
    return [(f"{pages:,} pages = {size_text(sum(plan.bytes for plan in plans))}", look.bold), (" to move", look.plain)]


def _field(look: Look, form: Form, number: int) -> Spans:
    here = number == form.field
    before, after = form.ends(number)
    spans: Spans = [
        (look.glyphs.focus if here else " ", look.bold),
        (f"{FIELDS[number]:<8}", look.bold if here else look.label),
    ]
    spans.append(("< " if before and here else "  ", look.bold))
    if number == 0 and form.to != HOME:
        spans += [("node", look.plain), (" ", look.plain), look.chip(form.to)]
    else:
        spans.append((form.value(number), look.bold if here else look.plain))
    spans.append((" >" if after and here else "", look.bold))
    return spans


def _bars(look: Look, form: Form, plans: tuple[Plan, ...], width: int) -> list[Spans]:
    """Bytes by node, before and after; one process has a home to be remote from, several have not."""
    before: dict[int, int] = {}
    after: dict[int, int] = {}
    for plan in plans:
        request = plan.request
        for node, count in plan.bytes_by_node.items():
            before[node] = before.get(node, 0) + count
            moves = node != request.target and (request.sources is None or node in request.sources)
            to = request.target if moves and node != UNKNOWN_NODE else node
            after[to] = after.get(to, 0) + count
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
        wanted[plan.request.target] = wanted.get(plan.request.target, 0) + plan.bytes
    lines: list[Spans] = []
    for number, more in sorted(wanted.items()):
        node = topology.node(number)
        if node is not None:
            used = node.total_bytes - node.free_bytes
            words = f"{size_text(used)} + {size_text(more)} of {short_size(node.total_bytes)}"
            lines.append([(f" Node {number:<5}", look.label), (words, look.plain)])
    return lines or [[]]


def _findings(look: Look, plans: tuple[Plan, ...], errors: tuple[NumamigError, ...], waiting: bool) -> list[Spans]:
    if waiting:
        return [[(" looking", look.label)]]
    glyphs = {Severity.OK: look.glyphs.ok, Severity.WARNING: look.glyphs.warning, Severity.ERROR: look.glyphs.error}
    lines: list[Spans] = []
    for error in errors:
        lines.append([(f" {look.glyphs.error} {look.shown(error.message)}", look.bold)])
        if error.hint:
            lines.append([(f"   {look.shown(error.hint)}", look.label)])
    seen: set[tuple[str, str]] = set()
    order = [Severity.ERROR, Severity.WARNING, Severity.OK]
    for finding in sorted(findings_of(plans), key=lambda f: order.index(f.severity)):
        if (finding.check, finding.reason) in seen:
            continue
        seen.add((finding.check, finding.reason))
        style = look.plain if finding.severity is Severity.OK else look.bold
        lines.append([(f" {glyphs[finding.severity]} {look.shown(finding.reason)}", style)])
        if finding.remedy and finding.severity is not Severity.OK:
            lines.append([(f"   {look.shown(finding.remedy)}", look.label)])
    return lines or [[]]


def _keys(look: Look, width: int, *, blocked: bool, note: str) -> Spans:
    """Keys of the dialog, as many as fit whole; what runs or leaves comes first."""
    if note:
        return [(f" {note}", look.bold), ("  esc", look.bold), (" back", look.label)]
    run = [] if blocked else [("y", "run"), ("s", "queue held")]
    spans: Spans = []
    for key, label in (*run, ("esc", "back"), ("j k", "field"), ("h l", "value"), ("0-9", "node")):
        piece: Spans = [("  " if spans else " ", look.plain), (key, look.bold), (f" {label}", look.label)]
        if width_of([*spans, *piece]) > width:
            break
        spans += piece
    return spans
