"""A plan: what a request comes to on this machine, worked out before anything moves."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from numamig.backends.base import Backend
from numamig.errors import RefusedError
from numamig.migrate.destination import FollowCpus, NodeMap, resolved
from numamig.migrate.estimate import Estimate, estimate
from numamig.migrate.preflight import Seen, look
from numamig.migrate.preflight.pages import sharing
from numamig.migrate.preflight.room import hugetlb_room, memory_room, thp_room
from numamig.migrate.preflight.standing import pinned
from numamig.migrate.preflight.tally import Tally
from numamig.migrate.request import Request
from numamig.migrate.reserve import reserve_on
from numamig.model.finding import Finding, Severity
from numamig.model.pages import UNKNOWN_NODE
from numamig.model.process import Process, Region
from numamig.units import format_duration

__all__ = ["Plan", "Seen", "look", "make_plan", "plan_request", "settled"]


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
    estimate_ns: int | None = None
    """How long it will take, without retries; None where that cannot be told."""
    estimated_stall_ns: int | None = None
    """The longest that somebody waits who touches a page under migration; None where that cannot be told."""
    reserve_bytes: int = 0
    """What every step leaves free on the receiving node."""
    largest_folio: int = 0
    """Bytes of the largest folios that may be there and are shown as base pages."""
    undoes: int | None = None
    """The job that this takes back: then pages go where they came from, and ``request.to`` is that of most."""
    ways: Mapping[tuple[int, int], int] = field(default_factory=dict)
    """(from, to) → bytes that are to move; of more than ``pages`` where the request has a limit."""
    shared_share: float | None = None
    """Of what is to move, 0 to 1: what other processes map too, from a sample; None where that is not told."""

    @property
    def bytes(self) -> int:
        return self.pages * self.page_size

    @property
    def bytes_to(self) -> dict[int, int]:
        """Node → bytes that are to move there."""
        return _by_target(self.ways)

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
            "to": request.to.as_dict(),
            "regions": self.regions,
            "pages": self.pages,
            "bytes": self.bytes,
            "ways": [
                {"from": None if source == UNKNOWN_NODE else source, "to": target, "bytes": count}
                for (source, target), count in sorted(self.ways.items())
            ],
            "bytes_by_node": {str(node): count for node, count in sorted(self.bytes_by_node.items())},
            "batch_pages": request.batch_pages,
            "estimate_seconds": _seconds(self.estimate_ns),
            "estimated_stall_seconds": _seconds(self.estimated_stall_ns),
            "findings": [finding.as_dict() for finding in self.findings],
        }


def _seconds(duration_ns: int | None) -> float | None:
    return None if duration_ns is None else round(duration_ns / 1e9, 9)


def make_plan(seen: Seen, request: Request) -> Plan:
    """The plan that follows from what is seen and what is asked: a pure function of both."""
    tally, page = seen.tally, seen.topology.page_size
    most = sys.maxsize if request.most_pages is None else request.most_pages
    expected = None
    if all(size in seen.costs for size in tally.folios):
        expected = estimate(_limited(tally, most * page), seen.costs, request, page)
    return Plan(
        request=request,
        process=seen.process,
        ranges=tuple((start, end) for _, start, end in seen.selected),
        regions=len(seen.selected),
        bytes_by_node=dict(tally.bytes_by_node),
        pages=min(tally.wanted_bytes // page, most),
        page_size=page,
        huge_page_size=seen.topology.huge_page_size,
        findings=(*seen.findings, *_findings(seen, request), *_expectations(expected, seen, request)),
        reserve_bytes=max((_reserve(node, seen, request) for node in request.to.nodes), default=0),
        ways=dict(tally.ways),
        largest_folio=max(seen.topology.folio_sizes, default=0),
        selected=tuple(region for region, _, _ in seen.selected),
        shared_share=None if seen.shared is None else seen.shared.share,
        estimate_ns=None if expected is None else expected.duration_ns,
        estimated_stall_ns=None if expected is None else expected.stall_ns,
    )


def _by_target(ways: Mapping[tuple[int, int], int]) -> dict[int, int]:
    found: Counter[int] = Counter()
    for (_, target), count in ways.items():
        found[target] += count
    return dict(found)


def _limited(tally: Tally, most_bytes: int) -> Mapping[int, int]:
    """Folios by size of so many bytes at most."""
    wanted = tally.wanted_bytes
    if wanted <= most_bytes:
        return tally.folios
    return {size: -(-count * most_bytes // wanted) for size, count in tally.folios.items()}


def _reserve(node: int, seen: Seen, request: Request) -> int:
    return reserve_on(node, seen.topology, seen.counters, request)


def _findings(seen: Seen, request: Request) -> list[Finding]:
    """What speaks against it, or does not."""
    tally = seen.tally
    wanted = tally.wanted_bytes
    findings: list[Finding] = []
    if wanted:
        part = 1 - tally.hugetlb_bytes / wanted
        if request.most_pages is not None:
            part *= min(1.0, request.most_pages * seen.topology.page_size / wanted)
        for node, count in sorted(_by_target(tally.ways).items()):
            findings += memory_room(seen.topology, seen.counters, request, node, round(count * part))
        findings += hugetlb_room(seen.counters, request, tally)
        findings += thp_room(seen.topology, seen.huge_room, request, tally)
        if seen.shared is not None:
            findings.append(sharing(seen.shared, request))
        findings += pinned(seen.hazards, wanted)
    hidden = tally.bytes_by_node.get(UNKNOWN_NODE, 0)
    if hidden and (request.sources is not None or isinstance(request.to, NodeMap)):
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
    return findings


def _expectations(expected: Estimate | None, seen: Seen, request: Request) -> list[Finding]:
    """How long it will take, and whether a budget can be held."""
    if expected is None:
        return []
    limits = {"rate": "; the rate decides", "calls": f"; the limit of {request.most_calls} calls a second decides"}
    calls = "1 call" if expected.calls == 1 else f"{expected.calls:,} calls"
    pages = "1 page" if expected.batch_pages == 1 else f"{expected.batch_pages:,} pages"
    words = (
        f"about {format_duration(expected.duration_ns)} in {calls} of {pages}{limits.get(expected.limit, '')}; who "
        f"touches a page under migration waits up to {format_duration(expected.stall_ns)} "
        f"({'rough estimate' if seen.rough else 'estimate'})"
    )
    found = [Finding("estimate", Severity.OK, words)]
    if request.budget_ns is not None and expected.least_call_ns > request.budget_ns:
        found.append(
            Finding(
                "budget",
                Severity.WARNING,
                f"a call for a single folio takes about {format_duration(expected.least_call_ns)}: a budget of "
                f"{format_duration(request.budget_ns)} cannot be held",
                "a larger --budget; a lower --rate or fewer --calls leave longer pauses in between",
            )
        )
    return found


def plan_request(backend: Backend, request: Request) -> Plan:
    """``look`` and ``make_plan`` in one; where the request leaves to the machine where pages go, that is settled first.

    :raises UsageError: such a node does not exist; or it is to follow its CPUs, and these are not known.
    :raises TargetGone: there is no such process.
    :raises RefusedError: it is a kernel thread, or the caller may not look.
    """
    request = settled(backend, request)
    return make_plan(look(backend, request), request)


def settled(backend: Backend, request: Request) -> Request:
    """With where pages go as it is on this machine now.

    :raises UsageError: it is to follow its CPUs, and these are not known.
    :raises TargetGone: there is no such process.
    """
    cpus = backend.process(request.pid).cpu_nodes if isinstance(request.to, FollowCpus) else ()
    return replace(request, to=resolved(request.to, cpus, backend.topology()))
