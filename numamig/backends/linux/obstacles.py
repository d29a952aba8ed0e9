"""Why the kernel says no, and what helps: one place for the words of process facts, of preflight and of doctor.

Everything is found by calling move_pages without naming a page: all checks of rights come before the first page.
Source: mm/migrate.c ``kernel_move_pages``, ``find_mm_struct``; kernel/ptrace.c ``__ptrace_may_access``; the default
seccomp profiles of moby, containers/common and containerd, none of which lets move_pages pass, whatever capabilities a
container has; systemd.exec(5), SystemCallFilter=.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from numamig.backends.base import MPOL_MF_MOVE, MovePagesReturn
from numamig.backends.linux.capabilities import (
    SYS_PTRACE,
    behind_filter,
    has_right,
    in_user_namespace,
    read_rights,
)
from numamig.backends.linux.sysfs import read_text
from numamig.model.process import Process

__all__ = [
    "MovePages",
    "Obstacle",
    "ask_nothing",
    "forbidden_to_all",
    "not_shared",
    "not_that_process",
]

MovePages = Callable[[int, NDArray[np.uint64], NDArray[np.int32] | None, int], MovePagesReturn]

_FILTER_REMEDY = (
    "let it pass with docker or podman run --security-opt seccomp=unconfined (their default profiles forbid it, with "
    "CAP_SYS_NICE too), Kubernetes securityContext.seccompProfile, systemd SystemCallFilter=move_pages"
)


class Obstacle(NamedTuple):
    """Why not, and what helps: half a sentence each."""

    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.reason}: {self.remedy}"


def ask_nothing(move_pages: MovePages, pid: int, flags: int = MPOL_MF_MOVE) -> int:
    """The errno of a call that names no page, and so only meets the checks of rights; 0 where there is none.

    It only asks: a call that moves would drain lists on every CPU, and is allowed to the same callers.

    :param pid: 0 is this process
    :raises RefusedError: this architecture is not supported
    """
    return move_pages(pid, np.empty(0, np.uint64), None, flags).errno


def forbidden_to_all(proc_root: Path, number: int) -> Obstacle:
    """What stands in the way where move_pages does not even answer about our own memory.

    :param number: its errno
    """
    name = errno.errorcode.get(number, str(number))
    if number == errno.ENOSYS and not _kernel_has_it(proc_root):
        return Obstacle(
            "move_pages does not exist here (ENOSYS)", "a kernel with CONFIG_NUMA and CONFIG_MIGRATION, on a real /proc"
        )
    if behind_filter(proc_root):
        return Obstacle(f"a seccomp filter forbids move_pages ({name}), even on our own memory", _FILTER_REMEDY)
    return Obstacle(
        f"move_pages is forbidden ({name}), even on our own memory, and neither by a seccomp filter nor for want of a "
        "CAP_ right",
        "look for a security module or sandbox (SELinux, gVisor) in the audit log, or run outside of it",
    )


def not_that_process(proc_root: Path, process: Process) -> Obstacle:
    """Why move_pages answers EPERM about this process, though it does about our own memory."""
    if has_right(read_rights(proc_root), SYS_PTRACE):
        if in_user_namespace(proc_root):
            return Obstacle(
                "it lives outside of this user namespace, where our CAP_SYS_PTRACE does not count",
                "run numamig as root outside of the container",
            )
        return Obstacle(
            "a security module forbids it though we have CAP_SYS_PTRACE",
            "look for SELinux or AppArmor in the audit log",
        )
    remedy = "run with sudo, or with CAP_SYS_PTRACE (docker run --cap-add SYS_PTRACE, Kubernetes capabilities.add)"
    if not process.yours:
        return Obstacle(f"it belongs to user {process.user}", remedy)
    if _owner(proc_root, process.pid) not in (None, os.getuid()):
        return Obstacle("it may not be looked into even by its user (setuid, file capabilities, not dumpable)", remedy)
    return Obstacle("it has rights that we lack", remedy)


def not_shared(proc_root: Path) -> Obstacle:
    """Why MPOL_MF_MOVE_ALL is refused where MPOL_MF_MOVE is not."""
    reason = "pages that other processes map too stay, without CAP_SYS_NICE"
    if in_user_namespace(proc_root):
        return Obstacle(f"{reason} outside of this user namespace", "run numamig as root outside of the container")
    return Obstacle(
        reason, "run with sudo, or give it that (docker run --cap-add SYS_NICE, Kubernetes capabilities.add)"
    )


def _kernel_has_it(proc_root: Path) -> bool:
    """Whether files that only come with CONFIG_NUMA and CONFIG_MIGRATION are there."""
    counters = read_text(proc_root / "vmstat") or ""
    return (proc_root / "self/numa_maps").exists() and "pgmigrate_success" in counters


def _owner(proc_root: Path, pid: int) -> int | None:
    """Who owns the files of a process: root where it is not dumpable. Source: fs/proc/base.c ``task_dump_owner``.

    The folder itself is always its user's.
    """
    try:
        return (proc_root / str(pid) / "maps").stat().st_uid
    except OSError:
        return None
