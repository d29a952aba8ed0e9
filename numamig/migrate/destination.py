"""Where pages go: to a node, to several in turn, from each node to another, or to where the process runs.

A destination names the target of a page from its address, its size and the node that it is on, and from nothing else:
so a page that is where it should be stays, and a job that is done again finds nothing to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numamig.errors import UsageError
from numamig.model.topology import Topology

__all__ = [
    "Destination",
    "FollowCpus",
    "Interleave",
    "Node",
    "NodeMap",
    "destination_from",
    "interleave",
    "node_by_node",
    "parse_node_map",
    "parse_weights",
    "resolved",
]

_MOST_WEIGHT = 255
"""Source: mm/mempolicy.c, weights of MPOL_WEIGHTED_INTERLEAVE."""


@dataclass(frozen=True, slots=True)
class Node:
    """All to one node."""

    node: int

    def __str__(self) -> str:
        return str(self.node)

    @property
    def words(self) -> str:
        """For a sentence: where pages go."""
        return f"to node {self}"

    @property
    def nodes(self) -> tuple[int, ...]:
        """That receive pages, ascending."""
        return (self.node,)

    def targets(
        self, address: NDArray[np.uint64], size_bytes: NDArray[np.int64], node: NDArray[np.int16]
    ) -> NDArray[np.int32]:
        """Where folios go; -1: nowhere. All arrays have shape (folios,).

        :param node: where they are
        """
        return np.full(len(address), self.node, np.int32)

    def as_dict(self) -> dict[str, Any]:
        return {"node": self.node}


@dataclass(frozen=True, slots=True)
class Interleave:
    """Over several nodes in turn, by address, in units of a folio; as MPOL_INTERLEAVE and MPOL_WEIGHTED_INTERLEAVE."""

    nodes: tuple[int, ...]
    """Ascending."""
    weights: tuple[int, ...] = ()
    """Units in a row for each of them, 1 to 255; left out: one each."""
    unit_bytes: int = 0
    """Of smaller pages, so many side by side go to one node: no folio that cannot be seen is torn apart."""

    def __str__(self) -> str:
        if not self.weights:
            return f"{','.join(map(str, self.nodes))} in turn"
        return (
            ", ".join(f"{node} ×{weight}" for node, weight in zip(self.nodes, self.weights, strict=True)) + " in turn"
        )

    @property
    def words(self) -> str:
        """For a sentence: where pages go."""
        return f"over nodes {self}"

    def targets(
        self, address: NDArray[np.uint64], size_bytes: NDArray[np.int64], node: NDArray[np.int16]
    ) -> NDArray[np.int32]:
        """As ``Node.targets``."""
        turn = np.repeat(np.array(self.nodes, np.int32), self.weights or 1)
        unit = np.maximum(size_bytes, max(self.unit_bytes, 1)).view(np.uint64)
        place = (address // unit) % np.uint64(len(turn))
        found: NDArray[np.int32] = turn[place.astype(np.intp)]
        return found

    def as_dict(self) -> dict[str, Any]:
        if not self.weights:
            return {"interleave": list(self.nodes), "unit_bytes": self.unit_bytes}
        weights = {str(node): weight for node, weight in zip(self.nodes, self.weights, strict=True)}
        return {"weights": weights, "unit_bytes": self.unit_bytes}


@dataclass(frozen=True, slots=True)
class NodeMap:
    """From each node to another, as migrate_pages(2) and a cpuset that changes do; two nodes can be swapped."""

    pairs: tuple[tuple[int, int], ...]
    """(from, to), ascending, each "from" once. Pages on other nodes stay, and those on a node that is not known."""

    def __str__(self) -> str:
        return ", ".join(f"{source}→{target}" for source, target in self.pairs) or "nowhere"

    @property
    def words(self) -> str:
        """For a sentence: where pages go."""
        return f"from node {self}"

    @property
    def nodes(self) -> tuple[int, ...]:
        return tuple(sorted({target for _, target in self.pairs}))

    def targets(
        self, address: NDArray[np.uint64], size_bytes: NDArray[np.int64], node: NDArray[np.int16]
    ) -> NDArray[np.int32]:
        """As ``Node.targets``."""
        found = np.full(len(address), -1, np.int32)
        for source, target in self.pairs:
            found[node == source] = target
        return found

    def as_dict(self) -> dict[str, Any]:
        return {"map": {str(source): target for source, target in self.pairs}}


@dataclass(frozen=True, slots=True)
class FollowCpus:
    """From every node on which no thread of the process runs to the nearest on which one does, when it is planned."""

    def __str__(self) -> str:
        return "its CPUs"

    @property
    def words(self) -> str:
        """For a sentence: where pages go."""
        return "to its CPUs"

    @property
    def nodes(self) -> tuple[int, ...]:
        """None: which they are is not settled yet."""
        return ()

    def targets(
        self, address: NDArray[np.uint64], size_bytes: NDArray[np.int64], node: NDArray[np.int16]
    ) -> NDArray[np.int32]:
        """As ``Node.targets``: nowhere."""
        return np.full(len(address), -1, np.int32)

    def as_dict(self) -> dict[str, Any]:
        return {"follow": "cpus"}


Destination = Node | Interleave | NodeMap | FollowCpus


def resolved(to: Destination, cpu_nodes: Sequence[int], topology: Topology) -> Node | Interleave | NodeMap:
    """The same with everything settled that depends on the machine and the process.

    :param cpu_nodes: on which its threads run
    :raises UsageError: it is to follow its CPUs, and these are not known.
    """
    if isinstance(to, Interleave):
        return replace(to, unit_bytes=max(to.unit_bytes, *topology.folio_sizes)) if topology.folio_sizes else to
    if not isinstance(to, FollowCpus):
        return to
    memory = topology.memory_nodes
    if not cpu_nodes:
        raise UsageError("it is not known where the process runs", hint="name a node: --to 1")
    near = {min(memory, key=lambda node: (topology.distance(cpu, node), node)) for cpu in cpu_nodes}
    return NodeMap(
        tuple(
            (node, min(near, key=lambda home: (topology.distance(node, home), home)))
            for node in sorted(memory)
            if node not in near
        )
    )


def destination_from(said: Mapping[str, Any]) -> Destination:
    """What ``as_dict`` said."""
    if "node" in said:
        return Node(int(said["node"]))
    if "interleave" in said:
        return Interleave(tuple(said["interleave"]), unit_bytes=int(said["unit_bytes"]))
    if "weights" in said:
        return interleave({int(node): int(w) for node, w in said["weights"].items()}, int(said["unit_bytes"]))
    if "map" in said:
        return NodeMap(tuple(sorted((int(source), int(target)) for source, target in said["map"].items())))
    return FollowCpus()


def interleave(weights: Mapping[int, int], unit_bytes: int = 0) -> Interleave:
    """By weights of nodes, in their order."""
    nodes = tuple(sorted(weights))
    return Interleave(nodes, tuple(weights[node] for node in nodes), unit_bytes)


def parse_weights(text: str) -> Interleave:
    """``"1:3,2:1"``: three units to node 1, then one to node 2.

    :raises UsageError: it does not parse.
    """
    pairs = _pairs(text, "weights", "node:weight, like 1:3,2:1")
    for node, weight in pairs:
        if not 1 <= weight <= _MOST_WEIGHT:
            raise UsageError(f"weight {weight} of node {node} is out of range", hint=f"1 to {_MOST_WEIGHT}", node=node)
    return interleave(dict(pairs))


def parse_node_map(text: str) -> NodeMap:
    """``"0:2,1:3"``: from node 0 to 2, from 1 to 3.

    :raises UsageError: it does not parse.
    """
    pairs = _pairs(text, "node map", "from:to, like 0:2,1:3")
    for source, target in pairs:
        if source == target:
            raise UsageError(f"from and to are the same node {source}", hint="leave it out: it stays", node=source)
    return NodeMap(tuple(sorted(pairs)))


def node_by_node(sources: Sequence[int], targets: Sequence[int]) -> Node | NodeMap:
    """As migrate_pages(2) does: from the first of some nodes to the first of others, and so on, beginning anew.

    Where they are not of the same number, what is on one of the targets stays.
    Source: do_migrate_pages() of mm/mempolicy.c, bitmap_bitremap() of lib/bitmap.c.
    """
    targets = sorted(targets)
    if len(targets) == 1:
        return Node(targets[0])
    pairs = [(source, targets[n % len(targets)]) for n, source in enumerate(sorted(sources))]
    alike = len(pairs) == len(targets)
    return NodeMap(tuple((s, t) for s, t in pairs if s != t and (alike or s not in targets)))


def _pairs(text: str, what: str, form: str) -> list[tuple[int, int]]:
    pairs: dict[int, int] = {}
    for part in text.split(","):
        first, colon, second = (word.strip() for word in part.partition(":"))
        if not (colon and part.isascii() and first.isdecimal() and second.isdecimal() and len(part) < 20):
            raise UsageError(f"{what} {text!r} does not parse", hint=f"write {form}")
        if int(first) in pairs:
            raise UsageError(f"{what} {text!r} names node {first} twice", hint=f"write {form}")
        pairs[int(first)] = int(second)
    return list(pairs.items())
