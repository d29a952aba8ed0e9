"""Looking at heat: by a thread of its own, since pages are watched for seconds, and only while that lens is on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

from numamig.backends.base import Backend, TellsHeat
from numamig.errors import NumamigError
from numamig.observe.bucketheat import look_at_heat
from tui.threads.lenses import Lens
from tui.threads.snapshots import HeatSeen, Watch

__all__ = ["HeatLooker"]

_EVERY_S = 5.0
_DUTY = 0.1
"""Share of the time that pages are watched at most: a kernel that watches works for it."""


class HeatLooker:
    """
    :param turn: held while the machine is asked
    :param now_s: the console's clock
    """

    def __init__(self, backend: Backend, turn: AbstractContextManager[object], now_s: Callable[[], float]) -> None:
        self.seen: HeatSeen | None = None
        """The latest. Any thread reads it."""
        self.thread = threading.Thread(target=self._run, name="numamig-heat", daemon=True)
        self._backend, self._turn, self._now_s = backend, turn, now_s
        self._wake = threading.Condition()
        self._watch = Watch()
        self._stopping = False

    def watch(self, watch: Watch) -> None:
        """What is in view; it is looked at at once where it is new."""
        with self._wake:
            self._watch = watch
            if watch.lens is Lens.HEAT and not self.thread.ident and not self._stopping:
                self.thread.start()  # most never look at heat
            self._wake.notify_all()

    def stop(self) -> None:
        with self._wake:
            self._stopping = True
            self._wake.notify_all()

    def _run(self) -> None:
        looked: Watch | None = None
        due_s = 0.0
        while True:
            with self._wake:
                while not self._stopping and not self._is_due(looked, due_s):
                    wanted = self._watch.lens is Lens.HEAT
                    self._wake.wait(max(0.01, due_s - self._now_s()) if wanted else None)
                if self._stopping:
                    return
                looked = self._watch
            began_s = self._now_s()
            self._look(looked)
            now_s = self._now_s()
            due_s = now_s + max(_EVERY_S, (now_s - began_s) / _DUTY)

    def _is_due(self, looked: Watch | None, due_s: float) -> bool:
        watch = self._watch
        if watch.lens is not Lens.HEAT or watch.identity is None or watch.grid is None:
            return False
        return looked is None or watch.looks_at != looked.looks_at or self._now_s() >= due_s

    def _look(self, watch: Watch) -> None:
        identity, grid = watch.identity, watch.grid
        if identity is None or grid is None:
            return
        capabilities = self._backend.capabilities
        heat, problem = None, ""
        if not isinstance(self._backend, TellsHeat) or not capabilities.heat:
            problem = capabilities.missing.get("heat", "this machine does not tell which pages are in use")
        else:
            try:
                with self._turn:
                    regions = self._backend.regions(identity[0])
                    heat = look_at_heat(self._backend, identity[0], grid, regions)
            except NumamigError as error:
                problem = str(error)
        self.seen = HeatSeen(identity, heat, self._now_s(), problem)
