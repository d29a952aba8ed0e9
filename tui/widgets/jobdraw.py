"""Drawing a job: its line, what became of its pages, and how long its calls took; from its snapshot only."""

from __future__ import annotations

from numamig.migrate.snapshot import JobSnapshot, JobState
from numamig.model.outcome import Outcome
from numamig.units import format_count, format_rate
from tui.style.look import Look, Spans, width_of
from tui.style.outcomes import OUTCOME_GLYPHS
from tui.style.ramps import apportion, spark_rows
from tui.widgets.jobwords import call_p95_ns, job_stall_ns
from tui.words.present import duration_text, outcome_texts, size_text, sources_of

__all__ = ["job_line", "outcome_line", "rate_line", "scale_of", "spark_lines", "way_of"]

_LEFT = 99
_LEAST_BAR = 4


def way_of(look: Look, job: JobSnapshot) -> Spans:
    """``0,2→1``, each node in its colour, or ``undo of 7``."""
    if job.plan.undoes is not None:
        return [(f"undo of {job.plan.undoes}", look.plain)]
    spans: Spans = []
    for char in sources_of(job.plan):
        spans.append((char, look.ink(int(char)) if char.isdecimal() else look.dim))
    spans.append((look.glyphs.arrow, look.dim))
    for number, node in enumerate(job.request.to.nodes):
        spans += [(",", look.dim)] if number else []
        spans.append((str(node), look.ink(node) + look.bold))
    return spans


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
        (" " * max(1, (6 if narrow else 10) - width_of(way)), look.plain),
        (f"{size_text(job.plan.bytes):>6}  ", look.plain),
    ]
    rate = format_rate(job.pages_per_second * job.plan.page_size) if job.outcomes[Outcome.MOVED] else ""
    progress = job.progress
    percent = f" {progress * 100:>3.0f}%"
    words = look.shown(words)
    wanted = width_of([(words, look.plain)])
    room = width - width_of(head)
    tail: Spans = [(f"{percent} {rate:>9} {_time(job):>7}  ", look.plain)]
    if wanted > room - width_of(tail):
        tail = [(f"{percent}  ", look.plain)]  # what is wrong comes before how fast it was
    room -= width_of(tail)
    for_words = max(11 if narrow else 22, min(wanted, room - _LEAST_BAR))
    room -= for_words
    filled = round(progress * room)
    bar: Spans = [
        (look.glyphs.done * filled, look.ink(min(job.request.to.nodes, default=0))),
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
        return duration_text(job.busy_ns) if job.busy_ns else ""
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


def spark_lines(
    look: Look, job: JobSnapshot, rows: int, width: int, flush: int, budget_ns: int | None = None
) -> list[Spans]:
    """How long the latest calls took: a column is a batch, the newest on the right.

    :param flush: base pages that the kernel unmaps at a time
    """
    if not job.call_ns:
        words = [f"no call yet, batch {format_count(job.batch_pages)}", *_stall(job, flush)]
        return [[(" " * 9 + ", ".join(words), look.label)]]
    # Where there is a budget, the edge between two lines is that budget, and what is over it stands above.
    top = 2 * budget_ns if rows == 2 and budget_ns else scale_of(job)
    notes = _notes(job, flush, budget_ns)
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


def rate_line(look: Look, job: JobSnapshot, width: int) -> Spans:
    """How much each of the latest batches moved per second, under how long its call took."""
    page = job.plan.page_size
    top = max(job.batch_rates, default=0.0)
    if not top:
        return []
    note = f"now {format_rate(job.batch_rates[-1] * page)}, mean {format_rate(job.pages_per_second * page)}"
    room = max(8, width - 11 - len(note))
    (line,) = spark_rows(job.batch_rates[-room:], 1, top, look.glyphs)
    label = format_rate(top * page)
    return [(f"{label:>8} ", look.label), (look.fit(line, room), look.plain), (f"  {note}", look.label)]


def _notes(job: JobSnapshot, flush: int, budget_ns: int | None) -> list[str]:
    """Two: about calls, and about batches."""
    of_budget = f" of {duration_text(budget_ns)}" if budget_ns else ""
    batch = [f"batch {format_count(job.batch_pages)}", *_stall(job, flush)]
    over = sum(call > budget_ns for call in job.call_ns) if budget_ns else 0
    beyond = f", {over} of {len(job.call_ns)} over it" if over else ""
    return [f"p95 {duration_text(call_p95_ns(job))}{of_budget}{beyond}", ", ".join(batch)]


def _stall(job: JobSnapshot, flush: int) -> list[str]:
    """Predicted, beside what calls took: who touches a page is kept from it for a part of a call only."""
    stall = job_stall_ns(job, flush)
    return [] if stall is None else [f"stall up to ~{duration_text(stall)}"]
