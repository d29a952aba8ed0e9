"""What emptying nodes would come to: everybody who has memory there, the jobs, and what speaks against them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from numamig.backends.base import Backend
from numamig.errors import RefusedError, TargetGone, UsageError
from numamig.migrate.drain.holders import Held, Survey, survey
from numamig.migrate.drain.shares import (
    Share,
    assign,
    nearest_with_room,
    parted,
    plan_share,
    room_by_node,
    wanted_bytes,
)
from numamig.migrate.drain.unmovable import Unmovable, unmovable
from numamig.migrate.plan import Plan
from numamig.migrate.request import Request
from numamig.model.finding import Finding, Severity
from numamig.model.nodeset import format_nodeset
from numamig.model.outcome import Outcome
from numamig.model.process import Process
from numamig.model.topology import Topology
from numamig.units import format_bytes, format_duration

__all__ = ["Prospect", "Refused", "look_ahead"]


@dataclass(frozen=True, slots=True)
class Refused:
    """A process whose pages stay, and why."""

    held: Held
    reason: str
    left_out: bool = False
    """Nobody refuses: it was not asked for, since others map the pages too."""


@dataclass(frozen=True, slots=True)
class Prospect:
    """As things are when it is made; nothing has moved."""

    nodes: tuple[int, ...]
    to: tuple[int, ...]
    room: dict[int, int]
    """Node that receives → bytes that may come, its reserve left free."""
    seen: Survey
    jobs: tuple[tuple[Share, Plan], ...]
    """In their order, the largest processes first."""
    refused: tuple[Refused, ...]
    unmovable: tuple[Unmovable, ...]
    wanted_bytes: int
    """That take room where they go."""
    findings: tuple[Finding, ...]
    """About all of it."""

    @property
    def warnings(self) -> list[tuple[Process | None, Finding]]:
        """About all of it, and about single processes; room is told of all together."""
        found: list[tuple[Process | None, Finding]] = [
            (None, finding) for finding in self.findings if finding.severity is Severity.WARNING
        ]
        for share, plan in self.jobs:
            found += [(share.held.process, finding) for finding in plan.warnings if finding.check != "room"]
        return found


def look_ahead(
    backend: Backend,
    nodes: tuple[int, ...],
    to: tuple[int, ...] | None,
    processes: Sequence[Process],
    request_for: Callable[[Process], Request],
    *,
    everybody: bool,
) -> Prospect:
    """See what there is, and plan.

    :param to: None: the nearest that have room
    :param request_for: what is asked of a process; where to is settled here
    :param everybody: ``processes`` are all that there are
    :raises UsageError: there is no node to go to
    """
    topology = backend.topology()
    counters = backend.node_counters()
    others = tuple(node for node in topology.memory_nodes if node not in nodes)
    if not others:
        raise UsageError("no node is left for what is there", hint="name fewer nodes to empty")
    seen = survey(backend, processes, request_for)
    example = request_for(processes[0]) if processes else None
    shared = example is not None and example.shared
    room = {} if example is None else room_by_node(topology, counters, others if to is None else to, example)
    wanted = sum(wanted_bytes(seen.held, shared=shared))
    if to is None:
        to = nearest_with_room(topology, nodes, room, wanted) if room else others[:1]
        room = {node: count for node, count in room.items() if node in to}
    jobs: list[tuple[Share, Plan]] = []
    refused: list[Refused] = []
    for each, parts in zip(seen.held, assign(seen.held, room, shared=shared), strict=True):
        if not shared and each.bytes and each.private_bytes == 0 and not each.hidden_bytes:
            refused.append(Refused(each, Outcome.SHARED.reason, left_out=True))
            continue
        try:
            planned = [
                (share, plan_share(backend, share, request_for(each.process)))
                for share in parted(backend, each, parts, nodes)
            ]
        except TargetGone:
            continue
        except RefusedError as error:
            refused.append(Refused(each, str(error)))
            continue
        errors = [error for _, plan in planned for error in plan.errors]
        if errors:
            refused.append(Refused(each, "; ".join(filter(None, (errors[0].reason, errors[0].remedy)))))
        else:
            jobs += planned
    return Prospect(
        nodes=nodes,
        to=to,
        room=room,
        seen=seen,
        jobs=tuple(jobs),
        refused=tuple(refused),
        unmovable=unmovable(topology, counters, nodes, seen if everybody else None),
        wanted_bytes=wanted,
        findings=tuple(_findings(topology, to, room, wanted, [plan for _, plan in jobs])),
    )


def _findings(
    topology: Topology, to: Sequence[int], room: dict[int, int], wanted: int, plans: Sequence[Plan]
) -> list[Finding]:
    if not wanted and not plans:
        return []
    there = sum(room.values())
    where = f"node{'s' if len(to) > 1 else ''} {format_nodeset(to)}"
    have = "have" if len(to) > 1 else "has"
    words = f"{where} {have} room for {format_bytes(there)} above what is kept free, {format_bytes(wanted)} are to move"
    if wanted > there:
        further = [node for node in topology.memory_nodes if node not in to]
        remedy = (
            "what fits is moved, the rest is accounted for; further nodes in --to"
            if len(further) > 1
            else ("what fits is moved, the rest is accounted for")
        )
        found = [Finding("room", Severity.WARNING, words, f"{remedy}, or a smaller --reserve")]
    else:
        found = [Finding("room", Severity.OK, words)]
    times = [plan.estimate_ns for plan in plans]
    known = [each for each in times if each is not None]
    if plans and len(known) == len(times):
        jobs = "1 job" if len(plans) == 1 else f"{len(plans)} jobs"
        most = "at most " if any(plan.request.shared for plan in plans) else ""
        found.append(Finding("estimate", Severity.OK, f"{most}about {format_duration(sum(known))} in {jobs}"))
    return found
