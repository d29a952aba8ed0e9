"""A plan rehearsed on a simulated twin of the machine: what it would come to, before anything moves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from numamig.backends.base import Backend
from numamig.errors import NumamigError
from numamig.migrate.job import Job
from numamig.migrate.plan import plan_request
from numamig.migrate.request import Request
from numamig.migrate.run import run_job
from numamig.migrate.snapshot import JobSnapshot

__all__ = ["Rehearsal", "TwinOf"]

TwinOf = Callable[[Backend], Backend]
"""Makes a machine that may be moved about on, like the one that is given, and that nobody misses."""


class Rehearsal:
    """The same requests one after the other, in a thread of its own; in no journal.

    :param turn: held while the machine is used, where only one may at a time
    """

    def __init__(
        self, backend: Backend, twin_of: TwinOf, turn: AbstractContextManager[object], requests: Sequence[Request]
    ) -> None:
        self.jobs: tuple[JobSnapshot, ...] = ()
        """Those that were begun, as they are now."""
        self.problem = ""
        """Why it ended early."""
        self.elapsed_ns = 0
        """Of the twin's time, in all."""
        self.ended = False
        self._backend = backend
        self._twin_of = twin_of
        self._turn = turn
        self._requests = tuple(requests)
        self._wanted = True
        threading.Thread(target=self._work, name="numamig-rehearses", daemon=True).start()

    def stop(self) -> None:
        """After the step that it is in."""
        self._wanted = False

    @property
    def progress(self) -> float:
        """0 to 1."""
        return sum(job.progress for job in self.jobs) / len(self._requests)

    @property
    def stall_ns(self) -> int | None:
        """The longest that somebody would wait who touches a page under migration; None where nobody can tell."""
        stalls = (job.plan.estimated_stall_ns for job in self.jobs)
        return max((stall for stall in stalls if stall is not None), default=None)

    def _work(self) -> None:
        try:
            with self._turn:
                twin = self._twin_of(self._backend)
            began_ns = twin.clock.now_ns()
            for number, request in enumerate(self._requests, 1):
                self._rehearse(twin, number, request)
                self.elapsed_ns = twin.clock.now_ns() - began_ns
        except NumamigError as error:
            self.problem = str(error)
        except Exception as error:  # noqa: BLE001 - shown in the dialog: nothing else would tell why it never ends
            self.problem = repr(error)
        finally:
            self.ended = True

    def _rehearse(self, twin: Backend, number: int, request: Request) -> None:
        """
        :raises RefusedError: something stands against it.
        """
        before = self.jobs
        with self._turn:
            plan = plan_request(twin, request)
            plan.demand_possible()
            job = Job(number, twin, plan)
            steps = run_job(job, twin, lambda: self._wanted)
        while True:
            with self._turn:
                event = next(steps, None)
            self.jobs = (*before, job.snapshot())
            if event is None:
                return
