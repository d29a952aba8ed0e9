"""The process to be shown, started on the machine at hand: where on it, how fast it is, and its end with its user's."""

from __future__ import annotations

import statistics
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from numamig.errors import RefusedError
from numamig.lab import demonstration
from numamig.model.topology import Topology

__all__ = ["ShownProcess", "Site", "find_site"]

_PART = 4
"""Of a node's free memory it takes the fourth part …"""
_MOST_MIB = 512
"""… but no more."""
_LEAST_MIB = 16
_BURSTS = 9
"""The middle one of as many is how fast it is."""


class Site(NamedTuple):
    """Where it is to run, and where its memory is to lie."""

    cpu_node: int
    memory_node: int
    mebibytes: int


def find_site(topology: Topology) -> Site:
    """The node with CPUs and the node with memory that are farthest from each other, with room on both.

    :raises RefusedError: there is one memory node only, or no room.
    """
    instead = "numamig demo --backend simulator, or a virtual machine: numamig lab --tour"
    if len(topology.memory_nodes) < 2:
        raise RefusedError("there is one memory node here, and no other to move pages to", hint=instead)
    pairs = [
        (home, away)
        for home in topology.memory_nodes
        for away in topology.memory_nodes
        if home != away and (node := topology.node(home)) is not None and node.cpus
    ]
    if not pairs:
        raise RefusedError("no node here has both CPUs and memory", hint=instead)
    home, away = max(pairs, key=lambda pair: (topology.distance(*pair), min(_free_mib(topology, n) for n in pair)))
    mebibytes = min(_MOST_MIB, *(_free_mib(topology, node) // _PART for node in (home, away)))
    if mebibytes < _LEAST_MIB:
        raise RefusedError(f"nodes {home} and {away} have too little free memory for a demonstration", hint=instead)
    return Site(home, away, mebibytes)


def _free_mib(topology: Topology, number: int) -> int:
    node = topology.node(number)
    return 0 if node is None else node.free_bytes >> 20


class ShownProcess:
    """As a context: it is there inside, and gone afterwards, whatever happens.

    :raises RefusedError: it cannot be started there.
    """

    def __init__(self, site: Site) -> None:
        self._bursts: deque[float] = deque(maxlen=_BURSTS)
        words = [str(number) for number in site]
        self._child = subprocess.Popen(
            [sys.executable, "-S", str(Path(demonstration.__file__).absolute()), *words, "counting"],
            start_new_session=True,  # ctrl-c is for the console
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.pid = self._child.pid
        self._ear: threading.Thread | None = None
        said = "" if self._child.stdout is None else self._child.stdout.readline()
        if said != "ready\n":
            rest = "" if self._child.stdout is None else self._child.stdout.read()
            self._end()
            why = " ".join((said + rest).split())[-200:]
            raise RefusedError(f"the process to be shown did not start: {why}", hint="--backend simulator needs none")
        self._ear = threading.Thread(target=self._hear, name="numamig-shown", daemon=True)
        self._ear.start()

    def __enter__(self) -> ShownProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def accesses_per_s(self) -> float | None:
        """Of its CPU time, lately; None before it has told."""
        bursts = list(self._bursts)
        return statistics.median(bursts) if bursts else None

    def _hear(self) -> None:
        stream = self._child.stdout
        for line in stream or ():
            if not line.endswith("\n"):
                break  # it was killed while it told
            accesses, took_ns = map(int, line.split())
            self._bursts.append(accesses * 1e9 / max(1, took_ns))

    def _end(self) -> None:
        self._child.kill()
        self._child.wait()
        if self._ear is not None:
            self._ear.join()
        if self._child.stdout is not None:
            self._child.stdout.close()
