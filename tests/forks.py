"""Children that tests fork: what they do there, and how they ended."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable

__all__ = ["in_child", "status"]


def in_child(work: Callable[[], None]) -> int:
    """Fork, do it there, and end; the child's pid."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:  # noqa: BLE001 - whatever it is, the test must not go on in the child
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return child


def status(child: int) -> int:
    """Its exit code, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
