"""``numamig resume``: what was left unfinished goes on."""

from __future__ import annotations

import click

from numamig.cli.narrate import introduce
from numamig.cli.options import Shared, pace_option
from numamig.cli.options import command as numamig_command
from numamig.cli.running import recording, run_and_tell
from numamig.migrate.resume import plan_to_go_on

__all__ = ["command"]


@numamig_command("resume")
@click.argument("job", type=click.IntRange(min=1))
@pace_option("max")
def command(shared: Shared, job: int, speed: float | None, as_json: bool) -> int:
    """Go on with JOB, that was killed, interrupted, cancelled or stopped, as it was asked for.

    \b
    Examples:
      numamig jobs
      numamig resume 17

    What had moved is in the journal already; what is still to move is chosen from the pages as they are now.
    Exit code: as of numamig move.
    """
    backend = shared.paced(speed).open()
    with recording(backend) as recorder:
        plan, record = plan_to_go_on(backend, recorder, recorder.journal.job(job))
        introduce(plan)
        plan.demand_possible()
        return run_and_tell(backend, plan, record, as_json=as_json)
