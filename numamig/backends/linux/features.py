"""What this kernel can do for looking and moving: each thing tried on memory of our own, or on a file.

Source: pidfd_open(2), process_vm_readv(2); Documentation/admin-guide/mm/pagemap.rst, mm/transhuge.rst,
mm/hugetlbpage.rst; Documentation/ABI/testing/sysfs-kernel-mm-memory-tiers.
"""

from __future__ import annotations

import errno
import mmap
import os
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from numamig.backends.base import MPOL_MF_MOVE
from numamig.backends.linux.capabilities import THP, behind_filter
from numamig.backends.linux.counters import read_huge_pools
from numamig.backends.linux.heat import find_heat
from numamig.backends.linux.hints import userfaultfd_open
from numamig.backends.linux.ownpages import private_pages
from numamig.backends.linux.pagemap import scan_works
from numamig.backends.linux.procfs import parse_vmstat
from numamig.backends.linux.rivals import allowed_nodes
from numamig.backends.linux.syscalls import read_a_byte_of_each
from numamig.backends.linux.sysfs import read_text
from numamig.model.finding import Finding, Severity
from numamig.model.nodeset import format_nodeset
from numamig.units import format_bytes

if TYPE_CHECKING:
    from numamig.backends.linux.backend import LinuxBackend

__all__ = ["find_features"]

OK, WARNING, ERROR = Severity.OK, Severity.WARNING, Severity.ERROR
_NO_BALANCING = "sysctl kernel.numa_balancing=0, so that there are no marks"


def find_features(backend: LinuxBackend, *, moves: bool) -> list[Finding]:
    """One finding for each of them.

    :param moves: move_pages works for memory of our own
    """
    return [
        _pidfd(),
        _marks(backend),
        *_pagemap(backend),
        _huge_pages(backend, moves),
        _hugetlb(backend),
        _tiers(backend),
        *find_heat(backend),
    ]


def _pidfd() -> Finding:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, "?")
        return Finding("pidfd", OK, f"no pidfd_open ({name}): an open /proc/PID holds on to a process in its place")
    return Finding(
        "pidfd", OK, "pidfd_open works: a pid that was given to another process is never taken for the first"
    )


def _marks(backend: LinuxBackend) -> Finding:
    """Whether pages that NUMA balancing has marked can be had back; yama says of which processes."""
    with private_pages(mmap.PAGESIZE) as own:
        own.bytes_[0] = 1
        number = read_a_byte_of_each(os.getpid(), np.array([own.address], np.uint64))
    if number:
        name = errno.errorcode.get(number, str(number))
        why = (
            "a filter forbids it" if behind_filter(backend.proc_root) else "the kernel lacks CONFIG_CROSS_MEMORY_ATTACH"
        )
        reason = f"process_vm_readv does not work ({name}, {why}): marks of NUMA balancing cannot be cleared"
        return Finding("marks", WARNING, reason, _NO_BALANCING)
    if userfaultfd_open(backend.proc_root):
        reason = "somebody has a userfaultfd open, who could be made to wait: marks of NUMA balancing are not cleared"
        return Finding("marks", WARNING, reason, _NO_BALANCING)
    return Finding("marks", OK, "process_vm_readv works: marks of NUMA balancing can be cleared")


def _pagemap(backend: LinuxBackend) -> list[Finding]:
    try:
        descriptor = os.open(backend.proc_root / "self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.EACCES:
            reason = "our own pagemap is closed to us, as to every program with file capabilities or of another user"
            remedy = "run with sudo, or hand over capabilities without that: setpriv, systemd AmbientCapabilities="
            return [Finding("pagemap", WARNING, reason, remedy)]
        reason = f"/proc/PID/pagemap cannot be opened: {error.strerror}"
        return [Finding("pagemap", ERROR, reason, "a kernel with CONFIG_PROC_PAGE_MONITOR, and a /proc of its own")]
    try:
        scans = scan_works(descriptor)
    finally:
        os.close(descriptor)
    holes = "PAGEMAP_SCAN works: holes cost nothing to look at"
    if not scans:
        holes = "no PAGEMAP_SCAN: holes cost about as much to look at as huge pages"
    return [_frames(backend), Finding("scan", OK, holes), _page_flags(backend, scans)]


def _frames(backend: LinuxBackend) -> Finding:
    if backend.readers.frame_reader is not None:
        return Finding("pagemap", OK, "pagemap shows page frames, and their nodes agree with move_pages")
    if backend.readers.sees_frames:
        reason = "the nodes of page frames do not agree with move_pages: looking asks move_pages instead"
        return Finding("pagemap", WARNING, reason, "nothing to do; please report this machine's /proc/zoneinfo")
    reason = "pagemap hides page frames: looking asks move_pages, five times as slow"
    return Finding("pagemap", WARNING, reason, "run with sudo, or give it CAP_SYS_ADMIN")


def _page_flags(backend: LinuxBackend, scans: bool) -> Finding:
    """How huge pages are told from as many small ones."""
    readable = False
    with suppress(OSError), open(backend.proc_root / "kpageflags", "rb", buffering=0) as flags:
        readable = len(flags.read(8)) == 8
    if readable:
        return Finding("kpageflags", OK, "kpageflags can be read: it tells huge pages from small ones")
    if scans:
        return Finding("kpageflags", OK, "kpageflags cannot be read: PAGEMAP_SCAN tells huge pages from small ones")
    reason = "neither kpageflags nor PAGEMAP_SCAN is to be had: a huge page looks like 512 small ones until it moves"
    return Finding("kpageflags", WARNING, reason, "run with sudo (CAP_SYS_ADMIN and CAP_DAC_READ_SEARCH)")


def _huge_pages(backend: LinuxBackend, moves: bool) -> Finding:
    mode = _chosen(read_text(backend.sys_root / THP))
    if mode is None:
        return Finding("thp", OK, "this kernel has no transparent huge pages: all pages move one by one")
    defrag = _chosen(read_text((backend.sys_root / THP).with_name("defrag"))) or "?"
    settings = f"transparent huge pages: {mode}, defrag {defrag}"
    if mode == "never":
        return Finding("thp", OK, f"{settings}; all pages move one by one")
    tried = _move_a_huge_page(backend) if moves else ""
    if tried == "split":
        return Finding(
            "thp",
            WARNING,
            f"{settings}; one of our own came apart as it moved, and moves in 512 pieces then",
            "echo 1 > /proc/sys/vm/compact_memory makes room for whole ones, where they can be moved whole at all",
        )
    return Finding("thp", OK, f"{settings}{'; ' if tried else ''}{tried}")


def _chosen(text: str | None) -> str | None:
    """The word in brackets of ``always [madvise] never``."""
    return None if text is None else text.partition("[")[2].partition("]")[0] or text


def _move_a_huge_page(backend: LinuxBackend) -> str:
    """What becomes of a huge page of our own that moves; "" where that cannot be tried."""
    size = backend.topology().huge_page_size
    free = backend.node_counters().free_bytes
    with private_pages(size, size, mmap.MADV_HUGEPAGE) as own:
        own.bytes_[0] = 1
        page = np.array([own.address], np.uint64)
        here = int(backend.move_pages(0, page, None).status[0])
        others = [node for node in allowed_nodes(backend) if node != here and free.get(node, 0) > 2 * size]
        if here < 0 or not others:
            return ""
        target = max(others, key=lambda node: free[node])
        before = _migrated(backend)
        backend.move_pages(0, page, np.array([target], np.int32), MPOL_MF_MOVE)
        whole, split = (after - was for after, was in zip(_migrated(backend), before, strict=True))
        there = int(backend.move_pages(0, page, None).status[0]) == target
    if split:
        return "split"
    if whole and there:
        return f"one of our own moved whole from node {here} to {target}"
    return "none could be had here to try how it moves"


def _migrated(backend: LinuxBackend) -> tuple[int, int]:
    """Huge pages that were moved whole, and that came apart, since the machine was started."""
    counters = parse_vmstat(read_text(backend.proc_root / "vmstat") or "")
    return counters.get("thp_migration_success", 0), counters.get("thp_migration_split", 0)


def _hugetlb(backend: LinuxBackend) -> Finding:
    pools = [pool for pool in read_huge_pools(backend.sys_root / "kernel/mm/hugepages") if pool.total]
    if not pools:
        return Finding("hugetlb", OK, "no pool of hugetlb pages")
    listed = ", ".join(f"{pool.total:,} of {format_bytes(pool.page_bytes)}" for pool in pools)
    return Finding("hugetlb", OK, f"hugetlb pages: {listed}; each moves whole, if its target has as much in one piece")


def _tiers(backend: LinuxBackend) -> Finding:
    nodes = backend.topology().nodes
    tiers = sorted({node.tier for node in nodes if node.tier is not None})
    if not tiers:
        return Finding("tiers", OK, "the kernel knows no memory tiers")
    listed = ", ".join(f"nodes {format_nodeset(n.id for n in nodes if n.tier == tier)} ({tier})" for tier in tiers)
    return Finding("tiers", OK, f"memory tiers, fastest first: {listed}")
