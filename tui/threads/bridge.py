"""The threads of the console: some step jobs, one looks, one plans, two do as asked; widgets read the latest.

A call that hangs in the kernel hangs its thread, not the console: snapshots are replaced as a whole and read without a
lock, and what is asked for is written under a lock that no call into the machine is made under.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path

from numamig.backends.base import Backend
from numamig.clock import PacedClock
from numamig.errors import JournalError, RefusedError
from numamig.migrate.ledger import LedgerRow
from numamig.migrate.plan import Plan
from numamig.migrate.queue import JobQueue
from numamig.migrate.request import Request
from numamig.migrate.snapshot import JobSnapshot, JobState
from numamig.migrate.stayed import StayedSeen
from numamig.model.events import Event
from tui.threads.acts import Act, Acts, Said
from tui.threads.courtesy import Courtesy
from tui.threads.draining import Draining, look_at
from tui.threads.earlier import EarlierJob, earlier_jobs
from tui.threads.looking import Looker
from tui.threads.orders import Orders
from tui.threads.planning import Planner, Wanted
from tui.threads.rehearsing import Rehearsal, TwinOf
from tui.threads.saving import save, save_plans
from tui.threads.snapshots import Identity, Planned, Steps, Watch
from tui.threads.stepping import Stepper
from tui.threads.watching import Watcher

__all__ = ["Bridge"]

_JOIN_S = 1.0


class Bridge:
    """Between the console and a machine.

    :param speed: how fast virtual time passes before an audience: 1 shows it as it is, 0.1 ten times slower, and None
        as fast as it can be worked out
    :param now_s: the console's own clock
    :param spent_s: CPU time of the thread that asks
    :param twin_of: None: nothing can be rehearsed
    """

    def __init__(
        self,
        backend: Backend,
        *,
        speed: float | None = 1.0,
        now_s: Callable[[], float] = time.monotonic,
        spent_s: Callable[[], float] = time.thread_time,
        twin_of: TwinOf | None = None,
    ) -> None:
        self.backend = backend
        self.twin_of = twin_of
        self.now_s = now_s
        self._virtual = backend.capabilities.virtual_time
        clock = backend.clock
        self._paced = clock if self._virtual and isinstance(clock, PacedClock) else None
        # All look at one virtual clock: a look in the middle of a step would count as a part of its calls. Virtual
        # calls do not hang, so there they may wait for each other; real ones never do.
        self._turn: AbstractContextManager[object] = threading.Lock() if self._virtual else nullcontext()
        self.courtesy = Courtesy()
        self.watcher = Watcher(
            backend, self._turn, now_s, self._busy, self.courtesy, spent_s=spent_s, paced=self._paced
        )
        self._queue = JobQueue(backend)
        self.looker.stayed_of = self._queue.stayed
        self._follower = self._queue.stream.follow()
        self._stepper = Stepper(backend, self._queue, self._turn, now_s, self.courtesy)
        self.orders = Orders(self._queue, self._stepper, self._turn)
        self._planner = Planner(backend, self._queue, self._turn)
        self.earlier: tuple[EarlierJob, ...] | None = None
        """Jobs of earlier runs, as ``look_for_earlier`` found them; None until it has."""
        self.draining: Draining | None = None
        """As ``look_at_drain`` found it; None until it has."""
        self.read_only_asked = False
        """It was asked for at the start."""
        self._said: deque[Said] = deque()
        self.acted: Callable[[], object] = _nothing
        """Called from any thread when something was done that was asked for."""
        self._steering = Acts("numamig-steers", self._said, self._tell)
        # What needs the machine may wait for it; nobody who pauses a job waits for that.
        self._adding = Acts("numamig-adds", self._said, self._tell)
        self._threads = [
            *self._stepper.threads,
            self._steering.thread,
            self._adding.thread,
            self.watcher.thread,
            self._planner.thread,
        ]
        self.set_speed(speed)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the threads; one that hangs in a call is left to the end of the program."""
        for part in (self.watcher, self._stepper, self._planner, self._steering, self._adding):
            part.stop()
        until = time.monotonic() + _JOIN_S
        for thread in (*self._threads, self.watcher.heat_thread):
            if thread.is_alive():
                thread.join(max(0.0, until - time.monotonic()))
        for job in self.jobs():
            if job.state is JobState.RUNNING:
                with suppress(JournalError):  # it is as if this had been killed, which the journal is made for
                    self._queue.hold(job.number)

    # Time

    @property
    def paced(self) -> bool:
        """Whether the machine's time can be made to pass faster or slower."""
        return self._paced is not None

    @property
    def speed(self) -> float | None:
        """How many times as fast as the wall's the machine's time passes; None: no pace is kept."""
        return None if self._paced is None else self._paced.speed

    def set_speed(self, speed: float | None) -> None:
        """May be said from any thread; what waits by the old pace waits no longer."""
        if self._paced is not None:
            self._paced.speed = speed
            self._stepper.look_up(paces=True)

    # What is looked at

    @property
    def looker(self) -> Looker:
        """What was seen."""
        return self.watcher.looker

    def _busy(self, watch: Watch) -> bool:
        """Whether pages of the selected process move, or moved since it was last looked at."""
        if watch.identity is None:
            return False
        if any(j.state is JobState.RUNNING and j.plan.process.identity == watch.identity for j in self.jobs()):
            return True
        seen = self.looker.map
        return self._stepper.moved_at.get(watch.identity[0], -1.0) > (seen.taken_s if seen is not None else -1.0)

    # Plans

    @property
    def plans(self) -> Planned:
        """The latest answer to ``ask_plans``."""
        return self._planner.plans

    def ask_plans(self, wanted: tuple[Wanted, ...], *, fresh: bool = True) -> int:
        """Work out plans; the number that ``plans`` will carry when they are ready. Only the latest is worked out.

        :param wanted: requests, or numbers of jobs to take back
        :param fresh: look at everything anew
        """
        return self._planner.ask(wanted, fresh=fresh)

    # Jobs

    def jobs(self) -> tuple[JobSnapshot, ...]:
        """Every job as it is now; waits for no step."""
        return self._queue.snapshots()

    def ledger(self, number: int) -> list[LedgerRow]:
        """What became of a job's pages, by region, source and target."""
        return self._queue.ledger(number)

    def stayed(self, identity: Identity) -> StayedSeen | None:
        """What the jobs here left behind of a process."""
        return self._queue.stayed(identity)

    def steps(self, jobs: Iterable[JobSnapshot]) -> Steps:
        """How it stands with the steps in progress."""
        return replace(
            self._stepper.steps(jobs), paces=dict(self.orders.paces), priorities=dict(self.orders.priorities)
        )

    @property
    def problems(self) -> dict[int, str]:
        """Job → why it was held, where a step raised an error."""
        return self._stepper.problems

    def events(self) -> list[Event]:
        """What happened since it was last asked, in order."""
        return self._follower.news()

    @property
    def missed(self) -> int:
        """Events that came too fast for whoever asks for them."""
        return self._follower.missed

    def look_for_earlier(self) -> None:
        """What it finds will be in ``earlier``."""

        def find() -> None:
            known = frozenset(job.number for job in self.jobs())
            with self._turn:
                self.earlier = earlier_jobs(self.backend, self._queue.recorder, known)

        self.earlier = None
        self.bring(find)

    def look_at_drain(self, node: int, *, shared: bool) -> None:
        """What it would come to to empty a node will be in ``draining``."""

        def look() -> None:
            with self._turn:
                self.draining = look_at(self.backend, node, shared=shared)

        self.draining = None
        self.bring(look)

    @property
    def unended(self) -> int:
        """How many jobs there are that have not ended."""
        return sum(not job.state.ended for job in self.jobs())

    def save(self, path: Path) -> int:
        """As ``saving.save``, of the jobs here."""
        return save(self.backend, self._queue.recorder, (job.number for job in self.jobs()), path)

    def save_plans(self, plans: Sequence[tuple[Request, Plan]], path: Path) -> None:
        """As ``saving.save_plans``."""
        save_plans(self.backend, plans, path)

    def rehearse(self, requests: Sequence[Request]) -> Rehearsal:
        """The same on a twin, from now on, beside everything else.

        :raises RefusedError: there is none of this machine.
        """
        if self.twin_of is None:
            raise RefusedError("there is no twin of this machine to rehearse on")
        return Rehearsal(self.backend, self.twin_of, self._turn, requests)

    # What is asked for, without waiting

    def steer(self, act: Act) -> None:
        """Do what a job that is there was asked for; what came of it is in ``said``."""
        self._steering.ask(act)

    def bring(self, act: Act) -> None:
        """The same of what needs the machine: new jobs, other targets."""
        self._adding.ask(act)

    def said(self) -> list[Said]:
        """What came of what was asked for, since it was last asked, in order."""
        said = []
        while self._said:
            said.append(self._said.popleft())
        return said

    def _tell(self) -> None:
        self.acted()


def _nothing() -> None:
    """Nobody wants to know."""
