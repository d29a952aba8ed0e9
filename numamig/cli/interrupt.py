"""Ctrl-c while pages move: obeyed between two steps, so that the account stays true.

Heard at once where the main thread makes no calls that hang (``numamig.cli.beside``).
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

__all__ = ["going_on"]

_HEARD = b"\nnumamig: stopping when the kernel returns from the call at hand; ctrl-c again does not wait\n"


@contextmanager
def going_on() -> Iterator[Callable[[], bool]]:
    """A question that answers no from the first ctrl-c on; the second one interrupts in the usual way.

    An exception in the middle of a step would lose what the kernel has just done.
    """
    stopped = threading.Event()

    def hear(number: int, frame: FrameType | None) -> None:
        if stopped.is_set():
            signal.default_int_handler(number, frame)
        stopped.set()
        with suppress(OSError):  # not through a stream, which may be in the middle of a line
            os.write(2, _HEARD)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: True
        return
    before = signal.signal(signal.SIGINT, hear)
    try:
        yield lambda: not stopped.is_set()
    finally:
        signal.signal(signal.SIGINT, before)
