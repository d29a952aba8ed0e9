"""``numamig undo``: pages go back where they came from."""

from __future__ import annotations

import click

from numamig.cli.narrate import introduce, print_plan
from numamig.cli.options import Shared, pace_option, print_json
from numamig.cli.options import command as numamig_command
from numamig.cli.running import recording, run_and_tell
from numamig.errors import ExitCode, UsageError
from numamig.migrate.journal.record import Recorder, boot_of
from numamig.migrate.undo import Undoing, can_be_taken_back, choose_to_undo, plan_undo
from numamig.units import parse_size

__all__ = ["command"]


@numamig_command("undo")
@click.argument("job", type=click.IntRange(min=1), required=False)
@click.option("--steps", metavar="FIRST-LAST", help="Only these steps of it: 10-19, or 10- to the last.")
@click.option("--reserve", metavar="SIZE", help="Keep this much free where pages go.  [default: as the job did]")
@pace_option("max")
@click.option("--dry-run", is_flag=True, help="Say what would go back, and stop.")
def command(
    shared: Shared,
    job: int | None,
    steps: str | None,
    reserve: str | None,
    speed: float | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Put the pages of JOB back where they were; without a number, those of the last one that was not taken back.

    \b
    Examples:
      numamig undo
      numamig undo 17
      numamig undo 17 --steps 10-19
      numamig undo 17 --reserve 0

    By steps, with the same account as any other job, and can be taken back itself. Works for a job that was killed.
    Refused where the process is another one now, or runs another program: pages do not outlive that.
    Exit code: as of numamig move.
    """
    backend = shared.paced(speed).open()
    with recording(backend) as recorder:
        number = _last(recorder, boot_of(backend)) if job is None else job
        undoing = Undoing(
            recorder.journal,
            recorder.journal.job(number),
            None if steps is None else _steps(steps),
            None if reserve is None else parse_size(reserve),
        )
        plan = plan_undo(backend, undoing)
        if dry_run:
            if as_json:
                print_json(plan.as_dict())
            else:
                print_plan(plan)
            return ExitCode.REFUSED if plan.errors else ExitCode.DONE
        introduce(plan)
        plan.demand_possible()
        return run_and_tell(backend, plan, recorder.begin(plan), as_json=as_json, chooses=choose_to_undo(undoing))


def _last(recorder: Recorder, boot: str) -> int:
    """
    :raises UsageError: there is none.
    """
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
