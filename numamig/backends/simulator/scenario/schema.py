"""What a scenario may say, version 1, as pydantic models."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from numamig.backends.simulator.kernels import KERNELS, KernelProfile
from numamig.backends.simulator.scenario.entries import AnyActor
from numamig.backends.simulator.scenario.fields import (
    BytesPerNs,
    Cpus,
    Fault,
    NodeId,
    Size,
    SomeBytes,
    SomeTime,
    Strict,
    Switch,
    Version,
    report,
)
from numamig.backends.simulator.scenario.processes import ProcessEntry
from numamig.backends.simulator.scenario.remapping import RemapEntry

__all__ = ["CallerEntry", "LatencyEntry", "NodeEntry", "ScenarioFile"]


class NodeEntry(Strict):
    """A node of the machine."""

    id: NodeId
    cpus: Cpus = ()
    """A list like 0-15,32; left out: a node of memory only."""
    memory: Size
    used: Size = 0
    """Memory of the kernel: not free, and no process's."""
    cache: Size = 0
    """Page cache that nobody maps, and that is given up when memory is needed."""
    reserve: Size | None = None
    """The watermark ``min``; left out: 1 % of the memory."""
    hugepages: Size | None = None
    """The hugetlb pool; left out: as large as the hugetlb regions on it."""
    label: str = ""
    """What kind of memory it is."""
    tier: Annotated[int, Field(strict=True, ge=0)] | None = None
    """Memory tier: smaller is faster."""
    package: Annotated[int, Field(strict=True, ge=0)] | None = None
    """Socket of its CPUs."""
    latency: SomeTime | None = None
    """Of an access from the nearest CPUs; from others it is longer in proportion to the distance."""
    bandwidth: BytesPerNs | None = None
    """That it can serve; left out: as much as is asked for."""


class LatencyEntry(Strict):
    """Latency of the whole machine."""

    local: SomeTime = 100.0
    """Of an access to the node of the CPU."""
    factor: Annotated[float, Field(ge=1, le=25)] | None = None
    """The NUMA factor: a remote access takes so many times as long, instead of distance / 10."""


class CallerEntry(Strict):
    """Who acts on the machine, and with which rights."""

    user: str = "root"
    sys_nice: Switch = True
    sys_ptrace: Switch = True
    sys_admin: Switch = True
    trace: Switch = True


class ScenarioFile(Strict):
    """A scenario, version 1."""

    scenario: Version
    title: str
    kernel: str = "linux-6.12"
    """Name of a kernel profile."""
    seed: Annotated[int, Field(strict=True, ge=0, lt=1 << 64)] = 1
    """Of every draw."""
    caller: CallerEntry = CallerEntry()
    line: SomeBytes = 64
    """Bytes that an access fetches."""
    latency: LatencyEntry | None = None
    nodes: Annotated[list[NodeEntry], Field(min_length=1)]
    distances: list[list[Annotated[int, Field(strict=True, ge=10, lt=255)]]] | None = None
    """SLIT: a row for each node, from it to each; left out: 10 to itself, 20 to others."""
    latencies: list[list[SomeTime]] | None = None
    """The same in time, instead of ``latency``."""
    remap: RemapEntry | None = None
    """How the moving call is set, for the kernels of 2004."""
    processes: list[ProcessEntry] = Field(default_factory=list)
    actors: list[AnyActor] = Field(default_factory=list)

    @property
    def profile(self) -> KernelProfile:
        """Of its kernel."""
        return KERNELS[self.kernel]

    @model_validator(mode="before")
    @classmethod
    def _version_first(cls, said: object) -> object:
        """Whoever reads a file learns from its first line what it is, and so may other programs."""
        if isinstance(said, dict) and "scenario" in said and (first := next(iter(said))) != "scenario":
            report([Fault((str(first),), "must come after `scenario: 1`, which is the first line")])
        return said

    @model_validator(mode="after")
    def _consistent(self) -> ScenarioFile:
        from numamig.backends.simulator.scenario.checks import faults

        report(faults(self))
        return self
