"""The command on a machine in real time whose third moving call does not return, whatever signal comes.

``python -m tests.cli.hanging_call MACHINE hang|raise ARGUMENTS``: prints "hangs" when it does; a line on stdin lets
the call go on. Waiting for a mutex is to Python what a system call is: nothing that a signal ends.
"""

from __future__ import annotations

import ctypes
import signal
import sys
import threading
from typing import Any

from numamig.backends import registry
from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.machinefile import open_machine
from numamig.cli import main
from tests.tui.hanging import Hanging


class InTheKernel(Hanging):
    def __init__(self, backend: SimulatorBackend, act: str) -> None:
        super().__init__(backend, set(), lasting=True)
        self._act = act
        self._libc = ctypes.CDLL(None)
        self._mutex = ctypes.create_string_buffer(64)  # zeros are PTHREAD_MUTEX_INITIALIZER
        self._libc.pthread_mutex_lock(self._mutex)

    def let_go_on(self) -> None:
        if sys.stdin.readline():
            self._libc.pthread_mutex_unlock(self._mutex)

    def move_pages(self, pid: int, addresses: Any, nodes: Any, flags: int = 2) -> Any:
        if nodes is not None and len(self.moved) == 2:
            if self._act == "raise":
                raise ValueError("the third call")
            self.clock.ahead_ns += 5_000_000_000
            print("hangs", flush=True)
            self._libc.pthread_mutex_lock(self._mutex)
        return super().move_pages(pid, addresses, nodes, flags)


def run() -> None:
    machine, act, *arguments = sys.argv[1:]
    signal.alarm(60)  # who waits for what never comes shall not wait for ever
    with open_machine(machine) as opened:
        backend = InTheKernel(SimulatorBackend(opened), act)
        threading.Thread(target=backend.let_go_on, daemon=True).start()
        registry.open_backend = lambda *_: backend  # type: ignore[assignment,return-value]
        main(arguments)


if __name__ == "__main__":
    run()
