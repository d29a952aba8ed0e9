"""From a scenario to its machine: nodes, processes and their address spaces."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from numamig.backends.simulator.kernels import KERNELS
from numamig.backends.simulator.machine import Caller, Machine, SimProcess, SimRegion
from numamig.backends.simulator.memory import HUGE_PAGES, PAGE, Backing, SimNode
from numamig.backends.simulator.scenario.placement import place
from numamig.backends.simulator.scenario.schema import ProcessEntry, ScenarioFile
from numamig.errors import FileError
from numamig.model.process import RegionKind
from numamig.yamlfile import read_yaml

__all__ = ["build_machine", "load_machine"]

_FIRST_MAPPING = 0x7F0000000000
_HEAP = 0x560000000000


def load_machine(path: Path) -> Machine:
    """
    :raises FileError: the scenario cannot be read, is wrong, or does not fit into its machine.
    """
    scenario = read_yaml(path).validate(ScenarioFile)
    try:
        machine = build_machine(scenario)
    except MemoryError:
        raise FileError(str(path), [(0, "its page tables do not fit into the memory of this computer")]) from None
    for node in machine.nodes.values():
        if node.free_pages < node.reserve_pages:
            raise FileError(
                str(path),
                [(0, f"node {node.id} is {-(-(node.reserve_pages - node.free_pages) * PAGE >> 20)} MiB too small")],
            )
    return machine


def build_machine(scenario: ScenarioFile) -> Machine:
    """The same scenario gives the same machine, page for page."""
    ids = [node.id for node in scenario.nodes]
    nodes = []
    for entry in scenario.nodes:
        total = entry.memory // PAGE
        nodes.append(
            SimNode(entry.id, entry.cpus, total, total - entry.used // PAGE, total // 100, entry.label, entry.tier)
        )
    distances = (
        {(a, b): scenario.distances[i][j] for i, a in enumerate(ids) for j, b in enumerate(ids)}
        if scenario.distances
        else None
    )
    caller = Caller(**scenario.caller.model_dump())
    machine = Machine(nodes, distances, KERNELS[scenario.kernel], caller, scenario.title)
    shared: dict[str, Backing] = {}
    for order, process in enumerate(scenario.processes):
        machine.add(_build_process(machine, process, scenario.seed, order, shared))
    return machine


def _build_process(
    machine: Machine, entry: ProcessEntry, seed: int, order: int, shared: dict[str, Backing]
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
        pages = -(-region.size // PAGE)
        backing = shared.get(region.share) if region.share else None
        if backing is None:
            random = np.random.Generator(np.random.PCG64([seed, entry.pid, number]))
            backing = Backing.untouched(pages)
            place(machine, backing, region, random)
            if region.share:
                shared[region.share] = backing
        on_heap = region.kind is RegionKind.HEAP
        start = heap if on_heap else mapping
        end = start + len(backing.node) * PAGE
        path = region.path or {RegionKind.HEAP: "[heap]", RegionKind.STACK: "[stack]"}.get(region.kind, "")
        page_size = HUGE_PAGES * PAGE if region.kind is RegionKind.HUGETLB else PAGE
        process.regions.append(SimRegion(start, backing, region.kind, region.permissions, path, page_size))
        following = -(-end // (HUGE_PAGES * PAGE)) * HUGE_PAGES * PAGE + HUGE_PAGES * PAGE
        heap, mapping = (following, mapping) if on_heap else (heap, following)
    return process
