"""The jobs that empty a node, one after the other; each is planned anew in its turn: those before it change things."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from numamig.cli.beside import run_with_ctrl_c
from numamig.cli.narrate import narrate, progress_bar
from numamig.errors import JournalError, NumamigError, RefusedError, TargetGone
from numamig.migrate.breaker import Limits
from numamig.migrate.drain.shares import Share, plan_share
from numamig.migrate.job import Job
from numamig.migrate.journal.record import Recorder, running
from numamig.migrate.moved import verify_ended
from numamig.migrate.plan import Plan
from numamig.migrate.request import Request
from numamig.migrate.snapshot import JobSnapshot
from numamig.model.outcome import Outcome
from numamig.model.process import Process
from numamig.observe.verify import Verified
from numamig.text import plain
from numamig.units import format_bytes

if TYPE_CHECKING:
    from numamig.backends.base import Backend

__all__ = ["Drained", "Ran", "carry_out"]


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of one share."""

    share: Share
    job: JobSnapshot | None = None
    verified: Verified | None = None
    refused: str = ""
    """Why there was no job; "" where there was one, or nothing was left for it."""

    @property
    def stayed(self) -> dict[Outcome, int]:
        """Base pages that may still be there, by what the job says of them."""
        if self.job is None:
            return {}
        away = (Outcome.MOVED, Outcome.ALREADY_THERE, Outcome.ABSENT, Outcome.UNMAPPED, Outcome.GONE)
        return {outcome: pages for outcome, pages in self.job.outcomes.items() if pages and outcome not in away}


@dataclass(frozen=True, slots=True)
class Drained:
    """What came of all of them."""

    ran: tuple[Ran, ...]
    interrupted: bool
    error: NumamigError | None
    """Why it ended early, where no other job would have fared better."""


def carry_out(
    backend: Backend,
    recorder: Recorder,
    shares: Sequence[Share],
    request_for: Callable[[Process], Request],
    wanted: Callable[[], bool],
    limits: Limits,
    approve: Callable[[Plan], None],
) -> Drained:
    """One job for each share, in their order; one that cannot be moved leaves the others.

    :param wanted: asked between steps; from its first no on nothing further is done
    :param approve: of each plan before anything of it moves; raises RefusedError where it had better not
    """
    ran: list[Ran] = []
    error: NumamigError | None = None
    for share in shares:
        if not wanted():
            break
        try:
            ran.append(_carry_out(backend, recorder, share, request_for, wanted, limits, approve))
        except JournalError as failed:
            error = failed  # of no use to try others: they cannot be written down either
            break
        except TargetGone:
            ran.append(Ran(share))  # its memory went with it
        except RefusedError as refused:
            ran.append(Ran(share, refused=str(refused)))
    return Drained(tuple(ran), not wanted(), error)


def _carry_out(
    backend: Backend,
    recorder: Recorder,
    share: Share,
    request_for: Callable[[Process], Request],
    wanted: Callable[[], bool],
    limits: Limits,
    approve: Callable[[Plan], None],
) -> Ran:
    """
    :raises RefusedError: something speaks against it.
    :raises TargetGone: the process ended.
    """
    process = share.held.process
    if backend.process(process.pid).identity != process.identity:
        raise TargetGone(f"pid {process.pid} has ended", pid=process.pid)
    plan = plan_share(backend, share, request_for(process))
    plan.demand_possible()
    if not plan.pages and not share.held.hidden_bytes:
        return Ran(share)  # shared, and moved along with those of others
    approve(plan)
    record = recorder.begin(plan)
    job = Job(record.number, backend, plan, record, limits=limits)
    narrate(f"job {job.number}: {plain(process.name)} ({process.pid}), {format_bytes(plan.bytes)} to node {share.node}")
    record.act(running(plan))
    with progress_bar(plan) as show:
        run_with_ctrl_c(job, backend, record, wanted, show)
    if not job.state.ended:
        record.act("cancel")
        job.cancel()
    done = job.snapshot()
    seen = verify_ended(backend, process, record.journal, record.number) if done.outcomes[Outcome.MOVED] else None
    return Ran(share, done, seen)
