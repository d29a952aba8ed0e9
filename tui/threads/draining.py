"""What emptying a node from the console comes to: as ``numamig drain NODE`` sees it."""

from __future__ import annotations

import os
from dataclasses import dataclass

from numamig.backends.base import Backend
from numamig.errors import NumamigError, UsageError
from numamig.migrate.destination import Node
from numamig.migrate.drain.holders import candidates
from numamig.migrate.drain.prospect import Prospect, look_ahead
from numamig.migrate.request import Request
from numamig.model.process import Process

__all__ = ["Draining", "look_at"]


@dataclass(frozen=True, slots=True)
class Draining:
    """An answer to the question what a drain would come to."""

    node: int
    shared: bool
    """Pages that several processes map are to move too."""
    prospect: Prospect | NumamigError


def look_at(backend: Backend, node: int, *, shared: bool) -> Draining:
    """Look at every process that may have memory there, and plan."""
    try:
        return Draining(node, shared, _prospect(backend, node, shared=shared))
    except NumamigError as error:
        return Draining(node, shared, error)


def _prospect(backend: Backend, node: int, *, shared: bool) -> Prospect:
    """
    :raises UsageError: there is no memory on it, or no other node that has some.
    """
    memory = backend.topology().memory_nodes
    if node not in memory:
        raise UsageError(f"node {node} has no memory", hint="there is nothing to empty")
    elsewhere = next((other for other in memory if other != node), node)

    def request_for(process: Process) -> Request:
        return Request(pid=process.pid, to=Node(elsewhere), sources=(node,), shared=shared)

    me = None if backend.capabilities.simulated else os.getpid()
    processes = list(candidates(backend, me, lambda _: True))
    return look_ahead(backend, (node,), None, processes, request_for, everybody=True)
