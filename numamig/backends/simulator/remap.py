"""The moving call of the kernels of 2004: a list at a time, locks of page tables held for it or for each page.

Source: the thread "Migrate pages from a ccNUMA node to another" on linux-ia64, March and April 2004. A page is moved in
``remap_page``; docs/simulator.md says where our seam differs from the call that was discussed.
"""

from __future__ import annotations

import errno
from collections.abc import Generator

import numpy as np
import simpy
from numpy.typing import NDArray

from numamig.backends.base import UNWRITTEN
from numamig.backends.simulator.kernels import Locking, Retry
from numamig.backends.simulator.lookup import Pages
from numamig.backends.simulator.machine import Machine
from numamig.backends.simulator.process import SimProcess
from numamig.backends.simulator.remap_page import Bench, mappers_of, remap_onepage
from numamig.backends.simulator.remap_settings import Executor
from numamig.backends.simulator.remap_victims import Victims

__all__ = ["remap"]

_TO_MOVE = UNWRITTEN

Steps = Generator[simpy.Event, object, int]
"""A part of a call: 0, or a negated errno that ends the call."""


def remap(
    machine: Machine, process: SimProcess, victims: Victims, status: NDArray[np.int32], *, move_all: bool = False
) -> Steps:
    """Move pages, and write the statuses of those that the call came to.

    :param status: shape (pages,): a node, moved or there already; a negated errno, and the scan went on
    :param move_all: also pages that other processes map
    """
    end, reason = _first_bad_node(machine, process, victims.nodes)
    # A list has its limit; a range is one call, however long it is.
    most = machine.kernel.list_pages if victims.listed else max(1, end)
    failed = 0
    for first in range(0, end, most):
        piece = _List(machine, process, victims, status, slice(first, min(end, first + most)), move_all)
        failed = yield from piece.run()
        if failed:
            break
    machine.moving_calls += 1
    for answer, count in zip(*np.unique(status[status < 0], return_counts=True), strict=True):
        machine.outcomes["unwritten" if answer == UNWRITTEN else errno.errorcode[-int(answer)]] += int(count)
    return failed or (reason if end < len(victims.nodes) else 0)


def _first_bad_node(machine: Machine, process: SimProcess, nodes: NDArray[np.int32]) -> tuple[int, int]:
    """Which page is the first whose node is refused, and with which negated errno."""
    known = np.isin(nodes, [node.id for node in machine.nodes.values() if node.total_pages])
    allowed = process.mems_allowed
    good = known if allowed is None else known & np.isin(nodes, list(allowed))
    if good.all():
        return len(nodes), 0
    first = int(np.argmin(good))
    return first, -errno.EACCES if known[first] else -errno.ENODEV


class _List:
    """One list, at most as long as the kernel takes them."""

    def __init__(
        self,
        machine: Machine,
        process: SimProcess,
        victims: Victims,
        status: NDArray[np.int32],
        part: slice,
        move_all: bool,
    ) -> None:
        self._machine, self._listed = machine, victims.listed
        self._nodes, self._status = victims.nodes[part], status[part]
        pages = Pages.find(machine, process, victims.addresses[part], moving=True)
        mappers = mappers_of(process, pages)
        fate = np.full(len(self._nodes), _TO_MOVE, np.int32)
        if not move_all:
            fate[mappers > 1] = -errno.EACCES
        fate[pages.node == self._nodes] = self._nodes[pages.node == self._nodes]
        self._fate = np.where(pages.fault != 0, pages.fault, fate)
        self._bench = Bench.set_up(machine, process, pages, mappers, self._nodes, self._executing_node(pages))
        resident = [region.pages if region.backing.resident_pages else 0 for region in process.regions]
        before = np.concatenate(([0], np.cumsum(resident)))
        self._entries = int(before[-1])
        """That a whole walk passes."""
        starts = np.array([region.start for region in process.regions] or [0], np.uint64)
        within = (victims.addresses[part] - starts[pages.region]) // np.uint64(machine.page_bytes)
        self._entry = np.where(pages.region >= 0, before[pages.region] + within.astype(np.int64), self._entries)
        """Shape (pages,): how many lie before each page's own; all of them where it has none."""
        self._walked = 0
        """How far the page tables are in the caches of the CPU that executes."""

    def run(self) -> Steps:
        retry = self._machine.remapping.settings.retry
        began_ns = self._machine.timeline.now_ns
        failed = yield from self._pass(np.arange(len(self._nodes)), retry.pause_ns)
        busy = np.flatnonzero(self._status == -errno.EBUSY)
        if not failed and len(busy) and retry.mode is not Retry.NEVER and retry.second_pass_ns is not None:
            yield from self._bench.wait(retry.second_pass_ns)
            failed = yield from self._pass(busy, retry.pause_ns * 2)
        self._bench.clear_away(self._machine.timeline.now_ns - began_ns)
        return failed

    def _pass(self, cells: NDArray[np.intp], pause_ns: int) -> Steps:
        if self._machine.kernel.locking is Locking.HOLD:
            return self._holding(cells, pause_ns)
        return self._rescanning(cells, pause_ns)

    def _holding(self, cells: NDArray[np.intp], pause_ns: int) -> Steps:
        """One walk over the page tables, moving what is on the list as it comes up; nobody else gets the lock."""
        bench, costs = self._bench, self._bench.costs
        yield from bench.take_lock()
        entry_ns = self._cold_ns(1) + (costs.look_up_ns(len(cells)) if self._listed else 0.0)
        cells = cells[np.argsort(self._entry[cells], kind="stable")]
        at, last, failed = 0, self._entries, 0
        if not self._listed and len(cells):  # a range is walked, and no more
            at, last = int(self._entry[cells[0]]), min(self._entries, int(self._entry[cells[-1]]) + 1)
        bench.owe("locks", costs.table_lock_ns)
        for cell in cells.tolist():
            bench.owe("scan", (int(self._entry[cell]) - at) * entry_ns)
            at = int(self._entry[cell])
            failed = yield from self._move(cell, pause_ns)
            if failed:
                break
        else:
            bench.owe("scan", max(0, last - at) * entry_ns)
        yield from bench.pay()
        bench.lock.release()
        return failed

    def _rescanning(self, cells: NDArray[np.intp], pause_ns: int) -> Steps:
        """Lock, find the next page, unlock, and move it while others may fault."""
        bench, failed = self._bench, 0
        for cell in cells.tolist():
            yield from bench.take_lock()
            bench.owe("locks", bench.costs.table_lock_ns)
            bench.owe("scan", self._search_ns(int(self._entry[cell])))
            yield from bench.pay()
            bench.lock.release()
            failed = yield from self._move(cell, pause_ns)
            if failed:
                break
        yield from bench.pay()
        return failed

    def _search_ns(self, entry: int) -> float:
        """Finding one page: of a list from the top of the page tables, of a range from where the last one was."""
        entry = min(entry + 1, self._entries)
        seen, self._walked = min(entry, self._walked), max(entry, self._walked)
        cold_ns = self._cold_ns(entry - seen)
        if not self._listed:
            return cold_ns
        machine, costs = self._machine, self._bench.costs
        # Since the CPU was here last it has walked as far, and read and written a page.
        reused = entry * costs.entry_bytes + 2 * machine.page_bytes
        memory_ns = self._bench.memory_ns
        return cold_ns + costs.walk_ns(seen, machine.access.line_bytes, reused_bytes=reused, memory_ns=memory_ns)

    def _cold_ns(self, entries: int) -> float:
        return self._bench.costs.walk_ns(entries, self._machine.access.line_bytes, memory_ns=self._bench.memory_ns)

    def _move(self, cell: int, pause_ns: int) -> Steps:
        """One page, with its retries. Minor errors end up in its status; a catastrophic one is the answer."""
        machine, bench = self._machine, self._bench
        fate, target = int(self._fate[cell]), int(self._nodes[cell])
        if fate == _TO_MOVE and bench.node_of(cell) == target:
            fate = target  # named twice, or moved by somebody else meanwhile
        if fate != _TO_MOVE:
            self._status[cell] = fate
            machine.outcomes["already_there"] += fate >= 0
            return 0
        retry, began_ns, attempt = machine.remapping.settings.retry, machine.timeline.now_ns, 0
        while True:
            attempt += 1
            done = yield from remap_onepage(bench, cell, target, attempt)
            if done == 1:
                self._status[cell] = target
                machine.outcomes["moved"] += 1
            elif done == 0:
                machine.vmstat["pgmigrate_fail"] += 1
                self._status[cell] = -errno.EBUSY
                if retry.again(attempt, machine.timeline.now_ns - began_ns):
                    yield from bench.wait(pause_ns)
                    continue
            return min(done, 0)

    def _executing_node(self, pages: Pages) -> int:
        """Where the CPU is that moves: where most of the list goes to, or comes from."""
        machine = self._machine
        pull = machine.remapping.settings.executor is Executor.PULL
        moving = self._fate == _TO_MOVE
        ends = (self._nodes if pull else pages.node)[moving]
        votes = np.bincount(ends, minlength=256) if len(ends) else np.zeros(256, np.intp)
        wanted = int(np.argmax(votes))
        able = [node.id for node in machine.nodes.values() if node.cpus] or list(machine.nodes)
        return wanted if wanted in able else min(able, key=lambda node: machine.distances.get((node, wanted), 255))
