"""How far nodes are from each other, as a heat map in greys: the farthest stands out, colour stays with nodes."""

from __future__ import annotations

from dataclasses import dataclass

from numamig.model.topology import Topology
from tui.style.look import Look, Span, Spans

__all__ = ["Distances", "distances"]


@dataclass(frozen=True, slots=True)
class Distances:
    """A matrix, made ready for drawing: a row for each node that pages leave, a column for each they go to."""

    nodes: tuple[int, ...]
    texts: tuple[tuple[str, ...], ...]
    shares: tuple[tuple[float, ...], ...]
    """Rank of the distance among all there are: 0 to itself, 1 for the farthest, -1 where it is not known."""

    @property
    def cell(self) -> int:
        """Cells that a distance takes, a blank before it included."""
        return max((len(text) for row in self.texts for text in row), default=2) + 1

    @property
    def width(self) -> int:
        """Cells that a row takes, with what stands before it."""
        return 9 + self._name + len(self.nodes) * self.cell

    @property
    def _name(self) -> int:
        return max((len(str(node)) for node in self.nodes), default=1) + 1

    def row(self, y: int, look: Look) -> Spans:
        """Line ``y``: from which node, and how far it is to each."""
        here = self.nodes[y]
        head = "distance " if y == 0 else " " * 9
        spans: Spans = [(head, look.label), (f"{here:>{self._name - 1}} ", look.ink(here))]
        return spans + [self.span(y, x, look) for x in range(len(self.nodes))]

    def span(self, y: int, x: int, look: Look) -> Span:
        """From the ``y``-th node to the ``x``-th."""
        step, style = look.far(self.shares[y][x])
        return f"{step}{self.texts[y][x]:>{self.cell - 1}}", style


def distances(topology: Topology) -> Distances:
    """As the firmware tells them (SLIT: 10 is the node itself). Ranks, not ratios: 21 and 24 are to be told apart."""
    nodes = tuple(node.id for node in topology.nodes)
    known = topology.distances
    ranks = {far: at for at, far in enumerate(sorted({d for (a, b), d in known.items() if a != b}), 1)}

    def share(a: int, b: int) -> float:
        if (a, b) not in known:
            return -1.0
        if a == b:
            return 0.0
        return ranks[known[a, b]] / len(ranks) if len(ranks) > 1 else 0.5  # all alike: none of them stands out

    return Distances(
        nodes,
        tuple(tuple(str(known.get((a, b), "-")) for b in nodes) for a in nodes),
        tuple(tuple(share(a, b) for b in nodes) for a in nodes),
    )
