"""The process table: who has how much where, most remote bytes first."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from rich.style import Style
from textual import events

from numamig.model.nodeset import format_nodeset
from tui.plans.choice import Marks
from tui.style.look import Look, Spans, width_of
from tui.style.ramps import digit
from tui.threads.snapshots import Census, Identity, ProcessSeen, Standing
from tui.widgets.pane import Table
from tui.widgets.sieve import sieve
from tui.words.present import estimated_share, remote_text, size_text

__all__ = ["ProcessTable"]

SORTS = {
    "remote": "most remote first",
    "share": "largest share remote first",
    "rss": "largest first",
    "pid": "by pid",
    "name": "by name",
    "user": "by user",
    "on": "by where it runs",
    "seen": "longest unseen first",
}
_DOWNWARD = ("remote", "share", "rss", "seen")
"""The most comes first, unless they are reversed."""
_ROOMY = 58
"""From so many cells on there is room for how long ago a row was seen."""


class _Column(NamedTuple):
    sort: str
    label: str
    width: int
    right: bool = False


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
        self.problem = ""
        """Why the filter was not understood; what was last understood holds."""
        self._sieve = sieve("")
        self.homes: dict[Identity, tuple[int, ...]] = {}
        """Said by hand."""
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
        before, rows = self._rows, {row.identity: self._at_home(row) for row in census.rows}
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

    def _at_home(self, row: ProcessSeen) -> ProcessSeen:
        home = self.homes.get(row.identity)
        return row if home is None else replace(row, home=home, runs_everywhere=False)

    def set_home(self, identity: Identity, home: tuple[int, ...]) -> None:
        """Say by hand where a process is at home; with none it is where its threads run."""
        if home:
            self.homes[identity] = home
        else:
            self.homes.pop(identity, None)
        found = self.census.find(identity) if self.census is not None else None
        if found is not None:
            self._rows[identity] = self._at_home(found)
        self.refresh()

    @property
    def total(self) -> int:
        """Processes that there are, whether they are shown or not."""
        return len(self._rows)

    def touched(self, now_s: float) -> None:
        """A key was pressed: nothing is sorted for a while."""
        self._touched_at = now_s

    def set_filter(self, text: str) -> None:
        self.filter = text.strip()
        asked = sieve(self.filter)
        self.problem = asked.problem
        if not asked.problem:
            self._sieve = asked
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
        return self._sieve.lets_through(row)

    def _ordered(self) -> list[Identity]:
        rows = [row for row in self._rows.values() if self._matches(row)]

        rows.sort(key=lambda row: row.process.pid)
        rows.sort(key=lambda row: row.process.resident_bytes, reverse=True)
        rows.sort(key=self._rank, reverse=self.sort in _DOWNWARD)
        return [row.identity for row in (reversed(rows) if self.reversed else rows)]

    def _rank(self, row: ProcessSeen) -> tuple[float, str]:
        """By what it is sorted; among equals the largest comes first."""
        process, away = row.process, row.remote_bytes or 0
        if self.sort in ("name", "user"):
            return 0, (process.name if self.sort == "name" else process.user).lower()
        if self.sort == "on":
            return (len(SORTS), "") if row.runs_everywhere or not row.home else (0, format_nodeset(row.home))
        total = row.placement.total_bytes if row.placement is not None else 0
        figures = {
            "remote": away,
            "share": away / total if total else -1,
            "rss": process.resident_bytes,
            "seen": -row.placed_ns,
        }
        return figures.get(self.sort, process.pid), ""

    def on_click(self, event: events.Click) -> None:
        """On a column's name: sorted by it, and the other way round."""
        if event.y != 1:
            super().on_click(event)
            return
        at = 0
        for column in self._columns(self.size.width):
            at += column.width
            if event.x < at:
                self.set_sort(column.sort, reverse=not self.reversed if column.sort == self.sort else False)
                break

    # Drawing

    def title(self, width: int) -> Spans:
        words = SORTS[self.sort] + (", reversed" if self.reversed else "")
        left = [*self.named("Processes"), (f"  {words}", self.look.label)]
        total = len(self._rows)
        marked = len(self.marks.processes)
        right = f"{len(self.keys)} of {total}"
        if self.problem:
            return self.both_ends(left[:2], [(self.look.shown(self.problem), self.look.bold)], width)
        if self.filter:
            right = f"/{self.look.shown(self.filter)}  {right}"
        elif marked:
            right = f"{marked} marked of {total}"
        return self.both_ends(left, [(right, self.look.label)], width)

    def _widths(self, width: int) -> tuple[int, int, int]:
        """Of name, user and bar."""
        room = width - (34 if width >= _ROOMY else 28)
        user = 11 if room >= 44 else 0
        room -= user
        bar = max(6, min(32, room * 9 // 20))
        return max(4, room - bar), user, bar

    def _columns(self, width: int) -> list[_Column]:
        """What is clicked where; each with the blank behind or before it."""
        name, user, bar = self._widths(width)
        columns = [_Column("pid", "pid", 8, right=True), _Column("name", "name", name + 1)]
        columns += [_Column("user", "user", user)] * bool(user)
        columns += [
            _Column("rss", "rss", 7, right=True),
            _Column("remote", "by node", bar + 1),
            _Column("share", "rem", 7, right=True),
            _Column("on", "on", 3),
        ]
        return [*columns, *[_Column("seen", "seen", 6, right=True)] * (width >= _ROOMY)]

    def columns(self, width: int) -> Spans:
        look = self.look
        arrow = look.glyphs.downward if (self.sort in _DOWNWARD) != self.reversed else look.glyphs.upward
        spans: Spans = []
        for column in self._columns(width):
            here = column.sort == self.sort
            room = column.width - (not column.right)
            label = look.fit(column.label, min(len(column.label), room - here)) + (arrow if here else "")
            text = look.fit(label, room, right=column.right)
            text = text if column.right else f" {text}"
            spans.append((text, look.bold if here else look.label))
        return spans

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
        if width >= _ROOMY:
            spans.append((" " * (width - 5 - width_of(spans)), look.plain))
            spans.append((look.fit(self._age(seen), 5, right=True), look.dim))
        return spans

    def _age(self, seen: ProcessSeen) -> str:
        """How long ago its placement was seen."""
        if seen.placement is None or self.census is None:
            return ""
        seconds = max(0.0, self.census.taken_s - seen.placed_ns / 1e9)
        return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} m"

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
        if seen.identity in self.homes:
            return [("H", self.look.bold), (digit(seen.home[0]), self.look.ink(seen.home[0]))]
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
        return [(f"  {self.waiting}", self.look.label)]

    def foot(self, width: int) -> Spans | None:
        if not self._locked:
            return None
        why = self.locked_why or "no right to look at them"
        left, right = f" {self._locked} locked: ", f" {self.look.glyphs.dot} numamig doctor"
        room = max(0, width - len(left) - len(right))
        if len(why) > room:
            why = why.partition(": ")[0]  # what is missing; the rest says what that is for
        return [(left + self.look.fit(why, min(len(why), room)) + right, self.look.label)]
