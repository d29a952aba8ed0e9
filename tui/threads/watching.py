"""The thread that looks at what the operator looks at, and keeps virtual time going."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

from numamig.backends.base import Backend
from numamig.clock import PacedClock
from numamig.observe.pagemap import Grid
from tui.threads.courtesy import Courtesy
from tui.threads.heatlooking import HeatLooker
from tui.threads.lenses import Lens
from tui.threads.looking import Looker
from tui.threads.snapshots import HeatSeen, Identity, Watch

__all__ = ["Watcher"]

_GLANCE_S = 0.25
"""A job may begin at any moment: never asleep for longer."""
_PACED_GLANCE_S = 0.1
"""The same where time is seen to pass."""


class Watcher:
    """May be asked from any thread.

    :param turn: held while the machine is used, where only one may at a time
    :param now_s: the console's clock
    :param spent_s: CPU time of the thread that asks
    :param paced: the machine's clock, where its time can be made to pass faster or slower
    :param busy: whether pages move of the process that is watched
    """

    def __init__(
        self,
        backend: Backend,
        turn: AbstractContextManager[object],
        now_s: Callable[[], float],
        busy: Callable[[Watch], bool],
        courtesy: Courtesy,
        *,
        spent_s: Callable[[], float] = time.thread_time,
        paced: PacedClock | None = None,
    ) -> None:
        self.looker = Looker(backend, now_s, spent_s)
        """What was seen."""
        self.thread = threading.Thread(target=self._run, name="numamig-looks", daemon=True)
        self._turn, self._now_s, self._busy, self._paced = turn, now_s, busy, paced
        self._courtesy = courtesy
        self._heat = HeatLooker(backend, turn, now_s)
        self._wake = threading.Condition()
        self._watch = Watch()
        self._hurry = False
        self._stopping = False

    @property
    def heat(self) -> HeatSeen | None:
        """The latest, where that lens is on."""
        return self._heat.seen

    @property
    def heat_thread(self) -> threading.Thread:
        """Begun only where somebody looks at heat."""
        return self._heat.thread

    def watch(self, identity: Identity | None, rows: tuple[Identity, ...]) -> None:
        """Which process is selected, and which are in view."""
        with self._wake:
            if identity != self._watch.identity:
                version = self._watch.version + 1
                self._watch = Watch(identity=identity, rows=rows, version=version, lens=self._watch.lens)
                self._wake.notify_all()
            elif rows != self._watch.rows:
                self._watch = replace(self._watch, rows=rows)

    def watch_map(self, grid: Grid | None, overview: Grid | None) -> None:
        """Which buckets of the selected process are in view, and coarse ones of all of it if that is not all."""
        with self._wake:
            self._watch = replace(self._watch, grid=grid, overview=overview, version=self._watch.version + 1)
            self._wake.notify_all()
        self._heat.watch(self._watch)

    def watch_lens(self, lens: Lens) -> None:
        """What is looked at besides where pages are."""
        with self._wake:
            self._watch = replace(self._watch, lens=lens)
            self._wake.notify_all()
        self._heat.watch(self._watch)

    def read_now(self) -> None:
        """Look at everything anew, whenever its turn would come."""
        with self._wake:
            self._hurry = True
            self._watch = replace(self._watch, version=self._watch.version + 1)
            self._wake.notify_all()

    def stop(self) -> None:
        self._heat.stop()
        with self._wake:
            self._stopping = True
            self._wake.notify_all()

    def _run(self) -> None:
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
            wait_s = due - self._now_s()
            if look is not None and wait_s <= 0:
                self._courtesy.give_way()
                with self._turn:
                    look(watch)
                continue
            with self._wake:
                if self._watch.looks_at == watch.looks_at and not self._stopping:
                    self._wake.wait(min(wait_s, _GLANCE_S if self._paced is None else _PACED_GLANCE_S))
