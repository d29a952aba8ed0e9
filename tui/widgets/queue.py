"""The queue: every job, and under them what became of the pages of the one that the keys act on."""

from __future__ import annotations

from textwrap import wrap

from numamig.migrate.snapshot import JobSnapshot, JobState
from numamig.model.outcome import Outcome
from numamig.units import format_count, format_rate
from tui.style.look import Look, Spans, width_of
from tui.threads.snapshots import Steps
from tui.widgets.jobdraw import job_line, outcome_line, rate_line, spark_lines
from tui.widgets.jobwords import HANGS, SLOW_S, flush_pages, job_notes, state_words
from tui.widgets.pane import Lines, Table
from tui.words.present import duration_text, retry_text

__all__ = ["JobStrip", "QueuePane"]

_MOST_NOTES = 3


class QueuePane(Table[int]):
    """Keys are job numbers. The cursor follows the newest job until it is moved."""

    HEAD = 1

    def __init__(self, look: Look, kernel: str) -> None:
        super().__init__(look, name="queue")
        self.jobs: tuple[JobSnapshot, ...] = ()
        self.problems: dict[int, str] = {}
        self.steps = Steps()
        self._flush = flush_pages(kernel)
        self._made: tuple[JobSnapshot, Steps, tuple[int, str], list[Spans]] | None = None
        """The latest lines of detail, and what they are about."""
        self._state: object = None
        """What the drawing depends on; nothing is drawn anew while it stays."""

    def show(self, jobs: tuple[JobSnapshot, ...], problems: dict[int, str], steps: Steps) -> None:
        newest = max((job.number for job in jobs), default=0)
        grown = newest > max(self.keys, default=0)
        words = tuple(state_words(job, problems.get(job.number, ""), steps) for job in jobs)
        slow = tuple((number, int(took)) for number, took in steps.in_kernel_s.items() if took >= SLOW_S)
        state = (
            tuple((j.number, j.state, j.steps, j.chosen, j.batch_pages, j.passes, j.budget_note) for j in jobs),
            tuple(id(job.plan) for job in jobs),
            (words, slow, steps.hanging, steps.paces, steps.priorities),
        )
        if state == self._state and not grown:
            return
        self._state = state
        self.jobs, self.problems, self.steps = jobs, dict(problems), steps
        self.set_keys([job.number for job in jobs])
        if grown:
            self.go_to(newest)
        self.refresh()

    @property
    def acting(self) -> JobSnapshot | None:
        """The job that the keys act on: under the cursor when the queue has the focus, else the latest unfinished."""
        if self.has_focus:
            return self.job(self.cursor)
        return max((job for job in self.jobs if not job.state.ended), key=lambda job: job.number, default=None)

    @property
    def latest(self) -> JobSnapshot | None:
        """The job that keys act on, else the newest."""
        return self.acting or max(self.jobs, key=lambda job: job.number, default=None)

    @property
    def undoable(self) -> JobSnapshot | None:
        """The job that would be taken back: what keys act on, else the newest, of those that moved anything."""
        moved = [job for job in self.jobs if job.outcomes[Outcome.MOVED]]
        acting = self.acting
        if acting in moved or self.has_focus:
            return acting if acting in moved else None
        return max(moved, key=lambda job: job.number, default=None)

    def job(self, number: int | None) -> JobSnapshot | None:
        return next((job for job in self.jobs if job.number == number), None)

    @property
    def _detailed(self) -> JobSnapshot | None:
        return self.acting or self.job(self.cursor)

    @property
    def lines(self) -> int:
        return max(1, self.size.height - 1 - len(self._detail(self.size.width)))

    def title(self, width: int) -> Spans:
        look = self.look
        dot = f" {look.glyphs.dot} "
        left = self.named("Queue")
        counts = [
            (sum(job.state is JobState.RUNNING for job in self.jobs), "running"),
            (sum(job.state is JobState.HELD for job in self.jobs), "held"),
            (sum(job.state.ended for job in self.jobs), "ended"),
        ]
        words = dot.join(f"{count} {word}" for count, word in counts if count)
        left.append((f"  {words}", look.label))
        if self.steps.hanging is not None:
            left.append((f"{dot}{HANGS}", look.bold))
        job = self._detailed
        if job is None:
            return left
        right = _settings(job, self.steps)
        while len(right) > 1 and width_of(left) + len("   ".join(right)) + 2 > width:
            right.pop()
        return self.both_ends(left, [("   ".join(right), look.label)], width, keep_right=False)

    def body(self, y: int, width: int) -> Spans:
        if self._detailed is None:
            return (
                [("  no jobs: space marks, m moves; E lists those of earlier runs", self.look.label)] if y == 1 else []
            )
        below = y - min(self.lines, len(self.keys))
        if below >= 0:
            lines = self._detail(width)
            return lines[below] if below < len(lines) else []
        at = self._top + y
        return self.row(self.keys[at], width) if at < len(self.keys) else []

    def _detail(self, width: int) -> list[Spans]:
        """What became of its pages, how long its calls took, and what else there is to say.

        Every line is asked how many these are: they are made once for a picture.
        """
        job, of = self._detailed, (width, self.look.theme)
        if job is None:
            return []
        if self._made is not None and self._made[0] is job and self._made[1] is self.steps and self._made[2] == of:
            return self._made[3]
        lines = self._make_detail(job, width)
        self._made = (job, self.steps, of, lines)
        return lines

    def _make_detail(self, job: JobSnapshot, width: int) -> list[Spans]:
        look, label = self.look, f"{job.number} pages"
        budget_ns = self.steps.pace(job).budget_ns
        lines = [outcome_line(look, job, label, width), *spark_lines(look, job, 2, width, self._flush, budget_ns)]
        lines += [rates] if (rates := rate_line(look, job, width)) else []
        return [*lines, *_note_lines(look, job_notes(job, self.problems.get(job.number, ""), self.steps), width)]

    def row(self, key: int, width: int) -> Spans:
        job = self.job(key)
        if job is None:
            return []
        words = state_words(job, self.problems.get(key, ""), self.steps)
        acting = self.acting
        return job_line(self.look, job, width, words=words, bold=acting is not None and acting.number == key)


class JobStrip(Lines):
    """Three lines about the job that the keys act on, under every pane of a small terminal."""

    def __init__(self, look: Look, kernel: str) -> None:
        super().__init__(look, name="strip")
        self.job: JobSnapshot | None = None
        self.words = ""
        self.notes: list[str] = []
        self._budget_ns: int | None = None
        self._flush = flush_pages(kernel)

    def show(self, job: JobSnapshot | None, problem: str, steps: Steps) -> None:
        """How many others there are, the tab of the queue says."""
        self.job = job
        if job is not None:
            self.words = state_words(job, problem, steps)
            self.notes = [HANGS] if steps.hanging is not None else job_notes(job, problem, steps)
            self._budget_ns = steps.pace(job).budget_ns
        self.refresh()

    def line(self, y: int, width: int) -> Spans:
        job, look = self.job, self.look
        if job is None:
            return [(" no jobs: space marks, m moves; E lists those of earlier runs", look.label)] if y == 1 else []
        if y == 0:
            return job_line(look, job, width, words=self.words, bold=True)
        if y == 1:
            return outcome_line(look, job, "pages", width)
        if self.notes:  # its line says the rest
            note = look.shown(self.notes[0] if self.notes[0] == HANGS else job.remedy or self.notes[0])
            return [(f"{look.glyphs.warning:>8} ", look.bold), (look.fit(note, width - 10), look.plain)]
        return spark_lines(look, job, 1, width, self._flush, self._budget_ns)[0]


def _settings(job: JobSnapshot, steps: Steps) -> list[str]:
    """What was asked of a job, the most important first."""
    pace, priority = steps.pace(job), steps.priorities.get(job.number, 0)
    return [
        *([f"< > priority {priority}"] if priority else []),
        f"[ ] batch {format_count(job.batch_pages)}",
        f"{{ }} budget {duration_text(pace.budget_ns) if pace.budget_ns else 'none'}",
        f"rate {format_rate(pace.rate) if pace.rate else 'none'}",
        f"retry {retry_text(job.request.retry)}",
        f"shared {'move' if job.request.shared else 'leave'}",
    ]


def _note_lines(look: Look, notes: list[str], width: int) -> list[Spans]:
    """Sentences below each other; what does not fit is cut at the end of the last line."""
    lines = [(index, line) for index, note in enumerate(notes) for line in wrap(look.shown(note), max(20, width - 10))]
    shown: list[Spans] = []
    before = -1
    for index, line in lines[:_MOST_NOTES]:
        mark = look.glyphs.warning if index != before else " "
        shown.append([(f"{mark:>8} ", look.bold), (line, look.plain)])
        before = index
    return shown
