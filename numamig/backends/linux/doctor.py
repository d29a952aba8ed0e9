"""What this kernel, these rights and this container allow: found by trying, one finding for each thing tried.

Nothing is concluded from a version or from who the user is, and nobody else's memory is touched: what is moved for a
trial is a page of our own, and it is moved back.
"""

from __future__ import annotations

import errno
import mmap
import os

import numpy as np

from numamig.backends.base import MPOL_MF_MOVE
from numamig.backends.linux.backend import LinuxBackend
from numamig.backends.linux.capabilities import (
    DAMON,
    IDLE_BITMAP,
    SYS_ADMIN,
    SYS_NICE,
    SYS_PTRACE,
    balancing_mode,
    has_right,
    read_rights,
    status_field,
)
from numamig.backends.linux.ownpages import private_pages
from numamig.backends.linux.pagemap import scan_works
from numamig.backends.linux.sysfs import read_number, read_text
from numamig.errors import RefusedError
from numamig.model.finding import Finding, Severity
from numamig.model.nodeset import format_nodeset, parse_ranges

__all__ = ["diagnose"]

OK, WARNING, ERROR = Severity.OK, Severity.WARNING, Severity.ERROR
_CONTAINER = "a container or seccomp filter forbids it: allow move_pages (docker run --cap-add SYS_NICE)"


def diagnose(backend: LinuxBackend) -> list[Finding]:
    """Everything worth knowing before the first page is moved, the gravest kinds of thing first."""
    return [
        _nodes(backend),
        *_move_pages(backend),
        *_rights(backend),
        _yama(backend),
        _frames(backend),
        _scan(backend),
        _cpuset(backend),
        _balancing(backend),
        _demotion(backend),
        *_heat(backend),
    ]


def _nodes(backend: LinuxBackend) -> Finding:
    nodes = backend.topology().memory_nodes
    if len(nodes) > 1:
        return Finding("nodes", OK, f"{len(nodes)} memory nodes: {format_nodeset(nodes)}")
    return Finding(
        "nodes",
        WARNING,
        "this machine has one memory node: there is nowhere to move pages to",
        "try numamig --backend simulator",
    )


def _move_pages(backend: LinuxBackend) -> list[Finding]:
    """Ask about a page of our own, then move it: to another node and back, or at least to where it is."""
    with private_pages(mmap.PAGESIZE) as own:
        own.bytes_[0] = 1
        page = np.array([own.address], np.uint64)
        try:
            answer = backend.move_pages(0, page, None)
        except RefusedError as error:
            return [Finding("move_pages", ERROR, error.message, error.hint or "")]
        if answer.errno:
            remedy = "this kernel was built without CONFIG_MIGRATION or CONFIG_NUMA"
            return [
                Finding(
                    "move_pages",
                    ERROR,
                    f"move_pages cannot be called: {errno.errorcode.get(answer.errno, answer.errno)}",
                    # A filter may answer either; a kernel without the call only ENOSYS.
                    f"{_CONTAINER}; or {remedy}" if answer.errno == errno.ENOSYS else _CONTAINER,
                )
            ]
        here = int(answer.status[0])
        if here < 0:
            reason = f"move_pages does not see a page that was just written ({errno.errorcode.get(-here, here)})"
            # NUMA balancing marked it between the two.
            return [Finding("move_pages", WARNING, reason, "try again; sysctl kernel.numa_balancing=0")]
        findings = [Finding("move_pages", OK, "move_pages tells where pages are")]
        free = backend.node_counters().free_bytes
        others = sorted((node for node in _allowed(backend) if node != here), key=lambda node: -free.get(node, 0))
        for target in [*others[:1], here]:
            moved = backend.move_pages(0, page, np.array([target], np.int32), MPOL_MF_MOVE)
            after = int(backend.move_pages(0, page, None).status[0])
            if moved.returned or after != target:
                why = errno.errorcode.get(moved.errno, "") if moved.errno else f"it is on node {after} now"
                reason = f"a page of our own does not move to node {target}: {why}"
                remedy = _CONTAINER if moved.errno == errno.EPERM else f"look at the free memory of node {target}"
                return [*findings, Finding("moving", ERROR, reason, remedy)]
    if not others:
        reason = "a page of our own may be moved, to the node it is on: there is no other"
        return [*findings, Finding("moving", OK, reason)]
    return [*findings, Finding("moving", OK, f"a page of our own moved from node {here} to {others[0]} and back")]


def _rights(backend: LinuxBackend) -> list[Finding]:
    rights = read_rights(backend.proc_root)
    wanted = (
        ("CAP_SYS_PTRACE", SYS_PTRACE, "look at and move other users' processes"),
        ("CAP_SYS_NICE", SYS_NICE, "move pages that several processes map (--shared)"),
        ("CAP_SYS_ADMIN", SYS_ADMIN, "see page frames, and so look five times as fast"),
    )
    return [
        Finding("rights", OK, f"{name}: may {use}")
        if has_right(rights, number)
        else Finding("rights", WARNING, f"no {name}: cannot {use}", "run with sudo, or give it that capability")
        for name, number, use in wanted
    ]


def _yama(backend: LinuxBackend) -> Finding:
    scope = read_number(backend.proc_root / "sys/kernel/yama/ptrace_scope")
    if not scope or has_right(read_rights(backend.proc_root), SYS_PTRACE):
        return Finding("yama", OK, "tracing is not restricted for you")
    # Looking and moving are PTRACE_MODE_READ, which Yama lets pass; only clearing the marks of NUMA balancing attaches.
    return Finding(
        "yama",
        WARNING,
        f"kernel.yama.ptrace_scope is {scope}: marks of NUMA balancing cannot be cleared on your own processes",
        "run with sudo, or sysctl kernel.yama.ptrace_scope=0" if scope < 3 else "it stays so until the next boot",
    )


def _frames(backend: LinuxBackend) -> Finding:
    if backend.readers.frame_reader is not None:
        return Finding("pagemap", OK, "pagemap shows page frames, and their nodes agree with move_pages")
    if backend.readers.sees_frames:
        reason = "the nodes of page frames do not agree with move_pages: looking asks move_pages instead"
        return Finding("pagemap", WARNING, reason, "nothing to do; please report this machine's /proc/zoneinfo")
    reason = "pagemap hides page frames: looking asks move_pages, five times as slow"
    return Finding("pagemap", WARNING, reason, "run with sudo, or give it CAP_SYS_ADMIN")


def _scan(backend: LinuxBackend) -> Finding:
    try:
        descriptor = os.open(backend.proc_root / "self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        reason = f"/proc/PID/pagemap cannot be opened: {error.strerror}"
        return Finding("scan", ERROR, reason, "a kernel with CONFIG_PROC_PAGE_MONITOR, and a /proc of its own")
    try:
        works = scan_works(descriptor)
    finally:
        os.close(descriptor)
    if works:
        return Finding("scan", OK, "PAGEMAP_SCAN works: holes cost nothing to look at")
    return Finding("scan", OK, "no PAGEMAP_SCAN (Linux 6.7): holes cost about as much to look at as huge pages")


def _allowed(backend: LinuxBackend) -> list[int]:
    """Memory nodes that our cpuset allows."""
    nodes = backend.topology().memory_nodes
    listed = status_field(backend.proc_root, "Mems_allowed_list")
    return [node for node in nodes if node in parse_ranges(listed)] if listed else list(nodes)


def _cpuset(backend: LinuxBackend) -> Finding:
    nodes, allowed = backend.topology().memory_nodes, _allowed(backend)
    if list(nodes) == allowed:
        return Finding("cpuset", OK, f"your cpuset allows all memory nodes: {format_nodeset(nodes)}")
    return Finding(
        "cpuset",
        WARNING,
        f"your cpuset allows only memory nodes {format_nodeset(allowed)} of {format_nodeset(nodes)}",
        "each process has a cpuset of its own; widen cpuset.mems of its cgroup where pages should go",
    )


def _balancing(backend: LinuxBackend) -> Finding:
    mode = balancing_mode(backend.proc_root)
    if not mode:
        return Finding("balancing", OK, "NUMA balancing is off")
    return Finding(
        "balancing",
        WARNING,
        "NUMA balancing is on: it may move pages back, and older kernels hide the pages it has marked from move_pages",
        "sysctl kernel.numa_balancing=0",
    )


def _demotion(backend: LinuxBackend) -> Finding:
    if read_text(backend.sys_root / "kernel/mm/numa/demotion_enabled") not in ("true", "1"):
        return Finding("demotion", OK, "the kernel does not demote pages to slower nodes")
    return Finding(
        "demotion",
        WARNING,
        "demotion is on: under pressure the kernel moves pages to slower nodes, cpusets or not",
        "echo false > /sys/kernel/mm/numa/demotion_enabled",
    )


def _heat(backend: LinuxBackend) -> list[Finding]:
    """None of these is needed: they only tell which pages are in use."""
    sources = (("DAMON", DAMON, "CONFIG_DAMON_SYSFS"), ("idle page bitmap", IDLE_BITMAP, "CONFIG_IDLE_PAGE_TRACKING"))
    return [
        Finding("heat", OK, f"{name}: available")
        if os.access(backend.sys_root / path, os.R_OK)
        else Finding("heat", OK, f"{name}: not available here, the kernel lacks {option} or you lack the rights")
        for name, path, option in sources
    ]
