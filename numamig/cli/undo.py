"""``numamig undo``: pages go back where they came from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from numamig.cli.consent import Consent, consent_options
from numamig.cli.options import Shared, pace_option
from numamig.cli.options import command as numamig_command
from numamig.cli.pacing import Pacing, pacing_options
from numamig.errors import UsageError

if TYPE_CHECKING:
    from numamig.migrate.journal.record import Recorder

__all__ = ["command"]


@numamig_command("undo")
@click.argument("job", type=click.IntRange(min=1), required=False)
@click.option("--steps", metavar="FIRST-LAST", help="Only these steps of it: 10-19, or 10- to the last.")
@pacing_options("as the job did")
@pace_option("max")
@consent_options("what would go back")
def command(
    shared: Shared,
    job: int | None,
    steps: str | None,
    speed: float | None,
    pacing: Pacing,
    consent: Consent,
    as_json: bool,
) -> int:
    """Put the pages of JOB back where they were; without a number, those of the last one that was not taken back.

    \b
    Examples:
      numamig undo
      numamig undo 17
      numamig undo 17 --steps 10-19
      numamig undo 17 --reserve 0 --rate 200MiB/s

    By steps, with the same account as any other job, and can be taken back itself. Works for a job that was killed.
    Refused where the process is another one now, or runs another program: pages do not outlive that.
    Exit code: as of numamig move.
    """
    from numamig.cli.running import recording, run_and_tell
    from numamig.migrate.journal.record import boot_of
    from numamig.migrate.request import Request
    from numamig.migrate.undo import Undoing, choose_to_undo, plan_undo

    backend = shared.paced(speed).open()
    with recording(backend) as recorder:
        number = _last(recorder, boot_of(backend)) if job is None else job
        entry = recorder.journal.job(number)
        paced = pacing.of(Request.from_dict(entry.request))
        undoing = Undoing(
            recorder.journal, replace(entry, request=paced.as_dict()), None if steps is None else _steps(steps)
        )
        limits = pacing.limits
        plan = plan_undo(backend, undoing)
        if (code := consent.only_told(plan, as_json=as_json)) is not None:
            return code
        consent.demand(plan)
        chooses = choose_to_undo(undoing)
        return run_and_tell(backend, plan, recorder.begin(plan), as_json=as_json, chooses=chooses, limits=limits)


def _last(recorder: Recorder, boot: str) -> int:
    """
    :raises UsageError: there is none.
    """
    from numamig.migrate.undo import can_be_taken_back

    for job in reversed(recorder.journal.jobs(boot)):
        if job.kind == "move" and can_be_taken_back(recorder.journal, job):
            return job.id
    raise UsageError("there is no job to take back", hint="numamig jobs lists what was done")


def _steps(text: str) -> range:
    first, dash, last = text.partition("-")
    if not first.strip().isdecimal() or (last.strip() and not last.strip().isdecimal()):
        raise UsageError(f"{text!r} names no steps", hint="numbers from 1 on, like 10-19, 10- or 10")
    low = int(first)
    high = int(last) if last.strip() else (1 << 62 if dash else low)
    if not 1 <= low <= high:
        raise UsageError(f"{text!r} names no steps", hint="the first is 1, and the last is not before the first")
    return range(low - 1, high)
