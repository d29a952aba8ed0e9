"""A child that moves pages and is killed: at a random moment, or by its own hand at a certain one."""

from __future__ import annotations

import ctypes
import mmap
import os
import select
import signal
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numamig.backends.base import MPOL_MF_MOVE, Backend, MovePagesCall, MovePagesReturn
from numamig.migrate.batch import Batch
from numamig.migrate.choose import choose_by_plan
from numamig.migrate.chooser import ChoosesFor
from numamig.migrate.job import Job
from numamig.migrate.journal.record import JobRecord, Recorder
from numamig.migrate.journal.store import Journal
from numamig.migrate.mover import BatchResult
from numamig.migrate.plan import plan_request
from numamig.migrate.request import Request
from numamig.migrate.resume import plan_to_go_on
from numamig.migrate.run import run_job
from numamig.migrate.undo import Undoing, choose_to_undo, plan_undo

__all__ = ["EXACT", "Doom", "End", "Phase", "Task", "carry_out", "fork_and_kill"]

_PR_SET_PDEATHSIG = 1


class Phase(IntEnum):
    """What a child was at when it ended."""

    STARTING = 0
    """It opens the machine."""
    OPENING = 1
    """It opens the journal."""
    PLANNING = 2
    CHOOSING = 3
    """Between steps: the result of the last one may not be written yet."""
    BEFORE_JOURNAL = 4
    IN_JOURNAL = 5
    """In the transaction that says what is going to be moved."""
    BEFORE_CALL = 6
    IN_CALL = 7
    AFTER_CALL = 8
    """Pages have moved, and nobody has booked it."""
    IN_FLUSH = 9
    """In the transaction that says what has become of the job."""
    ENDED = 10


EXACT = (
    Phase.BEFORE_JOURNAL,
    Phase.IN_JOURNAL,
    Phase.BEFORE_CALL,
    Phase.IN_CALL,
    Phase.AFTER_CALL,
    Phase.IN_FLUSH,
)
"""Moments at which a child can be told to kill itself."""


@dataclass(frozen=True)
class Task:
    """What a child is to do; all of it can be said again, to do the same."""

    environment: Mapping[str, str]
    request: Request | None = None
    """To move pages."""
    undo: int | None = None
    """Number of a job to take back."""
    resume: int | None = None
    """Number of a job to go on with."""


class Doom:
    """When a child dies, and where it is until then, which its parent sees too.

    :param phase: in which it kills itself; None: somebody else will
    :param nth: at which time of being there
    :param share: of the addresses of a call that are passed on before
    :param from_phase: from which somebody else counts the time until then
    """

    def __init__(
        self,
        phase: Phase | None = None,
        nth: int = 1,
        share: float = 0.5,
        *,
        from_phase: Phase = Phase.OPENING,
    ) -> None:
        self.phase, self._nth, self._share, self.from_phase = phase, nth, share, from_phase
        self._mark = mmap.mmap(-1, 1)
        self.begun = -1
        """Descriptor of who wants to be told that ``from_phase`` is reached."""

    def __repr__(self) -> str:
        return f"Doom({self.phase!r}, {self._nth}, {self._share:.2f})"

    @property
    def reached(self) -> Phase:
        return Phase(self._mark[0])

    def at(self, phase: Phase) -> None:
        """Be there; and die there, if that is the moment."""
        self._mark[0] = phase
        if phase is self.from_phase and self.begun >= 0:
            os.write(self.begun, b"\n")
            self.begun = -1
        if phase is self.phase and phase not in (Phase.IN_JOURNAL, Phase.IN_FLUSH):
            self._tick()

    def _tick(self) -> None:
        self._nth -= 1
        if self._nth == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def haunt(self, backend: Backend) -> None:
        """Its calls can be the last thing that this process does, and be half done then."""
        move, together = backend.move_pages, backend.move_pages_together

        def move_pages(
            pid: int, addresses: NDArray[np.uint64], nodes: NDArray[np.int32] | None, flags: int = MPOL_MF_MOVE
        ) -> MovePagesReturn:
            if nodes is None:
                return move(pid, addresses, nodes, flags)
            self._before_call(lambda some: move(pid, addresses[some], nodes[some], flags), len(addresses))
            answer = move(pid, addresses, nodes, flags)
            self.at(Phase.AFTER_CALL)
            return answer

        def move_pages_together(calls: list[MovePagesCall]) -> list[MovePagesReturn]:
            # Some of the calls are made, as when the threads of the others have not been there yet.
            self._before_call(lambda some: [move(*call) for call in np.array(calls, object)[some]], len(calls))
            answers = together(calls)
            self.at(Phase.AFTER_CALL)
            return answers

        backend.move_pages = move_pages  # type: ignore[method-assign]
        backend.move_pages_together = move_pages_together  # type: ignore[assignment, method-assign]

    def _before_call(self, part: Callable[[NDArray[np.bool_]], object], count: int) -> None:
        if self.phase is Phase.IN_CALL and self._nth == 1:
            part(np.random.default_rng(count).random(count) < self._share)
        self.at(Phase.IN_CALL)

    def listen(self, journal: Journal) -> None:
        """Every statement of a transaction can be the last."""
        if self.phase in (Phase.IN_JOURNAL, Phase.IN_FLUSH):
            with journal.transaction() as db:
                db.set_trace_callback(self._heard)

    def _heard(self, _statement: str) -> None:
        if self.reached is self.phase:
            self._tick()


class DoomedRecord(JobRecord):
    """A record that says when it is written to."""

    def __init__(self, doom: Doom, recorder: Recorder, record: JobRecord) -> None:
        super().__init__(recorder, record.number, record.image)
        self.before = record.before
        self._doom = doom

    def intend(self, batch: Batch, pages: int) -> None:
        self._doom.at(Phase.BEFORE_JOURNAL)
        self._doom.at(Phase.IN_JOURNAL)
        super().intend(batch, pages)
        self._doom.at(Phase.BEFORE_CALL)

    def settle(self, result: BatchResult) -> None:
        super().settle(result)
        self._doom.at(Phase.CHOOSING)

    def flush(self, *what: Any, **more: Any) -> None:
        self._doom.at(Phase.IN_FLUSH)
        super().flush(*what, **more)
        self._doom.at(Phase.CHOOSING)


def carry_out(task: Task, backend: Backend, doom: Doom) -> None:
    """The whole of a job, as the commands do it."""
    doom.haunt(backend)
    doom.at(Phase.OPENING)
    recorder = Recorder.open(backend, task.environment)
    doom.listen(recorder.journal)
    doom.at(Phase.PLANNING)
    chooses: ChoosesFor = choose_by_plan
    if task.undo is not None:
        undoing = Undoing(recorder.journal, recorder.journal.job(task.undo))
        plan, chooses = plan_undo(backend, undoing), choose_to_undo(undoing)
        record = recorder.begin(plan)
    elif task.resume is not None:
        plan, record = plan_to_go_on(backend, recorder, recorder.journal.job(task.resume))
    else:
        assert task.request is not None
        plan = plan_request(backend, task.request)
        record = recorder.begin(plan)
    job = Job(record.number, backend, plan, DoomedRecord(doom, recorder, record), chooses=chooses)
    for _ in run_job(job, backend):
        assert job.snapshot().outcomes.total == sum(row.pages for row in job.ledger())
    doom.at(Phase.ENDED)
    recorder.close()


@dataclass(frozen=True)
class End:
    """How a child ended."""

    killed: bool
    phase: Phase
    seconds: float
    """That it took, from the phase from which they were counted."""


def fork_and_kill(work: Callable[[], None], doom: Doom, after_s: float | None) -> End:
    """Let a child do ``work``; it is killed so many seconds after it has reached a phase, unless it was quicker."""
    parent = os.getpid()
    begins, doom.begun = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() == parent:
                os.close(begins)
                work()
                os._exit(0)
        except BaseException:  # noqa: BLE001 - whatever it is, the test must not go on in the child
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(doom.begun)
    ends = os.pidfd_open(child)
    try:
        if doom.from_phase is not Phase.STARTING:
            select.select([begins], [], [])  # or its end
        began = time.monotonic()
        select.select([ends], [], [], after_s)
    finally:
        os.close(ends)
        os.close(begins)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, -signal.SIGKILL), "the child failed: what it said is above"
    return End(code != 0, doom.reached, time.monotonic() - began)
