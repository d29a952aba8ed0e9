"""What will stop a job, found out before it starts."""

from __future__ import annotations

import errno

import numpy as np

from numamig.backends.base import MPOL_MF_MOVE_ALL, Backend
from numamig.errors import RefusedError, TargetGone, UsageError
from numamig.migrate.request import Request
from numamig.model.finding import Finding, Severity
from numamig.model.nodeset import format_nodeset
from numamig.model.process import Process

__all__ = ["check", "demand_node", "demand_process", "demand_shared"]


def demand_node(backend: Backend, node: int) -> None:
    """
    :raises UsageError: the node does not exist or has no memory.
    """
    available = backend.topology().memory_nodes
    if node not in available:
        raise UsageError(
            f"node {node} does not exist or has no memory",
            hint=f"nodes with memory here: {format_nodeset(available)}",
            node=node,
        )


def demand_process(backend: Backend, pid: int) -> Process:
    """The process, if pages of it can be moved at all.

    :raises TargetGone: there is no such process, or it is a zombie.
    :raises RefusedError: it is a kernel thread, or the caller lacks the rights; says which.
    """
    process = backend.process(pid)
    if process.kernel_thread:
        raise RefusedError(
            f"pid {pid} ({process.name!r}) is a kernel thread",
            hint="it has no memory of its own that could move",
            pid=pid,
        )
    if process.zombie:
        raise TargetGone(f"pid {pid} ({process.name!r}) has ended and waits for its parent", pid=pid)
    answer = backend.move_pages(pid, np.empty(0, np.uint64), None)
    if answer.returned < 0 and answer.errno == errno.EPERM:
        raise RefusedError(
            f"no right to move pages of pid {pid} ({process.name!r}, user {process.user})",
            hint="it takes CAP_SYS_PTRACE (run as root), or being the same user with ptrace allowed",
            pid=pid,
            errno=errno.EPERM,
        )
    if answer.returned < 0 and answer.errno == errno.ENOSYS:
        raise RefusedError(
            "move_pages is not available here",
            hint="blocked by seccomp, or a kernel without CONFIG_MIGRATION: numamig doctor",
        )
    if answer.returned < 0 and answer.errno in (errno.ESRCH, errno.EINVAL):
        raise TargetGone(f"pid {pid} has ended", pid=pid)
    return process


def demand_shared(backend: Backend, pid: int) -> None:
    """
    :raises RefusedError: the caller may not move pages that other processes map too.
    """
    answer = backend.move_pages(pid, np.empty(0, np.uint64), np.empty(0, np.int32), MPOL_MF_MOVE_ALL)
    if answer.returned < 0 and answer.errno == errno.EPERM:
        raise RefusedError(
            "no right to move pages that other processes share",
            hint="it takes CAP_SYS_NICE (run as root), or leave the shared ones",
            pid=pid,
            errno=errno.EPERM,
        )


def check(backend: Backend, request: Request) -> tuple[Process, list[Finding]]:
    """The process, and what speaks for and against moving its pages.

    :raises UsageError: the target or a source node is none of this machine's memory nodes.
    :raises TargetGone: there is no such process.
    :raises RefusedError: kernel thread, no rights to the process, or none to move shared pages.
    """
    for node in (request.target, *(request.sources or ())):
        demand_node(backend, node)
    if request.sources is not None and set(request.sources) <= {request.target}:
        raise UsageError(
            f"from and to are the same node {request.target}", hint="name another node", node=request.target
        )
    process = demand_process(backend, request.pid)
    findings = [Finding("rights", Severity.OK, f"pages of pid {request.pid} may be moved")]
    if request.shared:
        demand_shared(backend, request.pid)
    if backend.capabilities.balancing:
        findings.append(
            Finding(
                "balancing",
                Severity.WARNING,
                "NUMA balancing is on: it may move pages back, and on some kernels hides marked pages from move_pages",
                "sysctl kernel.numa_balancing=0, or bind the process's memory policy",
            )
        )
    return process, findings
