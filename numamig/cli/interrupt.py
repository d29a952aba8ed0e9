"""Ctrl-c while pages move: heard at once, obeyed between two steps, so that the account stays true."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["going_on"]


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

    if threading.current_thread() is not threading.main_thread():
        yield lambda: True
        return
    before = signal.signal(signal.SIGINT, hear)
    try:
        yield lambda: not stopped.is_set()
    finally:
        signal.signal(signal.SIGINT, before)
