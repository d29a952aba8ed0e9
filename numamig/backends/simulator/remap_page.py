"""Moving one page in 2004: allocate, lock, unmap, copy, exchange; or roll back. One intact copy at every instant."""

from __future__ import annotations

import errno
from collections import defaultdict
from collections.abc import Generator
from dataclasses import dataclass, field

import numpy as np
import simpy
from numpy.typing import NDArray

from numamig.backends.simulator.kernels import Locking
from numamig.backends.simulator.locks import MeasuredLock
from numamig.backends.simulator.lookup import Pages
from numamig.backends.simulator.machine import Machine
from numamig.backends.simulator.memory import Backing, Flag, SimNode
from numamig.backends.simulator.process import SimProcess
from numamig.backends.simulator.remap_costs import RemapCosts
from numamig.backends.simulator.sleepers import Sleepers
from numamig.backends.simulator.touches import Touches

__all__ = ["Bench", "mappers_of", "remap_onepage"]

# Plain numbers: looking up members of an IntFlag costs more than the array operations they are used in.
_PINNED_FLAG = int(Flag.PINNED)
_ISOLATED_FLAG = int(Flag.ISOLATED)
_WRITEBACK_FLAG = int(Flag.WRITEBACK)
_UNNOTED_PAGES = 64


@dataclass(slots=True)
class Bench:
    """Where one list is worked on: its pages, the lock that it needs, and time that was spent and is yet to pass."""

    machine: Machine
    process: SimProcess
    costs: RemapCosts
    lock: MeasuredLock
    pages: Pages
    memory_ns: float
    """Latency of a page table entry that no cache has."""
    copy_ns: list[float]
    """Copying each page."""
    down_ns: list[float]
    """Taking down all mappings of each, with the flushes."""
    mappers: list[int]
    """Page tables that map each."""
    busy: list[bool]
    """Whether somebody holds a reference at the first attempt."""
    touches: Touches
    sleepers: Sleepers
    written_ns: int
    """When what was being written back as the list began is written, at the latest."""
    _phases: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    _owed_ns: float = 0.0
    _moved: list[tuple[Backing, int, int, int]] = field(default_factory=list)

    @classmethod
    def set_up(
        cls,
        machine: Machine,
        process: SimProcess,
        pages: Pages,
        mappers: NDArray[np.int64],
        nodes: NDArray[np.int32],
        cpu: int,
    ) -> Bench:
        """
        :param mappers: shape (pages,), page tables that map each
        :param cpu: node of the CPU that executes
        """
        remapping, access = machine.remapping, machine.access
        costs = remapping.settings.costs
        remapping.lists += 1
        near = np.zeros(256)
        for node in machine.nodes:
            near[node] = access.latency_ns(cpu, node)
        memory = [near[node.id] for node in machine.nodes.values() if node.total_pages]
        farther = np.maximum(near[pages.node], near[np.clip(nodes, 0, 255)])
        copy_ns = costs.copy_ns(1.0, 1.0, machine.page_bytes, access.line_bytes) * farther
        down_ns = mappers * (costs.unmap_ns + costs.flush_ns)
        names = (process.pid << 40) + (pages.region.astype(np.int64) << 32) + pages.index
        touches = Touches(machine, names, remapping.lists)
        for number in np.unique(pages.region[pages.region >= 0]).tolist():
            cells = np.flatnonzero(pages.region == number)
            touches.look_at(process.regions[number].backing, cells, pages.index[cells])
        lock = remapping.locks.of(process)
        sleepers = Sleepers(machine, process, lock, cpu, remapping.lists)
        sleepers.expect(touches.within(copy_ns + down_ns + mappers * costs.unmap_ns, sleepers.is_executing))
        return cls(
            machine,
            process,
            costs,
            lock,
            pages,
            float(np.mean(memory)),
            copy_ns.tolist(),
            down_ns.tolist(),
            mappers.tolist(),
            touches.held_at_first(costs.reference_ns).tolist(),
            touches,
            sleepers,
            machine.timeline.now_ns + round(costs.writeback_ns),
        )

    def node_of(self, cell: int) -> int:
        """Where a page of the list is now."""
        return int(self.backing(cell).node[self.pages.index[cell]])

    def backing(self, cell: int) -> Backing:
        return self.process.regions[int(self.pages.region[cell])].backing

    def referenced(self, cell: int, attempt: int) -> bool:
        if attempt == 1:
            return self.busy[cell]
        return self.touches.held(cell, self.costs.reference_ns, attempt)

    # Time: small amounts are owed until something is about to change, so that there are few events.

    def owe(self, phase: str, spent_ns: float) -> None:
        self._phases[phase] += spent_ns
        self._owed_ns += spent_ns

    def pay(self) -> Generator[simpy.Event, object, None]:
        """Let pass what was spent."""
        whole = round(self._owed_ns)
        self._owed_ns -= whole
        if whole > 0:
            yield self.machine.timeline.timeout(whole)

    def wait(self, duration_ns: int) -> Generator[simpy.Event, object, None]:
        """Before trying again."""
        self.owe("retries", duration_ns)
        yield from self.pay()

    def wait_for_writeback(self, backing: Backing, index: int) -> Generator[simpy.Event, object, None]:
        """Until a page is written, which nobody moves meanwhile."""
        self.owe("writeback", max(0, self.written_ns - self.machine.timeline.now_ns))
        yield from self.pay()
        backing.flags[index] &= np.uint8(255 & ~_WRITEBACK_FLAG)

    def take_lock(self) -> Generator[simpy.Event, object, None]:
        asked_ns = self.machine.timeline.now_ns
        yield from self.lock.take()
        self._phases["locks"] += self.machine.timeline.now_ns - asked_ns

    # What changes on the machine

    def allocate(self, node: SimNode) -> bool:
        """A page that nobody maps yet; False where there is no room."""
        if self.machine.room(node) < 1:
            return False
        if node.free_pages <= node.reserve_pages:
            node.cache_pages -= 1
            node.free_pages += 1
        node.free_pages -= 1
        self.machine.remapping.new_pages[node.id] += 1
        return True

    def give_back(self, node: SimNode) -> None:
        node.free_pages += 1
        self.machine.remapping.new_pages[node.id] -= 1

    def exchange(self, backing: Backing, index: int, target: int) -> None:
        """The new page takes the place of the old one, which is free."""
        machine, source = self.machine, int(backing.node[index])
        machine.remapping.new_pages[target] -= 1
        machine.nodes[source].free_pages += 1
        backing.node[index] = target
        machine.moved_pages[source, target] += 1
        machine.vmstat["pgmigrate_success"] += 1
        self._moved.append((backing, index, source, target))
        if len(self._moved) >= _UNNOTED_PAGES:
            self.book()

    def book(self) -> None:
        """Workloads find what has moved at its new place, and the machine's books what time was spent on."""
        moved, self._moved = self._moved, []
        for backing, target in {(id(b), t): (b, t) for b, _, _, t in moved}.values():
            mine = [(index, source) for b, index, source, t in moved if b is backing and t == target]
            index, was = np.array(mine, np.int64).T
            self.machine.recount(backing, index, was.astype(np.uint8), target)
        for phase, spent_ns in self._phases.items():
            self.machine.phases_ns[phase] += round(spent_ns)
            self._phases[phase] -= round(spent_ns)

    def clear_away(self, took_ns: int) -> None:
        """The list is done."""
        self.book()
        self.sleepers.settle(took_ns)


def remap_onepage(bench: Bench, cell: int, target: int, attempt: int) -> Generator[simpy.Event, object, int]:
    """Move one page, all of its mappings with it.

    :returns: 1 moved; 0 a minor error, nothing was done; a negated errno: a catastrophic error
    """
    machine, costs = bench.machine, bench.costs
    locked = machine.remapping.locked_pages
    backing, index, node = bench.backing(cell), int(bench.pages.index[cell]), machine.nodes[target]
    if not bench.allocate(node):
        return -errno.ENOMEM
    bench.owe("allocation", costs.allocation_ns)
    bench.owe("locks", costs.page_locks_ns)
    yield from bench.pay()
    if machine.processes.get(bench.process.pid) is not bench.process:
        bench.give_back(node)
        return -errno.ESRCH
    page = (id(backing), index)
    if page in locked or int(backing.flags[index]) & _ISOLATED_FLAG:
        bench.give_back(node)
        return 0
    locked.add(page)
    if int(backing.flags[index]) & _WRITEBACK_FLAG and machine.remapping.settings.retry.awaits_writeback:
        yield from bench.wait_for_writeback(backing, index)
        if machine.processes.get(bench.process.pid) is not bench.process:
            locked.discard(page)
            bench.give_back(node)
            return -errno.ESRCH
    if int(backing.flags[index]) & _WRITEBACK_FLAG or _tables_locked(bench, cell):
        locked.discard(page)
        bench.give_back(node)
        return 0
    down_ns = bench.down_ns[cell]
    flush_ns = costs.flush_ns / (costs.flush_ns + costs.unmap_ns) * down_ns
    up_ns = down_ns - flush_ns
    bench.owe("page tables", down_ns - flush_ns + up_ns)
    bench.owe("flush", flush_ns)
    if int(backing.flags[index]) & _PINNED_FLAG or bench.referenced(cell, attempt):
        yield from bench.pay()  # mapped again, as it was
        locked.discard(page)
        bench.give_back(node)
        return 0
    awaited = bench.sleepers.come(cell)
    bench.owe("copy", bench.copy_ns[cell])
    yield from bench.pay()
    locked.discard(page)
    if machine.processes.get(bench.process.pid) is not bench.process:
        bench.give_back(node)
        moved = -errno.ESRCH
    else:
        bench.exchange(backing, index, target)
        moved = 1
    if awaited:
        bench.sleepers.wake(cell)
    return moved


def _tables_locked(bench: Bench, cell: int) -> bool:
    """Whether a lock that is needed to unmap the page is not to be had: it is tried, and not waited for."""
    if bench.machine.kernel.locking is Locking.RESCAN and bench.lock.held:
        return True
    if bench.mappers[cell] < 2:
        return False
    others = {each.pid: each for each, _ in bench.machine.mappers(bench.backing(cell)) if each is not bench.process}
    return any(bench.machine.remapping.locks.of(process).held for process in others.values())


def mappers_of(process: SimProcess, pages: Pages) -> NDArray[np.int64]:
    """How many page tables map each page; shape (pages,)."""
    mappers = np.ones(len(pages.region), np.int64)
    for number in np.unique(pages.region[pages.region >= 0]).tolist():
        cells = pages.region == number
        mappers[cells] = process.regions[number].backing.sharers[pages.index[cells]]
    return mappers
