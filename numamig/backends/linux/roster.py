"""The list of all processes, read again and again at half the cost: who is known is recognised by one file.

Source: proc_pid_stat(5). Name, start time, threads, CPU and resident size are in ``stat``; the user and the command
line change so seldom that an eighth of them is read anew each time.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from numamig.backends.linux.procfs import parse_stat, process_ids, read_process, read_text
from numamig.errors import RefusedError, TargetGone
from numamig.model.process import Process

__all__ = ["Roster"]

_IN_FULL_EVERY: Final = 8
_RSS: Final = 21
"""Index of field 24, rss, counted from field 3; in pages."""


class Roster:
    """Remembers who was seen. May be read from several threads."""

    def __init__(self, proc_root: Path, node_of_cpu: Callable[[int], int | None], page_size: int) -> None:
        self._proc_root = proc_root
        self._node_of_cpu = node_of_cpu
        self._page_size = page_size
        self._known: dict[int, Process | None] = {}
        """By pid; None for a kernel thread."""
        self._round = 0

    def read(self) -> list[Process]:
        """All that can be seen, without kernel threads, ascending by pid; ``cpu_nodes`` knows the main thread only."""
        self._round += 1
        before = self._known
        now: dict[int, Process | None] = {}
        my_uid = os.getuid()
        for pid in process_ids(self._proc_root):
            known = before.get(pid)
            in_full = pid not in before or (pid + self._round) % _IN_FULL_EVERY == 0
            if known is None and not in_full:
                now[pid] = None
                continue
            try:
                process = self._again(known) if known is not None and not in_full else None
                if process is None:
                    process = read_process(
                        self._proc_root, pid, self._node_of_cpu, all_threads=False, kernel_threads=False, my_uid=my_uid
                    )
            except (TargetGone, RefusedError):
                continue  # ended since the folder was listed, or hidden from us
            now[pid] = process
        self._known = now
        return [process for process in now.values() if process is not None]

    def _again(self, known: Process) -> Process | None:
        """The same process as it is now; None where it is another, or is to be read in full."""
        text = read_text(f"{self._proc_root}/{known.pid}/stat", known.pid)
        stat = parse_stat(text)
        if (stat.start_time, stat.name, stat.ended) != (known.start_time, known.name, known.zombie):
            return None
        resident = int(text[text.rindex(")") + 2 :].split(None, _RSS + 1)[_RSS]) * self._page_size
        node = None if stat.ended else self._node_of_cpu(stat.cpu)
        cpu_nodes = () if node is None else (node,)
        if (resident, stat.threads, cpu_nodes) == (known.resident_bytes, known.threads, known.cpu_nodes):
            return known
        return Process(
            pid=known.pid,
            start_time=known.start_time,
            name=known.name,
            user=known.user,
            cmdline=known.cmdline,
            resident_bytes=resident,
            threads=stat.threads,
            cpu_nodes=cpu_nodes,
            kernel_thread=False,
            zombie=known.zombie,
            yours=known.yours,
        )
