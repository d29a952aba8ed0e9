"""What stayed of a job, planned once more with what would help."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from numamig.migrate.destination import Interleave
from numamig.migrate.left import LeftPages
from numamig.migrate.ranges import joined
from numamig.migrate.request import Retry, RetryMode
from numamig.migrate.snapshot import JobSnapshot
from numamig.migrate.stayed import StayedSeen
from numamig.model.outcome import Outcome
from numamig.model.topology import Topology
from tui.dialogs.ledgerlines import Part
from tui.plans.choice import Only, Target
from tui.plans.form import Form, first_form
from tui.threads.snapshots import ProcessSeen

__all__ = ["first_address", "form_again", "target_again"]

_MOST_RANGES = 256
"""More are planned as the regions that they are in."""


def first_address(job: JobSnapshot, stayed: StayedSeen | None, part: Part) -> int | None:
    """Where the pages of a row of the ledger begin; None where their region is not known."""
    if not 0 <= part.region < len(job.plan.ranges):
        return None
    start, end = job.plan.ranges[part.region]
    left = _left(job.number, stayed).with_outcome(part.outcome)
    inside = [low for low, _ in left.ranges() if start <= low < end]
    return min(inside, default=start)


def _left(number: int, stayed: StayedSeen | None) -> LeftPages:
    if stayed is None or number not in stayed.jobs:
        return LeftPages.none()
    return stayed.left[stayed.jobs.index(number)]


def target_again(job: JobSnapshot, stayed: StayedSeen | None, parts: Sequence[Part], seen: ProcessSeen) -> Target:
    """The pages themselves; their regions where they are too scattered, or where it is not told which they are."""
    request, outcomes = job.request, {part.outcome for part in parts}
    only = Only(request.sources, request.kinds, request.huge, request.mapped, request.paths)
    ranges = joined(_left(job.number, stayed).with_outcome(*outcomes).ranges())
    if not ranges or len(ranges) > _MOST_RANGES or Outcome.NOT_TRIED in outcomes:
        known = {part.region for part in parts if 0 <= part.region < len(job.plan.ranges)}
        ranges = [job.plan.ranges[region] for region in sorted(known)]
    return Target(seen, ranges=tuple(ranges), only=only)


def form_again(job: JobSnapshot, target: Target, parts: Sequence[Part], topology: Topology) -> Form:
    """As the job was asked for, and with what helps."""
    request, outcomes = job.request, {part.outcome for part in parts}
    to = replace(request.to, unit_bytes=0) if isinstance(request.to, Interleave) else request.to
    busy = Outcome.BUSY in outcomes
    return replace(
        first_form((target,), topology),
        to=to,
        shared=request.shared or Outcome.SHARED in outcomes,
        retry=Retry(RetryMode.UNTIL) if busy else request.retry,
        batch_pages=request.batch_pages,
        budget_ns=request.budget_ns,
        rate=request.rate,
        most_calls=request.most_calls,
        reserve_bytes=request.reserve_bytes,
        critical=request.critical,
        threads=request.threads,
    )
