"""Those who work for a while give way to what is to be painted: they share one interpreter with it."""

from __future__ import annotations

import threading
import time

__all__ = ["Courtesy"]

_KEY_S = 0.06
_LOOK_S = 0.025
"""Not every key paints something, and not every look."""


class Courtesy:
    """May be used from any thread."""

    def __init__(self) -> None:
        self._free = threading.Event()
        self._free.set()
        self._until_s = 0.0

    def ask(self, *, key: bool) -> None:
        """A picture is to be painted: because of a key, which somebody waits behind, or of a look."""
        until_s = time.monotonic() + (_KEY_S if key else _LOOK_S)
        self._until_s = until_s if self._free.is_set() else max(until_s, self._until_s)
        self._free.clear()

    def painted(self) -> None:
        """There it is."""
        self._free.set()

    def give_way(self) -> None:
        """To be called before a piece of work: it waits for the picture, but not for long."""
        if not self._free.wait(max(0.0, self._until_s - time.monotonic())):
            self._free.set()
