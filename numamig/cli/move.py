"""``numamig move``: pages of one process to other nodes, in steps, with an account of every page."""

from __future__ import annotations

import click

from numamig.cli.choosing import Choosing, choosing_options
from numamig.cli.consent import Consent, consent_options
from numamig.cli.options import Shared, pace_option
from numamig.cli.options import command as numamig_command
from numamig.cli.pacing import Pacing, pacing_options

__all__ = ["command"]


@numamig_command("move")
@click.argument("pid", type=click.IntRange(min=1))
@choosing_options
@pacing_options()
@pace_option("max")
@consent_options("what would be moved")
def command(
    shared: Shared,
    pid: int,
    choosing: Choosing,
    speed: float | None,
    pacing: Pacing,
    consent: Consent,
    as_json: bool,
) -> int:
    """Move pages of process PID to other nodes; as migratepages does, or choosing more closely.

    \b
    Examples:
      numamig move 4711 0 1
      numamig move 4711 --from 0 --to 1
      numamig move 4711 --to 2 --kind anon,shmem --rate 200MiB/s
      numamig move 4711 --interleave 0,1 --at-least 1GiB
      numamig move 4711 --follow-cpus --order hottest --most 4GiB
      numamig move 4711 --from 0 --to 1 --budget 5ms --dry-run
      numamig move 4711 --to 1 --retry until --deadline 30s --strict

    FROM and TO are nodes as for migratepages: with several of both, the first goes to the first and so on.
    Errors that are found before anything moves are never passed; warnings are asked about on a terminal.
    Exit code: 0 every chosen page is there, 1 some remain, 2 usage, 3 refused, 4 the process is gone.
    """
    from numamig.cli.running import recording, run_and_tell
    from numamig.migrate.plan import plan_request

    backend = shared.paced(speed).open()
    topology = backend.topology()
    request = choosing.request(pid, topology.memory_nodes, topology.page_size)
    limits = pacing.limits
    plan = plan_request(backend, pacing.of(request))
    if (code := consent.only_told(plan, as_json=as_json)) is not None:
        return code
    consent.demand(plan)
    with recording(backend) as recorder:
        return run_and_tell(backend, plan, recorder.begin(plan), as_json=as_json, limits=limits)
