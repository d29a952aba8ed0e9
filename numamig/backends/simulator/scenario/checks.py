"""What the parts of a scenario must agree in, each fault at its key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from numamig.backends.simulator.kernels import KERNELS
from numamig.backends.simulator.scenario.fields import Fault
from numamig.backends.simulator.scenario.processes import ProcessEntry
from numamig.backends.simulator.scenario.regions import region_faults
from numamig.backends.simulator.scenario.remapping import remap_faults
from numamig.backends.simulator.scenario.schema import NodeEntry, ScenarioFile
from numamig.model.nodeset import parse_ranges
from numamig.units import format_bytes

__all__ = ["faults"]

_LOCAL = 10
_MOST_PAGES = 1 << 32


def faults(scenario: ScenarioFile) -> Iterator[Fault]:
    """Everything that does not fit together."""
    if scenario.kernel not in KERNELS:
        yield Fault(("kernel",), f"kernel {scenario.kernel!r} is not known; there are {', '.join(KERNELS)}")
        return
    yield from _topology(scenario)
    yield from remap_faults(scenario.remap, scenario.profile)
    seen: set[int] = set()
    shared: dict[str, tuple[ProcessEntry, int]] = {}
    pages = 0
    for number, process in enumerate(scenario.processes):
        at = ("processes", number)
        if process.pid in seen:
            yield Fault((*at, "pid"), f"two processes have the same pid {process.pid}")
        seen.add(process.pid)
        for fault in _process(process, scenario, shared):
            yield Fault((*at, *fault.location), fault.message)
        pages += sum(region.size // scenario.profile.page_bytes for region in process.regions)
    if pages > _MOST_PAGES:
        most = format_bytes(_MOST_PAGES * scenario.profile.page_bytes)
        yield Fault(("processes",), f"regions of more than {most} in all cannot be simulated")
    for number, actor in enumerate(scenario.actors):
        for fault in actor.faults(scenario):
            yield Fault(("actors", number, *fault.location), fault.message)


def _topology(scenario: ScenarioFile) -> Iterator[Fault]:
    nodes = scenario.nodes
    owner: dict[int, int] = {}
    ids: set[int] = set()
    for number, node in enumerate(nodes):
        at = ("nodes", number)
        if node.id in ids:
            yield Fault((*at, "id"), f"two nodes have the same id {node.id}")
        ids.add(node.id)
        taken = [cpu for cpu in node.cpus if owner.setdefault(cpu, node.id) != node.id]
        if taken:
            yield Fault((*at, "cpus"), f"lists CPU {taken[0]}, which is already on node {owner[taken[0]]}")
        for fault in _node(node, scenario):
            yield Fault((*at, *fault.location), fault.message)
    if not owner:
        yield Fault(("nodes",), "none of them has CPUs: a machine needs at least one")
    if scenario.line & (scenario.line - 1):
        yield Fault(("line",), "must be a power of two, like 64 or 128")
    yield from _square("distances", scenario.distances, len(nodes))
    yield from _square("latencies", scenario.latencies, len(nodes))
    if scenario.distances is not None:
        for number, row in enumerate(scenario.distances[: len(nodes)]):
            if len(row) == len(nodes) and row[number] != _LOCAL:
                yield Fault(("distances", number), f"node {nodes[number].id} is 10 from itself, not {row[number]}")
    if scenario.latencies is not None and scenario.latency is not None:
        yield Fault(("latency",), "latencies says it all already: give one of the two")
    if scenario.latency is not None and scenario.latency.factor is not None and scenario.distances is not None:
        yield Fault(("latency", "factor"), "distances says already how far nodes are: give one of the two")


def _square(key: str, rows: Sequence[Sequence[float]] | None, nodes: int) -> Iterator[Fault]:
    wanted = f"must be {nodes} rows of {nodes} numbers, in the order of the nodes"
    if rows is None:
        return
    if len(rows) != nodes:
        yield Fault((key,), f"{wanted}: there are {len(rows)} rows")
    for number, row in enumerate(rows):
        if len(row) != nodes:
            yield Fault((key, number), f"{wanted}: there are {len(row)}")


def _node(node: NodeEntry, scenario: ScenarioFile) -> Iterator[Fault]:
    kernel = scenario.profile
    if not node.cpus and not node.memory:
        yield Fault((), f"node {node.id} has neither CPUs nor memory")
    if not node.cpus and node.package is not None:
        yield Fault(("package",), f"node {node.id} has no CPUs, so it is in no package")
    held = node.used + node.cache + (node.hugepages or 0) + (node.reserve or 0)
    if held > node.memory:
        words = f"used, cache, hugepages and reserve are {format_bytes(held)} in all"
        yield Fault(("memory",), f"{words}, but node {node.id} has {format_bytes(node.memory)}")
    if node.hugepages and not kernel.huge_bytes:
        yield Fault(("hugepages",), f"kernel {kernel.name} has no huge pages")
    elif node.hugepages and node.hugepages % kernel.huge_bytes:
        yield Fault(("hugepages",), f"must be whole huge pages of {format_bytes(kernel.huge_bytes)}")
    if node.latency is not None and scenario.latencies is not None:
        yield Fault(("latency",), "latencies says it already: give one of the two")


def _process(
    process: ProcessEntry, scenario: ScenarioFile, shared: dict[str, tuple[ProcessEntry, int]]
) -> Iterator[Fault]:
    nodes = {node.id: node for node in scenario.nodes}
    words = f"process {process.name!r} names node"
    for key, named in (("runs_on", process.runs_on), ("mems", process.mems or [])):
        for number, node in enumerate(named):
            if node not in nodes:
                yield Fault((key, number), f"{words} {node}, which is not there")
            elif key == "runs_on" and not nodes[node].cpus:
                yield Fault((key, number), f"{words} {node}, which has no CPUs to run on")
            elif key == "mems" and not nodes[node].memory:
                yield Fault((key, number), f"{words} {node}, which has no memory")
    if process.kernel_thread:
        for key, there in (("regions", process.regions), ("workload", process.workload), ("mems", process.mems)):
            if there:
                yield Fault((key,), "a kernel thread has no memory of its own")
    names: set[str] = set()
    for number, region in enumerate(process.regions):
        at = ("regions", number)
        if region.name is not None and region.name in names:
            yield Fault((*at, "name"), f"two regions of process {process.name!r} are called {region.name!r}")
        names.update([region.name] if region.name is not None else [])
        for node in region.nodes or ():
            if node not in nodes:
                yield Fault((*at, "nodes", node), f"{words} {node}, which is not there")
            elif not nodes[node].memory:
                yield Fault((*at, "nodes", node), f"{words} {node}, which has no memory")
        for node in parse_ranges(region.policy.partition(":")[2]):
            if node not in nodes or not nodes[node].memory:
                what = "is not there" if node not in nodes else "has no memory"
                yield Fault((*at, "policy"), f"{words} {node}, which {what}")
        first = shared.get(region.share) if region.share is not None else None
        for fault in region_faults(region, scenario.profile, None if first is None else first[0].regions[first[1]]):
            yield Fault((*at, *fault.location), fault.message)
        if region.share is not None and first is None:
            shared[region.share] = (process, number)
    yield from _workload(process, shared)


def _workload(process: ProcessEntry, shared: dict[str, tuple[ProcessEntry, int]]) -> Iterator[Fault]:
    """Its regions are there, and have memory."""
    work = process.workload
    if work is None:
        return
    by_name = {region.name: region for region in process.regions if region.name is not None}
    for name in work.regions or ():
        if name not in by_name:
            known = f"named are: {', '.join(by_name)}" if by_name else "none has a name: give it one"
            words = f"process {process.name!r} has no region {name!r}"
            yield Fault(("workload", "regions", name), f"{words}; {known}")
            continue
        if not _placed(by_name[name].share, shared) and by_name[name].nodes is None:
            yield Fault(("workload", "regions", name), f"region {name!r} has no nodes: it was never touched")
    if work.regions is None and not any(
        region.nodes is not None or _placed(region.share, shared) for region in process.regions
    ):
        yield Fault(("workload",), f"process {process.name!r} has no memory to work with")
    weighted = [weight is not None for weight in (work.regions or {}).values()]
    if any(weighted) and not all(weighted):
        yield Fault(("workload", "regions"), "give every region a weight, or none")


def _placed(share: str | None, shared: dict[str, tuple[ProcessEntry, int]]) -> bool:
    first = shared.get(share) if share is not None else None
    return first is not None and first[0].regions[first[1]].nodes is not None
