"""What ``numamig jobs`` tells of one job: its account and its steps."""

from __future__ import annotations

from collections.abc import Iterable

import click

from numamig.cli.narrate import print_stayed_in
from numamig.migrate.journal.store import JobEntry
from numamig.migrate.retold import Retold, Step
from numamig.model.outcome import OutcomeCounts
from numamig.model.pages import UNKNOWN_NODE
from numamig.units import format_bytes

__all__ = ["account_as_dict", "print_account", "print_steps", "step_as_dict"]


def account_as_dict(entry: JobEntry, told: Retold) -> dict[str, object]:
    """As of a job that ends in ``numamig move --json``: outcomes, from × to, and the ledger; they add up."""
    places = _places(entry)
    ledger = []
    for row in told.rows:
        start, label = places[row.region] if 0 <= row.region < len(places) else (None, None)
        ledger.append(row.told(start, label, entry.page_size, closed=None))
    return {
        "outcomes": told.outcomes.as_dict(),
        "moved": [
            {"from": _node(a), "to": b, "pages": pages, "bytes": pages * entry.page_size}
            for (a, b), pages in told.moved.items()
        ],
        "ledger": ledger,
        "unsettled_pages": told.unsettled,
    }


def print_account(entry: JobEntry, told: Retold) -> None:
    """The same, on stdout."""
    page = entry.page_size
    for outcome, pages in told.outcomes.items():
        if pages:
            line = f"  {outcome.words:<14} {pages:>12,} pages {format_bytes(pages * page):>8}  {outcome.reason}"
            click.echo(line.rstrip())
    if told.unsettled:
        size = format_bytes(told.unsettled * page)
        why = "of a step whose result nobody lived to write: undo and resume look where they are"
        click.echo(f"  {'not known':<14} {told.unsettled:>12,} pages {size:>8}  {why}")
    for (source, target), pages in told.moved.items():
        way = f"node {'?' if source == UNKNOWN_NODE else source} → {target}"
        click.echo(f"  {way:<14} {pages:>12,} pages {format_bytes(pages * page):>8}")
    print_stayed_in(_places(entry), page, told.rows)


def step_as_dict(step: Step) -> dict[str, object]:
    """A step, numbered as ``undo --steps`` takes it; null where its result is not known."""
    return {
        "step": step.number,
        "start": step.start,
        "end": step.end,
        "pages": step.pages,
        "moved": step.moved,
        "stayed": None if step.stayed is None else _present(step.stayed),
    }


def print_steps(steps: Iterable[Step]) -> None:
    """One a line, as they come: there may be hundreds of thousands."""
    click.echo(click.style(f"{'step':>7}  {'address':<25}  {'pages':>9}  {'moved':>9}  stayed", bold=True))
    for step in steps:
        where = f"{step.start:x}-{step.end:x}"
        stayed = "not known" if step.stayed is None else _words(step.stayed)
        moved = "?" if step.moved is None else f"{step.moved:,}"
        click.echo(f"{step.number:>7}  {where:<25}  {step.pages:>9,}  {moved:>9}  {stayed}".rstrip())


def _places(entry: JobEntry) -> list[tuple[int, str]]:
    return [(start, path or kind) for start, _, kind, path in entry.regions]


def _node(node: int) -> int | None:
    return None if node == UNKNOWN_NODE else node


def _present(counts: OutcomeCounts) -> dict[str, int]:
    return {outcome.key: pages for outcome, pages in counts.items() if pages}


def _words(counts: OutcomeCounts) -> str:
    return ", ".join(f"{pages:,} {outcome.words}" for outcome, pages in counts.items() if pages)
