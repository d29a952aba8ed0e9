"""The thread that works out plans: what is typed in a dialog never waits for one."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager

from numamig.backends.base import Backend
from numamig.errors import BackendError, NumamigError
from numamig.migrate.plan import Plan, Seen, look, make_plan, settled
from numamig.migrate.queue import JobQueue
from numamig.migrate.request import Request
from numamig.migrate.undo import Undoing, plan_undo
from tui.threads.snapshots import Planned

__all__ = ["Planner", "Wanted"]

Wanted = Request | int
"""What a plan is wanted for: a request, or the number of a job that is to be taken back."""


class Planner:
    """Answers the latest question only.

    :param turn: held while the machine is used, where only one may at a time
    """

    def __init__(self, backend: Backend, queue: JobQueue, turn: AbstractContextManager[object]) -> None:
        self.thread = threading.Thread(target=self._work, name="numamig-plans", daemon=True)
        self.plans = Planned(0, ())
        """The latest answer."""
        self._backend = backend
        self._queue = queue
        self._turn = turn
        self._wake = threading.Condition()
        self._wanted: tuple[int, tuple[Wanted, ...]] = (0, ())
        self._fresh = True
        self._seen: list[tuple[Request, Seen]] = []
        """What was looked at for plans since somebody asked for a fresh look."""
        self._stopping = False

    def ask(self, wanted: tuple[Wanted, ...], *, fresh: bool = True) -> int:
        """The number that ``plans`` will carry when they are ready.

        :param fresh: look at everything anew: a look reads all that is mapped, and may walk page tables
        """
        with self._wake:
            serial = self._wanted[0] + 1
            self._fresh |= fresh
            self._wanted = (serial, wanted)
            self._wake.notify_all()
        return serial

    def stop(self) -> None:
        with self._wake:
            self._stopping = True
            self._wake.notify_all()

    def _work(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._stopping or self._wanted[0] != self.plans.serial)
                if self._stopping:
                    return
                serial, wanted = self._wanted
                fresh, self._fresh = self._fresh, False
            if fresh:
                self._seen.clear()
            self.plans = Planned(serial, tuple(self._plan(each) for each in wanted))

    def _plan(self, wanted: Wanted) -> Plan | NumamigError:
        try:
            with self._turn:
                if isinstance(wanted, Request):
                    request = settled(self._backend, wanted)
                    return make_plan(self._look(request), request)
                journal = self._queue.recorder.journal
                return plan_undo(self._backend, Undoing(journal, journal.job(wanted)))
        except NumamigError as error:
            return error
        except Exception as error:  # noqa: BLE001 - shown in the dialog, as every other reason why there is no plan
            return BackendError(repr(error))

    def _look(self, request: Request) -> Seen:
        """Once for requests that differ only in how gently it goes."""
        about = _about(request)
        seen = next((seen for other, seen in self._seen if other == about), None)
        if seen is None:
            seen = look(self._backend, request)
            self._seen.append((about, seen))
        return seen


def _about(request: Request) -> Request:
    """The part of a request that decides what is looked at."""
    return Request(
        request.pid,
        request.to,
        sources=request.sources,
        kinds=request.kinds,
        within=request.within,
        shared=request.shared,
        critical=request.critical,
        paths=request.paths,
        least_region_bytes=request.least_region_bytes,
        most_region_bytes=request.most_region_bytes,
        huge=request.huge,
        mapped=request.mapped,
        heat=request.heat,
        order=request.order,
    )
