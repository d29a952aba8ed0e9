"""What an access to memory costs, by where from and where to, and how much of it a node can serve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["LINE_BYTES", "AccessModel"]

LINE_BYTES = 64
"""That an access fetches; 128 on Itanium."""
_LOCAL_NS = 100.0
_ROUNDS = 60
_CLOSE = 1e-9


@dataclass(frozen=True, slots=True)
class AccessModel:
    """Latencies and bandwidths of a machine."""

    distances: Mapping[tuple[int, int], int]
    """(from, to) → SLIT distance, 10 where local."""
    local_ns: float = _LOCAL_NS
    """Latency of a local access; a remote one takes distance / 10 times as long (that is what a SLIT says)."""
    latencies: Mapping[tuple[int, int], float] = field(default_factory=dict)
    """(from, to) → ns, where they are known better than by distance."""
    bandwidths: Mapping[int, float] = field(default_factory=dict)
    """Node → bytes per ns (GB/s) that it can serve; without an entry: as much as is asked for."""
    line_bytes: int = LINE_BYTES

    def latency_ns(self, source: int, target: int) -> float:
        """Of an access by a CPU of ``source`` to idle memory of ``target``."""
        known = self.latencies.get((source, target))
        return known if known is not None else self.local_ns * self.distances[source, target] / 10

    def latency_table(self, sources: Sequence[int], nodes: int = 256) -> NDArray[np.float64]:
        """Shape (sources, nodes): latency by row and node id; 0 for nodes that are not there."""
        table = np.zeros((len(sources), nodes))
        for row, source in enumerate(sources):
            for near, far in self.distances:
                if near == source:
                    table[row, far] = self.latency_ns(source, far)
        return table

    def loaded(
        self, shares: NDArray[np.float64], latency: NDArray[np.float64], compute_ns: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Time from one access of each thread to its next, where nodes that are asked for too much make all wait.

        :param shares: shape (threads, nodes), part of each thread's accesses by node; rows add up to 1
        :param latency: shape (threads, nodes), ns, divided by how many accesses a thread has in flight
        :param compute_ns: shape (threads,), between two accesses
        :returns: shape (threads,), ns
        """
        weights = shares * latency
        period = compute_ns + weights.sum(axis=1)
        limited = [node for node in self.bandwidths if shares[:, node].any()]
        if not limited:
            return np.asarray(period)
        stretch = np.ones(shares.shape[1])
        limit = np.array([self.bandwidths[node] for node in limited])
        for _ in range(_ROUNDS):
            before = period
            demand = (shares[:, limited] / period[:, None]).sum(axis=0) * self.line_bytes
            # A node that is asked for more than it has makes everybody wait longer, until it is not.
            stretch[limited] = np.maximum(1.0, stretch[limited] * (1 + (demand / limit - 1) * 0.7))
            period = compute_ns + (weights * stretch).sum(axis=1)
            if np.abs(period - before).max() <= _CLOSE * period.max():
                break
        return np.asarray(period)
