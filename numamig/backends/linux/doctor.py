"""What this kernel, these rights and this container allow: found by trying, one finding for each thing tried.

Nothing is concluded from a version or from who the user is, and nobody else's memory is touched: what is moved for a
trial is a page of our own, and it is moved back. Here: the machine, the call, and rights. What the kernel can do
besides is in ``features``, who else moves pages in ``rivals``.
"""

from __future__ import annotations

import errno
import mmap
from collections.abc import Iterator

import numpy as np

from numamig.backends.base import MPOL_MF_MOVE
from numamig.backends.linux.backend import LinuxBackend
from numamig.backends.linux.capabilities import (
    SYS_NICE,
    SYS_PTRACE,
    behind_filter,
    has_right,
    may_move_shared,
    read_rights,
)
from numamig.backends.linux.facts import try_rights
from numamig.backends.linux.features import find_features
from numamig.backends.linux.obstacles import Obstacle, forbidden_to_all, not_shared
from numamig.backends.linux.ownpages import private_pages
from numamig.backends.linux.procfs import process_ids
from numamig.backends.linux.rivals import allowed_nodes, find_rivals
from numamig.backends.linux.sysfs import read_number
from numamig.errors import NumamigError, RefusedError
from numamig.model.finding import Finding, Severity
from numamig.model.nodeset import format_nodeset
from numamig.model.process import Process

__all__ = ["diagnose"]

OK, WARNING, ERROR = Severity.OK, Severity.WARNING, Severity.ERROR
_FIRST_PID_NAMESPACE = "pid:[4026531836]"
"""Source: include/uapi/linux/nsfs.h and include/linux/proc_ns.h, ``PROC_PID_INIT_INO``."""
_STRANGERS = 8  # how many of other users' processes are tried


def diagnose(backend: LinuxBackend) -> list[Finding]:
    """Everything worth knowing before the first page is moved, the gravest kinds of thing first."""
    called = _move_pages(backend)
    moves = called[0].severity is OK
    return [
        _nodes(backend),
        *called,
        *(_filter(backend) if moves else ()),  # else it has been said
        _others(backend, moves),
        _shared(backend, moves),
        _yama(backend),
        _processes(backend),
        *find_features(backend, moves=moves),
        *find_rivals(backend),
    ]


def _nodes(backend: LinuxBackend) -> Finding:
    topology = backend.topology()
    nodes = topology.memory_nodes
    if len(nodes) > 1:
        return Finding("nodes", OK, f"{len(nodes)} memory nodes: {format_nodeset(nodes)}")
    packages = {package for node in topology.nodes for package in node.packages}
    if len(packages) > 1:
        reason = f"one memory node, but {len(packages)} packages: the firmware hides which memory is near to which CPUs"
        remedy = "switch node interleaving off in the firmware, and take numa=off from the kernel's command line"
        return Finding("nodes", WARNING, reason, remedy)
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
            return [_not("move_pages", ERROR, forbidden_to_all(backend.proc_root, answer.errno))]
        here = int(answer.status[0])
        if here < 0:
            reason = f"move_pages does not see a page that was just written ({errno.errorcode.get(-here, here)})"
            # NUMA balancing marked it between the two.
            return [Finding("move_pages", WARNING, reason, "try again; sysctl kernel.numa_balancing=0")]
        findings = [Finding("move_pages", OK, "move_pages tells where pages are")]
        free = backend.node_counters().free_bytes
        others = sorted((node for node in allowed_nodes(backend) if node != here), key=lambda node: -free.get(node, 0))
        for target in [*others[:1], here]:
            moved = backend.move_pages(0, page, np.array([target], np.int32), MPOL_MF_MOVE)
            after = int(backend.move_pages(0, page, None).status[0])
            if moved.errno == errno.EPERM:  # a filter that looks at arguments
                return [*findings, _not("moving", ERROR, forbidden_to_all(backend.proc_root, moved.errno))]
            if moved.returned or after != target:
                why = errno.errorcode.get(moved.errno, "") if moved.errno else f"it is on node {after} now"
                reason = f"a page of our own does not move to node {target}: {why}"
                return [*findings, Finding("moving", ERROR, reason, f"look at the free memory of node {target}")]
    if not others:
        reason = "a page of our own may be moved, to the node it is on: there is no other"
        return [*findings, Finding("moving", OK, reason)]
    return [*findings, Finding("moving", OK, f"a page of our own moved from node {here} to {others[0]} and back")]


def _not(check: str, severity: Severity, obstacle: Obstacle) -> Finding:
    return Finding(check, severity, obstacle.reason, obstacle.remedy)


def _filter(backend: LinuxBackend) -> list[Finding]:
    watched = behind_filter(backend.proc_root)
    reason = "a seccomp filter watches our calls, and lets move_pages pass" if watched else "no seccomp filter is on us"
    return [Finding("seccomp", OK, reason)]


def _others(backend: LinuxBackend, moves: bool) -> Finding:
    """Other users' processes: tried on some, where there are any."""
    right = has_right(read_rights(backend.proc_root), SYS_PTRACE)
    tried = 0
    for process in _strangers(backend) if moves else ():
        try:
            rights = try_rights(backend.proc_root, process, backend.move_pages, sees_frames=False)
        except NumamigError:
            continue  # it ended
        tried += 1
        if not (rights.look and rights.move) and isinstance(rights.obstacle, Obstacle):
            reason, remedy = rights.obstacle
            reason = f"you may not look at and move every process, not {process.pid} for one: {reason}"
            return Finding("rights", WARNING, reason, remedy)
    if tried:
        return Finding("rights", OK, f"you may look at and move other users' processes ({tried} of them tried)")
    if right:
        return Finding("rights", OK, "CAP_SYS_PTRACE: you may look at and move other users' processes")
    reason = "no CAP_SYS_PTRACE: you can look at and move only your own processes"
    return Finding("rights", WARNING, reason, "run with sudo, or give it that capability")


def _strangers(backend: LinuxBackend) -> Iterator[Process]:
    """Some processes of other users, the largest first, since those are the ones that somebody wants to move."""
    found = [p for p in backend.processes() if not (p.yours or p.zombie) and p.resident_bytes]
    yield from sorted(found, key=lambda process: -process.resident_bytes)[:_STRANGERS]


def _shared(backend: LinuxBackend, moves: bool) -> Finding:
    if may_move_shared() if moves else has_right(read_rights(backend.proc_root), SYS_NICE):
        return Finding("shared", OK, "CAP_SYS_NICE: you may move pages that several processes map (--shared)")
    return _not("shared", WARNING, not_shared(backend.proc_root))


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


def _processes(backend: LinuxBackend) -> Finding:
    """Whether all processes of the machine can be seen."""
    try:
        namespace = str((backend.proc_root / "self/ns/pid").readlink())
    except OSError:
        namespace = _FIRST_PID_NAMESPACE
    if namespace != _FIRST_PID_NAMESPACE:
        reason = "only the processes of this container can be seen"
        return Finding("processes", WARNING, reason, "docker run --pid=host, Kubernetes hostPID: true")
    if 1 not in process_ids(backend.proc_root):
        reason = "this /proc hides other users' processes (hidepid)"
        return Finding("processes", WARNING, reason, "run with sudo, or mount -o remount,hidepid=0 /proc")
    return Finding("processes", OK, "all processes can be seen")
