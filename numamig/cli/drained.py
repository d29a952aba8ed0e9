"""What ``numamig drain`` tells: who has memory on a node, what moved, what remains and why; for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from numamig.cli.draining import Drained, Ran
from numamig.cli.narrate import finding_line, narrate
from numamig.cli.table import print_table
from numamig.migrate.drain.holders import Held, Survey
from numamig.migrate.drain.prospect import Prospect
from numamig.migrate.drain.unmovable import Unmovable, mapped_bytes, unmovable
from numamig.migrate.request import Mapped
from numamig.model.finding import Finding, Severity
from numamig.model.nodeset import format_nodeset
from numamig.model.outcome import Outcome
from numamig.text import plain
from numamig.units import format_bytes, format_duration

if TYPE_CHECKING:
    from numamig.backends.base import Backend

__all__ = ["Report", "introduce", "print_prospect", "prospect_as_dict"]

_NAMED = 3
_UNSURE = 20
"""What is shared may be estimated: then less than such a part is no news."""


def introduce(before: Prospect) -> None:
    """What is going to be done, on stderr."""
    narrate(_headline(before))
    for line in _finding_lines(before, Severity.WARNING):
        narrate(line)
    for finding in before.findings:
        if finding.severity is Severity.OK:
            narrate(finding_line(finding))


def print_prospect(before: Prospect) -> None:
    """The same and everything else that is known, on stdout, where that is all that was asked for."""
    click.echo(_headline(before))
    _print_holders(before)
    for line in (*_finding_lines(before, Severity.WARNING), *map(finding_line, _fine(before.findings))):
        click.echo(line)
    _print_locked(before.seen)
    _print_unmovable(before.unmovable)


def prospect_as_dict(before: Prospect) -> dict[str, object]:
    """What ``--dry-run --json`` prints."""
    goes: dict[int, list[dict[str, object]]] = {}
    for share, _ in before.jobs:
        goes.setdefault(share.held.process.pid, []).append({"node": share.node, "bytes": share.bytes})
    why = {refused.held.process.pid: refused.reason for refused in before.refused}
    return {
        "nodes": list(before.nodes),
        "to": list(before.to),
        "room_bytes": {str(node): count for node, count in sorted(before.room.items())},
        "wanted_bytes": before.wanted_bytes,
        "fits": before.wanted_bytes <= sum(before.room.values()),
        "processes": [
            {**each.as_dict(), "to": goes.get(each.process.pid, []), "refused": why.get(each.process.pid)}
            for each in before.seen.held
        ],
        "locked": [each.as_dict() for each in before.seen.locked],
        "unmovable": [each.as_dict() for each in before.unmovable],
        "findings": [
            *(finding.as_dict() for finding in before.findings),
            *({**found.as_dict(), "pid": who.pid} for who, found in before.warnings if who is not None),
        ],
    }


def _headline(before: Prospect) -> str:
    held = before.seen.held
    who = (
        "no process has memory there"
        if not held
        else (f"{_processes(len(held))} {'have' if len(held) > 1 else 'has'} {format_bytes(before.seen.bytes)} there")
    )
    if any(each.shared_bytes for each in held):
        who += ", what is shared counted for each"
    jobs = "" if not before.jobs else f"; {len(before.jobs)} job{'s' * (len(before.jobs) > 1)} to {_nodes(before.to)}"
    return f"{_nodes(before.nodes)}: {who}{jobs}"


def _nodes(nodes: Sequence[int]) -> str:
    return f"node{'s' if len(nodes) > 1 else ''} {format_nodeset(nodes)}"


def _processes(count: int) -> str:
    return "1 process" if count == 1 else f"{count:,} processes"


def _fine(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.severity is Severity.OK]


def _finding_lines(before: Prospect, severity: Severity) -> list[str]:
    """What is about all of it first; of what is said of several processes the first few."""
    lines = [finding_line(finding) for finding in before.findings if finding.severity is severity]
    told: dict[str, int] = {}
    for who, finding in before.warnings:
        if who is None:
            continue
        told[finding.check] = told.get(finding.check, 0) + 1
        if told[finding.check] <= _NAMED:
            lines.append(f"{finding_line(finding)} · {plain(who.name)} ({who.pid})")
    for check, count in told.items():
        if count > _NAMED:
            lines.append(f"{'':<8} {check}: the same of {_processes(count - _NAMED)} more; --dry-run --json has all")
    return lines


def _print_holders(before: Prospect) -> None:
    goes: dict[int, list[str]] = {}
    for share, _ in before.jobs:
        goes.setdefault(share.held.process.pid, []).append(str(share.node))
    rows = [
        [
            str(each.process.pid),
            each.process.name,
            each.process.user,
            format_bytes(each.process.resident_bytes),
            _held(each),
            _shared(each),
            ",".join(goes.get(each.process.pid, [])) or "stays",
        ]
        for each in before.seen.held
    ]
    if rows:
        head = ["pid", "name", "user", "rss", "there", "shared", "goes to node"]
        print_table(head, rows, left=frozenset({"name", "user", "goes to node"}))

    for refused in before.refused:
        click.echo(f"stays: {_named(refused.held)}: {plain(refused.reason)}")


def _named(each: Held) -> str:
    return f"{plain(each.process.name)} ({each.process.pid}, {plain(each.process.user)})"


def _held(each: Held) -> str:
    hidden = f" +{format_bytes(each.hidden_bytes)}?" if each.hidden_bytes else ""
    return f"{format_bytes(each.bytes)}{hidden}"


def _shared(each: Held) -> str:
    if each.shared_bytes is None:
        return "?"
    return f"{'~' if each.estimated else ''}{format_bytes(each.shared_bytes)}" if each.shared_bytes else "·"


def _print_locked(seen: Survey) -> None:
    if seen.locked:
        names = ", ".join(f"{plain(each.process.name)} ({each.process.pid})" for each in seen.locked[:_NAMED])
        more = f" and {len(seen.locked) - _NAMED} more" if len(seen.locked) > _NAMED else ""
        click.echo(f"locked: {names}{more} may have memory there too: {plain(seen.locked[0].reason)}")


def _print_unmovable(kinds: Sequence[Unmovable]) -> None:
    if kinds:
        click.echo("in no process, and so out of reach of move_pages:")
    for each in kinds:
        click.echo(f"  {format_bytes(each.bytes):>8}  {each.words:<40}  {each.remedy}".rstrip())


@dataclass(frozen=True, slots=True)
class Report:
    """What was done, and what there is now."""

    backend: Backend
    before: Prospect
    done: Drained
    after: Survey
    everybody: bool
    """All processes were meant."""

    def as_dict(self) -> dict[str, object]:
        counters, topology = self.backend.node_counters(), self.backend.topology()
        nodes = self.before.nodes
        return {
            "nodes": list(nodes),
            "to": list(self.before.to),
            "before_bytes": self.before.seen.bytes,
            "jobs": [self._job_as_dict(ran) for ran in self.done.ran if ran.job is not None],
            "moved_bytes": self._moved() * topology.page_size,
            "remains": [{**each.as_dict(), "why": self._why(each)} for each in self.after.held],
            "remains_bytes": self.after.bytes,
            "locked": [each.as_dict() for each in self.after.locked],
            "mapped_bytes": mapped_bytes(counters, nodes, topology.page_size),
            "unmovable": [each.as_dict() for each in self._unmovable()],
            "keep_empty": self._keep_empty(),
            "interrupted": self.done.interrupted,
            "error": None if self.done.error is None else str(self.done.error),
        }

    def _job_as_dict(self, ran: Ran) -> dict[str, object]:
        if ran.job is None:
            return {}
        seen = ran.verified
        verified = None if seen is None else {"expected_pages": seen.expected, "in_place_pages": seen.in_place}
        return {**ran.job.as_dict(), "to": ran.job.request.to.as_dict(), "verified": verified}

    def print(self) -> None:
        """On stdout."""
        jobs = [ran for ran in self.done.ran if ran.job is not None]
        page = self.backend.topology().page_size
        if jobs:
            print_table(
                ["job", "pid", "name", "to", "moved", "in place", "stayed", "time", ""],
                [self._row(ran, page) for ran in jobs],
                left=frozenset({"name", ""}),
            )
        where = _nodes(self.before.nodes)
        if self.after.empty:
            who = "no process has" if self.everybody else "none of those that are meant has"
            click.echo(f"{where}: {who} memory there any more")
        elif self.after.held:
            click.echo(f"still on {where}: {_processes(len(self.after.held))}, {format_bytes(self.after.bytes)}")
            for each in self.after.held:
                click.echo(f"  {_held(each):>8}  {_named(each)}: {plain(self._why(each))}")
        _print_locked(self.after)
        _print_unmovable(self._unmovable())

    def narrate(self) -> None:
        """What to do next, on stderr."""
        if self.done.error is not None:
            narrate(f"numamig: stopped: {plain(str(self.done.error))}")
        for words in self._keep_empty():
            narrate(words)
        moved = [ran.job.number for ran in self.done.ran if ran.job and ran.job.outcomes[Outcome.MOVED]]
        if moved and self.backend.capabilities.lasting:
            several = f"numamig undo JOB takes one back: {format_nodeset(moved)}"
            narrate(f"numamig undo {moved[0]} takes it back" if len(moved) == 1 else several)

    def _moved(self) -> int:
        return sum(ran.job.outcomes[Outcome.MOVED] for ran in self.done.ran if ran.job is not None)

    def _row(self, ran: Ran, page: int) -> list[str]:
        job = ran.job
        if job is None:
            return []
        stayed = sum(ran.stayed.values())
        in_place = "·" if ran.verified is None else format_bytes(ran.verified.in_place * page)
        return [
            str(job.number),
            str(job.plan.process.pid),
            job.plan.process.name,
            str(ran.share.node),
            format_bytes(job.outcomes[Outcome.MOVED] * page),
            in_place,
            format_bytes(stayed * page) if stayed else "·",
            format_duration(job.busy_ns),
            "" if job.reason == "done" else job.reason,
        ]

    def _why(self, each: Held) -> str:
        """Why a process still has memory there, in a line."""
        identity, page = each.process.identity, self.backend.topology().page_size
        for refused in self.before.refused:
            if refused.held.process.identity == identity:
                return refused.reason
        mine = [ran for ran in self.done.ran if ran.share.held.process.identity == identity]
        said = [ran.refused for ran in mine if ran.refused]
        stayed: dict[Outcome, int] = {}
        for ran in mine:
            for outcome, pages in ran.stayed.items():
                stayed[outcome] = stayed.get(outcome, 0) + pages
        left_out = 0
        if any(ran.job and ran.job.request.mapped is Mapped.PRIVATE for ran in mine):
            left_out = each.shared_bytes or 0
            stayed[Outcome.SHARED] = stayed.get(Outcome.SHARED, 0) + left_out // page
        said += [f"{format_bytes(n * page)} {o.words}: {o.reason}" for o, n in stayed.items() if n]
        bound = [f.reason for ran in mine if ran.job for f in ran.job.plan.warnings if f.check == "policy"]
        fresh = each.bytes - sum(stayed.values()) * page
        unsure = each.bytes // _UNSURE if left_out and each.estimated else 0
        if bound:
            said += bound
        elif not said and not mine and self.before.seen.find(each.process) is not None:
            said.append("not come to")
        elif fresh > unsure and not any(ran.refused for ran in mine):
            said.append(f"{format_bytes(fresh)} came there meanwhile")
        if each.hidden_bytes:
            said.append(f"{format_bytes(each.hidden_bytes)} marked by NUMA balancing: nobody sees on which node")
        return "; ".join(said)

    def _unmovable(self) -> tuple[Unmovable, ...]:
        counters, topology = self.backend.node_counters(), self.backend.topology()
        return unmovable(topology, counters, self.before.nodes, self.after if self.everybody else None)

    def _keep_empty(self) -> list[str]:
        """What brings memory there again, and what keeps it from that."""
        switches = self.backend.node_counters().switches
        nodes, to = format_nodeset(self.before.nodes), format_nodeset(self.before.to)
        said = [f"new memory may come there: numactl --membind={to}, or cpuset.mems without {nodes}, keeps owners away"]
        if switches.demotion:
            said.append("demotion may bring pages there: echo 0 > /sys/kernel/mm/numa/demotion_enabled")
        if switches.balancing:
            said.append("NUMA balancing may bring pages there: sysctl kernel.numa_balancing=0")
        return said
