"""What the virtual machine looks like: memory nodes, CPUs, distances, and the arguments that make it so."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from numamig.errors import LabError

__all__ = ["DEFAULT_MACHINE", "LOCAL_DISTANCE", "Machine", "MemoryNode", "vng_arguments"]

LOCAL_DISTANCE = 10
"""Distance of a node to itself, by the ACPI specification (SLIT)."""

_FARTHEST = 254
_EMULATED_CPU = "max,avx2=off"
"""QEMU 7.2 computes some AVX2 instructions wrongly: with them numpy's argsort, which uses them, does not sort."""


@dataclass(frozen=True, slots=True)
class MemoryNode:
    """One NUMA node: its memory in MiB, and the CPUs that sit on it, possibly none."""

    memory_mib: int
    cpus: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine to boot. Raises LabError at once when QEMU or Linux could not make sense of it."""

    nodes: tuple[MemoryNode, ...]
    distances: tuple[tuple[int, ...], ...]
    """One row per source node, the distance to each target. Need not be symmetric; the diagonal is 10."""
    kernel_arguments: tuple[str, ...] = ()
    """Further words for the kernel's command line, for example ``hugepages=32``."""
    kvm: bool = False
    """Use hardware virtualisation. Off by default: emulation behaves alike everywhere, nested or not."""

    def __post_init__(self) -> None:
        cpus = sorted(cpu for node in self.nodes for cpu in node.cpus)
        if not cpus or cpus != list(range(len(cpus))):
            raise LabError(f"each CPU from 0 up must sit on exactly one node, got {cpus}")
        if any(node.memory_mib < 1 for node in self.nodes):
            raise LabError("every memory node needs memory")
        count = len(self.nodes)
        if len(self.distances) != count or any(len(row) != count for row in self.distances):
            raise LabError(f"{count} nodes need {count} rows of {count} distances")
        for source, row in enumerate(self.distances):
            for target, distance in enumerate(row):
                if source == target and distance != LOCAL_DISTANCE:
                    raise LabError(f"the distance of node {source} to itself must be {LOCAL_DISTANCE}", node=source)
                if source != target and not LOCAL_DISTANCE < distance <= _FARTHEST:
                    raise LabError(
                        f"the distance from node {source} to {target} must be above {LOCAL_DISTANCE}"
                        f" and at most {_FARTHEST}, got {distance}",
                        node=source,
                    )

    @property
    def cpu_count(self) -> int:
        """CPUs of all nodes together."""
        return sum(len(node.cpus) for node in self.nodes)

    @property
    def memory_mib(self) -> int:
        """Memory of all nodes together, in MiB."""
        return sum(node.memory_mib for node in self.nodes)

    def __str__(self) -> str:
        return f"{len(self.nodes)} memory nodes, {self.cpu_count} CPUs, {self.memory_mib} MiB"


DEFAULT_MACHINE = Machine(
    nodes=(MemoryNode(512, (0,)), MemoryNode(512, (1,)), MemoryNode(512)),
    distances=((10, 20, 30), (20, 10, 25), (30, 25, 10)),
)
"""Two ordinary nodes, and a third with memory only, as CXL memory appears."""


def vng_arguments(machine: Machine, vmlinuz: Path, shared: Path, guest_shared: str) -> list[str]:
    """The arguments of ``vng``, up to but without the ``--`` before the command.

    ``shared`` is a directory of the host that the guest sees, writable, as ``guest_shared``.
    """
    arguments = ["--run", str(vmlinuz)]
    if not machine.kvm:
        arguments += ["--disable-kvm", f"--qemu-opts=-cpu {_EMULATED_CPU}"]
    # 9p comes with QEMU; the faster virtiofs would need a daemon of its own.
    arguments += ["--force-9p", "--user", "root", f"--rwdir={guest_shared}={shared}"]
    for node in machine.nodes:
        cpus = "".join(
            f",cpus={first}" if first == last else f",cpus={first}-{last}" for first, last in _runs(node.cpus)
        )
        arguments += ["--numa", f"{node.memory_mib}M{cpus}"]
    for source, row in enumerate(machine.distances):
        for target, distance in enumerate(row):
            # All pairs: QEMU mirrors a missing direction only if no pair at all is asymmetric.
            if source != target:
                arguments += ["--numa-distance", f"{source},{target}={distance}"]
    arguments += ["--cpus", str(machine.cpu_count), "--memory", f"{machine.memory_mib}M"]
    for argument in machine.kernel_arguments:
        # With "=", because an argument may itself start with a dash.
        arguments.append(f"--append={argument}")
    return arguments


def _runs(cpus: tuple[int, ...]) -> list[tuple[int, int]]:
    """First and last CPU of each run of neighbours."""
    ordered = sorted(cpus)
    if not ordered:
        return []
    starts = [ordered[0], *(after for before, after in pairwise(ordered) if after != before + 1)]
    ends = [*(before for before, after in pairwise(ordered) if after != before + 1), ordered[-1]]
    return list(zip(starts, ends, strict=True))
