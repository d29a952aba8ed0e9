"""What a process and its machine are like: cpuset, NUMA balancing, and why one had better keep hands off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from numamig.migrate.request import Request
from numamig.model.finding import Finding, Severity
from numamig.model.nodeset import format_nodeset
from numamig.model.process import Hazards, Process, ProcessFacts
from numamig.units import format_bytes, format_percent

__all__ = ["balancing", "cpuset", "critical", "isolated", "pinned"]

_GENTLY = "go gently: --budget 1ms, or --pages 32 --rate 50MiB/s"


def cpuset(facts: ProcessFacts, targets: Sequence[int]) -> Finding:
    """An error where a target is outside: the kernel refuses the whole call, whoever makes it (EACCES)."""
    allowed = facts.mems_allowed
    outside = [] if allowed is None else [node for node in targets if node not in allowed]
    if allowed is None or not outside:
        return Finding("cpuset", Severity.OK, f"the cpuset of pid {facts.process.pid} allows {_nodes(targets)}")
    target = outside[0]
    group = f" of its control group {facts.cgroup}" if facts.cgroup else ""
    return Finding(
        "cpuset",
        Severity.ERROR,
        f"the cpuset of pid {facts.process.pid} allows nodes {format_nodeset(allowed)} only: none of its pages may be "
        f"moved to node {target}, not even by root",
        f"move to one of nodes {format_nodeset(allowed)}, or add {target} to cpuset.mems{group}",
    )


def _nodes(nodes: Sequence[int]) -> str:
    return f"node{'s' if len(nodes) > 1 else ''} {format_nodeset(nodes)}"


def balancing() -> Finding:
    """NUMA balancing is on."""
    return Finding(
        "balancing",
        Severity.WARNING,
        "NUMA balancing is on: it may move pages back, and on some kernels hides marked pages from move_pages",
        "sysctl kernel.numa_balancing=0, or bind the process's memory policy",
    )


def critical(process: Process, hazards: Hazards, request: Request) -> list[Finding]:
    """Errors unless the request is for critical processes too; one finding that all is well where nothing is found."""
    severity = Severity.WARNING if request.critical else Severity.ERROR
    remedy = _GENTLY if request.critical else "--critical moves it all the same"
    found = [Finding("critical", severity, reason, remedy) for reason in _reasons(process.pid, hazards)]
    return found or [Finding("critical", Severity.OK, f"nothing tells that pid {process.pid} had better be left alone")]


def _reasons(pid: int, hazards: Hazards) -> Iterator[str]:
    if hazards.init:
        yield "pid 1 is what everything else on the machine hangs on: where it waits for pages, all wait"
    if hazards.ancestor:
        yield f"pid {pid} is what this program runs below, its shell, terminal or session"
    if hazards.realtime_threads:
        threads = hazards.realtime_threads
        count = "a real-time thread" if threads == 1 else f"{threads} real-time threads"
        yield f"pid {pid} has {count}, which would have to wait for pages under migration"
    if hazards.kvm_guest:
        yield f"pid {pid} runs a virtual machine: its guest stands still where it touches pages under migration"
    if hazards.devices:
        devices = ", ".join(hazards.devices)
        yield f"pid {pid} has {devices} open: such devices reach its memory by themselves, and hold pages of it"


def isolated(hazards: Hazards) -> list[Finding]:
    """Where there are isolated CPUs: each moving call has lists drained on every CPU."""
    if not hazards.isolated_cpus:
        return []
    return [
        Finding(
            "isolated",
            Severity.WARNING,
            f"CPUs {format_nodeset(hazards.isolated_cpus)} are isolated, and each moving call interrupts them too",
            "fewer and larger calls, --calls 10 --pages 4096, or when nothing runs there that minds",
        )
    ]


def pinned(hazards: Hazards, wanted_bytes: int) -> list[Finding]:
    """Where pages are held by devices or drivers: such pages stay, and cost a call its retries.

    :param wanted_bytes: what would be chosen; which of it is pinned cannot be seen
    """
    held = hazards.pinned_bytes
    if not held or not wanted_bytes:
        return []
    most = format_percent(min(held, wanted_bytes), wanted_bytes)
    return [
        Finding(
            "pinned",
            Severity.WARNING,
            f"{format_bytes(held)} of the process are pinned, up to {most} of what is to move: such pages stay",
            "leave them out with --address or --kind, or end what holds them",
        )
    ]
