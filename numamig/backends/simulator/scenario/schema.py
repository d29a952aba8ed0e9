"""What a scenario may say, version 1, as pydantic models."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from numamig.backends.simulator.kernels import KERNELS
from numamig.backends.simulator.memory import ABSENT
from numamig.errors import UsageError
from numamig.model.nodeset import parse_ranges
from numamig.model.process import RegionKind
from numamig.units import parse_size

__all__ = ["ProcessEntry", "RegionEntry", "ScenarioFile"]


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
