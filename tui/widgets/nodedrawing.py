"""One node in words and bars: how full it is, how short of memory, and what flows."""

from __future__ import annotations

from dataclasses import dataclass

from numamig.model.nodeset import format_nodeset
from numamig.model.topology import Node
from numamig.units import format_bytes, format_rate
from tui.style.look import Look, Spans, width_of
from tui.style.ramps import meter, spark_rows
from tui.threads.snapshots import NodesSeen
from tui.widgets.traffic import Traffic
from tui.words.present import short_size

__all__ = ["NodeDrawing"]

_PRESSED = 0.9


@dataclass(frozen=True, slots=True)
class NodeDrawing:
    """How the nodes are drawn that were seen."""

    look: Look
    seen: NodesSeen
    traffic: Traffic
    spot: int | None
    """The node in the spotlight."""

    def _share(self, node: Node) -> tuple[float, int]:
        free = self.seen.counters.free_bytes.get(node.id, node.free_bytes)
        used = max(0, node.total_bytes - free)
        return (used / node.total_bytes if node.total_bytes else 0.0), used

    def _short(self, node: Node) -> str:
        """``low``, ``min``: the watermark that its free memory is below; ``""`` where there is enough."""
        counters = self.seen.counters
        if node.id not in counters.watermarks:
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

    def card(self, node: Node, y: int, width: int) -> Spans:
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

    def small_card(self, node: Node, y: int, width: int) -> Spans:
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
        spans: Spans = [(f" {size.replace('.0', '')} ", look.label)]
        if not way:
            return [*spans, (f"<{short}" if short else self._cpus(node), look.plain if short else look.dim)]
        rate = format_rate(rates[-1])
        room = width - width_of(spans) - len(way) - 1
        if room < len(rate) + 2:
            rate = f"{rate.partition('.')[0]}{rate[-3]}" if "." in rate else rate.removesuffix("/s")
        (plot,) = spark_rows(rates, 1, max(rates), look.glyphs)
        plot = plot[-max(0, room - len(rate)) :] if room > len(rate) else ""
        return [*spans, (f"{way} ", look.label), (plot, look.ink(node.id)), (rate, look.plain)]

    def _name(self, node: Node) -> Spans:
        """The letter that it has on the map, and its number where that is another."""
        beyond = self.seen.topology.nodes[-1].id > 9
        number = f"{node.id if node.id > 9 else '':>2} " if beyond else " "
        return [self.look.chip(node.id), (number, self.look.label)]

    def whole(self, node: Node, width: int) -> Spans:
        """All that a card says, in one line."""
        look = self.look
        share, used = self._share(node)
        name = [*self._name(node), (look.fit(self._cpus(node), 15), look.plain)]
        if not node.has_memory:
            return [*name, (" no memory", look.label)]
        short = self._short(node)
        sizes = f" {format_bytes(used)} of {short_size(node.total_bytes)} {f'below {short}' if short else 'used'}"
        way, rates = self.traffic.of(node.id)
        flow: Spans = [(" idle", look.dim)]
        if way:
            (plot,) = spark_rows(rates, 1, max(rates), look.glyphs)
            flow = [(f" {way:<4}", look.label), (f"{plot} ", look.ink(node.id)), (format_rate(rates[-1]), look.plain)]
        bar = max(4, min(24, width - width_of(name) - 7 - 27 - 24))
        return [
            *name,
            *self._bar(node, share, bar),
            (" ", look.plain),
            *self._percent(node, share),
            (look.fit(sizes, 27), look.bold if short else look.label),
            *flow,
        ]

    def tight(self, node: Node, width: int, far: Spans) -> Spans:
        """What there is room for: how full always, as a bar and in bytes where they fit.

        :param far: how far it is from the node in the spotlight
        """
        look = self.look
        share, used = self._share(node)
        spans = self._name(node)
        if not node.has_memory:
            return [*spans, ("no mem", look.label)]
        width -= width_of(far)
        bar = min(9, width - width_of(spans) - 7)
        if bar >= 3:
            spans += [*self._bar(node, share, bar), (" ", look.plain)]
        spans += [*self._percent(node, share), *far]
        width += width_of(far)
        way, rates = self.traffic.of(node.id)
        sizes = f" {format_bytes(used)} of {short_size(node.total_bytes)}"
        flow = f" {way} {format_rate(rates[-1])}" if way else ""
        room = width - width_of(spans)
        said = flow if flow and room < len(sizes) + len(flow) else sizes + flow
        return [*spans, (said, look.plain if flow else look.label)] if len(said) <= room else spans
