"""``numamig resume``: what was left unfinished goes on."""

from __future__ import annotations

from dataclasses import replace

import click

from numamig.cli.consent import Consent, consent_options
from numamig.cli.options import Shared, pace_option
from numamig.cli.options import command as numamig_command
from numamig.cli.pacing import Pacing, pacing_options

__all__ = ["command"]


@numamig_command("resume")
@click.argument("job", type=click.IntRange(min=1))
@pacing_options("as the job was asked to")
@pace_option("max")
@consent_options("what is left to move")
def command(shared: Shared, job: int, speed: float | None, pacing: Pacing, consent: Consent, as_json: bool) -> int:
    """Go on with JOB, that was killed, interrupted, cancelled or stopped: as it was asked for, or as is said now.

    \b
    Examples:
      numamig jobs
      numamig resume 17
      numamig resume 17 --budget 5ms --dry-run

    What had moved is in the journal already; what is still to move is chosen from the pages as they are now.
    Exit code: as of numamig move.
    """
    from numamig.cli.running import recording, run_and_tell
    from numamig.migrate.request import Request
    from numamig.migrate.resume import plan_to_go_on

    backend = shared.paced(speed).open()
    with recording(backend) as recorder:
        entry = recorder.journal.job(job)
        limits = pacing.limits
        entry = replace(entry, request=pacing.of(Request.from_dict(entry.request)).as_dict())
        plan, record = plan_to_go_on(backend, recorder, entry)
        try:
            if (code := consent.only_told(plan, as_json=as_json)) is not None:
                return code
            consent.demand(plan)
            return run_and_tell(backend, plan, record, as_json=as_json, limits=limits)
        finally:
            record.unlock()
