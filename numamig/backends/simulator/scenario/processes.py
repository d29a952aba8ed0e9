"""What a scenario may say of processes: their regions, where those lie and in what state, and the work they do."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from numamig.backends.simulator.scenario.fields import (
    Accesses,
    Count,
    Fault,
    Nanoseconds,
    NodeId,
    Policy,
    Share,
    SomeBytes,
    Strict,
    Switch,
    Weight,
    WeightsByNode,
    report,
)
from numamig.model.process import RegionKind
from numamig.yamlschema import Also

__all__ = ["HeatEntry", "ProcessEntry", "RegionEntry", "WorkloadEntry"]

_LEAST_HOT = 1 / 4096


class HeatEntry(Strict):
    """How unevenly the pages of a region are accessed: ``hot`` with ``of_accesses``, or ``zipf``."""

    hot: Share | None = None
    """Part of the pages that is hot."""
    of_accesses: Share | None = None
    """Part of the accesses that goes to them."""
    zipf: Annotated[float, Field(gt=0, le=3, allow_inf_nan=False)] | None = None
    """The page of rank r is accessed in proportion to r to the power of minus this."""
    where: Literal["scattered", "first", "last"] = "scattered"
    """Hot pages lie anywhere in the region, at its beginning, or at its end."""

    def model_post_init(self, _: object) -> None:
        pair = (self.hot, self.of_accesses)
        if (self.zipf is None) == (pair == (None, None)) or None in pair != (None, None):
            report([Fault((), "write uniform, {hot: 10%, of_accesses: 90%} or {zipf: 1.1}")])
        if self.hot is not None and self.of_accesses is not None:
            if not _LEAST_HOT <= self.hot < 1:
                report([Fault(("hot",), "must be from 0.03% to less than 100%")])
            if self.of_accesses <= self.hot:
                report([Fault(("of_accesses",), "must be more than hot, or those pages are not hot")])


def _heat(value: object) -> object:
    if value == "uniform":
        return None
    if not isinstance(value, dict | HeatEntry):
        raise ValueError("write uniform, {hot: 10%, of_accesses: 90%} or {zipf: 1.1}")
    return value


class RegionEntry(Strict):
    """A region, and how its pages are placed."""

    kind: RegionKind = RegionKind.ANON
    name: Annotated[str, Field(min_length=1)] | None = None
    """What the workload of this process calls it."""
    size: SomeBytes
    """Rounded up to whole pages."""
    path: str = ""
    permissions: Annotated[str, Field(pattern="^[r-][w-][x-][ps]$")] = "rw-p"
    policy: Policy = "default"
    """default, local, or bind, preferred or interleave with nodes."""
    share: Annotated[str, Field(min_length=1)] | None = None
    """Regions with the same word map the same memory; the first says how it is placed."""
    nodes: WeightsByNode | None = None
    """Node → weight of its share. Left out: never touched."""
    pattern: Literal["blocks", "interleave", "random", "halves"] = "blocks"
    """Stretches of about ``extent``; one page (or folio) each by turns; each by chance; one stretch a node, in the
    order written."""
    extent: SomeBytes = 8 << 20
    """Mean length of a stretch on one node, for ``blocks``."""
    present: Share = 1.0
    """Part of the pages that was ever touched."""
    huge: Switch = False
    """Transparent huge pages."""
    folio: SomeBytes | None = None
    """Size of the folios of its pages, between a page and a huge page (mTHP)."""
    heat: Annotated[HeatEntry | None, BeforeValidator(_heat), Also({"const": "uniform"})] = None
    """How unevenly pages are accessed."""
    swapped: Share = 0.0
    """Part of the touched pages that is swapped out."""
    zero: Share = 0.0
    """Part that was only read: the zero page."""
    writeback: Share = 0.0
    """Part that is being written to its device."""
    locked: Switch = False
    """mlocked."""
    pinned: Share = 0.0
    """Part that somebody holds a reference to: isolated, tried and not moved."""
    busy: Share = 0.0
    """Part that is not on the LRU: cannot be isolated."""
    hinted: Share = 0.0
    """Part that NUMA balancing has marked."""


def _regions(value: object) -> object:
    """None for all; region → weight, or None for each where weights are not given."""
    if value == "all":
        return None
    if isinstance(value, list) and value and all(isinstance(name, str) for name in value):
        if len(set(value)) < len(value):
            raise ValueError("names a region twice")
        return dict.fromkeys(value, None)
    if isinstance(value, dict) and value:
        return value
    raise ValueError("write all, names of regions like [heap, buffers], or their weights like {heap: 1, buffers: 3}")


class WorkloadEntry(Strict):
    """What the threads of a process do all the time: compute, and access memory."""

    compute: Nanoseconds
    """Between two accesses of a thread."""
    accesses: Accesses = None
    """Of each thread, until its work is done; or ``endless``."""
    in_flight: Annotated[float, Field(ge=1, le=1000)] = 1.0
    """Accesses of a thread that overlap: 1 follows pointers, 10 streams."""
    split: Switch = False
    """Each thread has an equal part of every region to itself."""
    barrier: Switch = False
    """Threads wait for the slowest."""
    regions: Annotated[
        dict[str, Weight | None] | None,
        BeforeValidator(_regions),
        Also({"const": "all"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}),
    ] = None
    """Which regions, by name; with weights: how the accesses are shared out."""


class ProcessEntry(Strict):
    """A process."""

    name: Annotated[str, Field(min_length=1, max_length=15)]
    pid: Count
    user: str = "root"
    cmdline: list[str] = Field(default_factory=list)
    threads: Count = 1
    runs_on: list[NodeId] = Field(default_factory=list)
    """Nodes of the CPUs that its threads run on."""
    mems: Annotated[list[NodeId], Field(min_length=1)] | None = None
    """Nodes that its cpuset allows; left out: all."""
    kernel_thread: Switch = False
    regions: list[RegionEntry] = Field(default_factory=list)
    workload: WorkloadEntry | None = None
