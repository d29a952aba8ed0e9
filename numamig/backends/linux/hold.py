"""Holding on to a process: what a pid alone cannot do.

A pid is given to another process once the first is gone. A pidfd is not, and an open /proc/PID/pagemap keeps answering
for the memory that the process had when it was opened: after an exec it answers nothing, though pid, start time and
pidfd are the same. Source: pidfd_open(2); fs/proc/task_mmu.c ``pagemap_read`` (``mmget_not_zero``).
"""

from __future__ import annotations

import os
import select
import weakref
from pathlib import Path

from numamig.backends.linux._errors import as_error, gone, reading_process
from numamig.backends.linux.procfs import parse_stat, read_text
from numamig.model.process import Process

__all__ = ["ProcessHold"]


class ProcessHold:
    """Implements ``numamig.backends.base.Hold``. Closed when it is forgotten, at the latest.

    :raises TargetGone: the process has ended, or its pid is another's now
    """

    def __init__(self, proc_root: Path, process: Process) -> None:
        self.pid = process.pid
        self._folder = f"{proc_root}/{process.pid}"
        self._start_time = process.start_time
        with reading_process(self.pid):
            self._pidfd = os.pidfd_open(self.pid)
        self._poll = select.poll()  # unlike select(), for descriptors beyond 1023 too
        self._poll.register(self._pidfd, select.POLLIN)
        self._pagemap: int | None = None
        self._close = weakref.finalize(self, _close, [self._pidfd])
        try:
            descriptor = os.open(f"{self._folder}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            pass  # not ours to look at: then an exec is not noticed here, and nothing can be moved either
        else:
            self._close.detach()
            self._close = weakref.finalize(self, _close, [self._pidfd, descriptor])
            self._pagemap = descriptor
        # Only now that it is held does its start time say that it is the one that was meant.
        stat = parse_stat(read_text(f"{self._folder}/stat", self.pid))
        if stat.start_time != self._start_time or stat.ended:
            raise gone(self.pid, "has ended")
        self.check()

    def check(self) -> None:
        # A pidfd is readable from the moment that the process ended, zombie or not.
        if self._poll.poll(0):
            raise gone(self.pid, "has ended")
        if self._pagemap is None:
            return
        try:
            held = os.pread(self._pagemap, 8, 0)
        except OSError as error:
            raise as_error(self.pid, error) from error
        if not held:
            raise gone(self.pid, "replaced its memory (exec)")

    def close(self) -> None:
        self._close()


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
