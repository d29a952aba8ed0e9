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
from numamig.migrate.destination import Destination
from numamig.migrate.ledger import LedgerRow
from numamig.migrate.plan import Plan
from numamig.migrate.queue import JobQueue
from numamig.migrate.request import Request
from numamig.migrate.snapshot import JobSnapshot, JobState
from numamig.migrate.stayed import StayedSeen
from numamig.model.events import Event
from numamig.observe.pagemap import Grid
from tui.threads.acts import Act, Acts, Said
from tui.threads.draining import Draining, look_at
from tui.threads.earlier import EarlierJob, earlier_jobs
from tui.threads.heatlooking import HeatLooker
from tui.threads.lenses import Lens
from tui.threads.looking import Looker
from tui.threads.planning import Planner, Wanted
from tui.threads.rehearsing import Rehearsal, TwinOf
from tui.threads.saving import save, save_plans
from tui.threads.snapshots import HeatSeen, Identity, Pace, Planned, Steps, Watch
from tui.threads.stepping import Stepper

__all__ = ["Bridge"]

_JOIN_S = 1.0


class Bridge:
    """Between the console and a machine.

    :param speed: how fast virtual time passes before an audience: 1 shows it as it is, 0.1 ten times slower, and None
        as fast as it can be worked out
    :param now_s: the console's own clock
    :param twin_of: None: nothing can be rehearsed
    """

    def __init__(
        self,
        backend: Backend,
        *,
        speed: float | None = 1.0,
        now_s: Callable[[], float] = time.monotonic,
        twin_of: TwinOf | None = None,
    ) -> None:
        self.backend = backend
        self.twin_of = twin_of
        self.looker = Looker(backend, now_s, time.thread_time)
        self.now_s = now_s
        self._virtual = backend.capabilities.virtual_time
        clock = backend.clock
        self._paced = clock if self._virtual and isinstance(clock, PacedClock) else None
        # All look at one virtual clock: a look in the middle of a step would count as a part of its calls. Virtual
        # calls do not hang, so there they may wait for each other; real ones never do.
        self._turn: AbstractContextManager[object] = threading.Lock() if self._virtual else nullcontext()
        self._heat = HeatLooker(backend, self._turn, now_s)
        self._queue = JobQueue(backend)
        self.looker.stayed_of = self._queue.stayed
        self._follower = self._queue.stream.follow()
        self._stepper = Stepper(backend, self._queue, self._turn, now_s)
        self._planner = Planner(backend, self._queue, self._turn)
        self.earlier: tuple[EarlierJob, ...] | None = None
        """Jobs of earlier runs, as ``look_for_earlier`` found them; None until it has."""
        self.read_only = False
        """Nothing that moves can be asked for."""
        self.draining: Draining | None = None
        """As ``look_at_drain`` found it; None until it has."""
        self.read_only_asked = False
        """It was asked for at the start."""
        self._paces: dict[int, Pace] = {}
        self._priorities: dict[int, int] = {}
        self._said: deque[Said] = deque()
        self.acted: Callable[[], object] = _nothing
        """Called from any thread when something was done that was asked for."""
        self._steering = Acts("numamig-steers", self._said, self._tell)
        # What needs the machine may wait for it; nobody who pauses a job waits for that.
        self._adding = Acts("numamig-adds", self._said, self._tell)
        self._wake_looks = threading.Condition()
        self._watch = Watch()
        self._hurry = False
        self._stopping = False
        self._threads = [
            *self._stepper.threads,
            self._steering.thread,
            self._adding.thread,
            threading.Thread(target=self._keep_looking, name="numamig-looks", daemon=True),
            self._planner.thread,
        ]
        self.set_speed(speed)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the threads; one that hangs in a call is left to the end of the program."""
        self._stopping = True
        for part in (self._stepper, self._planner, self._steering, self._adding, self._heat):
            part.stop()
        with self._wake_looks:
            self._wake_looks.notify_all()
        until = time.monotonic() + _JOIN_S
        for thread in (*self._threads, self._heat.thread):
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

    def watch(self, identity: Identity | None, rows: tuple[Identity, ...]) -> None:
        """Which process is selected, and which are in view."""
        with self._wake_looks:
            if identity != self._watch.identity:
                version = self._watch.version + 1
                self._watch = Watch(identity=identity, rows=rows, version=version, lens=self._watch.lens)
                self._wake_looks.notify_all()
            elif rows != self._watch.rows:
                self._watch = replace(self._watch, rows=rows)

    def watch_map(self, grid: Grid | None, overview: Grid | None) -> None:
        """Which buckets of the selected process are in view, and coarse ones of all of it if that is not all."""
        with self._wake_looks:
            self._watch = replace(self._watch, grid=grid, overview=overview, version=self._watch.version + 1)
            self._wake_looks.notify_all()
        self._heat.watch(self._watch)

    def watch_lens(self, lens: Lens) -> None:
        """What is looked at besides where pages are."""
        with self._wake_looks:
            self._watch = replace(self._watch, lens=lens)
            self._wake_looks.notify_all()
        self._heat.watch(self._watch)

    def read_now(self) -> None:
        """Look at everything anew, whenever its turn would come."""
        with self._wake_looks:
            self._hurry = True
            self._watch = replace(self._watch, version=self._watch.version + 1)
            self._wake_looks.notify_all()

    def _keep_looking(self) -> None:
        while not self._stopping:
            if self._hurry:
                self._hurry = False
                self.looker.hurry()
            if self._paced is not None:
                with self._turn:
                    self._paced.keep_pace()
            watch = self._watch
            watch = replace(watch, busy=self._busy(watch))
            due, look = self.looker.next(watch)
            wait_s = due - self.now_s()
            if look is not None and wait_s <= 0:
                with self._turn:
                    look(watch)
                continue
            with self._wake_looks:
                now = self._watch
                if now.looks_at == watch.looks_at and not self._stopping:
                    # A job may begin at any moment, and time be seen to pass: never asleep for longer than a glance.
                    self._wake_looks.wait(min(wait_s, 0.25 if self._paced is None else 0.1))

    @property
    def heat(self) -> HeatSeen | None:
        """The latest, where that lens is on."""
        return self._heat.seen

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
        return replace(self._stepper.steps(jobs), paces=dict(self._paces), priorities=dict(self._priorities))

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

    # What is asked for: it may wait for the journal, and raises what the queue raises

    def add(self, plan: Plan, *, run: bool) -> int:
        """A new job; its number."""
        self._demand_moves()
        with self._turn:
            number = self._queue.add(plan)
        if run:
            self.run(number)
        return number

    def add_undo(self, number: int, *, run: bool) -> int:
        """A new job that takes another one back; its number."""
        self._demand_moves()
        with self._turn:
            added = self._queue.add_undo(number)
        if run:
            self.run(added)
        return added

    def add_resume(self, number: int, *, run: bool) -> int:
        """Go on with a job that an earlier run left; its number."""
        self._demand_moves()
        with self._turn:
            self._queue.add_resume(number)
        if run:
            self.run(number)
        return number

    def retarget(self, number: int, to: Destination) -> None:
        """What has had no turn yet goes elsewhere.

        :raises RefusedError: a call does not return, which this would have to wait for; or preflight says no.
        """
        self._demand_moves()
        self._demand_answers()
        with self._turn:
            self._queue.retarget(number, to)

    def run(self, number: int) -> None:
        self._demand_moves()
        self._stepper.run(number)

    def hold(self, number: int) -> None:
        self._stepper.hold(number)

    def run_or_hold(self, number: int) -> bool:
        """The one that it is not at; whether it runs now."""
        running = self._queue.snapshot(number).state is JobState.RUNNING
        (self.hold if running else self.run)(number)
        return not running

    def step(self, number: int) -> None:
        """One batch, then the job is held.

        :raises RefusedError: a call does not return: steps that were asked for would all come afterwards.
        """
        self._demand_moves()
        self._demand_answers()
        self._stepper.step(number)

    def cancel(self, number: int) -> None:
        self._stepper.cancel(number)

    def shift(self, number: int, places: int) -> None:
        """Further to the front (negative) or to the back."""
        self._queue.shift(number, places)
        self._stepper.look_up()

    def prioritise(self, number: int, way: int) -> int:
        """One higher or lower, whatever its place: jobs of a higher priority are stepped first; what it is now."""
        priority = self._priorities.get(number, 0) + way
        self._queue.prioritise(number, priority)
        self._priorities[number] = priority
        self._stepper.look_up()
        return priority

    def set_batch(self, number: int, pages: int) -> None:
        self._queue.set_batch(number, pages)

    def set_pace(self, number: int, pace: Pace) -> None:
        """Counts from the next step on."""
        self._queue.set_budget(number, pace.budget_ns)
        self._queue.set_rate(number, pace.rate)
        self._paces[number] = pace

    def _demand_moves(self) -> None:
        if self.read_only:
            raise RefusedError("this console is read-only", hint="^p read-only off")

    def _demand_answers(self) -> None:
        hanging = self._stepper.hanging()
        if hanging is not None:
            raise RefusedError(
                f"a call of job {hanging} does not return from the kernel", hint="nothing new is begun until it does"
            )

    # The same, without waiting

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
