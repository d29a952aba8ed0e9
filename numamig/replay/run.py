"""Running a profile: everything is checked first, then its steps are done in order, and all of it is accounted for."""

from __future__ import annotations

from collections.abc import Callable

from numamig.backends.base import Backend
from numamig.errors import NumamigError, RefusedError, TargetGone
from numamig.migrate.journal.record import Recorder
from numamig.migrate.plan import Plan, plan_request
from numamig.replay.doing import Approve, Carry, Observer, Run
from numamig.replay.load import load_profile, parse_profile
from numamig.replay.report import Report, placement_of
from numamig.replay.schema import Profile
from numamig.replay.select import check_profile, demand_rights, find_processes, migrations, request_for
from numamig.yamlfile import Document

__all__ = ["Approve", "Carry", "Observer", "load_profile", "parse_profile", "plan_profile", "run_profile"]


def run_profile(
    backend: Backend,
    profile: Profile,
    document: Document,
    observe: Observer = lambda _job, _event: None,
    wanted: Callable[[], bool] = lambda: True,
    recorder: Recorder | None = None,
    approve: Approve = Plan.demand_possible,
    say: Callable[[str], None] = lambda _words: None,
    carry: Carry | None = None,
) -> Report:
    """Do what a profile says. Nothing moves unless all of it can be understood on this machine.

    :param wanted: asked between steps and jobs; from its first no on, nothing further is done
    :param recorder: None: the journal of this machine
    :param approve: of each job in its turn, since earlier ones decide what it will find; errors are never passed
    :param say: hears in a line what goes on besides jobs
    :param carry: None: step by step, in this thread, and ``observe`` hears of each

    :raises FileError: a node or a process that it names does not exist here.
    :raises RefusedError: the rights do not suffice.
    """
    check_profile(backend, profile, document)
    capabilities = backend.capabilities
    report = Report(
        profile.title, {"backend": backend.name, "machine": capabilities.machine, "kernel": capabilities.kernel}
    )
    run = Run(backend, report, observe, wanted, recorder or Recorder.open(backend), approve, say, carry)
    try:
        run.steps(profile.steps, report.steps, None)
    except NumamigError as error:
        # What moved until now stays moved and must be reported; what was checked before has changed since.
        report.error = error
    report.interrupted = not wanted()
    touched = run.touched.items()
    report.placement = {pid: where for pid, p in touched if (where := placement_of(backend, p)) is not None}
    return report


def plan_profile(
    backend: Backend,
    profile: Profile,
    document: Document,
    leave_out: Callable[[NumamigError], None] = lambda _error: None,
) -> list[Plan]:
    """A plan for each process that each migration moves, as things are now; nothing moves.

    :param leave_out: hears why one of several processes cannot be planned; the others are

    :raises FileError: a node or a process that it names does not exist here.
    :raises RefusedError: the rights do not suffice.
    """
    check_profile(backend, profile, document)
    plans = []
    for _, migrate, each in migrations(profile.steps):
        selector = migrate.process or each
        assert selector is not None
        several = migrate.process is None or migrate.process.which == "all"
        for process in find_processes(backend, selector, "only" if migrate.process else "all"):
            try:
                demand_rights(backend, migrate, process)
                plans.append(plan_request(backend, request_for(backend, migrate, process)))
            except (RefusedError, TargetGone) as error:
                if not several:
                    raise
                leave_out(error)
    return plans
