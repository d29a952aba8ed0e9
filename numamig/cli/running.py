"""Running a job from a command: in the journal before it moves, with a progress bar, and an account at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from numamig.cli.beside import run_with_ctrl_c
from numamig.cli.inside import as_dict as inside_as_dict
from numamig.cli.inside import counted_since, look_inside, print_phases
from numamig.cli.interrupt import going_on
from numamig.cli.narrate import narrate, print_job, print_stayed, progress_bar
from numamig.cli.options import print_json
from numamig.errors import ExitCode, RefusedError, TargetGone
from numamig.migrate.breaker import Limits
from numamig.migrate.choose import choose_by_plan
from numamig.migrate.chooser import ChoosesFor
from numamig.migrate.job import Job
from numamig.migrate.journal.record import JobRecord, Recorder, running
from numamig.migrate.moved import verify_moved
from numamig.migrate.plan import Plan
from numamig.migrate.snapshot import JobSnapshot, JobState
from numamig.model.outcome import Outcome
from numamig.model.pages import UNKNOWN_NODE
from numamig.observe.verify import Verified

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
    backend: Backend,
    plan: Plan,
    record: JobRecord,
    *,
    as_json: bool,
    chooses: ChoosesFor = choose_by_plan,
    limits: Limits = Limits(),
) -> ExitCode:
    """Run a job to its end; ctrl-c cancels it between two steps. What it came to goes to stdout."""
    job = Job(record.number, backend, plan, record, chooses=chooses, limits=limits)
    record.act(running(plan))
    before = look_inside(backend)
    with going_on() as wanted, progress_bar(plan) as show:
        run_with_ctrl_c(job, backend, record, wanted, show)
        interrupted = not job.state.ended
        if interrupted:
            record.act("cancel")
        job.cancel()
    done = job.snapshot()
    counted = counted_since(backend, before)
    seen = _look_again(backend, record, done)
    if as_json:
        ledger = [row.as_dict(plan) for row in job.ledger()]
        inside = {} if counted is None else {"workings": inside_as_dict(counted)}
        verified = None if seen is None else _as_dict(seen)
        print_json({**done.as_dict(), "ledger": ledger, "verified": verified, **inside})
    else:
        print_job(done, job.ledger())
        print_stayed(plan, job.ledger())
        if seen is not None:
            _print_seen(seen)
        if counted is not None:
            print_phases(counted)
        if backend.capabilities.lasting and done.outcomes[Outcome.MOVED]:
            narrate(f"numamig undo {done.number} takes it back")
    return ExitCode.INTERRUPTED if interrupted else exit_code(done)


def _look_again(backend: Backend, record: JobRecord, done: JobSnapshot) -> Verified | None:
    """Where what was moved is now; None where nothing was, or it can no longer be seen."""
    if not done.outcomes[Outcome.MOVED] or done.outcomes[Outcome.GONE]:
        return None
    try:
        hold = backend.hold(done.plan.process)
        try:
            return verify_moved(backend, hold, record.journal, record.journal.job(record.number))
        finally:
            hold.close()
    except (TargetGone, RefusedError):
        return None


def _as_dict(seen: Verified) -> dict[str, object]:
    elsewhere = {"unknown" if n == UNKNOWN_NODE else str(n): pages for n, pages in seen.elsewhere.items() if pages}
    return {"in_place_pages": seen.in_place, "elsewhere": elsewhere, "absent_pages": seen.absent}


def _print_seen(seen: Verified) -> None:
    if seen.in_place == seen.expected:
        click.echo(f"  {'verified':<14} {seen.in_place:>12,} pages are where they were moved to")
        return
    away = [
        f"{pages:,} on {'a node not known' if node == UNKNOWN_NODE else f'node {node}'}"
        for node, pages in seen.elsewhere.items()
        if pages
    ]
    away += [f"{seen.absent:,} not present"] if seen.absent else []
    click.echo(f"  {'verified':<14} {seen.in_place:>12,} pages are where they were moved to; {', '.join(away)}")


def exit_code(job: JobSnapshot) -> ExitCode:
    """What a finished job means for the shell."""
    if job.outcomes[Outcome.GONE]:
        return ExitCode.TARGET_GONE
    there = job.outcomes[Outcome.MOVED] + job.outcomes[Outcome.ALREADY_THERE]
    tried = job.chosen - job.outcomes[Outcome.NOT_TRIED]
    if not there and (job.outcomes[Outcome.REFUSED] or (job.state is JobState.STOPPED and not tried)):
        return ExitCode.REFUSED
    return ExitCode.DONE if there == job.chosen and job.state is JobState.DONE else ExitCode.PARTIAL
