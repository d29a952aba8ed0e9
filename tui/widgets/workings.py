"""What a machine tells that can be looked inside: how its workloads fare, and who waits for the lock of page tables."""

from __future__ import annotations

from collections import deque

from numamig.model.workings import LockFigures, Workings, WorkloadFigures
from tui.style.look import Look, Spans, width_of
from tui.style.ramps import meter, spark_rows
from tui.widgets.pane import Lines
from tui.words.present import duration_text

__all__ = ["WorkingsLines"]

_SAMPLES = 12
_WORKLOADS = 2
_LEAST_NS = 200_000_000
"""Of the machine's time between two samples."""


class WorkingsLines(Lines):
    """A line for each workload, that of the selected process first, and one for the lock once it was held."""

    def __init__(self, look: Look) -> None:
        super().__init__(look, name="workings")
        self._seen: deque[Workings] = deque(maxlen=_SAMPLES + 1)
        self._latest: Workings | None = None
        self.selected: int | None = None

    def show(self, workings: Workings | None, selected: int | None) -> None:
        """:param selected: the pid whose workload comes first"""
        if workings is None or (workings is self._latest and selected == self.selected):
            return
        self._latest, self.selected = workings, selected
        if not self._seen or workings.time_ns - self._seen[-1].time_ns >= _LEAST_NS:
            self._seen.append(workings)
        self.refresh()

    @property
    def wanted_lines(self) -> int:
        """Lines that have something to say; 0 on a machine that tells nothing."""
        now = self._latest
        return 0 if now is None else len(self._workloads()) + bool(now.lock.holds)

    def line(self, y: int, width: int) -> Spans:
        now = self._latest
        if now is None:
            return []
        workloads = self._workloads()
        if y < len(workloads):
            return self._workload(workloads[y], width)
        return self._lock(now, width) if y == len(workloads) and now.lock.holds else []

    def _workloads(self) -> list[WorkloadFigures]:
        now = self._latest
        if now is None:
            return []
        return sorted(now.workloads, key=lambda each: each.pid != self.selected)[:_WORKLOADS]

    def _workload(self, each: WorkloadFigures, width: int) -> Spans:
        look = self.look
        who = look.fit(f"{look.shown(each.name)} {each.pid}", 20 if width >= 100 else 16)
        glyph = look.glyphs.running if each.finished_ns is None else look.glyphs.ended
        spans: Spans = [(f" {glyph} ", look.bold), (f"{who} ", look.plain)]
        if each.finished_ns is not None:
            spans.append((f"done in {duration_text(each.finished_ns)}", look.bold))
        else:
            bar, rest = meter(each.speed, 8, look.glyphs)
            spans += [
                (bar, look.plain),
                (rest, look.dim),
                (f" {each.speed * 100:>3.0f}% speed", look.bold),
                ("  ", look.plain),
                (self._trend(each.pid), look.plain),
                (f"  local {each.local * 100:>3.0f}%", look.plain),
            ]
        parts = []
        if each.finished_ns is None:
            parts = [f"{duration_text(each.latency_ns)} an access"]
            if each.done is not None:
                parts.insert(0, f"work {each.done * 100:.0f}% done")
        if each.stalled_ns:
            parts.append(f"stalled {duration_text(each.stalled_ns)}, longest {duration_text(each.longest_stall_ns)}")
        return self._with(spans, parts, width)

    def _trend(self, pid: int) -> str:
        """Its speed of late, the newest on the right."""
        speeds = [w.speed for seen in self._seen for w in seen.workloads if w.pid == pid][-_SAMPLES:]
        (plot,) = spark_rows(speeds, 1, 1.0, self.look.glyphs)
        return plot.rjust(_SAMPLES)

    def _lock(self, now: Workings, width: int) -> Spans:
        look, lock = self.look, now.lock
        before = next((seen for seen in reversed(self._seen) if now.time_ns - seen.time_ns >= _LEAST_NS), None)
        held, waiting = _of_late(now, before)
        bar, rest = meter(held, 8, look.glyphs)
        spans: Spans = [
            (f" {look.glyphs.held} ", look.bold),
            (look.fit("page_table_lock", 20 if width >= 100 else 16) + " ", look.plain),
            (bar, look.plain),
            (rest, look.dim),
            (f" {held * 100:>3.0f}% held", look.bold if held > 0.5 else look.plain),
            (f"  {waiting:>4.1f} wait", look.bold if waiting >= 1 else look.plain),
        ]
        parts = [f"longest hold {duration_text(lock.longest_hold_ns)}"]
        if lock.waits:
            parts += [f"longest wait {duration_text(lock.longest_wait_ns)}", _in_all(lock)]
        return self._with(spans, parts, width)

    def _with(self, spans: Spans, parts: list[str], width: int) -> Spans:
        """As many of the parts behind it as there is room for."""
        used = width_of(spans)
        for part in parts:
            if used + 2 + len(part) > width:
                break
            spans += [("  ", self.look.plain), (part, self.look.label)]
            used += 2 + len(part)
        return spans


def _of_late(now: Workings, before: Workings | None) -> tuple[float, float]:
    """Part of the time that the lock was held, and how many waited for it on average (Little's law)."""
    since, lock = (before.time_ns, before.lock) if before is not None else (0, LockFigures())
    passed = max(1, now.time_ns - since)
    return min(1.0, (now.lock.held_ns - lock.held_ns) / passed), (now.lock.waited_ns - lock.waited_ns) / passed


def _in_all(lock: LockFigures) -> str:
    return f"{lock.waits:,} waits in all, {duration_text(lock.waited_ns)}"
