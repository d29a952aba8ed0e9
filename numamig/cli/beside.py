"""A job that is stepped beside the main thread, so that ctrl-c is heard while a call hangs in the kernel.

Python runs the handler of a signal in the main thread, and there only between two instructions: who makes the call
itself hears nothing until it returns.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NoReturn

from numamig.cli.narrate import narrate
from numamig.errors import ExitCode
from numamig.migrate.job import Job
from numamig.migrate.journal.record import JobRecord
from numamig.migrate.run import run_job
from numamig.migrate.snapshot import JobSnapshot

if TYPE_CHECKING:
    from numamig.backends.base import Backend

__all__ = ["LeftBehind", "run_beside", "run_with_ctrl_c"]

_LOOK_S: Final = 0.1
_HANGS_NS: Final = 2_000_000_000


class LeftBehind(KeyboardInterrupt):
    """Whoever waited for a job was told not to; its thread is still at it."""


def run_with_ctrl_c(
    job: Job,
    backend: Backend,
    record: JobRecord,
    wanted: Callable[[], bool],
    show: Callable[[JobSnapshot], None],
) -> None:
    """Run a job to its end, or until it is not wanted, where ctrl-c is heard meanwhile. Who says it twice leaves it.

    :param show: is handed the job now and then
    """
    if backend.capabilities.virtual_time:
        # No call hangs there, and each thread has a time of its own: the job goes on from that of who has planned it.
        for _event in run_job(job, backend, wanted):
            show(job.snapshot())
        return
    try:
        run_beside(job, backend, wanted, show, lambda words: narrate(f"numamig: {words}"))
    except LeftBehind:
        _leave(backend, record)


def _leave(backend: Backend, record: JobRecord) -> NoReturn:
    """End at once, as if killed: a journal that is closed, or a lock that is given back, would be so under a call that
    still moves pages. The kernel gives the lock back when that call returns, and the journal has what was intended.
    """
    number = record.number
    try:
        if backend.capabilities.lasting:
            narrate(
                f"numamig: job {number} is left as it is: numamig resume {number} goes on, undo {number} takes it back"
            )
        record.act("leave")
    finally:
        os._exit(ExitCode.INTERRUPTED)


def run_beside(
    job: Job,
    backend: Backend,
    wanted: Callable[[], bool],
    show: Callable[[JobSnapshot], None],
    say: Callable[[str], None],
) -> None:
    """Run a job to its end, or until it is not wanted, in a thread of its own. What it raises is raised here.

    :param show: is handed the job now and then
    :param say: is handed a sentence when one call has lasted for two seconds, and each time that has doubled
    :raises LeftBehind: ctrl-c came once more than politeness asks for, and the kernel has not returned yet.
    """
    ended = threading.Event()
    failed: list[BaseException] = []

    def work() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # it is for the thread that can hear it
        try:
            for _event in run_job(job, backend, wanted):
                pass
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            failed.append(error)
        finally:
            ended.set()

    threading.Thread(target=work, name=f"numamig-job-{job.number}", daemon=True).start()
    hanging = _Hanging(say)
    try:
        while not ended.wait(_LOOK_S):
            now = job.snapshot()
            show(now)
            hanging.look(now.call_since_ns, backend.clock.now_ns())
    except KeyboardInterrupt:
        if ended.is_set():
            raise
        raise LeftBehind from None
    if failed:
        raise failed[0]
    show(job.snapshot())


class _Hanging:
    """Says how long one call has lasted."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._since_ns: int | None = None
        self._next_ns = _HANGS_NS

    def look(self, since_ns: int | None, now_ns: int) -> None:
        """
        :param since_ns: when the call began; None between two
        """
        if since_ns != self._since_ns:
            self._since_ns, self._next_ns = since_ns, _HANGS_NS
        if since_ns is None or (lasts_ns := now_ns - since_ns) < self._next_ns:
            return
        self._say(f"in the kernel for {lasts_ns // 10**9} s; cancel waits for it")
        while self._next_ns <= lasts_ns:
            self._next_ns *= 2
