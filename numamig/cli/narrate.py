"""What commands tell people: findings, progress, and the account of a job."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from numamig.model.finding import Finding, Severity
from numamig.text import plain
from numamig.units import format_bytes, format_duration, format_percent, format_rate

if TYPE_CHECKING:
    from numamig.migrate.ledger import LedgerRow
    from numamig.migrate.plan import Plan
    from numamig.migrate.snapshot import JobSnapshot
    from numamig.model.outcome import Outcome

__all__ = [
    "finding_line",
    "introduce",
    "narrate",
    "narrate_findings",
    "plan_line",
    "print_job",
    "print_plan",
    "print_stayed",
    "print_stayed_in",
    "progress_bar",
]

_SIGNS = {Severity.OK: "ok", Severity.WARNING: "warning", Severity.ERROR: "error"}
_COLOURS = {Severity.OK: None, Severity.WARNING: "yellow", Severity.ERROR: "magenta"}


def narrate(line: str, *, newline: bool = True) -> None:
    """Say something on stderr. Nobody has to listen: a closed pipe must not stop pages half way."""
    try:
        click.echo(line, err=True, nl=newline)
    except OSError:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - from now on into nothing, until the process ends


def finding_line(finding: Finding) -> str:
    """``warning  room: …; what to do``."""
    sign = click.style(f"{_SIGNS[finding.severity]:<8}", fg=_COLOURS[finding.severity])
    remedy = f"; {plain(finding.remedy)}" if finding.remedy else ""
    return f"{sign} {finding.check}: {plain(finding.reason)}{remedy}"


def narrate_findings(findings: Iterable[Finding]) -> None:
    """Those that are not simply fine, and how long it will take, on stderr."""
    for finding in findings:
        if finding.severity is not Severity.OK or finding.check == "estimate":
            narrate(finding_line(finding))


def introduce(plan: Plan) -> None:
    """A plan that is about to be carried out, on stderr."""
    narrate(plan_line(plan))
    narrate_findings(plan.findings)


def print_plan(plan: Plan) -> None:
    """A plan that is all that was asked for, on stdout, with everything that was looked at."""
    click.echo(plan_line(plan))
    for severity in (Severity.ERROR, Severity.WARNING, Severity.OK):
        for finding in plan.findings:
            if finding.severity is severity:
                click.echo(finding_line(finding))


def plan_line(plan: Plan) -> str:
    """Which process, where its memory is, and what of it is to go where."""
    where = ", ".join(
        f"{format_bytes(count)} on node {node}" for node, count in sorted(plan.bytes_by_node.items()) if node >= 0
    )
    return (
        f"{plain(plan.process.name)} ({plan.process.pid}): {plan.regions} regions, {where or 'nothing present'}; "
        f"{plan.pages:,} pages ({format_bytes(plan.bytes)}) {plan.request.to.words}"
    )


@contextmanager
def progress_bar(plan: Plan) -> Iterator[Callable[[JobSnapshot], None]]:
    """Progress on stderr where that is a terminal; nothing elsewhere."""
    if not sys.stderr.isatty() or not plan.pages:
        yield lambda _job: None
        return
    with click.progressbar(length=plan.pages, file=sys.stderr, label=plan.request.to.words) as bar:

        def show(job: JobSnapshot) -> None:
            bar.update(max(0, min(plan.pages, job.chosen) - bar.pos))

        yield show


def print_stayed(plan: Plan, ledger: Sequence[LedgerRow]) -> None:
    """Where what stayed is, by region: the largest parts, on stdout."""
    from numamig.model.outcome import Outcome

    places = [(start, region.label) for region, (start, _) in zip(plan.selected, plan.ranges, strict=True)]
    stayed = {row.region for row in ledger if row.outcome not in (Outcome.MOVED, Outcome.ALREADY_THERE)}
    if plan.regions > 1 or len(stayed) > 1:
        print_stayed_in(places, plan.page_size, ledger)


def print_stayed_in(
    places: Sequence[tuple[int, str]], page_size: int, ledger: Sequence[LedgerRow], most: int = 8
) -> None:
    """The same, of regions that begin at an address and are called something."""
    from numamig.model.outcome import Outcome

    stayed: dict[tuple[int, Outcome], int] = {}
    for row in ledger:
        if row.outcome not in (Outcome.MOVED, Outcome.ALREADY_THERE):
            stayed[row.region, row.outcome] = stayed.get((row.region, row.outcome), 0) + row.pages
    parts = sorted(stayed.items(), key=lambda part: -part[1])
    if parts:
        click.echo("  what stayed, by region:")
    for (region, outcome), pages in parts[:most]:
        where = f"{places[region][0]:x} {plain(places[region][1])}" if 0 <= region < len(places) else "somewhere"
        click.echo(f"    {outcome.words:<12} {pages:>12,} pages {format_bytes(pages * page_size):>8}  in {where}")
    if len(parts) > most:
        rest = sum(pages for _, pages in parts[most:])
        click.echo(f"    {'…':<12} {rest:>12,} pages in {len(parts) - most} further parts; --json has them all")


def _why(outcome: Outcome, plan: Plan, ledger: Sequence[LedgerRow]) -> str:
    """What it means; for pages that the kernel hides, by the permissions of the regions that they are in."""
    from numamig.model.outcome import NO_ACCESS, Outcome

    if outcome is not Outcome.HINTED:
        return outcome.reason
    regions = {row.region for row in ledger if row.outcome is outcome}
    closed = {n for n in regions if 0 <= n < len(plan.selected) and plan.selected[n].permissions.startswith("---")}
    said = [": ".join(NO_ACCESS)] if closed else []
    return "; others ".join(said if closed and closed == regions else [*said, outcome.reason])


def print_job(job: JobSnapshot, ledger: Sequence[LedgerRow] = ()) -> None:
    """The account of one job, on stdout.

    :param ledger: of the same job, where it tells more about what stayed
    """
    from numamig.model.outcome import Outcome

    page = job.plan.page_size
    name = plain(job.plan.process.name)
    seconds = format_duration(job.busy_ns)
    rate = format_rate(job.pages_per_second * page)
    ended = "" if job.reason == "done" else f" · {job.reason}"
    click.echo(f"{name} ({job.plan.process.pid}) {job.request.to.words}{ended}")
    if job.remedy:
        click.echo(f"  {plain(job.remedy)}")
    if job.budget_note:
        click.echo(f"  budget: {job.budget_note}")
    for outcome, pages in job.outcomes.items():
        if pages or outcome is Outcome.MOVED:
            share = format_percent(pages, job.chosen)
            line = f"  {outcome.words:<14} {pages:>12,} pages {format_bytes(pages * page):>8} {share:>5}  "
            click.echo((line + _why(outcome, job.plan, ledger)).rstrip())
    for (source, target), pages in sorted(job.moved.items()):
        click.echo(f"  {f'node {source} → {target}':<14} {pages:>12,} pages {format_bytes(pages * page):>8}")
    click.echo(
        f"  {'chosen':<14} {job.chosen:>12,} pages in {job.steps:,} steps, {job.passes} passes, {seconds}, {rate}"
    )
