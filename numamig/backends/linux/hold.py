"""Holding on to a process: what a pid alone cannot do.

A pid is given to another process once the first is gone. A pidfd is not, and an open /proc/PID/pagemap keeps answering
for the memory that the process had when it was opened: after an exec it answers nothing, though pid, start time and
pidfd are the same. Where there is no pidfd_open (before 5.3, sandboxes, filters that do not know it), an open /proc/PID
takes its place: what is in it is of that process for ever. Source: pidfd_open(2); fs/proc/base.c ``proc_pid_lookup``,
fs/proc/task_mmu.c ``pagemap_read`` (``mmget_not_zero``).
"""

from __future__ import annotations

import errno
import os
import select
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path

from numamig.backends.linux._errors import gone, reading_process
from numamig.backends.linux.maps import Span
from numamig.backends.linux.pagemap import Pagemap
from numamig.backends.linux.pagereaders import OpenPagemap
from numamig.backends.linux.procfs import parse_stat, read_text
from numamig.clock import Clock
from numamig.errors import RefusedError
from numamig.model.pages import PageRuns, Ranges
from numamig.model.process import Process

__all__ = ["ProcessHold"]

_SPANS_KEEP_NS = 10**9


class ProcessHold:
    """Implements ``numamig.backends.base.Hold``. Closed when it is forgotten, at the latest.

    :raises TargetGone: the process has ended, or its pid is another's now
    """

    def __init__(
        self,
        proc_root: Path,
        process: Process,
        page_size: int,
        spans: Callable[[int], Sequence[Span]],
        runs: Callable[[OpenPagemap, Sequence[Span], Ranges], Iterator[PageRuns]],
        clock: Clock,
    ) -> None:
        """
        :param page_size: bytes of a base page
        :param spans: reads where a process has mappings
        :param runs: looks at its pages there
        """
        self.pid = process.pid
        self._proc_root = proc_root
        self._page_size = page_size
        self._read_spans = spans
        self._runs = runs
        self._clock = clock
        self._spans: tuple[int, Sequence[Span]] | None = None
        """When they were read, and what was mapped then."""
        self._folder = f"{proc_root}/{process.pid}"
        held = ExitStack()
        self._close = weakref.finalize(self, held.close)
        try:
            with reading_process(self.pid):
                self._ended = self._watch(held)
            self._pagemap = self._hold_memory(held)
            # Only now that it is held does its start time say that it is the one that was meant.
            stat = parse_stat(read_text(f"{self._folder}/stat", self.pid))
            if stat.start_time != process.start_time or stat.ended:
                raise gone(self.pid, "has ended")
            self.check()
        except BaseException:
            self.close()
            raise

    def _watch(self, held: ExitStack) -> Callable[[], bool]:
        """Whether it ended, asked of a descriptor that ``held`` closes."""
        try:
            pidfd = os.pidfd_open(self.pid)
        except OSError as error:
            if error.errno == errno.EINVAL:
                raise gone(self.pid, "has ended") from None  # its pid is that of somebody's thread now
            if error.errno not in (errno.ENOSYS, errno.EPERM):
                raise
        else:
            held.callback(os.close, pidfd)
            return lambda: _readable(pidfd)
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        held.callback(os.close, folder)
        return lambda: _ended(folder)

    def _hold_memory(self, held: ExitStack) -> Pagemap | None:
        """Its pagemap; None where it is not ours to look at: then an exec is not noticed, and nothing can be chosen."""
        try:
            return held.enter_context(Pagemap(self._proc_root, self.pid, self._page_size))
        except RefusedError:
            return None

    def check(self) -> None:
        if self._ended():
            raise gone(self.pid, "has ended")
        if self._pagemap is not None and not self._pagemap.alive():
            raise gone(self.pid, "replaced its memory (exec)")

    def page_runs(self, ranges: Ranges) -> Iterator[PageRuns]:
        """As ``LinuxBackend.page_runs``; the list of mappings, which may be long, is read once a second."""
        self.check()
        now = self._clock.now_ns()
        if self._spans is None or now - self._spans[0] > _SPANS_KEEP_NS:
            self._spans = (now, self._read_spans(self.pid))
        return self._runs(self._open_pagemap, self._spans[1], ranges)

    def _open_pagemap(self) -> AbstractContextManager[Pagemap]:
        """The one that is held: no other process is ever looked at through it."""
        if self._pagemap is None:
            return Pagemap(self._proc_root, self.pid, self._page_size)
        return nullcontext(self._pagemap)

    def close(self) -> None:
        self._close()


def _ended(folder: int) -> bool:
    """Whether the process of an open /proc/PID is a zombie, or gone."""
    try:
        descriptor = os.open("stat", os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return True
    try:
        return parse_stat(os.read(descriptor, 4096).decode("utf-8", "replace")).ended
    except OSError:
        return True
    finally:
        os.close(descriptor)


def _readable(pidfd: int) -> bool:
    """A pidfd is, from the moment that the process ended, zombie or not."""
    poll = select.poll()  # unlike select(), for descriptors beyond 1023 too; one for each of several threads
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))
