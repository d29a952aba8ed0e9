"""Drawing a job: its line, what became of its pages, and how long its calls took; from its snapshot only."""

from __future__ import annotations

from numamig.migrate.request import RetryMode
from numamig.migrate.snapshot import JobSnapshot, JobState
from numamig.model.outcome import Outcome
from numamig.units import format_count, format_rate
from tui.look import Look, Spans, width_of
from tui.present import duration_text, outcome_texts, size_text, sources_of
from tui.ramps import OUTCOME_GLYPHS, apportion, spark_rows

__all__ = ["job_line", "outcome_line", "scale_of", "spark_lines", "state_words", "way_of"]

_LEFT = 99


def way_of(look: Look, job: JobSnapshot) -> Spans:
    """``0,2→1``, each node in its colour."""
    spans: Spans = []
    for char in sources_of(job.plan):
        spans.append((char, look.ink(int(char)) if char.isdecimal() else look.dim))
    return [*spans, (look.glyphs.arrow, look.dim), (str(job.request.target), look.ink(job.request.target) + look.bold)]


def state_words(job: JobSnapshot, problem: str = "", in_call_s: float = 0.0) -> str:
    """How it stands with a job."""
    if problem:
        return problem
    if job.state is JobState.RUNNING:
        if in_call_s > 1.0:
            return f"in a call for {in_call_s:.0f} s"
        retry = job.request.retry
        return f"pass {job.passes}" + (f" of {retry.passes}" if retry.mode is RetryMode.BOUNDED else "")
    if job.state is JobState.HELD:
        return "held"
    return job.reason


def _glyph(look: Look, job: JobSnapshot) -> str:
    glyphs = look.glyphs
    return {
        JobState.RUNNING: glyphs.running,
        JobState.HELD: glyphs.held,
        JobState.DONE: glyphs.ended,
        JobState.CANCELLED: glyphs.cancelled,
        JobState.STOPPED: glyphs.stopped,
    }[job.state]


def job_line(look: Look, job: JobSnapshot, width: int, *, words: str, bold: bool = False) -> Spans:
    """State, who, which way, how much, how far, how fast, how long yet, and ``words``."""
    process = job.plan.process
    narrow = width < 100
    name = look.fit(look.shown(process.name), 10 if narrow else 16).rstrip()
    who = look.fit(f"{job.number:>2} {name} {process.pid}", 20 if narrow else 28)
    way = way_of(look, job)
    head: Spans = [
        (f" {_glyph(look, job)} ", look.bold),
        (f"{who} ", look.bold if bold else look.plain),
        *way,
        (" " * max(1, 6 - width_of(way)), look.plain),
        (f"{size_text(job.plan.bytes):>6}  ", look.plain),
    ]
    rate = format_rate(job.pages_per_second * job.plan.page_size) if job.outcomes[Outcome.MOVED] else ""
    progress = job.progress
    tail: Spans = [(f" {progress * 100:>3.0f}% {rate:>9} {_time(job):>7}  ", look.plain)]
    words = look.shown(words)
    room = width - width_of(head) - width_of(tail)
    for_words = max(11 if narrow else 22, min(width_of([(words, look.plain)]), room - 7))
    room -= for_words
    filled = round(progress * room)
    bar: Spans = [
        (look.glyphs.done * filled, look.ink(job.request.target)),
        (look.glyphs.rest * (room - filled), look.dim),
    ]
    return [
        *head,
        *(bar if room >= 3 else [(" " * max(0, room), look.plain)]),
        *tail,
        (look.fit(words, for_words), look.plain),
    ]


def _time(job: JobSnapshot) -> str:
    """How long it took, or may take yet."""
    if job.state.ended:
        return duration_text(job.busy_ns)
    if job.state is not JobState.RUNNING or not job.chosen:
        return ""
    return f"~{duration_text(max(0, job.plan.pages - job.chosen) * job.busy_ns / job.chosen)}"


def outcome_line(look: Look, job: JobSnapshot, label: str, width: int) -> Spans:
    """What became of the pages, as a bar and in words; all of them, so that it adds up."""
    texts = outcome_texts(job)
    spans: Spans = [(f"{label:>8} ", look.label)]
    words = "  ".join(texts)
    room = width - 9 - len(words) - 2
    if room < 16:
        room = max(8, min(16, width // 5))
    parts = {int(outcome): job.outcomes[outcome] for outcome in Outcome}
    parts[_LEFT] = parts.pop(Outcome.NOT_TRIED) + (0 if job.state.ended else max(0, job.plan.pages - job.chosen))
    for kind in apportion(parts, min(room, 60)):
        if kind == Outcome.MOVED:
            spans.append((look.glyphs.full, look.plain))
        elif kind == _LEFT:
            spans.append((look.glyphs.absent, look.dim))
        else:
            spans.append((OUTCOME_GLYPHS[Outcome(kind)], look.bold))
    spans.append(("  ", look.plain))
    used = width_of(spans)
    for text in texts:
        if used + len(text) > width:
            break
        spans += [(text, look.plain), ("  ", look.plain)]
        used += len(text) + 2
    return spans


def scale_of(job: JobSnapshot) -> float:
    """A round number of ns just above the longest call shown."""
    longest = max(job.call_ns, default=1)
    step = 1.0
    while step * 10 <= longest:
        step *= 10
    return next(step * times for times in (1, 1.5, 2, 3, 4, 6, 8, 10) if step * times >= longest)


def spark_lines(look: Look, job: JobSnapshot, rows: int, width: int) -> list[Spans]:
    """How long the latest calls took: a column is a batch, the newest on the right."""
    if not job.call_ns:
        return [[(" " * 9 + f"no call yet, batch {format_count(job.batch_pages)}", look.label)]]
    top = scale_of(job)
    notes = _notes(job)
    if rows == 1:
        notes = ["  ".join(notes)]
    room = max(8, width - 11 - max(len(note) for note in notes))
    calls = job.call_ns[-room:]
    lines: list[Spans] = []
    for row, line in enumerate(spark_rows(calls, rows, top, look.glyphs)):
        label = duration_text(top * (rows - row) / rows)
        lines.append(
            [(f"{label:>8} ", look.label), (look.fit(line, room), look.plain), (f"  {notes[row]}", look.label)]
        )
    return lines


def _notes(job: JobSnapshot) -> list[str]:
    calls = sorted(job.call_ns)
    p95 = calls[min(len(calls) - 1, len(calls) * 95 // 100)]
    return [f"p95 {duration_text(p95)}", f"batch {format_count(job.batch_pages)}"]
