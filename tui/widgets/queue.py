"""The queue: every job, and under them what became of the pages of the one that the keys act on."""

from __future__ import annotations

from numamig.migrate.snapshot import JobSnapshot, JobState
from numamig.units import format_count
from tui.look import Look, Spans
from tui.present import retry_text
from tui.widgets.jobdraw import job_line, outcome_line, spark_lines, state_words
from tui.widgets.pane import Lines, Table

__all__ = ["JobStrip", "QueuePane"]

_DETAIL = 3
"""Lines under the jobs: outcomes, and two of call durations."""


class QueuePane(Table[int]):
    """Keys are job numbers. The cursor follows the newest job until it is moved."""

    HEAD = 1

    def __init__(self, look: Look) -> None:
        super().__init__(look, name="queue")
        self.jobs: tuple[JobSnapshot, ...] = ()
        self.problems: dict[int, str] = {}
        self.in_call: tuple[int, float] | None = None
        self._state: object = None
        """What the drawing depends on; nothing is drawn anew while it stays."""

    def show(self, jobs: tuple[JobSnapshot, ...], problems: dict[int, str], in_call: tuple[int, float] | None) -> None:
        grown = len(jobs) > len(self.jobs)
        long_call = in_call is not None and in_call[1] > 1.0
        state = (
            tuple((j.state, j.steps, j.chosen, j.batch_pages, j.passes) for j in jobs),
            tuple(problems.items()),
            in_call if long_call else None,
        )
        if state == self._state and not grown:
            return
        self._state = state
        self.jobs, self.problems, self.in_call = jobs, dict(problems), in_call
        if grown:
            self.set_keys([job.number for job in jobs])
            self.go_to(jobs[-1].number)
        self.refresh()

    @property
    def acting(self) -> JobSnapshot | None:
        """The job that the keys act on: under the cursor when the queue has the focus, else the latest unfinished."""
        if self.has_focus:
            return self.job(self.cursor)
        return next((job for job in reversed(self.jobs) if not job.state.ended), None)

    def job(self, number: int | None) -> JobSnapshot | None:
        return next((job for job in self.jobs if job.number == number), None)

    @property
    def _detailed(self) -> JobSnapshot | None:
        return self.acting or self.job(self.cursor)

    @property
    def lines(self) -> int:
        return max(1, self.size.height - 1 - _DETAIL)

    def title(self, width: int) -> Spans:
        look = self.look
        left = self.named("Queue")
        counts = [
            (sum(job.state is JobState.RUNNING for job in self.jobs), "running"),
            (sum(job.state is JobState.HELD for job in self.jobs), "held"),
            (sum(job.state.ended for job in self.jobs), "ended"),
        ]
        words = f" {look.glyphs.dot} ".join(f"{count} {word}" for count, word in counts if count)
        left.append((f"  {words}", look.label))
        job = self._detailed
        if job is None:
            return left
        right = f"[ ] batch {format_count(job.batch_pages)}   retry {retry_text(job.request.retry)}   shared "
        right += "move" if job.request.shared else "leave"
        return self.both_ends(left, [(right, look.label)], width)

    def body(self, y: int, width: int) -> Spans:
        job = self._detailed
        if job is None:
            return [("  no jobs: space marks, m moves", self.look.label)] if y == 1 else []
        detail = y - min(self.lines, len(self.keys))
        if detail >= 0:
            lines = [outcome_line(self.look, job, f"{job.number} pages", width), *spark_lines(self.look, job, 2, width)]
            return lines[detail] if detail < len(lines) else []
        at = self._top + y
        return self.row(self.keys[at], width) if at < len(self.keys) else []

    def row(self, key: int, width: int) -> Spans:
        job = self.jobs[key - 1]
        in_call_s = self.in_call[1] if self.in_call is not None and self.in_call[0] == key else 0.0
        words = state_words(job, self.problems.get(key, ""), in_call_s)
        acting = self.acting
        return job_line(self.look, job, width, words=words, bold=acting is not None and acting.number == key)


class JobStrip(Lines):
    """Three lines about the job that the keys act on, under every pane of a small terminal."""

    def __init__(self, look: Look) -> None:
        super().__init__(look, name="strip")
        self.job: JobSnapshot | None = None
        self.words = ""
        self.others = ""

    def show(self, job: JobSnapshot | None, words: str, others: str) -> None:
        self.job, self.words, self.others = job, words, others
        self.refresh()

    def line(self, y: int, width: int) -> Spans:
        job, look = self.job, self.look
        if job is None:
            return [(" no jobs: space marks, m moves", look.label)] if y == 1 else []
        if y == 0:
            return job_line(look, job, width, words=self.words or self.others, bold=True)
        if y == 1:
            return outcome_line(look, job, "pages", width)
        return spark_lines(look, job, 1, width)[0]
