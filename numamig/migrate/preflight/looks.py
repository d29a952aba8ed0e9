"""All looks in their order: what raises, what is cheap, what there is to move, and what takes a closer look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from numamig.backends.base import (
    Backend,
    FolioCost,
    Predicts,
    TellsHazards,
    TellsHugeRoom,
    TellsPolicies,
    TellsProcessFacts,
    TellsSharing,
)
from numamig.errors import NumamigError, RefusedError, TargetGone
from numamig.migrate.estimate import rough_cost
from numamig.migrate.heat import demand_heat, warm_parts
from numamig.migrate.order_mode import OrderMode
from numamig.migrate.preflight import pages, room, standing
from numamig.migrate.preflight.rights import demand_nodes, demand_process, demand_shared
from numamig.migrate.preflight.tally import Tally, count_chosen
from numamig.migrate.request import Mapped, Request
from numamig.migrate.select import select_regions
from numamig.model.finding import Finding, Severity
from numamig.model.process import Hazards, Process, Region
from numamig.model.topology import NodeCounters, Topology

__all__ = ["Seen", "check", "look", "recheck"]

_NO_HAZARDS = Hazards()


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of a process and its machine when a plan was made."""

    process: Process
    topology: Topology
    counters: NodeCounters
    selected: tuple[tuple[Region, int, int], ...]
    """(region, start, end) of each part that the request means."""
    tally: Tally
    """What is in the selected parts."""
    hazards: Hazards
    huge_room: int | None
    """Transparent huge pages that could be had on the target; None where none are wanted, or it is not told."""
    shared: pages.Shared | None
    costs: Mapping[int, FolioCost]
    """By bytes of a folio, for the sizes that are to move; empty where this machine's calls are of another kind."""
    rough: bool
    """The costs are what is usual, not what this machine tells."""
    findings: tuple[Finding, ...]
    """What only the machine could tell: rights, cpuset, balancing, hazards, policies."""


def check(backend: Backend, request: Request) -> tuple[Process, list[Finding]]:
    """The process, and what is quickly seen to speak for and against moving its pages.

    :raises UsageError: the target or a source node is none of this machine's memory nodes.
    :raises TargetGone: there is no such process.
    :raises RefusedError: kernel thread, no rights to the process, or none to move shared pages.
    """
    process, _, findings = _look_first(backend, request)
    return process, findings


def _look_first(backend: Backend, request: Request) -> tuple[Process, Hazards, list[Finding]]:
    demand_nodes(backend, request)
    process = demand_process(backend, request.pid)
    if request.shared:
        demand_shared(backend, request.pid)
    if request.heat is not None or request.order.mode in (OrderMode.HOTTEST, OrderMode.COLDEST):
        demand_heat(backend)
    if request.mapped is not Mapped.ANY and not isinstance(backend, TellsSharing):
        raise RefusedError(
            "which pages other processes map is not told here", hint="leave out --mapped", pid=request.pid
        )
    hazards = backend.hazards(request.pid) if isinstance(backend, TellsHazards) else _NO_HAZARDS
    findings = [Finding("rights", Severity.OK, f"pages of pid {request.pid} may be moved")]
    if isinstance(backend, TellsProcessFacts):
        findings.append(standing.cpuset(backend.process_facts(request.pid), request.to.nodes))
    if isinstance(backend, TellsHazards):
        findings += standing.critical(process, hazards, request)
        findings += standing.isolated(hazards)
    if backend.capabilities.balancing:
        findings.append(standing.balancing())
    return process, hazards, findings


def recheck(backend: Backend, request: Request, wanted_bytes: int | None = None) -> list[Finding]:
    """What is looked at again before a job goes on that was paused: all that is cheap. Raises nothing.

    :param wanted_bytes: what is still to move; None where that is not known: then room for one page will do
    """
    try:
        _, findings = check(backend, request)
        topology, counters = backend.topology(), backend.node_counters()
    except NumamigError as error:
        subject = "process" if isinstance(error, TargetGone) else "rights"
        return [Finding(subject, Severity.ERROR, error.message, error.hint or "")]
    wanted = topology.page_size if wanted_bytes is None else wanted_bytes
    rooms = [
        found for node in request.to.nodes for found in room.memory_room(topology, counters, request, node, wanted)
    ]
    return [*findings, *rooms]


def look(backend: Backend, request: Request) -> Seen:
    """See what a plan needs to know.

    :raises UsageError: the target or a source node is none of this machine's memory nodes.
    :raises TargetGone: there is no such process.
    :raises RefusedError: it is a kernel thread, or the caller may not look.
    """
    process, hazards, findings = _look_first(backend, request)
    topology = backend.topology()
    selected = tuple(_select(backend, request, topology.page_size))
    tally = count_chosen(backend, request, selected, topology.page_size)
    costs, rough = _costs(backend, request.pid, tally, topology)
    huge_room, shared = None, None
    if tally.wanted_bytes and not any(finding.severity is Severity.ERROR for finding in findings):
        findings += _policies(backend, process, selected, tally, request)
        shared = _shared(backend, tally, request)
        if tally.transparent(topology.huge_page_size) and isinstance(backend, TellsHugeRoom):
            huge_room = sum(map(backend.huge_room, request.to.nodes))
    return Seen(
        process=process,
        topology=topology,
        counters=backend.node_counters(),
        selected=selected,
        tally=tally,
        hazards=hazards,
        huge_room=huge_room,
        shared=shared,
        costs=costs,
        rough=rough,
        findings=tuple(findings),
    )


def _select(backend: Backend, request: Request, page_size: int) -> list[tuple[Region, int, int]]:
    selected = select_regions(backend.regions(request.pid), request)
    if request.heat is None:
        return selected
    return warm_parts(backend, request.pid, selected, request.heat, page_size)


def _policies(
    backend: Backend, process: Process, selected: tuple[tuple[Region, int, int], ...], tally: Tally, request: Request
) -> list[Finding]:
    """The one look that walks over page tables, which a simulated kernel does not."""
    if not isinstance(backend, TellsPolicies):
        return []
    if process.resident_bytes > pages.MOST_WALKED_BYTES and not backend.capabilities.simulated:
        return [pages.policy_not_asked(process)]
    try:
        policies = backend.policies(request.pid)
    except RefusedError as error:
        return [
            Finding("policy", Severity.WARNING, f"memory policies cannot be seen: {error.message}", error.hint or "")
        ]
    return [pages.policy(policies, selected, tally.bytes_by_range, request.to.nodes)]


def _shared(backend: Backend, tally: Tally, request: Request) -> pages.Shared | None:
    if not isinstance(backend, TellsSharing):
        return None
    try:
        answers = backend.shared_pages(request.pid, tally.sample)
    except RefusedError:
        return None  # pages may be asked for, and moved, by those who may not open its pagemap
    return pages.shared_share(answers, all_asked=tally.sampled_all)


def _costs(backend: Backend, pid: int, tally: Tally, topology: Topology) -> tuple[dict[int, FolioCost], bool]:
    """What folios of the sizes at hand cost, and whether that is a rough guess."""
    if isinstance(backend, Predicts):
        told = {size: backend.folio_cost(pid, size) for size in tally.folios}
        known = {size: cost for size, cost in told.items() if cost is not None}
        return (known if len(known) == len(told) else {}), False
    cpus = sum(len(node.cpus) for node in topology.nodes)
    return {size: rough_cost(size, cpus) for size in tally.folios}, True
