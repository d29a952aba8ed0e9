"""A machine in real time whose moving calls return when they are let go, and a clock that can be put forward."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

__all__ = ["Clock", "Hanging"]


class Clock:
    """The wall's, and what was put to it."""

    def __init__(self) -> None:
        self.ahead_ns = 0

    def now_ns(self) -> int:
        return time.monotonic_ns() + self.ahead_ns

    def sleep_ns(self, duration_ns: int) -> None:
        time.sleep(duration_ns / 1e9)


class Hanging:
    """A backend around another one.

    :param pids: whose calls hang; None: everybody's
    """

    def __init__(self, backend: Any, pids: set[int] | None = None, *, lasting: bool = False) -> None:
        self._backend = backend
        self._pids = pids
        self.capabilities = replace(backend.capabilities, virtual_time=False, lasting=lasting)
        self.clock = Clock()
        self.let_go = threading.Event()
        self.inside: set[int] = set()
        """Pids of calls that did not return yet."""
        self.moved: list[int] = []
        """Pids of calls that did, in order."""
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def move_pages(self, pid: int, addresses: Any, nodes: Any, flags: int = 2) -> Any:
        moves = nodes is not None and len(addresses)
        if moves and (self._pids is None or pid in self._pids):
            self.inside.add(pid)
            self.let_go.wait(30)
            self.inside.discard(pid)
        with self._lock:
            answer = self._backend.move_pages(pid, addresses, nodes, flags)
            if moves:
                self.moved.append(pid)
        return answer
