"""Running a job from a command: in the journal before it moves, with a progress bar, and an account at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from numamig.cli.interrupt import going_on
from numamig.cli.narrate import narrate, print_job, progress_bar
from numamig.cli.options import print_json
from numamig.errors import ExitCode
from numamig.migrate.chooser import ChoosesFor, choose_by_plan
from numamig.migrate.job import Job
from numamig.migrate.journal.record import JobRecord, Recorder
from numamig.migrate.plan import Plan
from numamig.migrate.run import run_job
from numamig.migrate.snapshot import JobSnapshot, JobState
from numamig.model.outcome import Outcome

if TYPE_CHECKING:
    from numamig.backends.base import Backend

__all__ = ["exit_code", "recording", "run_and_tell"]


@contextmanager
def recording(backend: Backend) -> Iterator[Recorder]:
    """The journal of a machine, for as long as a command takes.

    :raises JournalError: there can be none, and so nothing will be moved.
    """
    recorder = Recorder.open(backend)
    try:
        yield recorder
    finally:
        recorder.close()


def run_and_tell(
    backend: Backend, plan: Plan, record: JobRecord, *, as_json: bool, chooses: ChoosesFor = choose_by_plan
) -> ExitCode:
    """Run a job to its end; ctrl-c cancels it between two steps. What it came to goes to stdout."""
    job = Job(record.number, backend, plan, record, chooses=chooses)
    with going_on() as wanted, progress_bar(plan) as show:
        for _event in run_job(job, backend, wanted):
            show(job.snapshot())
        interrupted = not job.state.ended
        job.cancel()
    done = job.snapshot()
    if as_json:
        print_json({**done.as_dict(), "ledger": [row.as_dict(plan) for row in job.ledger()]})
    else:
        print_job(done)
        if backend.capabilities.lasting and done.outcomes[Outcome.MOVED]:
            narrate(f"numamig undo {done.number} takes it back")
    return ExitCode.INTERRUPTED if interrupted else exit_code(done)


def exit_code(job: JobSnapshot) -> ExitCode:
    """What a finished job means for the shell."""
    if job.outcomes[Outcome.GONE]:
        return ExitCode.TARGET_GONE
    there = job.outcomes[Outcome.MOVED] + job.outcomes[Outcome.ALREADY_THERE]
    tried = job.chosen - job.outcomes[Outcome.NOT_TRIED]
    if not there and (job.outcomes[Outcome.REFUSED] or (job.state is JobState.STOPPED and not tried)):
        return ExitCode.REFUSED
    return ExitCode.DONE if there == job.chosen and job.state is JobState.DONE else ExitCode.PARTIAL
