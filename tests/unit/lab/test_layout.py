"""What is typed about a machine becomes that machine, or is refused with what to write instead."""

from __future__ import annotations

import pytest

from numamig.errors import UsageError
from numamig.lab.layout import lay_out
from numamig.lab.machine import DEFAULT_MACHINE, MemoryNode


def test_nothing_said_is_the_machine_of_the_tests() -> None:
    assert lay_out(None, None, None) == DEFAULT_MACHINE


def test_cpus_are_dealt_out_and_the_rest_is_memory_only() -> None:
    machine = lay_out(4, "256MiB", 2, kvm=True, kernel_arguments=["quiet"])
    assert machine.nodes == (MemoryNode(256, (0,)), MemoryNode(256, (1,)), MemoryNode(256), MemoryNode(256))
    assert machine.distances == ((10, 20, 30, 30), (20, 10, 30, 30), (30, 30, 10, 30), (30, 30, 30, 10))
    assert (machine.kvm, machine.kernel_arguments) == (True, ("quiet",))
    assert [node.cpus for node in lay_out(2, None, 5).nodes] == [(0, 1, 2), (3, 4)]
    assert lay_out(1, None, 1).distances == ((10,),)


def test_nodes_that_are_not_alike() -> None:
    machine = lay_out(None, None, None, ["1GiB/2", "512M/1", "2GiB"])
    assert machine.nodes == (MemoryNode(1024, (0, 1)), MemoryNode(512, (2,)), MemoryNode(2048))
    assert machine.distances == DEFAULT_MACHINE.distances


def test_a_distance_is_for_both_ways_unless_both_are_said() -> None:
    rows = lay_out(3, None, 2, distances=["0,1=15", "0,2=40", "2,0=50"]).distances
    assert rows == ((10, 15, 40), (15, 10, 25), (50, 25, 10))
    assert lay_out(3, None, 2, distances=["2,0=50", "0,2=40"]).distances[2][0] == 50


@pytest.mark.parametrize(
    ("count", "memory", "cpus", "nodes", "distances", "words"),
    [
        (3, None, None, ["1GiB"], [], "--node says all about a node"),
        (None, None, None, ["1GiB/"], [], "does not parse"),
        (None, None, None, ["/2"], [], "does not parse"),
        (None, None, None, ["much/2"], [], "is not a size"),
        (None, "1MiB", None, [], [], "too little memory"),
        (65, None, None, [], [], "65 nodes"),
        (None, None, 256, [], [], "256 CPUs"),
        (None, None, None, ["1GiB"], [], "0 CPUs"),
        (None, None, None, ["1GiB", "1GiB/2"], [], "node 0 has no CPU"),
        (None, None, None, [], ["0,2"], "does not parse"),
        (None, None, None, [], ["0,3=20"], "cannot be"),
        (None, None, None, [], ["1,1=20"], "cannot be"),
        (None, None, None, [], ["0,1=10"], "cannot be"),
        (None, None, None, [], ["0,1=255"], "cannot be"),
    ],
)
def test_what_cannot_be_booted_is_refused(
    count: int | None, memory: str | None, cpus: int | None, nodes: list[str], distances: list[str], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        lay_out(count, memory, cpus, nodes, distances)
