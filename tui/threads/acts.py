"""What is asked of the engine, done by a thread of its own and in order: keys wait for no journal and no lock."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from numamig.errors import NumamigError

__all__ = ["Act", "Acts", "Said"]


@dataclass(frozen=True, slots=True)
class Said:
    """What came of something that was asked for."""

    note: str
    command: str = ""
    """As which it could have been asked for."""
    is_error: bool = False


Act = Callable[[], Said | None]


class Acts:
    """May be asked from any thread.

    :param said: where what came of it goes
    :param done: called after each act, by the thread
    """

    def __init__(self, name: str, said: deque[Said], done: Callable[[], None]) -> None:
        self.thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._said = said
        self._done = done
        self._acts: deque[Act] = deque()
        self._wake = threading.Condition()
        self._stopping = False

    def ask(self, act: Act) -> None:
        with self._wake:
            self._acts.append(act)
            self._wake.notify()

    def stop(self) -> None:
        with self._wake:
            self._stopping = True
            self._wake.notify()

    def _work(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._acts or self._stopping)
                if self._stopping:
                    return
                act = self._acts.popleft()
            try:
                said = act()
            except Exception as error:  # noqa: BLE001 - a defect too is shown: a thread that died would leave keys that do nothing
                said = Said(str(error) if isinstance(error, NumamigError) else repr(error), is_error=True)
            if said is not None:
                self._said.append(said)
            self._done()
