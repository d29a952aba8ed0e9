"""Workloads: threads that touch memory, and get on the faster the nearer it lies.

A workload has no events of its own. Between two changes of placement its threads get on at an even pace, so it is
brought up to date when something changes, or when somebody asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from numamig.backends.simulator.ieee import expm1
from numamig.backends.simulator.memory import ABSENT, Backing, PageIndex
from numamig.model.workings import WorkloadFigures

if TYPE_CHECKING:
    from numamig.backends.simulator.machine import Machine
    from numamig.backends.simulator.process import SimProcess

__all__ = ["Workload", "WorkloadPlan"]

_CHUNK_PAGES = 1 << 18


@dataclass(frozen=True, slots=True)
class WorkloadPlan:
    """What a process does with its memory."""

    compute_ns: float
    """Between two accesses of a thread."""
    accesses: float | None = None
    """Of each thread, until its work is done; None: it never is."""
    in_flight: float = 1.0
    """Accesses of a thread that overlap: 1 follows pointers, 10 streams."""
    split: bool = False
    """Each thread has an equal part of every region to itself; else all touch all."""
    barrier: bool = False
    """Threads wait for the slowest, as between the loops of OpenMP: what one loses, all lose."""


class Workload:
    """A process at work."""

    def __init__(
        self,
        machine: Machine,
        process: SimProcess,
        plan: WorkloadPlan,
        backings: Sequence[Backing] | None = None,
        shares: Sequence[float] | None = None,
    ) -> None:
        """
        :param backings: what it accesses; None: all that the process maps
        :param shares: part of the accesses that goes to each of them; None: as many as it has pages present
        """
        self.machine, self.process, self.plan = machine, process, plan
        self.backings = list(backings) if backings is not None else [r.backing for r in process.regions]
        homes = process.cpu_nodes or tuple(sorted(n.id for n in machine.nodes.values() if n.cpus))[:1]
        self.thread_nodes = np.sort(np.resize(np.array(homes, np.intp), process.threads))
        """Shape (threads,): the node whose CPU each runs on, in blocks."""
        self._rows = len(self.thread_nodes) if plan.split else 1
        self._weights = np.zeros((self._rows, 256))
        """How much is accessed, by part and node."""
        self._scale: dict[int, float] = {}
        """Backing (its id) → what a unit of its heat counts: heat compares pages of one backing only."""
        for number, backing in enumerate(self.backings):
            weights = self._weigh(backing)
            share = backing.resident_pages if shares is None else shares[number]
            self._scale[id(backing)] = share / weights.sum() if weights.any() else 1.0
            self._weights += weights * self._scale[id(backing)]
        self._latency = machine.access.latency_table(self.thread_nodes.tolist()) / plan.in_flight
        self._compute = np.full(len(self.thread_nodes), plan.compute_ns)
        self._best = self._compute + self._latency[np.arange(len(self.thread_nodes)), self.thread_nodes]
        self._done = np.zeros(len(self.thread_nodes))
        """Shape (threads,): accesses so far."""
        self._owed_ns = np.zeros(len(self.thread_nodes))
        """Time that each thread has still to sit out."""
        self._since_ns = machine.timeline.now_ns
        self._period: NDArray[np.float64] | None = None
        self._stalled_ns = self._longest_ns = 0.0
        self.waits = 0.0
        self.asleep: set[int] = set()
        """Threads that wait for a page or a lock, where such waits are events of their own."""
        self.finished_ns: int | None = None

    @property
    def running(self) -> bool:
        return self.finished_ns is None

    def shares(self) -> NDArray[np.float64]:
        """Shape (threads, nodes): part of each thread's accesses by node; what is nowhere costs nothing."""
        total = self._weights.sum(axis=1, keepdims=True)
        shares = np.divide(self._weights, total, out=np.zeros_like(self._weights), where=total > 0)
        return np.broadcast_to(shares, (len(self.thread_nodes), 256)) if self._rows == 1 else shares

    def part_of(self, backing: Backing, pages: PageIndex) -> NDArray[np.float64]:
        """Shape (threads,): part of each thread's accesses that go to some pages."""
        rows, heat = self._rows_of(backing, pages)
        here = np.bincount(rows, weights=heat, minlength=self._rows)
        total = self._weights.sum(axis=1)
        part = np.divide(here, total, out=np.zeros(self._rows), where=total > 0)
        return np.resize(part, len(self.thread_nodes)) if self._rows == 1 else part

    def accesses(self) -> NDArray[np.float64]:
        """Shape (threads,): how many each has made until now."""
        self.catch_up()
        return self._done.copy()

    def totals(self) -> NDArray[np.float64]:
        """Shape (parts,): weight of all that is accessed; one part for all threads, or each its own (``split``)."""
        return np.asarray(self._weights.sum(axis=1))

    def weights_of(self, backing: Backing, pages: PageIndex) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Part, and share of its accesses times its total, of each of some pages."""
        return self._rows_of(backing, pages)

    def touches_of_all_per_ns(self) -> NDArray[np.float64]:
        """Shape (parts,): how often a page of weight 1 is touched, by whichever thread."""
        pace, total = 1 / self.period_ns(), self.totals()
        pace = pace if self.plan.split else np.array([pace.sum()])
        return np.divide(pace, total, out=np.zeros_like(total), where=total > 0)

    def touches_per_ns(self, backing: Backing, pages: PageIndex) -> NDArray[np.float64]:
        """Shape (threads,): how often each thread touches one of some pages."""
        return self.part_of(backing, pages) / self.period_ns()

    def touch_parts(
        self, backing: Backing, index: NDArray[np.int64]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
        """Who touches which of some pages.

        :param index: shape (pages,)
        :returns: three arrays of one shape: which of ``index``, thread, part of its accesses that goes there
        """
        rows, heat = self._rows_of(backing, index)
        total, pages, threads = self.totals()[rows], np.arange(len(index)), len(self.thread_nodes)
        part = np.divide(heat, total, out=np.zeros_like(heat), where=total > 0)
        if self.plan.split:
            return pages, rows, part
        return np.repeat(pages, threads), np.tile(np.arange(threads), len(pages)), np.repeat(part, threads)

    def period_ns(self) -> NDArray[np.float64]:
        """Shape (threads,): from one access of each thread to its next, as things are."""
        if self._period is None:
            self.machine.find_paces()
        assert self._period is not None
        return self._period

    def loads(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Shares, latencies and computing time of its threads, for ``AccessModel.loaded``."""
        return self.shares(), self._latency, self._compute

    def set_period(self, period: NDArray[np.float64] | None) -> None:
        self._period = np.full_like(period, period.max()) if self.plan.barrier and period is not None else period

    def catch_up(self, now_ns: int | None = None) -> None:
        """Get on from when it was last seen until now."""
        now_ns = self.machine.timeline.now_ns if now_ns is None else now_ns
        passed = float(now_ns - self._since_ns)
        if passed <= 0 or not self.running:
            return
        period = self.period_ns()
        sat_out = np.minimum(self._owed_ns, passed)
        self._owed_ns -= sat_out
        self._done += (passed - sat_out) / period
        self._since_ns = now_ns
        if self.plan.accesses is not None and (self._done >= self.plan.accesses * (1 - 1e-12)).all():
            late = ((self._done - self.plan.accesses) * period).min()
            self.finished_ns = round(now_ns - late)
            self._done[:] = self.plan.accesses
            self.machine.paces_changed()

    def due_ns(self) -> int | None:
        """When it is done if nothing changes; None if never."""
        if self.plan.accesses is None or not self.running:
            return self.finished_ns
        self.catch_up()
        if not self.running:
            return self.finished_ns
        left = np.maximum(0.0, self.plan.accesses - self._done) * self.period_ns() + self._owed_ns
        return self._since_ns + int(np.ceil(left.max()))

    def stall(
        self, lost_ns: NDArray[np.float64], longest_ns: float = 0.0, robbed_ns: NDArray[np.float64] | float = 0.0
    ) -> None:
        """Threads lose time from now on.

        :param lost_ns: shape (threads,), waiting for pages
        :param robbed_ns: shape (threads,), besides, since their CPUs do something else
        """
        if not self.running:
            return
        self.catch_up()
        self._stalled_ns += float(lost_ns.sum())
        self._longest_ns = max(self._longest_ns, longest_ns, float(lost_ns.max()) if not longest_ns else 0.0)
        lost_ns = lost_ns + robbed_ns
        self._owed_ns += lost_ns.max() if self.plan.barrier else lost_ns

    def under_migration(self, backing: Backing, pages: PageIndex, batches: float, batch_ns: float) -> None:
        """Some pages were away, a batch at a time: whoever touched one slept until its batch had ended.

        Touches come at random (Poisson), so of a batch that takes D a thread that touches its pages r times a ns loses
        D - (1 - exp(-r·D)) / r on average.
        """
        if not self.running or batches <= 0:
            return
        rate = self.touches_per_ns(backing, pages) / batches
        expected = -expm1(-rate * batch_ns)
        with np.errstate(invalid="ignore", divide="ignore"):
            lost = np.where(rate > 0, batch_ns - expected / rate, 0.0)
        self.waits += float(expected.sum()) * batches
        self.stall(np.maximum(0.0, lost) * batches, batch_ns)

    def relocated(self, backing: Backing, pages: PageIndex, was: NDArray[np.uint8] | int, now: int) -> None:
        """Pages are about to be counted at another node."""
        self.catch_up()
        rows, heat = self._rows_of(backing, pages)
        flat = self._weights.reshape(-1)
        np.subtract.at(flat, rows * 256 + was, heat)
        if now != ABSENT:
            np.add.at(flat, rows * 256 + now, heat)
        self.machine.paces_changed()

    def figures(self) -> WorkloadFigures:
        """How it fares."""
        self.catch_up()
        shares, threads = self.shares(), np.arange(len(self.thread_nodes))
        period = self.period_ns() if self.running else self._best
        plan = self.plan
        return WorkloadFigures(
            name=self.process.name,
            pid=self.process.pid,
            threads=len(threads),
            done=None if plan.accesses is None else float(min(1.0, (self._done / plan.accesses).min())),
            accesses_per_s=float((1e9 / period).sum()) if self.running else 0.0,
            speed=float((self._best / period).mean()) if self.running else 0.0,
            local=float(shares[threads, self.thread_nodes].mean()),
            latency_ns=float((shares * self._latency).sum(axis=1).mean() * plan.in_flight),
            stalled_ns=round(self._stalled_ns),
            longest_stall_ns=round(self._longest_ns),
            finished_ns=self.finished_ns,
        )

    def _rows_of(self, backing: Backing, pages: PageIndex) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Part (row) and weight of each page."""
        index = np.arange(*pages.indices(len(backing.node))) if isinstance(pages, slice) else pages
        rows = index * self._rows // len(backing.node)
        scale = self._scale.get(id(backing), 1.0)
        heat = np.full(len(index), scale)
        if backing.heat is not None:
            heat *= backing.heat[index]
        return rows.astype(np.intp, copy=False), heat

    def _weigh(self, backing: Backing) -> NDArray[np.float64]:
        """Heat by part and node; a chunk at a time, since memory may be large."""
        cells = self._rows * 256
        weights = np.zeros(cells)
        for first in range(0, len(backing.node), _CHUNK_PAGES):
            chunk = slice(first, first + _CHUNK_PAGES)
            rows, heat = self._rows_of(backing, chunk)
            weights += np.bincount(rows * 256 + backing.node[chunk], weights=heat, minlength=cells)
        table = weights.reshape(self._rows, 256)
        table[:, ABSENT] = 0
        return table
