"""What a job goes by: its plan, which may be changed while it moves pages, and grows old while it waits.

What somebody changes is in the journal first: whoever goes on with the job goes by that.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

from numamig.backends.base import Backend
from numamig.errors import NumamigError, RefusedError, TargetGone
from numamig.migrate.destination import Destination
from numamig.migrate.journal.record import JobRecord
from numamig.migrate.plan import Plan, plan_request
from numamig.migrate.preflight import recheck
from numamig.model.finding import Finding, Severity
from numamig.model.pages import Ranges

__all__ = ["Course"]

_STALE_NS = 10_000_000_000
"""By the backend's clock: so long is believed what preflight found."""
_MOST_RANGES = 1024
"""More are not worth looking at one by one."""


class Course:
    """Of one job. Its pace may be changed from any thread; all else is for the one that steps it."""

    def __init__(self, backend: Backend, plan: Plan, record: JobRecord | None) -> None:
        self.plan = plan
        self._backend = backend
        self._record = record
        self._within = plan.request.within
        """What the journal says that it is about: after a change of target, what had no turn before."""
        self._looked_ns = backend.clock.now_ns()
        """When preflight was made, or last made again."""
        self._lock = threading.Lock()

    def set_pace(self, what: str, **wanted: Any) -> None:
        """Another ``batch_pages``, ``budget_ns`` or ``rate``.

        :param what: the act, in words
        :raises JournalError: it could not be written down, and is not done.
        """
        with self._lock:
            self._replan(replace(self.plan, request=replace(self.plan.request, **wanted)), self._within, what)

    def aim_at(self, to: Destination, left: Ranges | None, had_turn: int, what: str) -> None:
        """Another destination for what had no turn yet.

        :param left: where that is; None: nothing had one, all of the request
        :param had_turn: base pages that had
        :param what: the act, in words
        :raises UsageError: the node does not exist.
        :raises RefusedError: preflight says no.
        :raises JournalError: it could not be written down, and is not done.
        """
        within = self.plan.request.within if left is None else left
        most = self.plan.request.most_pages
        limit = None if most is None else max(1, most - had_turn)
        fresh = plan_request(self._backend, replace(self.plan.request, to=to, within=within, most_pages=limit))
        fresh.demand_possible()
        with self._lock:
            plan = replace(
                self.plan,
                request=replace(self.plan.request, to=fresh.request.to, most_pages=limit),
                findings=fresh.findings,
                pages=had_turn + fresh.pages,
                reserve_bytes=fresh.reserve_bytes,
                ways=fresh.ways,
            )
            self._replan(plan, within, what)
        self._looked_ns = self._backend.clock.now_ns()

    def _replan(self, plan: Plan, within: Ranges | None, what: str) -> None:
        if self._record is not None:
            self._record.rewrite(replace(plan.request, within=within), plan.pages, what)
        self._within = within
        self.plan = plan

    def is_stale(self, now_ns: int) -> bool:
        """Whether what preflight found is too old to go by."""
        return now_ns - self._looked_ns > _STALE_NS

    def check(self, left: Ranges | None) -> bool:
        """Preflight once more; whether it found warnings that are to be told.

        :param left: what had no turn yet; None: only what is cheap is looked at, and the rest is as it was
        :raises RefusedError: it says no.
        :raises TargetGone: the process ended.
        """
        before, known = self.plan.warnings, {finding.check for finding in self.plan.errors}
        findings = _look_again(self._backend, self.plan, left)
        with self._lock:
            self.plan = replace(self.plan, findings=findings)
        for error in self.plan.errors:
            if error.check not in known:  # whoever began in spite of what stood against it then knows of that
                raise RefusedError(error.reason, hint=error.remedy or None, pid=self.plan.request.pid)
        if left is not None:
            self._looked_ns = self._backend.clock.now_ns()
        warnings = self.plan.warnings
        return bool(warnings) and (left is not None or warnings != before)


def _look_again(backend: Backend, plan: Plan, left: Ranges | None) -> tuple[Finding, ...]:
    """What speaks for and against going on with a plan now."""
    if left is None or plan.undoes is not None:  # what an undo is about, preflight cannot tell: the journal does
        found = recheck(backend, plan.request)
        checks = {finding.check for finding in found}
        return (*found, *(finding for finding in plan.findings if finding.check not in checks))
    request = plan.request if len(left) > _MOST_RANGES else replace(plan.request, within=left)
    try:
        return plan_request(backend, request).findings
    except TargetGone:
        raise
    except NumamigError as error:
        return (Finding("rights", Severity.ERROR, error.message, error.hint or ""),)
