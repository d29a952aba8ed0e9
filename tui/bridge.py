"""The only threads of the console: one steps jobs, one looks, one plans; widgets read the latest and never wait.

A call that hangs in the kernel hangs its thread, not the console: snapshots are replaced as a whole and read without a
lock, and what is asked for is written under a lock that no call into the machine is made under.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from numamig.backends.base import Backend
from numamig.clock import PacedClock
from numamig.errors import BackendError, NumamigError
from numamig.migrate.plan import Plan, plan_request
from numamig.migrate.queue import JobQueue
from numamig.migrate.request import Request
from numamig.migrate.run import gap_after
from numamig.migrate.snapshot import JobSnapshot, JobState
from numamig.model.events import BatchMoved, Event
from numamig.observe.pagemap import Grid
from tui.looking import Looker
from tui.snapshots import Identity, Planned, Watch

__all__ = ["Bridge"]

_LEAST_SLEEP_S = 0.004
"""Shorter waits are saved up: a sleep is never as short as it is asked for."""
_JOIN_S = 1.0


class Bridge:
    """Between the console and a machine.

    :param speed: how fast virtual time passes before an audience: 1 shows it as it is, 0.1 ten times slower, and None
        as fast as it can be worked out
    :param now_s: the console's own clock
    """

    def __init__(
        self, backend: Backend, *, speed: float | None = 1.0, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self.backend = backend
        self.looker = Looker(backend, now_s, time.thread_time)
        self.now_s = now_s
        self.problems: dict[int, str] = {}
        """Job → why it was held, where a step raised an error."""
        self._virtual = backend.capabilities.virtual_time
        clock = backend.clock
        self._paced = clock if self._virtual and isinstance(clock, PacedClock) else None
        # All look at one virtual clock: a look in the middle of a step would count as a part of its calls. Virtual
        # calls do not hang, so there they may wait for each other; real ones never do.
        self._turn: AbstractContextManager[object] = threading.Lock() if self._virtual else nullcontext()
        self._queue = JobQueue(backend)
        self._steps: deque[int] = deque()
        self._cancelling: set[int] = set()
        self._events: deque[Event] = deque(maxlen=256)
        self._wake_jobs = threading.Condition()
        self._paces = 0
        """Counts how often the pace was changed."""
        self._asked = 0
        """Counts what was asked of the job thread, so that nothing is missed between two looks at it."""
        self._wake_looks = threading.Condition()
        self._watch = Watch()
        self._stopping = False
        self._call_since: tuple[int, float] | None = None
        self._moved_at: dict[int, float] = {}
        """Pid → when a batch of it was last moved."""
        self._threads = [
            threading.Thread(target=self._step_jobs, name="numamig-jobs", daemon=True),
            threading.Thread(target=self._keep_looking, name="numamig-looks", daemon=True),
            threading.Thread(target=self._keep_planning, name="numamig-plans", daemon=True),
        ]
        self._wake_plans = threading.Condition()
        self._wanted_plans: tuple[int, tuple[Request, ...]] = (0, ())
        self.plans = Planned(0, ())
        """The latest answer to ``ask_plans``."""
        self.set_speed(speed)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the threads; one that hangs in a call is left to the end of the program."""
        self._stopping = True
        for condition in (self._wake_jobs, self._wake_looks, self._wake_plans):
            with condition:
                condition.notify_all()
        until = time.monotonic() + _JOIN_S
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, until - time.monotonic()))

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
            self._paces += 1
            self._ask()

    # What is looked at

    def watch(self, identity: Identity | None, rows: tuple[Identity, ...]) -> None:
        """Which process is selected, and which are in view."""
        with self._wake_looks:
            if identity != self._watch.identity:
                self._watch = Watch(identity=identity, rows=rows, version=self._watch.version + 1)
                self._wake_looks.notify_all()
            elif rows != self._watch.rows:
                self._watch = replace(self._watch, rows=rows)

    def watch_map(self, grid: Grid | None, overview: Grid | None) -> None:
        """Which buckets of the selected process are in view, and coarse ones of all of it if that is not all."""
        with self._wake_looks:
            self._watch = replace(self._watch, grid=grid, overview=overview, version=self._watch.version + 1)
            self._wake_looks.notify_all()

    def _keep_looking(self) -> None:
        while not self._stopping:
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
                if (now.identity, now.version) == (watch.identity, watch.version) and not self._stopping:
                    # A job may begin at any moment, and time be seen to pass: never asleep for longer than a glance.
                    self._wake_looks.wait(min(wait_s, 0.25 if self._paced is None else 0.1))

    def _busy(self, watch: Watch) -> bool:
        """Whether pages of the selected process move, or moved since it was last looked at."""
        seen = self.looker.map
        number = self._queue.next_running()
        pid = watch.identity[0] if watch.identity is not None else None
        if number is not None and self._queue.snapshot(number).plan.process.pid == pid:
            return True
        return pid is not None and self._moved_at.get(pid, -1.0) > (seen.taken_s if seen is not None else -1.0)

    # Plans

    def ask_plans(self, requests: tuple[Request, ...]) -> int:
        """Work out plans; the number that ``plans`` will carry when they are ready. Only the latest is worked out."""
        with self._wake_plans:
            serial = self._wanted_plans[0] + 1
            self._wanted_plans = (serial, requests)
            self._wake_plans.notify_all()
        return serial

    def _keep_planning(self) -> None:
        while not self._stopping:
            serial, requests = self._wanted_plans
            if serial == self.plans.serial:
                with self._wake_plans:
                    if self._wanted_plans[0] == serial and not self._stopping:
                        self._wake_plans.wait()
                continue
            self.plans = Planned(serial, tuple(self._plan(request) for request in requests))

    def _plan(self, request: Request) -> Plan | NumamigError:
        try:
            with self._turn:
                return plan_request(self.backend, request)
        except NumamigError as error:
            return error
        except Exception as error:  # noqa: BLE001 - shown in the dialog, as every other reason why there is no plan
            return BackendError(repr(error), pid=request.pid)

    # Jobs

    def jobs(self) -> tuple[JobSnapshot, ...]:
        """Every job as it is now; waits for no step."""
        return self._queue.snapshots()

    def add(self, plan: Plan, *, run: bool) -> int:
        """A new job; its number."""
        number = self._queue.add(plan)
        if run:
            self.run(number)
        return number

    def run(self, number: int) -> None:
        self.problems.pop(number, None)
        self._queue.run(number)
        self._ask()

    def hold(self, number: int) -> None:
        self._queue.hold(number)
        self._ask()

    def step(self, number: int) -> None:
        """One batch, then the job is held."""
        self.problems.pop(number, None)
        self._queue.hold(number)
        self._steps.append(number)
        self._ask()

    def cancel(self, number: int) -> None:
        self._queue.cancel(number)
        self._cancelling.add(number)
        self._ask()

    def set_batch(self, number: int, pages: int) -> None:
        self._queue.set_batch(number, pages)

    def events(self) -> list[Event]:
        """What happened since it was last asked, in order."""
        seen = []
        while self._events:
            seen.append(self._events.popleft())
        return seen

    def call_in_progress(self) -> tuple[int, float] | None:
        """The job whose step is in progress, and for how many seconds."""
        since = self._call_since
        return None if since is None else (since[0], self.now_s() - since[1])

    def _ask(self) -> None:
        with self._wake_jobs:
            self._asked += 1
            self._wake_jobs.notify_all()

    def _next(self) -> int | None:
        return self._steps.popleft() if self._steps else self._queue.next_running()

    def _step_jobs(self) -> None:
        while not self._stopping:
            with self._wake_jobs:
                asked, paces = self._asked, self._paces
            number = self._next()
            if number is None:
                with self._wake_jobs:
                    if self._asked == asked and not self._stopping:
                        self._wake_jobs.wait()
                continue
            gap_ns = self._step(number)
            if self._paced is not None and self._paced.speed is not None:
                self._keep_pace(number, gap_ns, self._paced.speed, asked, paces)
            elif gap_ns and self._virtual:
                self.backend.clock.sleep_ns(gap_ns)
                self._queue.waited(number, gap_ns)
            elif gap_ns:
                waited_s = self._pause(number, gap_ns / 1e9, asked, paces)
                self._queue.waited(number, round(waited_s * 1e9))

    def _keep_pace(self, number: int, gap_ns: int, speed: float, asked: int, paces: int) -> None:
        """Before an audience a step takes as long as it did on the machine, and so does the gap behind it."""
        assert self._paced is not None
        ahead_s = self._paced.keep_pace()
        wait_s = ahead_s + gap_ns / 1e9 / speed
        if wait_s >= _LEAST_SLEEP_S:
            waited_s = self._pause(number, wait_s, asked, paces)
            self._paced.keep_pace()
            self._queue.waited(number, round(max(0.0, waited_s - ahead_s) * speed * 1e9))

    def _step(self, number: int) -> int:
        """One step; the gap that it wants after it, in ns."""
        self._call_since = (number, self.now_s())
        try:
            with self._turn:
                events = self._queue.step(number)
        except Exception as error:  # noqa: BLE001 - a defect too is shown: a thread that died would leave a console that only looks alive
            self.problems[number] = str(error) if isinstance(error, NumamigError) else repr(error)
            self._queue.hold(number)
            return 0
        finally:
            self._call_since = None
        self._events.extend(events)
        for event in events:
            if isinstance(event, BatchMoved):
                self._moved_at[event.pid] = self.now_s()
        ended = self._queue.snapshot(number).state.ended
        return 0 if ended else gap_after(events)

    def _pause(self, number: int, wait_s: float, asked: int, paces: int) -> float:
        """Wait, unless something is asked for that changes what is to be done; seconds that passed."""
        began = self.now_s()
        until = began + wait_s
        with self._wake_jobs:
            while not self._stopping and (left := until - self.now_s()) > 0:
                if self._asked != asked and (
                    self._paces != paces
                    or self._steps
                    or number in self._cancelling
                    or self._queue.next_running() != number
                ):
                    break
                self._wake_jobs.wait(left)
        return self.now_s() - began

    def any_running(self) -> bool:
        return any(job.state is JobState.RUNNING for job in self.jobs())
