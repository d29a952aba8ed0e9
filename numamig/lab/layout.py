"""Machines as they are asked for on the command line: how many nodes, how large, and which have CPUs."""

from __future__ import annotations

import re
from collections.abc import Sequence

from numamig.errors import UsageError
from numamig.lab.machine import DEFAULT_MACHINE, LOCAL_DISTANCE, Machine, MemoryNode
from numamig.units import parse_size

__all__ = ["lay_out"]

_NEAR, _FAR = 20, 30
"""Distances to nodes with CPUs, and to or from nodes of memory only."""
_MOST_NODES = 64
_MOST_CPUS = 255
_LEAST_MIB = 64
_NODE = re.compile(r"([^/]+)(?:/(\d{1,3}))?")
_DISTANCE = re.compile(r"(\d{1,3}),(\d{1,3})=(\d{1,3})")


def lay_out(
    count: int | None,
    memory: str | None,
    cpus: int | None,
    nodes: Sequence[str] = (),
    distances: Sequence[str] = (),
    *,
    kvm: bool = False,
    kernel_arguments: Sequence[str] = (),
) -> Machine:
    """The machine; that of the laboratory's tests where nothing is said.

    :param count: nodes, all of them alike
    :param memory: of each: "512MiB"
    :param cpus: of all nodes together, dealt out one at a time; a node that gets none has memory only
    :param nodes: instead of the three: "1GiB/2" is a node with two CPUs, "2GiB" one of memory only
    :param distances: "0,2=30", in both directions where only one is said
    :raises UsageError: it does not parse, or is no machine that can be booted
    """
    if nodes and (count, memory, cpus) != (None, None, None):
        raise UsageError("--node says all about a node", hint="leave out --nodes, --memory and --cpus, or --node")
    if nodes:
        sizes = [_node(text) for text in nodes]
    else:
        number = len(DEFAULT_MACHINE.nodes) if count is None else count
        each = DEFAULT_MACHINE.nodes[0].memory_mib if memory is None else _mib(memory)
        have = DEFAULT_MACHINE.cpu_count if cpus is None else cpus
        sizes = [(each, have // number + (nth < have % number)) for nth in range(number)]
    if not 1 <= len(sizes) <= _MOST_NODES:
        raise UsageError(f"a machine of {len(sizes)} nodes cannot be booted", hint=f"1 to {_MOST_NODES}")
    total = sum(cpus for _, cpus in sizes)
    if not 1 <= total <= _MOST_CPUS:
        raise UsageError(f"a machine of {total} CPUs cannot be booted", hint=f"1 to {_MOST_CPUS}; a node: 1GiB/2")
    if not sizes[0][1]:
        raise UsageError("node 0 has no CPU to boot on", hint="put a node with CPUs first")
    laid: list[MemoryNode] = []
    first = 0
    for mib, own in sizes:
        laid.append(MemoryNode(mib, tuple(range(first, first + own))))
        first += own
    return Machine(tuple(laid), _distances(laid, distances), tuple(kernel_arguments), kvm)


def _node(text: str) -> tuple[int, int]:
    """MiB and CPUs."""
    match = _NODE.fullmatch(text)
    if match is None:
        raise UsageError(f"node {text!r} does not parse", hint="write 1GiB/2: its memory, and its CPUs if it has any")
    return _mib(match[1]), int(match[2] or 0)


def _mib(text: str) -> int:
    mib = parse_size(text) >> 20
    if mib < _LEAST_MIB:
        raise UsageError(f"{text} is too little memory for a node", hint=f"at least {_LEAST_MIB}MiB")
    return mib


def _distances(nodes: Sequence[MemoryNode], said: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    shape = [bool(node.cpus) for node in nodes]
    if shape == [bool(node.cpus) for node in DEFAULT_MACHINE.nodes]:
        rows = [list(row) for row in DEFAULT_MACHINE.distances]
    else:
        rows = [
            [LOCAL_DISTANCE if a == b else _NEAR if here and there else _FAR for b, there in enumerate(shape)]
            for a, here in enumerate(shape)
        ]
    told: set[tuple[int, int]] = set()
    for text in said:
        match = _DISTANCE.fullmatch(text)
        if match is None:
            raise UsageError(f"distance {text!r} does not parse", hint="write 0,2=30: from, to, and how far")
        source, target, far = map(int, match.groups())
        if max(source, target) >= len(nodes) or source == target or not LOCAL_DISTANCE < far <= 254:
            raise UsageError(
                f"distance {text!r} cannot be", hint=f"of two nodes below {len(nodes)}, from 11 to 254; local is 10"
            )
        told.add((source, target))
        rows[source][target] = far
        if (target, source) not in told:
            rows[target][source] = far
    return tuple(map(tuple, rows))
