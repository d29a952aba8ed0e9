"""Whether there is such a node, such a process, and the right to move pages of it: what raises where it is not so."""

from __future__ import annotations

import errno

import numpy as np

from numamig.backends.base import MPOL_MF_MOVE_ALL, Backend, TellsProcessFacts
from numamig.errors import RefusedError, TargetGone, UsageError
from numamig.migrate.destination import NodeMap
from numamig.migrate.request import Request
from numamig.model.nodeset import format_nodeset
from numamig.model.process import Process

__all__ = ["demand_node", "demand_nodes", "demand_process", "demand_shared"]


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


def demand_nodes(backend: Backend, request: Request) -> None:
    """
    :raises UsageError: the target or a source is none of this machine's memory nodes, or they are one and the same.
    """
    nodes = request.to.nodes
    for node in (*nodes, *(request.sources or ())):
        demand_node(backend, node)
    if isinstance(request.to, NodeMap):
        for source, _ in request.to.pairs:
            demand_node(backend, source)
    if len(nodes) == 1 and request.sources is not None and set(request.sources) <= set(nodes):
        raise UsageError(f"from and to are the same node {nodes[0]}", hint="name another node", node=nodes[0])


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
            hint=_obstacle(backend, pid, "it takes CAP_SYS_PTRACE (run as root), or being the same user"),
            pid=pid,
            errno=errno.EPERM,
        )
    if answer.returned < 0 and answer.errno == errno.ENOSYS:
        raise RefusedError(
            "move_pages is not available here",
            hint=_obstacle(backend, pid, "numamig doctor looks further"),
            pid=pid,
            errno=errno.ENOSYS,
        )
    if answer.returned < 0 and answer.errno in (errno.ESRCH, errno.EINVAL):
        raise TargetGone(f"pid {pid} has ended", pid=pid)
    return process


def _obstacle(backend: Backend, pid: int, otherwise: str) -> str:
    """What stands in the way of moving pages of ``pid``, where the backend knows: it need not be a matter of this
    process, but a filter or a sandbox. ``otherwise`` is what to say where it does not, or names no capability."""
    told = backend.process_facts(pid).obstacle if isinstance(backend, TellsProcessFacts) else ""
    return told if "CAP_" in told else "; ".join(filter(None, (told, otherwise)))


def demand_shared(backend: Backend, pid: int) -> None:
    """
    :raises RefusedError: the caller may not move pages that other processes map too.
    """
    # Asked, not moved: the check is the same, and a call that moves drains lists on every CPU.
    answer = backend.move_pages(pid, np.empty(0, np.uint64), None, MPOL_MF_MOVE_ALL)
    if answer.returned < 0 and answer.errno == errno.EPERM:
        raise RefusedError(
            "no right to move pages that other processes share",
            hint="it takes CAP_SYS_NICE (run as root), or leave the shared ones",
            pid=pid,
            errno=errno.EPERM,
        )
