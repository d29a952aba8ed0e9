"""A plan: what a request comes to on this machine, worked out before anything moves."""

from __future__ import annotations

from dataclasses import dataclass

from numamig.backends.base import Backend
from numamig.errors import RefusedError
from numamig.migrate.preflight import check
from numamig.migrate.request import Request
from numamig.migrate.select import select_regions
from numamig.model.finding import Finding, Severity
from numamig.model.pages import UNKNOWN_NODE
from numamig.model.process import Process, Region
from numamig.model.topology import Topology
from numamig.observe.placement import count_ranges

__all__ = ["Plan", "Seen", "look", "make_plan", "plan_request"]


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of a process and its machine when a plan was made."""

    process: Process
    topology: Topology
    selected: tuple[tuple[Region, int, int], ...]
    """(region, start, end) of each part that the request means."""
    bytes_by_node: dict[int, int]
    """Within the selected parts."""
    findings: tuple[Finding, ...]
    """What only the machine could tell: rights, room, balancing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done, and what speaks against it."""

    request: Request
    process: Process
    ranges: tuple[tuple[int, int], ...]
    regions: int
    """How many regions the ranges belong to."""
    bytes_by_node: dict[int, int]
    """Where the selected memory is before."""
    pages: int
    """Base pages that are on the source nodes now. Pages are chosen again, just in time, when the job runs."""
    page_size: int
    huge_page_size: int
    findings: tuple[Finding, ...]
    selected: tuple[Region, ...] = ()
    """The region that each of ``ranges`` is a part of."""
    undoes: int | None = None
    """The job that this takes back: then pages go where they came from, and ``request.target`` is that of most."""

    @property
    def bytes(self) -> int:
        return self.pages * self.page_size

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if f.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if f.severity is Severity.WARNING)

    def demand_possible(self) -> None:
        """
        :raises RefusedError: something stands against it that nobody can wave through.
        """
        for finding in self.errors:
            raise RefusedError(finding.reason, hint=finding.remedy or None, pid=self.request.pid)

    def as_dict(self) -> dict[str, object]:
        request = self.request
        return {
            "pid": self.process.pid,
            "name": self.process.name,
            "from": None if request.sources is None else list(request.sources),
            "to": request.target,
            "regions": self.regions,
            "pages": self.pages,
            "bytes": self.bytes,
            "bytes_by_node": {str(node): count for node, count in sorted(self.bytes_by_node.items())},
            "batch_pages": request.batch_pages,
            "findings": [finding.as_dict() for finding in self.findings],
        }


def look(backend: Backend, request: Request) -> Seen:
    """See what a plan needs to know.

    :raises TargetGone: there is no such process.
    :raises RefusedError: it is a kernel thread, or the caller may not look.
    """
    process, findings = check(backend, request)
    selected = select_regions(backend.regions(request.pid), request)
    counted = count_ranges(backend, request.pid, [(start, end) for _, start, end in selected])
    return Seen(process, backend.topology(), tuple(selected), counted, tuple(findings))


def make_plan(seen: Seen, request: Request) -> Plan:
    """The plan that follows from what is seen and what is asked: a pure function of both."""
    wanted = sum(count for node, count in seen.bytes_by_node.items() if _is_source(node, request))
    findings = list(seen.findings)
    target = seen.topology.node(request.target)
    if target is not None and wanted > target.free_bytes:
        findings.append(
            Finding(
                "room",
                Severity.WARNING,
                f"node {request.target} has {target.free_bytes >> 20} MiB free, {wanted >> 20} MiB are to move there",
                "what fits is moved, the rest is accounted for; choose less, or another node",
            )
        )
    hidden = seen.bytes_by_node.get(UNKNOWN_NODE, 0)
    if hidden and request.sources is not None:
        findings.append(
            Finding(
                "hinted",
                Severity.WARNING,
                f"{hidden >> 10} KiB are present, but NUMA balancing hides on which node",
                "those whose marks can be cleared are looked at again in their turn; CAP_SYS_ADMIN shows all at once",
            )
        )
    if not wanted:
        findings.append(
            Finding(
                "pages",
                Severity.WARNING,
                "no page that is asked for is on a source node",
                "numamig map PID shows where it is",
            )
        )
    return Plan(
        request=request,
        process=seen.process,
        ranges=tuple((start, end) for _, start, end in seen.selected),
        regions=len(seen.selected),
        bytes_by_node=dict(seen.bytes_by_node),
        pages=wanted // seen.topology.page_size,
        page_size=seen.topology.page_size,
        huge_page_size=seen.topology.huge_page_size,
        findings=tuple(findings),
        selected=tuple(region for region, _, _ in seen.selected),
    )


def plan_request(backend: Backend, request: Request) -> Plan:
    """``look`` and ``make_plan`` in one."""
    return make_plan(look(backend, request), request)


def _is_source(node: int, request: Request) -> bool:
    return node != request.target and (request.sources is None or node in request.sources)
