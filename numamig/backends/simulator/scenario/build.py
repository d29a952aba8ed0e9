"""From a scenario to its machine: nodes, how far and how fast they are, processes, their work, and actors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from numamig.backends.simulator.access import AccessModel
from numamig.backends.simulator.machine import Machine
from numamig.backends.simulator.memory import Backing, SimNode
from numamig.backends.simulator.process import Caller, SimProcess, SimRegion
from numamig.backends.simulator.scenario.heat import warm
from numamig.backends.simulator.scenario.placement import place
from numamig.backends.simulator.scenario.processes import ProcessEntry, RegionEntry
from numamig.backends.simulator.scenario.schema import LatencyEntry, NodeEntry, ScenarioFile
from numamig.backends.simulator.workload import Workload, WorkloadPlan
from numamig.errors import FileError, UsageError
from numamig.model.process import RegionKind
from numamig.units import format_bytes
from numamig.yamlfile import Document, read_yaml

if TYPE_CHECKING:
    from numamig.backends.simulator.kept import KeptMemory

__all__ = ["build_machine", "load_machine", "machine_of"]

_FIRST_MAPPING = 0x7F0000000000
_HEAP = 0x560000000000
_GAP = 2 << 20
_ALIGNED = 2 << 20
"""Regions begin where a huge page may."""
_LOCAL, _REMOTE = 10, 20
_Named = dict[tuple[int, str], Backing]
"""(pid, name of the region) → what it maps."""


def load_machine(path: Path) -> Machine:
    """
    :raises FileError: the scenario cannot be read, is wrong, or does not fit into its machine.
    """
    return machine_of(read_yaml(path))


def machine_of(document: Document, kept: KeptMemory | None = None) -> Machine:
    """
    :raises FileError: the scenario is wrong, or does not fit into its machine.
    """
    scenario = document.validate(ScenarioFile)
    try:
        machine = build_machine(scenario, kept)
        machine.scenario = document.path
        return machine
    except MemoryError:
        raise FileError(document.path, [(0, "its page tables do not fit into the memory of this computer")]) from None
    except UsageError as error:
        number = [node.id for node in scenario.nodes].index(error.node) if error.node is not None else 0
        raise FileError(document.path, [document.fault(("nodes", number), error.message)]) from None


def build_machine(scenario: ScenarioFile, kept: KeptMemory | None = None) -> Machine:
    """The same scenario gives the same machine, page for page.

    :param kept: where its memory is to lie, or lies already, as it was left; None: in memory
    :raises UsageError: a node is too small for what is to lie on it.
    """
    kernel = scenario.profile
    distances = _distances(scenario)
    machine = Machine(
        [_node(entry, kernel.page_bytes) for entry in scenario.nodes],
        distances,
        kernel,
        Caller(**scenario.caller.model_dump()),
        scenario.title,
        access=_access(scenario, distances),
        seed=scenario.seed,
        timeline=None if kept is None else kept.timeline,
    )
    if scenario.remap is not None:
        machine.remapping.settings = scenario.remap.settings()
    shared: dict[str, Backing] = {}
    named: _Named = {}
    pools = {entry.id: entry.hugepages for entry in scenario.nodes}
    ended: list[SimProcess] = []
    for order, entry in enumerate(scenario.processes):
        process = _process(machine, entry, order, shared, named, kept)
        if kept is not None and kept.has_ended(entry.pid):
            ended.append(process)
        else:
            machine.add(process, counted=kept is not None and not kept.is_new)
    if kept is not None and not kept.is_new:
        kept.restore(machine, ended)
    else:
        _make_room(machine, pools)
    for entry in scenario.processes:
        if entry.workload is not None and entry.pid in machine.processes:
            machine.work(_workload(machine, entry, named))
    for each in scenario.actors:
        actor = each.actor_from(machine.timeline.now_ns)
        if actor is not None:
            actor.start(machine)
            machine.actors.append(actor)
    return machine


def _make_room(machine: Machine, pools: dict[int, int | None]) -> None:
    for node in machine.nodes.values():
        _fill_pool(machine, node, pools[node.id])
        if node.free_pages < node.reserve_pages:
            short = -(-(node.reserve_pages - node.free_pages) * machine.page_bytes >> 20)
            raise UsageError(f"node {node.id} is {short} MiB too small for what is to lie on it", node=node.id)


def _distances(scenario: ScenarioFile) -> dict[tuple[int, int], int]:
    ids = [node.id for node in scenario.nodes]
    remote = _REMOTE
    if scenario.latency is not None and scenario.latency.factor is not None:
        remote = round(scenario.latency.factor * _LOCAL)
    rows = scenario.distances or [[_LOCAL if a == b else remote for b in ids] for a in ids]
    return {(a, b): rows[i][j] for i, a in enumerate(ids) for j, b in enumerate(ids)}


def _access(scenario: ScenarioFile, distances: dict[tuple[int, int], int]) -> AccessModel:
    """Latencies as the scenario gives them: for each pair, by the node, or by the factor or distance."""
    ids = [node.id for node in scenario.nodes]
    bandwidths = {node.id: node.bandwidth for node in scenario.nodes if node.bandwidth is not None}
    latencies: dict[tuple[int, int], float] = {}
    local, factor = (scenario.latency or LatencyEntry()).local, (scenario.latency or LatencyEntry()).factor
    if scenario.latencies is not None:
        latencies = {(a, b): scenario.latencies[i][j] for i, a in enumerate(ids) for j, b in enumerate(ids)}
    elif scenario.latency is not None or any(node.latency is not None for node in scenario.nodes):
        far = {pair: distance / _LOCAL for pair, distance in distances.items()}
        if factor is not None:
            far = {(a, b): 1.0 if a == b else factor for a, b in distances}
        with_cpus = [node.id for node in scenario.nodes if node.cpus]
        for node in scenario.nodes:
            nearest = min(far[source, node.id] for source in with_cpus)
            unit = local if node.latency is None else node.latency / nearest
            latencies |= {(source, node.id): unit * far[source, node.id] for source in ids}
    return AccessModel(distances, local, latencies, bandwidths, scenario.line)


def _node(entry: NodeEntry, page: int) -> SimNode:
    total = entry.memory // page
    return SimNode(
        entry.id,
        entry.cpus,
        total,
        total - entry.used // page - entry.cache // page,
        total // 100 if entry.reserve is None else entry.reserve // page,
        entry.label,
        entry.tier,
        cache_pages=entry.cache // page,
        package=entry.package,
    )


def _fill_pool(machine: Machine, node: SimNode, pool_bytes: int | None) -> None:
    """What the hugetlb regions do not use of a node's pool lies ready, and is not free memory."""
    backings = {id(r.backing): r for p in machine.processes.values() for r in p.regions if r.kind is RegionKind.HUGETLB}
    if not backings and not pool_bytes:
        return
    huge = machine.kernel.huge_pages
    used = sum(int((region.backing.node == node.id).sum()) for region in backings.values()) // huge
    node.pool_total = used if pool_bytes is None else pool_bytes // machine.kernel.huge_bytes
    node.pool_free = node.pool_total - used
    if node.pool_free < 0:
        lie = format_bytes(used * machine.kernel.huge_bytes)
        raise UsageError(f"node {node.id}: {lie} of hugetlb regions are to lie in its hugepages", node=node.id)
    machine.nodes[node.id].free_pages -= node.pool_free * huge


def _process(
    machine: Machine,
    entry: ProcessEntry,
    order: int,
    shared: dict[str, Backing],
    named: _Named,
    kept: KeptMemory | None,
) -> SimProcess:
    process = SimProcess(
        pid=entry.pid,
        name=entry.name,
        user=entry.user,
        cmdline=tuple(entry.cmdline) or (entry.name,),
        start_time=1000 + order,
        threads=entry.threads,
        cpu_nodes=tuple(sorted(set(entry.runs_on))),
        kernel_thread=entry.kernel_thread,
        mems_allowed=None if entry.mems is None else frozenset(entry.mems),
    )
    heap, mapping = _HEAP + entry.pid % 4096 * 0x10000000, _FIRST_MAPPING
    for number, region in enumerate(entry.regions):
        backing = shared.get(region.share) if region.share is not None else None
        if backing is None:
            backing = _backing(machine, region, (machine.seed, entry.pid, number), kept)
            if region.share is not None:
                shared[region.share] = backing
        if region.name is not None:
            named[entry.pid, region.name] = backing
        on_heap = region.kind is RegionKind.HEAP
        start = heap if on_heap else mapping
        path = region.path or {RegionKind.HEAP: "[heap]", RegionKind.STACK: "[stack]"}.get(region.kind, "")
        page_size = machine.kernel.huge_bytes if region.kind is RegionKind.HUGETLB else machine.page_bytes
        policy = region.policy
        process.regions.append(
            SimRegion(start, backing, region.kind, region.permissions, path, page_size, policy=policy)
        )
        following = -(-process.regions[-1].end // _ALIGNED) * _ALIGNED + _GAP
        heap, mapping = (following, mapping) if on_heap else (heap, following)
    return process


def _backing(machine: Machine, region: RegionEntry, key: tuple[int, int, int], kept: KeptMemory | None) -> Backing:
    kernel = machine.kernel
    unit = kernel.huge_bytes if region.kind is RegionKind.HUGETLB else kernel.page_bytes
    pages = -(-region.size // unit) * (unit // kernel.page_bytes)
    folio = kernel.huge_pages or 1
    if region.folio is not None:
        folio = region.folio // kernel.page_bytes
    if kept is None:
        backing = Backing.untouched(pages, folio_pages=folio, page_bytes=kernel.page_bytes)
    else:
        backing = kept.backing(pages, folio, kernel.page_bytes, heat=region.heat is not None)
        if not kept.is_new:
            return backing
    place(machine, backing, region, key)
    if region.heat is not None:
        warm(backing, region.heat, key)
    return backing


def _workload(machine: Machine, entry: ProcessEntry, named: _Named) -> Workload:
    work = entry.workload
    assert work is not None
    process = machine.processes[entry.pid]
    plan = WorkloadPlan(work.compute, work.accesses, work.in_flight, work.split, work.barrier)
    if work.regions is None:
        return Workload(machine, process, plan)
    weights = [weight for weight in work.regions.values() if weight is not None]
    return Workload(machine, process, plan, [named[entry.pid, name] for name in work.regions], weights or None)
