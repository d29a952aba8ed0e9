"""The threads that step jobs: as many as the queue allows at once, each with the job that is to be stepped next.

A call that hangs in the kernel hangs its thread and nothing else: what is said of jobs is read without waiting for one.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import NamedTuple

from numamig.backends.base import Backend
from numamig.clock import PacedClock
from numamig.errors import NumamigError
from numamig.migrate.queue import JobQueue
from numamig.migrate.run import gap_after
from numamig.migrate.snapshot import JobSnapshot
from numamig.model.events import BatchMoved
from tui.threads.courtesy import Courtesy
from tui.threads.snapshots import Steps

__all__ = ["Stepper"]

_HANGS_S = 5.0
"""As the queue sees it: nothing new is begun while a call takes longer."""
_LEAST_SLEEP_S = 0.004
"""Shorter waits are saved up: a sleep is never as short as it is asked for."""


class _Hand(NamedTuple):
    """What a thread is at."""

    job: int
    process: tuple[int, int]
    alone: bool
    """Asked for by itself: the queue does not know of it before it is stepped."""


class _Gap(NamedTuple):
    """What is waited after a step, by the console's clock."""

    began_s: float
    ends_s: float


class Stepper:
    """Safe to ask from any thread.

    :param turn: held while the machine is used, where only one may at a time
    :param now_s: the console's clock
    """

    def __init__(
        self,
        backend: Backend,
        queue: JobQueue,
        turn: AbstractContextManager[object],
        now_s: Callable[[], float],
        courtesy: Courtesy,
    ) -> None:
        self.problems: dict[int, str] = {}
        """Job → why it was held, where a step raised an error."""
        self.moved_at: dict[int, float] = {}
        """Pid → when a batch of it was last moved."""
        self._queue = queue
        self._turn = turn
        self._clock = backend.clock
        self._now_s = now_s
        self._courtesy = courtesy
        self._virtual = backend.capabilities.virtual_time
        self._paced = self._clock if self._virtual and isinstance(self._clock, PacedClock) else None
        self._wake = threading.Condition()
        self._once: deque[int] = deque()
        """Jobs that one step was asked of."""
        self._hands: dict[int, _Hand] = {}
        """Thread → what it is at."""
        self._in_step: dict[int, float] = {}
        """Job → since when."""
        self._gaps: dict[int, _Gap] = {}
        self._cancelling: set[int] = set()
        self._asked = 0
        """Counts what was asked for, so that nothing is missed between two looks at it."""
        self._paces = 0
        """Counts how often the pace was changed."""
        self._stopping = False
        self.threads = [
            threading.Thread(target=self._work, args=(number,), name=f"numamig-jobs-{number}", daemon=True)
            for number in range(queue.at_once)
        ]

    def stop(self) -> None:
        """Begin nothing more; threads end after the step they are in."""
        self._stopping = True
        self._ask()

    # What is asked for

    def run(self, number: int) -> None:
        self.problems.pop(number, None)
        self._forget_gap(number)
        self._queue.run(number)
        self._ask()

    def hold(self, number: int) -> None:
        try:
            self._queue.hold(number)
        finally:
            self._forget_gap(number)
            self._ask()

    def step(self, number: int) -> None:
        """One batch, then the job is held."""
        self.problems.pop(number, None)
        self._queue.hold(number)
        with self._wake:
            self._once.append(number)
        self._ask()

    def cancel(self, number: int) -> None:
        with self._wake:
            self._cancelling.add(number)
        try:
            self._queue.cancel(number)
        finally:
            self._ask()

    def look_up(self, *, paces: bool = False) -> None:
        """Something has changed that decides what is to be stepped next, or when."""
        self._paces += paces
        self._ask()

    def _forget_gap(self, number: int) -> None:
        """What it is held is no part of its time."""
        with self._wake:
            self._gaps.pop(number, None)

    def _ask(self) -> None:
        with self._wake:
            self._asked += 1
            self._wake.notify_all()

    # What is seen

    def steps(self, jobs: Iterable[JobSnapshot]) -> Steps:
        """How it stands with the steps in progress."""
        calls = self._calls_s(jobs)
        with self._wake:
            now_s = self._now_s()
            in_step_s = {number: now_s - since_s for number, since_s in self._in_step.items()}
            at_hand = {hand.job for hand in self._hands.values()} | self._gaps.keys()
            cancelling = frozenset(self._cancelling)
        return Steps(in_step_s, calls, frozenset(at_hand), cancelling, _hanging(calls))

    def hanging(self) -> int | None:
        """The job whose call does not return; nothing new is begun until then."""
        return _hanging(self._calls_s(self._queue.snapshots()))

    def _calls_s(self, jobs: Iterable[JobSnapshot]) -> dict[int, float]:
        """Job → for how long the kernel has owed an answer."""
        if self._virtual:
            return {}  # virtual calls have their answer at once, whatever time they take
        now_ns = self._clock.now_ns()
        return {job.number: (now_ns - job.call_since_ns) / 1e9 for job in jobs if job.call_since_ns is not None}

    # The threads

    def _work(self, thread: int) -> None:
        while not self._stopping:
            with self._wake:
                self._hands.pop(thread, None)
                # Others may step now what met the job that this one had.
                self._wake.notify_all()
                asked, paces = self._asked, self._paces
                number, wait_s = self._take(thread)
                if number is None:
                    if not self._stopping:
                        self._wake.wait(wait_s)
                    continue
            self._courtesy.give_way()
            gap_ns = self._step(number)
            if self._paced is not None and self._paced.speed is not None:
                self._keep_pace(number, gap_ns, self._paced.speed, asked, paces)
            elif gap_ns and self._virtual:
                self._clock.sleep_ns(gap_ns)
                self._queue.waited(number, gap_ns)
            elif gap_ns:
                with self._wake:
                    began_s = self._now_s()
                    self._gaps[number] = _Gap(began_s, began_s + gap_ns / 1e9)

    def _take(self, thread: int) -> tuple[int | None, float | None]:
        """What to step next, and it is in this thread's hands then; or for how long there is nothing. With the lock."""
        for number in self._once:
            hand = self._hand(number, alone=True)
            if self.hanging() is None and not any(hand.process == other.process for other in self._hands.values()):
                self._once.remove(number)
                self._hands[thread] = hand
                return number, None
        passed: list[int] = []
        wait_s: float | None = None
        try:
            while (claimed := self._queue.claim()) is not None:
                hand = self._hand(claimed, alone=False)
                left_s = self._gap_left_s(claimed)
                if left_s <= 0 and self._may(hand):
                    self._hands[thread] = hand
                    return claimed, None
                if left_s > 0:
                    wait_s = left_s if wait_s is None else min(wait_s, left_s)
                # It is passed over for others: that does not make it one of those that are stepped.
                passed.append(claimed)
                self._queue.at_once += 1
        finally:
            self._queue.at_once -= len(passed)
            for number in passed:
                self._queue.release(number)
        return None, wait_s

    def _hand(self, number: int, *, alone: bool) -> _Hand:
        identity = self._queue.snapshot(number).plan.process.identity
        return _Hand(number, identity, alone)

    def _gap_left_s(self, number: int) -> float:
        gap = self._gaps.get(number)
        return 0.0 if gap is None or number in self._cancelling else gap.ends_s - self._now_s()

    def _may(self, hand: _Hand) -> bool:
        """Whether no other thread is at it still, or at something that the queue did not know of."""
        return not any(
            other.job == hand.job or (other.alone and other.process == hand.process) for other in self._hands.values()
        )

    def _step(self, number: int) -> int:
        """One step; the gap that it wants after it, in ns."""
        with self._wake:
            gap = self._gaps.pop(number, None)
            self._in_step[number] = self._now_s()
        try:
            with self._turn:
                if gap is not None:  # what came on top of it is no gap, and the job sees it for itself
                    self._queue.waited(number, round((min(gap.ends_s, self._now_s()) - gap.began_s) * 1e9))
                events = self._queue.step(number)
        except Exception as error:  # noqa: BLE001 - a defect too is shown: a thread that died would leave a console that only looks alive
            self.problems[number] = str(error) if isinstance(error, NumamigError) else repr(error)
            self._hold_broken(number)
            return 0
        finally:
            with self._wake:
                del self._in_step[number]
        for event in events:
            if isinstance(event, BatchMoved):
                self.moved_at[event.pid] = self._now_s()
        if self._queue.snapshot(number).state.ended:
            with self._wake:
                self._cancelling.discard(number)
            return 0
        return gap_after(events)

    def _hold_broken(self, number: int) -> None:
        try:
            self._queue.hold(number)
        except NumamigError as error:
            self.problems[number] += f"; {error}"

    # Virtual time

    def _keep_pace(self, number: int, gap_ns: int, speed: float, asked: int, paces: int) -> None:
        """Before an audience a step takes as long as it did on the machine, and so does the gap behind it."""
        assert self._paced is not None
        ended_ns = self._paced.now_ns()
        wait_s = self._paced.keep_pace() + gap_ns / 1e9 / speed
        if wait_s >= _LEAST_SLEEP_S:
            self._pause(number, wait_s, asked, paces)
            self._paced.keep_pace()
            self._queue.waited(number, self._paced.now_ns() - ended_ns)

    def _pause(self, number: int, wait_s: float, asked: int, paces: int) -> None:
        """Wait, unless something is asked for that changes what is to be done."""
        until = self._now_s() + wait_s
        with self._wake:
            while not self._stopping and (left := until - self._now_s()) > 0:
                if self._asked != asked and (
                    self._paces != paces
                    or self._once
                    or number in self._cancelling
                    or self._queue.next_running() != number
                ):
                    break
                self._wake.wait(left)


def _hanging(calls_s: Mapping[int, float]) -> int | None:
    return next((number for number, call_s in calls_s.items() if call_s > _HANGS_S), None)
