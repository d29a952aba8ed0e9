"""Scenarios: a simulated machine written down in YAML, checked, and built from one seed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from numamig.backends.simulator.kernels import KERNELS
from numamig.backends.simulator.machine import Caller, Machine, SimProcess, SimRegion
from numamig.backends.simulator.memory import ABSENT, HUGE_PAGES, PAGE, Backing, Flag, SimNode
from numamig.errors import FileError, UsageError
from numamig.model.nodeset import parse_ranges
from numamig.model.process import RegionKind
from numamig.units import parse_size
from numamig.yamlfile import read_yaml

__all__ = ["ScenarioFile", "build_machine", "load_machine"]

_FIRST_MAPPING = 0x7F0000000000
_HEAP = 0x560000000000


def _size(value: object) -> int:
    try:
        return parse_size(str(value))
    except UsageError as error:
        raise ValueError(str(error)) from None


def _cpus(value: object) -> tuple[int, ...]:
    try:
        return tuple(parse_ranges(str(value)))
    except ValueError:
        raise ValueError("write a list of CPUs like 0-15,32") from None


Size = Annotated[int, BeforeValidator(_size)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NodeEntry(_Strict):
    """A node of the machine."""

    id: Annotated[int, Field(ge=0, lt=ABSENT)]
    cpus: Annotated[tuple[int, ...], BeforeValidator(_cpus)] = ()
    memory: Size
    used: Size = 0
    """Memory of the kernel and of the page cache: not free, and nobody's here."""
    label: str = ""
    tier: int | None = None


class RegionEntry(_Strict):
    """A region, and how its pages are placed."""

    kind: RegionKind = RegionKind.ANON
    size: Size
    path: str = ""
    permissions: Annotated[str, Field(pattern="^[r-][w-][x-][ps]$")] = "rw-p"
    nodes: dict[int, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(default_factory=dict)
    """Node → weight of its share. Nothing: never touched."""
    pattern: Literal["blocks", "interleave", "random", "halves"] = "blocks"
    extent: Size = 8 << 20
    """Mean length of a stretch on one node, for ``blocks``."""
    present: Share = 1.0
    huge: bool = False
    pinned: Share = 0.0
    busy: Share = 0.0
    hinted: Share = 0.0
    share: str | None = None
    """Regions with the same word map the same memory; the first says how it is placed."""


class ProcessEntry(_Strict):
    """A process."""

    name: Annotated[str, Field(min_length=1, max_length=15)]
    pid: Annotated[int, Field(gt=0, lt=1 << 22)]
    user: str = "root"
    cmdline: list[str] = Field(default_factory=list)
    threads: Annotated[int, Field(gt=0)] = 1
    runs_on: list[int] = Field(default_factory=list)
    """Nodes of the CPUs that its threads run on."""
    mems: list[int] | None = None
    """Nodes that its cpuset allows; left out: all."""
    kernel_thread: bool = False
    regions: list[RegionEntry] = Field(default_factory=list)


class CallerEntry(_Strict):
    """Who acts."""

    user: str = "root"
    sys_nice: bool = True
    sys_ptrace: bool = True
    sys_admin: bool = True
    trace: bool = True


class ScenarioFile(_Strict):
    """A scenario, version 1."""

    scenario: Literal[1]
    title: str
    kernel: str = "linux-6.12"
    seed: int = 1
    caller: CallerEntry = CallerEntry()
    nodes: Annotated[list[NodeEntry], Field(min_length=1)]
    distances: list[list[int]] = Field(default_factory=list)
    processes: list[ProcessEntry] = Field(default_factory=list)

    @model_validator(mode="after")
    def _consistent(self) -> ScenarioFile:
        ids = [node.id for node in self.nodes]
        if len(set(ids)) < len(ids):
            raise ValueError("two nodes have the same id")
        if self.kernel not in KERNELS:
            raise ValueError(f"kernel {self.kernel!r} is not known; there are {', '.join(KERNELS)}")
        if self.distances and [len(row) for row in self.distances] != [len(ids)] * len(ids):
            raise ValueError(f"distances must be {len(ids)} rows of {len(ids)} numbers, in the order of the nodes")
        pids = [process.pid for process in self.processes]
        if len(set(pids)) < len(pids):
            raise ValueError("two processes have the same pid")
        for process in self.processes:
            for node in {n for r in process.regions for n in r.nodes} | set(process.runs_on) | set(process.mems or ()):
                if node not in ids:
                    raise ValueError(f"process {process.name!r} names node {node}, which is not there")
        return self


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
            _place(machine, backing, region, random)
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


def _place(machine: Machine, backing: Backing, entry: RegionEntry, random: np.random.Generator) -> None:
    """Give the pages of a region their nodes and states."""
    if not entry.nodes:
        return
    pages = len(backing.node)
    huge = entry.huge or entry.kind is RegionKind.HUGETLB
    unit = HUGE_PAGES if huge else 1
    units = -(-pages // unit)
    node = _pattern(entry, units, unit, random)
    if entry.present < 1:
        node[random.random(units) >= entry.present] = ABSENT
    placed = np.repeat(node, unit)[:pages]
    flags = np.zeros(pages, np.uint8)
    if huge:
        whole = pages // HUGE_PAGES * HUGE_PAGES
        flags[:whole][placed[:whole] != ABSENT] |= np.uint8(Flag.LARGE)
    for share, flag in ((entry.pinned, Flag.PINNED), (entry.busy, Flag.ISOLATED), (entry.hinted, Flag.HINTED)):
        if share:
            flags[np.repeat(random.random(units) < share, unit)[:pages] & (placed != ABSENT)] |= np.uint8(flag)
    backing.flags[:] = flags
    machine.place(backing, 0, placed)


def _pattern(entry: RegionEntry, units: int, unit: int, random: np.random.Generator) -> NDArray[np.uint8]:
    nodes = np.array(sorted(entry.nodes), np.uint8)
    weights = np.array([entry.nodes[int(n)] for n in nodes], float)
    weights /= weights.sum()
    if entry.pattern == "interleave":
        return np.resize(nodes, units)
    if entry.pattern == "random":
        return random.choice(nodes, units, p=weights).astype(np.uint8)
    if entry.pattern == "halves":
        return nodes[np.searchsorted(np.cumsum(weights), (np.arange(units) + 0.5) / units)].astype(np.uint8)
    mean = max(1, entry.extent // (unit * PAGE))
    stretches = units // mean + 2
    lengths = np.maximum(1, random.geometric(1 / mean, stretches * 2))
    drawn = np.repeat(random.choice(nodes, len(lengths), p=weights), lengths)[:units].astype(np.uint8)
    return np.concatenate((drawn, np.full(units - len(drawn), nodes[int(np.argmax(weights))], np.uint8)))
