"""What this kernel and these rights allow: found by trying where that is cheap, never by version or by uid."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import numpy as np
import psutil

from numamig.backends.base import MPOL_MF_MOVE, MPOL_MF_MOVE_ALL, Capabilities
from numamig.backends.linux.syscalls import move_pages
from numamig.backends.linux.sysfs import read_number, read_text

__all__ = [
    "SYS_ADMIN",
    "SYS_NICE",
    "SYS_PTRACE",
    "balancing_mode",
    "behind_filter",
    "has_right",
    "in_user_namespace",
    "may_move_shared",
    "probe",
    "read_rights",
    "status_field",
]

SYS_PTRACE, SYS_ADMIN, SYS_NICE = 19, 21, 23
"""Numbers of capabilities. Source: include/uapi/linux/capability.h."""
THP = "kernel/mm/transparent_hugepage/enabled"
DAMON = "kernel/mm/damon/admin"
IDLE_BITMAP = "kernel/mm/page_idle/bitmap"
_IDENTITY = ["0", "0", "4294967295"]


def status_field(proc_root: Path, name: str) -> str:
    """A field of /proc/self/status; "" where there is none."""
    found = re.search(rf"^{name}:\s*(.*)$", read_text(proc_root / "self/status") or "", re.MULTILINE)
    return found[1] if found else ""


def read_rights(proc_root: Path) -> int:
    """Effective capabilities of this process, one bit each."""
    return int(status_field(proc_root, "CapEff") or "0", 16)


def has_right(rights: int, number: int) -> bool:
    """Whether capability ``number`` is among ``rights``."""
    return bool(rights >> number & 1)


def behind_filter(proc_root: Path) -> bool:
    """Whether a seccomp filter watches this process."""
    return status_field(proc_root, "Seccomp") == "2"


def in_user_namespace(proc_root: Path) -> bool:
    """Whether capabilities are those of a user namespace, and count only in there: a container without root."""
    mapped = (read_text(proc_root / "self/uid_map") or "").split()
    return bool(mapped) and mapped != _IDENTITY


def may_move_shared() -> bool:
    """Whether the kernel takes MPOL_MF_MOVE_ALL from us: asked with a call that names no page, and moves none."""
    return _refusal(MPOL_MF_MOVE_ALL) == 0


def _refusal(flags: int) -> int:
    """The errno of a call about our own memory that names no page; 0 where it is let in."""
    return move_pages(0, np.empty(0, np.uint64), None, flags).errno


def balancing_mode(proc_root: Path) -> int:
    """0 off, 1 locality, 2 tiering; 0 where the kernel has no NUMA balancing."""
    return read_number(proc_root / "sys/kernel/numa_balancing") or 0


def probe(proc_root: Path, sys_root: Path, *, see_frames: bool, no_heat: str = "") -> Capabilities:
    """Everything there is to know.

    :param see_frames: the frame reader works
    :param no_heat: why heat cannot be told; "" where it can
    """
    rights = read_rights(proc_root)
    others, shared = has_right(rights, SYS_PTRACE), may_move_shared()
    thp = read_text(sys_root / THP)
    huge = thp is not None and "[never]" not in thp
    missing: dict[str, str] = {}
    if no_heat:
        missing["heat"] = no_heat
    if number := _refusal(MPOL_MF_MOVE):
        forbidden = f"move_pages is forbidden here ({errno.errorcode.get(number, number)}): numamig doctor says why"
        others = False
        missing.update(move_others=forbidden, move_shared=forbidden)
    elif not others:
        missing["move_others"] = "only your own processes can be looked at and moved: needs CAP_SYS_PTRACE (sudo)"
    if not shared and "move_shared" not in missing:
        missing["move_shared"] = "pages that several processes map stay where they are: needs CAP_SYS_NICE (sudo)"
    if not see_frames:
        missing["see_pfn"] = "looking is slower, page by page: page frame numbers need CAP_SYS_ADMIN (sudo)"
    if not huge:
        missing["huge_pages"] = (
            "this kernel has no transparent huge pages"
            if thp is None
            else f"transparent huge pages are switched off: echo madvise > /sys/{THP}"
        )
    return Capabilities(
        kernel=os.uname().release,
        machine=os.uname().nodename,
        user=psutil.Process().username(),
        move_others=others,
        move_shared=shared,
        see_pfn=see_frames,
        huge_pages=huge,
        heat=not no_heat,
        balancing=balancing_mode(proc_root) > 0,
        missing=missing,
    )
