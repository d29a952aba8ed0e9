"""The ledger of a job, line by line: what became of its pages, and of what stayed a row for each region and reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import NamedTuple

from rich.style import Style

from numamig.migrate.ledger import LedgerRow
from numamig.migrate.plan import Plan
from numamig.migrate.snapshot import JobSnapshot
from numamig.model.outcome import Outcome
from tui.style.look import Look, Spans
from tui.words.present import remote_text, size_text

__all__ = ["Account", "Part", "helped_by", "ledger_lines", "parts_of"]

Account = tuple[JobSnapshot, Sequence[LedgerRow], Sequence[str]]
"""A job, its ledger, and what happened to it beside its batches."""
_THERE = (Outcome.MOVED, Outcome.ALREADY_THERE)
_AGAIN = {
    Outcome.SHARED: "with shared",
    Outcome.BUSY: "until none is busy",
    Outcome.NO_ROOM: "what had no room",
    Outcome.HINTED: "what was marked",
    Outcome.NOT_TRIED: "what had no turn",
}
"""Of what another job may move, and how."""


class Part(NamedTuple):
    """Pages of one region that stayed for one reason."""

    region: int
    outcome: Outcome


@dataclass(slots=True)
class _Sum:
    """Of a part."""

    pages: int
    why: str
    helps: str


def parts_of(account: Account) -> dict[Part, _Sum]:
    """What stayed, by region, and in it by what became of the pages: the regions in their order."""
    job, rows, _ = account
    parts: dict[Part, _Sum] = {}
    for row in rows:
        if row.outcome not in _THERE:
            said = row.as_dict(job.plan)
            one = parts.setdefault(
                Part(row.region, row.outcome), _Sum(0, str(said["why"] or ""), str(said["help"] or ""))
            )
            one.pages += row.pages
    return dict(sorted(parts.items()))


def helped_by(parts: Sequence[Part]) -> str:
    """What planning again would be, in words; "" where nothing would help."""
    outcomes = {part.outcome for part in parts}
    return ", ".join(words for outcome, words in _AGAIN.items() if outcome in outcomes)


def ledger_lines(look: Look, account: Account, width: int, here: Part | None) -> tuple[list[Spans], dict[Part, int]]:
    """All of it, and in which line each part is.

    :param here: the one under the cursor
    """
    job, _, told = account
    plan = job.plan
    head = f"{look.shown(plan.process.name)} {plan.process.pid}"
    lines: list[Spans] = [[(f" {head}", look.bold), (f"  {job.chosen:,} pages had their turn", look.label)]]
    for outcome, pages in job.outcomes.items():
        if pages:
            lines.append([_amount(look, outcome, pages, plan), (f" {remote_text(pages, job.chosen):>5}", look.plain)])
    for (source, target), pages in sorted(job.moved.items()):
        ends: Spans = [look.chip(source), (f" {look.glyphs.arrow} ", look.plain), look.chip(target)]
        lines.append(
            [("   ", look.plain), *ends, (f"  {pages:,} pages = {size_text(pages * plan.page_size)}", look.plain)]
        )
    lines.append([])
    where = _stayed(look, parts_of(account), plan, width, here, lines)
    if told:
        lines += [[], [(" What happened", look.label)]]
        lines += [[(f"   {line}", look.plain)] for words in told for line in wrap(look.shown(words), width - 4)]
    return lines, where


def _amount(look: Look, outcome: Outcome, pages: int, plan: Plan) -> tuple[str, Style]:
    return f"   {outcome.words:<14} {pages:>13,} {size_text(pages * plan.page_size):>7}", look.plain


def _stayed(
    look: Look, parts: dict[Part, _Sum], plan: Plan, width: int, here: Part | None, lines: list[Spans]
) -> dict[Part, int]:
    """Written below what there is; in which line each part is."""
    if not parts:
        lines.append([(" Nothing stayed", look.label)])
        return {}
    lines.append([(" What stayed, by region", look.label)])
    where: dict[Part, int] = {}
    before: int | None = None
    for part, one in parts.items():
        if part.region != before:
            before = part.region
            known = 0 <= before < len(plan.selected)
            name = f"{plan.ranges[before][0]:012x} {look.shown(plan.selected[before].label)}" if known else "somewhere"
            lines.append([(f" {name}", look.bold)])
        where[part] = len(lines)
        text, style = _amount(look, part.outcome, one.pages, plan)
        if part == here:
            text, style = look.glyphs.focus + text[1:], look.bold
        lines.append([(text, style)])
        lines += [[(f"     {line}", look.plain)] for line in wrap(one.why, width - 6)]
        lines += [[(f"     {line}", look.label)] for line in wrap(one.helps, width - 6)]
    return where
