"""The process table: who has how much where, most remote bytes first."""

from __future__ import annotations

from rich.style import Style

from tui.choice import Marks
from tui.look import Look, Spans
from tui.present import estimated_share, remote_text, size_text
from tui.ramps import digit
from tui.snapshots import Census, Identity, ProcessSeen, Standing
from tui.widgets.pane import Table

__all__ = ["ProcessTable"]

SORTS = {"remote": "most remote first", "rss": "largest first", "pid": "by pid", "name": "by name"}
_RESORT_S = 3.0


class ProcessTable(Table[Identity]):
    """Sorted only while nobody is at it, so that no row slips away under the cursor."""

    def __init__(self, look: Look, marks: Marks) -> None:
        super().__init__(look, name="processes")
        self.marks = marks
        self.census: Census | None = None
        self.spot: int | None = None
        self.sort = "remote"
        self.reversed = False
        self.filter = ""
        self.locked_why = ""
        """Why the caller may not look at some."""
        self._rows: dict[Identity, ProcessSeen] = {}
        self._locked = 0
        self._sorted_at = float("-inf")
        self._touched_at = float("-inf")
        self._complete = False

    def show(self, census: Census, now_s: float, *, still: bool) -> None:
        """A new census.

        :param still: rows must keep their order, because marks or a filter refer to it
        """
        self.census = census
        before, rows = self._rows, {row.identity: row for row in census.rows}
        locked = sum(row.standing is Standing.LOCKED for row in census.rows)
        if (len(rows), locked) != (len(before), self._locked) or any(rows.get(k) != before.get(k) for k in self.shown):
            self.refresh()
        self._rows, self._locked = rows, locked
        quiet = now_s - max(self._sorted_at, self._touched_at) >= _RESORT_S
        first_time = census.complete and not self._complete
        self._complete = self._complete or census.complete
        if not self.keys or first_time or (quiet and not still):
            self._sorted_at = now_s
            self.set_keys(self._ordered())
            if first_time and self._touched_at == float("-inf") and self.keys:
                self.go_to(self.keys[0])
        else:
            matching = {k: row for k, row in rows.items() if self._matches(row)} if self.filter else rows
            kept = [identity for identity in self.keys if identity in matching]
            have = set(kept)
            self.set_keys([*kept, *(identity for identity in matching if identity not in have)])

    def touched(self, now_s: float) -> None:
        """A key was pressed: nothing is sorted for a while."""
        self._touched_at = now_s

    def set_filter(self, text: str) -> None:
        self.filter = text.strip()
        self.refresh()
        self.set_keys(self._ordered())
        self._reveal()

    def set_sort(self, sort: str, *, reverse: bool) -> None:
        self.sort, self.reversed = sort, reverse
        self.set_keys(self._ordered())
        self._reveal()
        self.refresh()

    @property
    def selected(self) -> ProcessSeen | None:
        return self._rows.get(self.cursor) if self.cursor is not None else None

    def seen(self, identity: Identity) -> ProcessSeen | None:
        return self._rows.get(identity)

    def _matches(self, row: ProcessSeen) -> bool:
        process, wanted = row.process, self.filter.lower()
        return not wanted or any(wanted in text.lower() for text in (process.name, str(process.pid), process.user))

    def _ordered(self) -> list[Identity]:
        rows = [row for row in self._rows.values() if self._matches(row)]

        def rank(row: ProcessSeen) -> tuple[float, int]:
            pid = row.process.pid
            if self.sort == "remote":
                return -(row.remote_bytes or 0), -row.process.resident_bytes
            return (-row.process.resident_bytes, pid) if self.sort == "rss" else (pid, 0)

        rows.sort(key=rank)
        if self.sort == "name":
            rows.sort(key=lambda row: row.process.name.lower())
        return [row.identity for row in (reversed(rows) if self.reversed else rows)]

    # Drawing

    def title(self, width: int) -> Spans:
        words = SORTS[self.sort] + (", reversed" if self.reversed else "")
        left = [*self.named("Processes"), (f"  {words}", self.look.label)]
        total = len(self._rows)
        marked = len(self.marks.processes)
        right = f"{len(self.keys)} of {total}"
        if self.filter:
            right = f"/{self.look.shown(self.filter)}  {right}"
        elif marked:
            right = f"{marked} marked of {total}"
        return self.both_ends(left, [(right, self.look.label)], width)

    def _widths(self, width: int) -> tuple[int, int, int]:
        """Of name, user and bar."""
        room = width - 28
        user = 11 if room >= 44 else 0
        room -= user
        bar = max(6, min(32, room * 9 // 20))
        return max(4, room - bar), user, bar

    def columns(self, width: int) -> Spans:
        name, user, bar = self._widths(width)
        fit = self.look.fit
        text = (
            " " + fit("pid", 7, right=True) + " " + fit("name", name) + fit("user", user) + fit("rss", 7, right=True)
            + " " + fit("by node", bar) + fit("rem", 7, right=True) + " on"
        )  # fmt: skip
        return [(text, self.look.label)]

    def row(self, key: Identity, width: int) -> Spans:
        look, seen = self.look, self._rows[key]
        process, placement = seen.process, seen.placement
        name, user, bar = self._widths(width)
        gone = seen.standing is Standing.GONE
        style = look.dim if gone else look.plain
        remote, total = seen.remote_bytes, placement.total_bytes if placement is not None else 0
        much = remote is not None and total > 0 and remote > total / 4
        spans: Spans = [
            (look.glyphs.mark if key in self.marks.processes else " ", look.bold),
            (f"{process.pid:>7} ", style),
            (
                look.fit(look.shown(process.name), name - 1) + " ",
                look.dim if gone else look.bold if key == self.cursor else style,
            ),
        ]
        if user:
            spans.append((look.fit(look.shown(process.user), user - 1) + " ", look.dim))
        spans.append((look.fit(size_text(process.resident_bytes), 7, right=True) + " ", style))
        spans += self._bar(seen, bar)
        remote_style = look.dim if gone else look.bold if much else look.label
        share = remote_text(remote, total)
        if placement is not None and placement.estimated:
            share = estimated_share(remote, total, placement.error, only_ascii=look.ascii)
        spans.append((f"{share:>7} ", remote_style))
        spans += self._on(seen, style)
        return spans

    def _bar(self, seen: ProcessSeen, width: int) -> Spans:
        look = self.look
        if seen.standing is Standing.GONE:
            return [(look.fit("gone", width), look.dim)]
        if seen.standing is Standing.LOCKED:
            return [(look.fit("locked", width), look.dim)]
        if seen.placement is None:
            return [(look.glyphs.unread * width, look.dim)]
        return look.bar(seen.placement.bytes_by_node, width, seen.home, self.spot)

    def _on(self, seen: ProcessSeen, style: Style) -> Spans:
        if seen.runs_everywhere:
            return [("*", style)]
        if not seen.home:
            return [("-", self.look.dim)]
        return [
            (digit(node), style if seen.standing is Standing.GONE else self.look.ink(node)) for node in seen.home[:2]
        ]

    def empty(self, width: int) -> Spans:
        if self.filter:
            return [(f"  nothing matches {self.look.shown(self.filter)!r}; esc clears", self.look.label)]
        return [("  looking", self.look.label)]

    def foot(self, width: int) -> Spans | None:
        if not self._locked:
            return None
        return [(f"  {self._locked} locked: {self.locked_why or 'no right to look at them'}", self.look.label)]
