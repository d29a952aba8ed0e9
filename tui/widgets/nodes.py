"""The node cards: how full each node is, what flows in and out of it, and how far it is from the others."""

from __future__ import annotations

from collections.abc import Iterable

from textual import events
from textual.message import Message

from numamig.migrate.snapshot import JobSnapshot
from numamig.model.topology import Node, Topology
from tui.style.look import Look, Spans, width_of
from tui.threads.snapshots import NodesSeen
from tui.widgets.distances import Distances, distances
from tui.widgets.nodedrawing import NodeDrawing
from tui.widgets.pane import Lines
from tui.widgets.traffic import Traffic

__all__ = ["NodeCards"]

_CARDS = 4
"""Up to so many nodes have a card of several lines; more have a line each."""
_CARD = 24
_LEAST_CARD = 19
"""Narrower ones are no use beside the distances."""
_LINES = 4
_MOST_LINES = 6
"""For nodes in columns."""
_WHOLE = 76
"""Cells for all that a card says in one line."""
_LEAST = 16
"""The narrowest that a node has among many."""


class NodeCards(Lines):
    """Four lines with cards side by side, two in a small terminal, or a line for each of many nodes."""

    class Pressed(Message):
        """A card was clicked."""

        def __init__(self, node: int) -> None:
            super().__init__()
            self.node = node

    def __init__(self, look: Look) -> None:
        super().__init__(look, name="nodes")
        self.seen: NodesSeen | None = None
        self.traffic = Traffic()
        self.spot: int | None = None
        self.small = False
        self._top = 0
        """Lines above, where there are more nodes than room."""
        self._measured: Topology | None = None
        self._far = Distances((), (), ())

    def show(self, seen: NodesSeen | None, jobs: Iterable[JobSnapshot], now_s: float) -> None:
        before, self.seen = self.seen, seen
        if self.traffic.sample(jobs, now_s) or _drawn(before) != _drawn(seen):
            self.refresh()

    def show_spot(self, spot: int | None) -> None:
        """Only this node in colour; among many it is brought into view."""
        self.spot = spot
        ids = [node.id for node in self.seen.topology.nodes] if self.seen is not None else []
        if spot in ids:
            columns, slots = self._slots
            at = ids.index(spot)
            if not self._top * columns <= at < self._top * columns + slots:
                self._scroll(at // columns)
        self.refresh()

    def wanted_lines(self, width: int, height: int) -> int:
        """Lines for what there is to show, on a screen of so many cells."""
        count = len(self.seen.topology.nodes) if self.seen is not None else 0
        if count <= _CARDS:
            return 2 if self.small else _LINES
        most = min(_MOST_LINES, height // 4)
        if not self.small and count <= height // 5 and width - self._distances.width >= _WHOLE:
            return count
        return min(most, -(-count // self._columns(count, most, width)))

    def _columns(self, count: int, lines: int, width: int) -> int:
        """As few as all nodes fit with, so that each has room; where they do not, as many as can be read."""
        return max(1, min(width // _LEAST, -(-count // max(1, lines))))

    @property
    def _slots(self) -> tuple[int, int]:
        """How many columns, and how many nodes are in view: the last place may say what is not."""
        count = len(self.seen.topology.nodes) if self.seen is not None else 0
        lines = max(1, self.size.height)
        columns = self._columns(count, lines, self.size.width)
        return columns, columns * lines - (count > columns * lines)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._scroll(self._top + 1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._scroll(self._top - 1)

    def _scroll(self, top: int) -> None:
        """So many lines are above."""
        columns, slots = self._slots
        count = len(self.seen.topology.nodes) if self.seen is not None else 0
        top = max(0, min(-(-(count - slots) // columns), top)) if count > _CARDS else 0
        if top != self._top:
            self._top = top
            self.refresh()

    def on_click(self, event: events.Click) -> None:
        node = self._node_at(event.x, event.y, self.size.width)
        if node is not None:
            self.post_message(self.Pressed(node))

    def _node_at(self, x: int, y: int, width: int) -> int | None:
        nodes = self.seen.topology.nodes if self.seen is not None else ()
        if not nodes:
            return None
        if len(nodes) > _CARDS:
            columns, slots = self._slots
            at = y * columns + min(columns - 1, x // (width // columns))
            if at >= slots:
                return None
            at += self._top * columns
        else:
            at = x // self._card_width(nodes, width)
        return nodes[at].id if at < len(nodes) else None

    def _card_width(self, nodes: tuple[Node, ...], width: int) -> int:
        """Cells of a card; the distances give way where it would be too narrow."""
        if self.small:
            return max(1, width // len(nodes))
        card = min(_CARD, (width - self._distances.width) // len(nodes))
        return card if card >= _LEAST_CARD else min(_CARD, width // len(nodes))

    def line(self, y: int, width: int) -> Spans:
        if self.seen is None:
            return [(f" {self.waiting}", self.look.label)] if y == 0 else []
        nodes = self.seen.topology.nodes
        if len(nodes) > _CARDS:
            return self._compact(self.seen, y, width)
        if not nodes:
            return []
        card, matrix = self._card_width(nodes, width), self._distances.width
        spans = self._cards(self.seen, y, card)
        if self.small or width - card * len(nodes) < matrix:
            return spans
        return [*spans, (" " * (width - width_of(spans) - matrix), self.look.plain), *self._matrix(y)]

    def _cards(self, seen: NodesSeen, y: int, card: int) -> Spans:
        spans: Spans = []
        draw = NodeDrawing(self.look, seen, self.traffic, self.spot)
        for node in seen.topology.nodes:
            part = draw.small_card(node, y, card - 1) if self.small else draw.card(node, y, card - 1)
            spans += [*self.look.cut(part, card - 1), (" ", self.look.plain)]
        return spans

    def _compact(self, seen: NodesSeen, y: int, width: int) -> Spans:
        """A line for each node with its distances, or several nodes in a line."""
        columns, slots = self._slots
        matrix, nodes = self._distances.width, seen.topology.nodes
        draw = NodeDrawing(self.look, seen, self.traffic, self.spot)
        if columns == 1 and not self.small and width - matrix >= _WHOLE:
            if y >= len(nodes):
                return []
            left = self.look.cut(draw.whole(nodes[y], width - matrix), width - matrix)
            return [*left, *self._distances.row(y, self.look)]
        spans: Spans = []
        cell = width // columns
        first = self._top * columns
        for at in range(y * columns, min((y + 1) * columns, slots + 1)):
            if at == slots and len(nodes) > slots:
                last = min(len(nodes), first + slots)
                more = f"{first + 1}-{last} of {len(nodes)}" if first else f"+{len(nodes) - slots} more"
                spans.append((f" {more}", self.look.label))
            elif at < slots and first + at < len(nodes):
                far = self._far_from_spot(first + at)
                part = draw.tight(nodes[first + at], cell - 1, far)
                spans += [*self.look.cut(part, cell - 1), (" ", self.look.plain)]
        return spans

    def _far_from_spot(self, at: int) -> Spans:
        """There is no room for the distances of many nodes; from the one in the spotlight there is."""
        far = self._distances
        return [far.span(far.nodes.index(self.spot), at, self.look)] if self.spot in far.nodes else []

    @property
    def _distances(self) -> Distances:
        """Of the machine that was seen last."""
        topology = self.seen.topology if self.seen is not None else None
        if topology is not self._measured:
            self._measured = topology
            self._far = distances(topology) if topology is not None else Distances((), (), ())
        return self._far

    def _kernel_acts(self, lines: int) -> list[str]:
        """What the kernel moves pages for by itself, in so many lines."""
        if self.seen is None:
            return []
        switches = self.seen.counters.switches
        acts = [act for act, on in (("balancing", switches.balancing), ("demotion", switches.demotion)) if on]
        return [", ".join(acts)] if len(acts) > lines else [f"{act} on" for act in acts]

    def _matrix(self, y: int) -> Spans:
        far = self._distances
        if y < len(far.nodes):
            return far.row(y, self.look)
        acts = self._kernel_acts(_LINES - len(far.nodes))[y - len(far.nodes) :]
        return [(acts[0], self.look.label)] if acts else []


def _drawn(seen: NodesSeen | None) -> object:
    """What a picture of the nodes is made from, the jobs aside."""
    return None if seen is None else (seen.counters.free_bytes, seen.counters.watermarks, seen.counters.switches)
