"""What is asked of jobs. It may wait for the journal, and for the machine; it raises what the queue raises."""

from __future__ import annotations

from contextlib import AbstractContextManager

from numamig.errors import RefusedError
from numamig.migrate.destination import Destination
from numamig.migrate.plan import Plan
from numamig.migrate.queue import JobQueue
from numamig.migrate.snapshot import JobState
from tui.threads.snapshots import Pace
from tui.threads.stepping import Stepper

__all__ = ["Orders"]


class Orders:
    """
    :param turn: held while the machine is used, where only one may at a time
    """

    def __init__(self, queue: JobQueue, stepper: Stepper, turn: AbstractContextManager[object]) -> None:
        self.read_only = False
        """Nothing that moves can be asked for."""
        self.paces: dict[int, Pace] = {}
        """Job → how gently it was asked to go."""
        self.priorities: dict[int, int] = {}
        self._queue, self._stepper, self._turn = queue, stepper, turn

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
        priority = self.priorities.get(number, 0) + way
        self._queue.prioritise(number, priority)
        self.priorities[number] = priority
        self._stepper.look_up()
        return priority

    def set_batch(self, number: int, pages: int) -> None:
        self._queue.set_batch(number, pages)

    def set_pace(self, number: int, pace: Pace) -> None:
        """Counts from the next step on."""
        self._queue.set_budget(number, pace.budget_ns)
        self._queue.set_rate(number, pace.rate)
        self.paces[number] = pace

    def _demand_moves(self) -> None:
        if self.read_only:
            raise RefusedError("this console is read-only", hint="^p read-only off")

    def _demand_answers(self) -> None:
        hanging = self._stepper.hanging()
        if hanging is not None:
            raise RefusedError(
                f"a call of job {hanging} does not return from the kernel", hint="nothing new is begun until it does"
            )
