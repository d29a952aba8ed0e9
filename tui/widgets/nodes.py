"""The node cards: how full each node is, what flows in and out of it, and how far it is from the others."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from textual import events
from textual.message import Message

from numamig.migrate.snapshot import JobSnapshot
from numamig.model.nodeset import format_nodeset
from numamig.model.topology import Node
from numamig.units import format_bytes, format_rate
from tui.style.look import Look, Spans, width_of
from tui.style.ramps import meter, spark_rows
from tui.threads.snapshots import NodesSeen
from tui.widgets.pane import Lines
from tui.words.present import short_size

__all__ = ["NodeCards", "Traffic"]

_PRESSED = 0.9
_CARDS = 4
"""Up to so many nodes have a card of several lines; more have a line each."""
_CARD = 24
_LEAST_CARD = 19
"""Narrower ones are no use beside the distances."""
_SAMPLES = 8
_LINES = 4


class Traffic:
    """Bytes that jobs moved into and out of each node, per second of the machine's clock."""

    def __init__(self) -> None:
        self.rates: deque[dict[tuple[int, str], float]] = deque(maxlen=_SAMPLES)
        self._moved: dict[tuple[int, str], int] = {}
        self._busy_ns = 0
        self._sampled_s = float("-inf")

    def sample(self, jobs: Iterable[JobSnapshot], now_s: float) -> bool:
        """Twice a second, what has changed since; whether there is anything new to draw."""
        if now_s - self._sampled_s < 0.5:
            return False
        quiet = not any(self.rates)
        moved: dict[tuple[int, str], int] = {}
        busy_ns = 0
        for job in jobs:
            busy_ns += job.busy_ns
            for (source, target), pages in job.moved.items():
                for key in ((source, "out"), (target, "in")):
                    moved[key] = moved.get(key, 0) + pages * job.plan.page_size
        elapsed_ns = busy_ns - self._busy_ns
        grown = (
            {key: (count - self._moved.get(key, 0)) * 1e9 / elapsed_ns for key, count in moved.items()}
            if elapsed_ns > 0
            else {}
        )
        self.rates.append(grown)
        self._moved, self._busy_ns, self._sampled_s = moved, busy_ns, now_s
        return bool(grown) or not quiet

    def of(self, node: int) -> tuple[str, list[float]]:
        """Which way most of it flows, and the latest rates; nothing where all is quiet."""
        both = {way: [rates.get((node, way), 0.0) for rates in self.rates] for way in ("in", "out")}
        way = max(both, key=lambda w: sum(both[w]))
        return (way, both[way]) if sum(both[way]) else ("", [])


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

    def show(self, seen: NodesSeen | None, jobs: Iterable[JobSnapshot], now_s: float) -> None:
        before, self.seen = self.seen, seen
        if self.traffic.sample(jobs, now_s) or _drawn(before) != _drawn(seen):
            self.refresh()

    def show_spot(self, spot: int | None) -> None:
        """Only this node in colour."""
        self.spot = spot
        self.refresh()

    def wanted_lines(self, width: int) -> int:
        """Height for what there is to show."""
        count = len(self.seen.topology.nodes) if self.seen is not None else 0
        if count > _CARDS:
            return min(6, -(-count // self._columns(width)))
        return 2 if self.small else _LINES

    def _columns(self, width: int) -> int:
        return max(1, width // 38)

    def on_click(self, event: events.Click) -> None:
        node = self._node_at(event.x, event.y, self.size.width)
        if node is not None:
            self.post_message(self.Pressed(node))

    def _node_at(self, x: int, y: int, width: int) -> int | None:
        nodes = self.seen.topology.nodes if self.seen is not None else ()
        if not nodes:
            return None
        if len(nodes) > _CARDS:
            columns = self._columns(width)
            at = y * columns + min(columns - 1, x // (width // columns))
        else:
            at = x // self._card_width(nodes, width)
        return nodes[at].id if at < len(nodes) else None

    def _card_width(self, nodes: tuple[Node, ...], width: int) -> int:
        """Cells of a card; the distances give way where it would be too narrow."""
        if self.small:
            return max(1, width // len(nodes))
        card = min(_CARD, (width - self._matrix_width(nodes)) // len(nodes))
        return card if card >= _LEAST_CARD else min(_CARD, width // len(nodes))

    def line(self, y: int, width: int) -> Spans:
        if self.seen is None:
            return [(" looking", self.look.label)] if y == 0 else []
        nodes = self.seen.topology.nodes
        if len(nodes) > _CARDS:
            return self._compact(nodes, y, width)
        if not nodes:
            return []
        card, matrix = self._card_width(nodes, width), self._matrix_width(nodes)
        spans = self._cards(nodes, y, card)
        if self.small or width - card * len(nodes) < matrix:
            return spans
        return [*spans, (" " * (width - width_of(spans) - matrix), self.look.plain), *self._matrix(nodes, y)]

    def _cards(self, nodes: tuple[Node, ...], y: int, card: int) -> Spans:
        spans: Spans = []
        for node in nodes:
            part = self._small_card(node, y, card - 1) if self.small else self._card(node, y, card - 1)
            spans += [*self.look.cut(part, card - 1), (" ", self.look.plain)]
        return spans

    def _share(self, node: Node) -> tuple[float, int]:
        free = self.seen.counters.free_bytes.get(node.id, node.free_bytes) if self.seen is not None else node.free_bytes
        used = max(0, node.total_bytes - free)
        return (used / node.total_bytes if node.total_bytes else 0.0), used

    def _short(self, node: Node) -> str:
        """``low``, ``min``: the watermark that its free memory is below; ``""`` where there is enough."""
        counters = self.seen.counters if self.seen is not None else None
        if counters is None or node.id not in counters.watermarks:
            return ""
        return counters.watermarks[node.id].crossed(counters.free_bytes.get(node.id, node.free_bytes))

    def _bar(self, node: Node, share: float, cells: int) -> Spans:
        bar, rest = meter(share, cells, self.look.glyphs)
        aside = self.spot is not None and self.spot != node.id
        return [(bar, self.look.dim if aside else self.look.ink(node.id)), (rest, self.look.dim)]

    def _percent(self, node: Node, share: float) -> Spans:
        """One mark where little is free; two where the kernel has begun to reclaim."""
        mark = self.look.glyphs.pressure
        marks = mark * 2 if self._short(node) else f" {mark}" if share >= _PRESSED else "  "
        return [
            (f"{share * 100:>3.0f}%", self.look.bold if marks.strip() else self.look.plain),
            (marks, self.look.bold),
        ]

    def _cpus(self, node: Node) -> str:
        return f"cpu {format_nodeset(node.cpus)}" if node.cpus else "no cpu"

    def _card(self, node: Node, y: int, width: int) -> Spans:
        look = self.look
        share, used = self._share(node)
        if y == 0:
            return [look.chip(node.id), (f" {self._cpus(node)}  ", look.plain), (look.shown(node.label), look.label)]
        if not node.has_memory:
            return [(" no memory", look.label)] if y == 1 else []
        if y == 1:
            return [*self._bar(node, share, width - 7), (" ", look.plain), *self._percent(node, share)]
        if y == 2:
            sizes = f"{format_bytes(used)} of {short_size(node.total_bytes)}"
            short = self._short(node)
            return [
                (f"{sizes} ", look.label),
                (f"below {short}" if short else "used", look.bold if short else look.label),
            ]
        way, rates = self.traffic.of(node.id)
        if not way:
            return [("idle", look.dim)]
        (plot,) = spark_rows(rates, 1, max(rates), look.glyphs)
        return [(f"{way:<4}", look.label), (f"{plot} ", look.ink(node.id)), (format_rate(rates[-1]), look.plain)]

    def _small_card(self, node: Node, y: int, width: int) -> Spans:
        look = self.look
        share, used = self._share(node)
        if y == 0:
            return [look.chip(node.id), *self._bar(node, share, max(2, width - 9)), *self._percent(node, share)]
        way, rates = self.traffic.of(node.id)
        size = (
            f"{used / (1 << 30):.0f}/{short_size(node.total_bytes)}"
            if node.total_bytes >= 4 << 30
            else (f"{used >> 20}/{short_size(node.total_bytes)}")
        )
        short = self._short(node)
        flow = f"{way} {format_rate(rates[-1])}" if way else f"<{short}" if short else self._cpus(node)
        return [(f" {size.replace('.0', '')} ", look.label), (flow, look.plain if way or short else look.dim)]

    def _compact(self, nodes: tuple[Node, ...], y: int, width: int) -> Spans:
        columns, lines = self._columns(width), self.size.height
        spans: Spans = []
        cell = width // columns
        for column in range(columns):
            at = y * columns + column
            if at >= len(nodes):
                break
            hidden = len(nodes) - columns * lines
            if hidden > 0 and y == lines - 1 and column == columns - 1:
                spans.append((f"and {hidden + 1} more nodes", self.look.label))
                break
            share, used = self._share(nodes[at])
            part = [self.look.chip(nodes[at].id), *self._bar(nodes[at], share, 9), *self._percent(nodes[at], share),
                    (f" {format_bytes(used)} of {format_bytes(nodes[at].total_bytes)}", self.look.label)]  # fmt: skip
            spans += [*self.look.cut(part, cell - 1), (" ", self.look.plain)]
        return spans

    def _matrix_width(self, nodes: tuple[Node, ...]) -> int:
        return 11 + 3 * len(nodes)

    def _kernel_acts(self, lines: int) -> list[str]:
        """What the kernel moves pages for by itself, in so many lines."""
        if self.seen is None:
            return []
        switches = self.seen.counters.switches
        acts = [act for act, on in (("balancing", switches.balancing), ("demotion", switches.demotion)) if on]
        return [", ".join(acts)] if len(acts) > lines else [f"{act} on" for act in acts]

    def _matrix(self, nodes: tuple[Node, ...], y: int) -> Spans:
        if self.seen is None:
            return []
        if y >= len(nodes):
            acts = self._kernel_acts(_LINES - len(nodes))[y - len(nodes) :]
            return [(acts[0], self.look.label)] if acts else []
        here = nodes[y].id
        spans: Spans = [("distance " if y == 0 else " " * 9, self.look.label), (f"{here} ", self.look.ink(here))]
        longest = max(self.seen.topology.distances.values(), default=0)
        for node in nodes:
            distance = self.seen.topology.distances.get((here, node.id))
            text = f"{distance if distance is not None else '-':>3}"
            spans.append((text, self.look.bold if distance == longest else self.look.label))
        return spans


def _drawn(seen: NodesSeen | None) -> object:
    """What a picture of the nodes is made from, the jobs aside."""
    return None if seen is None else (seen.counters.free_bytes, seen.counters.watermarks, seen.counters.switches)
