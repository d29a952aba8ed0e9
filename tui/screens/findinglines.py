"""What dialogs about plans have in common: findings in full, how long it will take, and the keys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from textwrap import wrap

from numamig.errors import NumamigError
from numamig.migrate.plan import Plan
from numamig.model.finding import Finding, Severity
from tui.look import Look, Spans, width_of
from tui.present import duration_text

__all__ = ["blocked_by", "errors_in", "finding_lines", "findings_of", "fitted", "key_line", "plans_in", "time_line"]

Results = tuple[Plan | NumamigError, ...]


def plans_in(results: Results | None) -> tuple[Plan, ...]:
    return tuple(plan for plan in results or () if isinstance(plan, Plan))


def errors_in(results: Results | None) -> tuple[NumamigError, ...]:
    return tuple(error for error in results or () if isinstance(error, NumamigError))


def blocked_by(results: Results | None) -> bool:
    """Whether something stands against it that nobody can wave through."""
    return bool(errors_in(results)) or any(plan.errors for plan in plans_in(results))


def findings_of(plans: Iterable[Plan]) -> list[Finding]:
    return [finding for plan in plans for finding in plan.findings]


def finding_lines(look: Look, results: Results | None, width: int) -> list[Spans]:
    """Every one once, the worst first, in full."""
    if results is None:
        return [[(" looking", look.label)]]
    glyphs = {Severity.OK: look.glyphs.ok, Severity.WARNING: look.glyphs.warning, Severity.ERROR: look.glyphs.error}
    lines: list[Spans] = []
    for error in errors_in(results):
        lines += _finding(look, look.glyphs.error, error.message, error.hint or "", width, bold=True)
    seen: set[tuple[str, str]] = set()
    order = [Severity.ERROR, Severity.WARNING, Severity.OK]
    for finding in sorted(findings_of(plans_in(results)), key=lambda f: order.index(f.severity)):
        if (finding.check, finding.reason) not in seen:
            seen.add((finding.check, finding.reason))
            bold = finding.severity is not Severity.OK
            lines += _finding(look, glyphs[finding.severity], finding.reason, finding.remedy, width, bold=bold)
    return lines


def _finding(look: Look, glyph: str, reason: str, remedy: str, width: int, *, bold: bool) -> list[Spans]:
    style = look.bold if bold else look.plain
    first, *more = wrap(look.shown(reason), width - 4) or [""]
    lines: list[Spans] = [[(f" {glyph} {first}", style)], *([(f"   {line}", style)] for line in more)]
    return [*lines, *([(f"   {line}", look.label)] for line in wrap(look.shown(remedy), width - 4))]


def fitted(
    look: Look, head: list[Spans], findings: list[Spans], foot: list[Spans], most: int, top: int
) -> tuple[list[Spans], int]:
    """At most so many lines, and how far the findings are scrolled then; empty lines are left out first."""
    head, foot = list(head), list(foot)
    while len(head) + len(findings) + len(foot) > most and [] in (part := foot if [] in foot else head):
        part.remove([])
    room = max(2, most - len(head) - len(foot))
    if len(findings) <= room:
        return [*head, *findings, *foot], 0
    top = max(0, min(top, len(findings) - room + 1))
    shown = findings[top : top + room - 1]
    below = len(findings) - top - len(shown)
    words = ", ".join(
        words for words in (f"{below} more below" if below else "", f"{top} above" if top else "") if words
    )
    more: Spans = [("   ^d ^u", look.bold), (f" {words}", look.label)]
    return [*head, *shown, more, *foot], top


def time_line(look: Look, plans: Sequence[Plan]) -> Spans:
    """How long it will take, and how long a thread may be kept waiting; empty where nobody can tell."""
    times = [plan.estimate_ns for plan in plans if plan.estimate_ns is not None]
    stalls = [plan.estimated_stall_ns for plan in plans if plan.estimated_stall_ns is not None]
    if not times:
        return []
    words = f"~{duration_text(sum(times))}"
    if stalls:
        words += f" {look.glyphs.dot} a thread waits up to ~{duration_text(max(stalls))}"
    return [(f" {'Time':<10}", look.label), (words, look.plain)]


def key_line(look: Look, width: int, keys: Iterable[tuple[str, str]], note: str) -> Spans:
    """Keys of the dialog, as many as fit whole."""
    if note:
        return [(f" {note}", look.bold), ("  esc", look.bold), (" back", look.label)]
    spans: Spans = []
    for key, label in keys:
        piece: Spans = [("  " if spans else " ", look.plain), (key, look.bold), (f" {label}", look.label)]
        if width_of([*spans, *piece]) > width:
            break
        spans += piece
    return spans
