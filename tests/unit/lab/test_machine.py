"""The machine's description becomes exactly these arguments, or is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from numamig.errors import LabError
from numamig.lab.machine import DEFAULT_MACHINE, Machine, MemoryNode, vng_arguments

IMAGE = Path("/kernels/boot/vmlinuz-6.1")
SHARED = Path("/scratch/shared")


def test_default_machine_has_three_nodes_one_without_cpus() -> None:
    assert vng_arguments(DEFAULT_MACHINE, IMAGE, SHARED, "/run/lab") == [
        *("--run", "/kernels/boot/vmlinuz-6.1", "--disable-kvm", "--qemu-opts=-cpu max,avx2=off"),
        *("--force-9p", "--user", "root"),
        "--rwdir=/run/lab=/scratch/shared",
        *("--numa", "512M,cpus=0", "--numa", "512M,cpus=1", "--numa", "512M"),
        *("--numa-distance", "0,1=20", "--numa-distance", "0,2=30"),
        *("--numa-distance", "1,0=20", "--numa-distance", "1,2=25"),
        *("--numa-distance", "2,0=30", "--numa-distance", "2,1=25"),
        *("--cpus", "2", "--memory", "1536M"),
    ]


def test_asymmetric_distances_cpu_runs_kvm_and_kernel_words() -> None:
    machine = Machine(
        nodes=(MemoryNode(256, (0, 1, 3)), MemoryNode(128, (2,))),
        distances=((10, 17), (28, 10)),
        kernel_arguments=("hugepages=4", "-x"),
        kvm=True,
    )
    assert vng_arguments(machine, IMAGE, SHARED, "/run/lab") == [
        *("--run", "/kernels/boot/vmlinuz-6.1", "--force-9p", "--user", "root"),
        "--rwdir=/run/lab=/scratch/shared",
        *("--numa", "256M,cpus=0-1,cpus=3", "--numa", "128M,cpus=2"),
        *("--numa-distance", "0,1=17", "--numa-distance", "1,0=28"),
        *("--cpus", "4", "--memory", "384M"),
        "--append=hugepages=4",
        "--append=-x",
    ]


def test_machine_describes_itself_in_one_line() -> None:
    assert str(DEFAULT_MACHINE) == "3 memory nodes, 2 CPUs, 1536 MiB"


@pytest.mark.parametrize(
    ("nodes", "distances", "complaint"),
    [
        ((MemoryNode(64),), ((10,),), "each CPU from 0 up"),
        ((MemoryNode(64, (0,)), MemoryNode(64, (0,))), ((10, 20), (20, 10)), "each CPU from 0 up"),
        ((MemoryNode(64, (1,)),), ((10,),), "each CPU from 0 up"),
        ((MemoryNode(0, (0,)),), ((10,),), "needs memory"),
        ((MemoryNode(64, (0,)), MemoryNode(64)), ((10, 20),), "2 rows of 2 distances"),
        ((MemoryNode(64, (0,)),), ((11,),), "to itself must be 10"),
        ((MemoryNode(64, (0,)), MemoryNode(64)), ((10, 10), (20, 10)), "from node 0 to 1"),
        ((MemoryNode(64, (0,)), MemoryNode(64)), ((10, 20), (255, 10)), "from node 1 to 0"),
    ],
)
def test_impossible_machines_are_refused(
    nodes: tuple[MemoryNode, ...], distances: tuple[tuple[int, ...], ...], complaint: str
) -> None:
    with pytest.raises(LabError, match=complaint):
        Machine(nodes, distances)
