"""The regions of the process that is selected: kind, size, and where the pages of each are."""

from __future__ import annotations

from numamig.model.process import Region
from numamig.observe.placement import Placement
from tui.plans.choice import Marks
from tui.style.look import Look, Spans
from tui.style.ramps import apportion
from tui.threads.snapshots import ProcessSeen, RegionsSeen, Standing
from tui.widgets.pane import Table
from tui.words.present import estimated_share, region_label, remote_text, size_text

__all__ = ["RegionTable"]

_NOTHING = 1 << 20
"""Stands for pages that are not present, behind all nodes."""


class RegionTable(Table[int]):
    """Keys are start addresses."""

    def __init__(self, look: Look, marks: Marks) -> None:
        super().__init__(look, name="regions")
        self.marks = marks
        self.process: ProcessSeen | None = None
        self.seen: RegionsSeen | None = None
        self.spot: int | None = None
        self.filter = ""
        self._rows: dict[int, tuple[Region, Placement | None]] = {}
        self._about: object = None
        """What else the drawing depends on; nothing is drawn anew while it stays."""

    def show(self, process: ProcessSeen | None, seen: RegionsSeen | None) -> None:
        if seen is not None and (process is None or seen.identity != process.identity):
            seen = None
        other = (process.identity if process else None) != (self.process.identity if self.process else None)
        self.process, self.seen = process, seen
        regions = seen.regions if seen is not None else ()
        placements = seen.placements if seen is not None else None
        rows = {r.start: (r, placements[i] if placements is not None else None) for i, r in enumerate(regions)}
        about = (process.home if process is not None else None, seen is None, seen.problem if seen is not None else "")
        if other or rows != self._rows or about != self._about:
            self._rows, self._about = rows, about
            self.refresh()
        if other:
            self.cursor, self._top = None, 0
        self._apply()

    def set_filter(self, text: str) -> None:
        self.filter = text.strip()
        self.refresh()
        self._apply()
        self._reveal()

    def _apply(self) -> None:
        wanted = self.filter.lower()
        keys = [
            start
            for start, (region, _) in self._rows.items()
            if not wanted or any(wanted in text for text in (region.path.lower(), region.kind.value, f"{start:x}"))
        ]
        self.set_keys(keys)

    @property
    def selected(self) -> Region | None:
        return self._rows[self.cursor][0] if self.cursor in self._rows and self.cursor is not None else None

    @property
    def marked(self) -> tuple[Region, ...]:
        """Marked regions of the selected process, ascending."""
        marked = self.marks.of(self.process.identity if self.process is not None else None)
        return tuple(region for start, (region, _) in self._rows.items() if start in marked)

    # Drawing

    def title(self, width: int) -> Spans:
        left = self.named("Regions")
        if self.process is not None:
            name = self.look.shown(self.process.process.name)
            left.append((f"  of {name} {self.process.process.pid}", self.look.label))
        marked = self.marked
        if self.filter:
            right = f"/{self.look.shown(self.filter)}  {len(self.keys)} of {len(self._rows)}"
        elif marked:
            right = f"{len(marked)} marked  {size_text(sum(r.size_bytes for r in marked))}"
        else:
            right = f"{len(self.keys)}" if self.keys else ""
        return self.both_ends(left, [(right, self.look.label)], width)

    def _widths(self, width: int) -> tuple[int, int, int]:
        """Of label, permissions and bar."""
        room = width - 29
        permissions = 5 if room >= 40 else 0
        room -= permissions
        bar = max(6, min(32, room * 2 // 5))
        return max(4, room - bar), permissions, bar

    def columns(self, width: int) -> Spans:
        label, permissions, bar = self._widths(width)
        fit = self.look.fit
        text = (
            " " + fit("address", 13) + fit("what", label) + fit("may", permissions) + fit("size", 6, right=True)
            + "  " + fit("by node", bar) + fit("rem", 7, right=True)
        )  # fmt: skip
        return [(text, self.look.label)]

    def row(self, key: int, width: int) -> Spans:
        look = self.look
        region, placement = self._rows[key]
        label, permissions, bar = self._widths(width)
        identity = self.process.identity if self.process is not None else None
        home = self.process.home if self.process is not None else ()
        remote = placement.remote_bytes(home) if placement is not None else None
        total = placement.total_bytes if placement is not None else 0
        much = remote is not None and total > 0 and remote > total / 4
        spans: Spans = [
            (look.glyphs.mark if key in self.marks.of(identity) else " ", look.bold),
            (f"{region.start:012x} ", look.dim),
            (
                look.fit(region_label(region, only_ascii=look.ascii), label - 1) + " ",
                look.bold if key == self.cursor else look.plain,
            ),
        ]
        if permissions:
            spans.append((look.fit(look.shown(region.permissions), permissions), look.dim))
        spans.append((look.fit(size_text(region.size_bytes), 6, right=True) + "  ", look.plain))
        spans += self._bar(region, placement, home, bar)
        share = remote_text(remote, total) if total else ""
        if placement is not None and placement.estimated and total:
            share = estimated_share(remote, total, placement.error, only_ascii=look.ascii)
        spans.append((f"{share:>7}", look.bold if much else look.label))
        return spans

    def _bar(self, region: Region, placement: Placement | None, home: tuple[int, ...], width: int) -> Spans:
        look = self.look
        if placement is None:
            return [(look.glyphs.unread * width, look.dim)]
        absent = max(0, region.size_bytes - placement.total_bytes)
        cells = apportion({**placement.bytes_by_node, _NOTHING: absent}, width).count(_NOTHING)
        here = look.bar(placement.bytes_by_node, width - cells, home, self.spot) if cells < width else []
        return [*here, (look.glyphs.absent * cells, look.dim)]

    def empty(self, width: int) -> Spans:
        if self.process is None:
            return [("  no process is selected", self.look.label)]
        if self.seen is not None and self.seen.standing is not Standing.HERE:
            return [(f"  {self.seen.standing.value}: {self.look.shown(self.seen.problem)}", self.look.label)]
        if self.filter and self._rows:
            return [(f"  nothing matches {self.look.shown(self.filter)!r}; esc clears", self.look.label)]
        return [(f"  {self.waiting}" if self.seen is None else "  no regions", self.look.label)]
