"""What dialogs about plans have in common: findings, how long it will take, and the keys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from textwrap import wrap

from numamig.errors import NumamigError
from numamig.migrate.plan import Plan
from numamig.model.finding import Finding, Severity
from tui.style.look import Look, Spans, width_of
from tui.words.present import duration_text

__all__ = [
    "Item",
    "blocked_by",
    "errors_in",
    "finding_lines",
    "findings_of",
    "fitted",
    "item_lines",
    "items_of",
    "key_line",
    "plans_in",
    "time_line",
]

Results = tuple[Plan | NumamigError, ...]
_ORDER = (Severity.ERROR, Severity.WARNING, Severity.OK)


@dataclass(frozen=True, slots=True)
class Item:
    """Something found that the cursor can be on."""

    severity: Severity
    check: str
    reason: str
    remedy: str = ""
    details: tuple[str, ...] = ()
    """Further sentences, told where there is room or somebody wants to know."""


def plans_in(results: Results | None) -> tuple[Plan, ...]:
    return tuple(plan for plan in results or () if isinstance(plan, Plan))


def errors_in(results: Results | None) -> tuple[NumamigError, ...]:
    return tuple(error for error in results or () if isinstance(error, NumamigError))


def blocked_by(results: Results | None) -> bool:
    """Whether something stands against it that nobody can wave through."""
    return bool(errors_in(results)) or any(plan.errors for plan in plans_in(results))


def findings_of(plans: Iterable[Plan]) -> list[Finding]:
    return [finding for plan in plans for finding in plan.findings]


def items_of(results: Results | None) -> list[Item]:
    """Every one once, the worst first; all that is well is one."""
    found = [Item(Severity.ERROR, "", error.message, error.hint or "") for error in errors_in(results)]
    fine: dict[str, list[str]] = {}
    for finding in sorted(findings_of(plans_in(results)), key=lambda f: _ORDER.index(f.severity)):
        if finding.severity is Severity.OK:
            said = fine.setdefault(finding.check, [])
            said += [part for part in (finding.reason, finding.remedy) if part and part not in said]
        else:
            item = Item(finding.severity, finding.check, finding.reason, finding.remedy)
            found += [item] if item not in found else []
    if fine:
        sentences = tuple(sentence for said in fine.values() for sentence in said)
        found.append(Item(Severity.OK, "", ", ".join(fine), details=sentences))
    return found


def finding_lines(look: Look, results: Results | None, width: int) -> list[Spans]:
    """All of them, in full."""
    if results is None:
        return [[(" looking", look.label)]]
    return [line for item in items_of(results) for line in item_lines(look, item, width)]


def item_lines(
    look: Look, item: Item, width: int, *, here: bool = False, fix: str = "", full: bool = True
) -> list[Spans]:
    """One of them.

    :param here: the cursor is on it
    :param fix: what enter does about it
    :param full: with all that can be said
    """
    glyphs = {Severity.OK: look.glyphs.ok, Severity.WARNING: look.glyphs.warning, Severity.ERROR: look.glyphs.error}
    glyph, fine = glyphs[item.severity], item.severity is Severity.OK
    if fine and full:
        lines: list[Spans] = []
        for sentence in item.details:
            lines += _wrapped(look, glyph, sentence, width, bold=False)
    else:
        lines = _wrapped(look, glyph, item.reason, width, bold=not fine)
    if here and lines:
        lines[0] = [(look.glyphs.focus, look.bold), (lines[0][0][0][1:], look.bold)]
    if fix:
        lines.append([("   enter", look.bold), (f" {fix}", look.bold if here else look.label)])
    if full:
        lines += [[(f"   {line}", look.label)] for line in wrap(look.shown(item.remedy), width - 4)]
    return lines


def _wrapped(look: Look, glyph: str, sentence: str, width: int, *, bold: bool) -> list[Spans]:
    style = look.bold if bold else look.plain
    first, *more = wrap(look.shown(sentence), width - 4) or [""]
    return [[(f" {glyph} {first}", style)], *([(f"   {line}", style)] for line in more)]


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
        return [(look.fit(f" {note}", width - 10).rstrip(), look.bold), ("  esc", look.bold), (" back", look.label)]
    spans: Spans = []
    for key, label in keys:
        piece: Spans = [("  " if spans else " ", look.plain), (key, look.bold), (f" {label}", look.label)]
        if width_of([*spans, *piece]) > width:
            break
        spans += piece
    return spans
