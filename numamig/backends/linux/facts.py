"""What there is to know about one process before its pages are moved, and what the caller may do to it.

Rights are found by trying: files are opened, and move_pages is called without a page. Source: proc_pid_status(5),
proc_pid_cgroup(5), cgroups(7).
"""

from __future__ import annotations

import errno
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from numamig.backends.base import MPOL_MF_MOVE_ALL
from numamig.backends.linux._errors import gone
from numamig.backends.linux.obstacles import (
    MovePages,
    Obstacle,
    ask_nothing,
    forbidden_to_all,
    not_shared,
    not_that_process,
)
from numamig.backends.linux.procfs import parse_stat, read_process, read_text, thread_cpus
from numamig.errors import NumamigError, RefusedError
from numamig.model.nodeset import parse_ranges
from numamig.model.process import Process, ProcessFacts

__all__ = ["Rights", "parse_cgroup", "parse_mems_allowed", "read_facts", "try_rights"]

_MOST_THREADS = 2048  # some 70 ms
_MEMS_ALLOWED = re.compile(r"^Mems_allowed_list:\s*(\S*)$", re.MULTILINE)


class Rights(NamedTuple):
    """What the caller may do with one process, and what keeps it from the rest."""

    look: bool
    move: bool
    move_shared: bool
    obstacle: Obstacle | str


def read_facts(
    proc_root: Path,
    pid: int,
    node_of_cpu: Callable[[int], int | None],
    memory_nodes: Sequence[int],
    move_pages: MovePages,
    sees_frames: bool,
) -> ProcessFacts:
    """Everything about one process, as it is now.

    :param memory_nodes: of this machine, ascending
    :param sees_frames: where pages are can be seen without asking move_pages
    :raises TargetGone: there is none with that pid
    :raises RefusedError: this /proc hides it (hidepid)
    """
    process = read_process(proc_root, pid, node_of_cpu, all_threads=False, kernel_threads=True, my_uid=os.getuid())
    if process is None:  # pragma: no cover - only where kernel threads are not wanted
        raise gone(pid)
    folder = f"{proc_root}/{pid}"
    nodes = Counter[int]()
    if not process.zombie:
        cpus = thread_cpus(proc_root, pid, _MOST_THREADS)
        nodes.update(node for node in map(node_of_cpu, cpus) if node is not None)
    allowed = parse_mems_allowed(read_text(f"{folder}/status", pid), memory_nodes)
    cgroup = ""
    with suppress(NumamigError):  # a kernel without control groups has no such file
        cgroup = parse_cgroup(read_text(f"{folder}/cgroup", pid))
    rights = try_rights(proc_root, process, move_pages, sees_frames)
    if parse_stat(read_text(f"{folder}/stat", pid)).start_time != process.start_time:
        raise gone(pid, "has ended")  # and what was read may be another's
    if not process.kernel_thread:
        process = replace(process, cpu_nodes=tuple(sorted(nodes)))
    return ProcessFacts(
        process=process,
        threads_by_node=dict(sorted(nodes.items())),
        mems_allowed=allowed,
        cgroup=cgroup,
        may_look=rights.look,
        may_move=rights.move,
        may_move_shared=rights.move_shared,
        obstacle=str(rights.obstacle),
    )


def parse_mems_allowed(status: str, memory_nodes: Sequence[int]) -> tuple[int, ...] | None:
    """Memory nodes that the cpuset allows, by /proc/PID/status; None where those are all, or it does not say.

    Without a cpuset of its own a process is allowed every node that there could ever be, also such as have no memory.
    """
    found = _MEMS_ALLOWED.search(status)
    if found is None or not found[1]:
        return None
    try:
        listed = set(parse_ranges(found[1]))
    except ValueError:
        return None
    allowed = tuple(node for node in memory_nodes if node in listed)
    return None if len(allowed) == len(memory_nodes) else allowed


def parse_cgroup(text: str) -> str:
    """Path of the control group, by /proc/PID/cgroup: that of cgroup v2, else that of the v1 cpuset; "" for neither.

    Where v1 is in charge, v2 is often mounted too, with everybody in its root: that says nothing.
    """
    paths: dict[str, str] = {}
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            paths["v2"] = path
        elif "cpuset" in controllers.split(","):
            paths["cpuset"] = path
    v2 = paths.get("v2", "")
    return paths.get("cpuset", v2) if v2 in ("", "/") else v2


def try_rights(proc_root: Path, process: Process, move_pages: MovePages, sees_frames: bool) -> Rights:
    """
    :raises TargetGone: it ended meanwhile
    """
    if process.kernel_thread:
        return Rights(False, False, False, "a kernel thread has no memory of its own that could move")
    if process.zombie:
        return Rights(False, False, False, "it has ended, and waits for its parent to take note")
    closed = _closed_file(proc_root, process.pid)
    try:
        to_all = ask_nothing(move_pages, 0)
        to_this = ask_nothing(move_pages, process.pid)
    except RefusedError as error:
        return Rights(closed is None and sees_frames, False, False, str(error))
    if to_this == errno.ESRCH:
        raise gone(process.pid, "has ended")
    if to_all:
        return Rights(closed is None and sees_frames, False, False, forbidden_to_all(proc_root, to_all))
    if to_this:
        return Rights(False, False, False, not_that_process(proc_root, process))
    shared = ask_nothing(move_pages, process.pid, MPOL_MF_MOVE_ALL) == 0
    if closed is not None:
        return Rights(False, True, shared, closed)
    return Rights(True, True, shared, "" if shared else not_shared(proc_root))


def _closed_file(proc_root: Path, pid: int) -> Obstacle | None:
    """What keeps us from reading where the process has memory; None where nothing does."""
    for name in ("maps", "pagemap"):
        try:
            os.close(os.open(f"{proc_root}/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC))
        except FileNotFoundError:
            if not (proc_root / str(pid)).exists():
                raise gone(pid, "has ended") from None
            return Obstacle(f"there is no /proc/PID/{name}", "it takes a kernel with CONFIG_PROC_PAGE_MONITOR")
        except ProcessLookupError:
            raise gone(pid, "has ended") from None
        except OSError:
            # It belongs to its owner with mode 0400: the right to trace a process alone does not open it.
            remedy = "run with sudo, or with CAP_DAC_READ_SEARCH as well as CAP_SYS_PTRACE"
            return Obstacle(f"/proc/{pid}/{name} may not be opened", remedy)
    return None
