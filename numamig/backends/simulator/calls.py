"""move_pages(2) on the simulated machine: call-level checks, runs, statuses, unwritten cells, as in the kernel.

Source: mm/migrate.c (kernel_move_pages, do_pages_move, add_page_for_migration, do_pages_stat) and docs/kernel.md.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from numamig.backends.base import MPOL_MF_MOVE, MPOL_MF_MOVE_ALL, UNWRITTEN, MovePagesReturn
from numamig.backends.simulator.machine import ABSENT, HUGE_PAGES, PAGE, Backing, Flag, Machine, SimProcess
from numamig.model.process import RegionKind

__all__ = ["clear_hints", "move_pages"]

_QUEUED = UNWRITTEN  # a page that is isolated for migration: its status is written when its run has moved
_HUGE_BYTES = HUGE_PAGES * PAGE
# Plain numbers: looking up members of an IntFlag costs more than the array operations they are used in.
_SWAPPED_FLAG = int(Flag.SWAPPED)
_HUGE_FLAG = int(Flag.HUGE)
_PINNED_FLAG = int(Flag.PINNED)
_ISOLATED_FLAG = int(Flag.ISOLATED)
_HINTED_FLAG = int(Flag.HINTED)
_ZERO_FLAG = int(Flag.ZERO)


def move_pages(
    machine: Machine, pid: int, addresses: NDArray[np.uint64], nodes: NDArray[np.int32] | None, flags: int
) -> tuple[MovePagesReturn, int]:
    """The kernel's answer, and how long it took in virtual ns."""
    status = np.full(len(addresses), UNWRITTEN, np.int32)

    def fail(number: int) -> tuple[MovePagesReturn, int]:
        return MovePagesReturn(-1, number, status), round(machine.costs.query_ns)

    if flags & ~(MPOL_MF_MOVE | MPOL_MF_MOVE_ALL):
        return fail(errno.EINVAL)
    if flags & MPOL_MF_MOVE_ALL and not machine.caller.sys_nice:
        return fail(errno.EPERM)
    process = machine.processes.get(pid)
    if process is None:
        return fail(errno.ESRCH)
    if not machine.may_look_at(process):
        return fail(errno.EPERM)
    if process.kernel_thread or process.zombie:
        return fail(errno.EINVAL)
    if nodes is None:
        status[:] = _Pages.find(machine, process, addresses).where()
        return MovePagesReturn(0, 0, status), machine.costs.asking(len(addresses))
    if _in_one_go(machine, process, addresses, nodes, status):
        pages = len(addresses)
        return MovePagesReturn(0, 0, status), machine.costs.moving(pages, 0, 0, 1, pages * PAGE)
    move = _Move(machine, process, addresses, nodes, status, bool(flags & MPOL_MF_MOVE_ALL))
    returned = move.run()
    answer = MovePagesReturn(-1, -returned, status) if returned < 0 else MovePagesReturn(returned, 0, status)
    return answer, move.cost_ns()


def _in_one_go(
    machine: Machine,
    process: SimProcess,
    addresses: NDArray[np.uint64],
    nodes: NDArray[np.int32],
    status: NDArray[np.int32],
) -> bool:
    """Move neighbouring small pages, on one node and without anything that could go wrong, as one slice.

    :returns: False, with nothing done, where they are not all like that
    """
    pages = len(addresses)
    if not pages or len(nodes) != pages:
        return False
    start, target = int(addresses[0]), int(nodes[0])
    region = process.region_at(start)
    node = machine.nodes.get(target)
    if region is None or node is None or node.total_pages == 0 or region.kind is RegionKind.SPECIAL or start % PAGE:
        return False
    first = (start - region.start) // PAGE
    here = slice(first, first + pages)
    allowed = process.mems_allowed
    backing = region.backing
    where = backing.node[here]
    if (
        len(where) < pages
        or (allowed is not None and target not in allowed)
        or node.free_pages - node.reserve_pages < pages
        or where[0] in (target, ABSENT)
        or backing.flags[here].any()
        or not (where == where[0]).all()
        or (backing.sharers[here] > 1).any()
        or not (nodes == target).all()
        or int(addresses[-1]) - start != (pages - 1) * PAGE
        or not (addresses[1:] - addresses[:-1] == PAGE).all()
    ):
        return False
    machine.nodes[int(where[0])].free_pages += pages
    node.free_pages -= pages
    where[:] = target
    machine.vmstat["pgmigrate_success"] += pages
    status[:] = target
    return True


def clear_hints(machine: Machine, process: SimProcess, addresses: NDArray[np.uint64]) -> None:
    """What a read by the process does to the marks of NUMA balancing; a huge page has one mark for all of it."""
    pages = _Pages.find(machine, process, addresses)
    for number in np.unique(pages.region[pages.region >= 0]).tolist():
        backing = process.regions[number].backing
        index = pages.index[pages.region == number]
        huge = backing.flags[index] & _HUGE_FLAG != 0
        heads = index[huge] - index[huge] % HUGE_PAGES
        for part in (index[~huge], (heads[:, None] + np.arange(HUGE_PAGES)).ravel()):
            backing.flags[part] &= np.uint8(255 & ~_HINTED_FLAG)


@dataclass(slots=True)
class _Pages:
    """The pages at some addresses, looked up in one process; arrays of shape (addresses,)."""

    region: NDArray[np.intp]
    """Index into the process's regions; -1 where nothing is mapped."""
    index: NDArray[np.int64]
    """Page within the region."""
    node: NDArray[np.int32]
    """``ABSENT`` where nothing is present."""
    flags: NDArray[np.uint8]
    sharers: NDArray[np.uint8]
    fault: NDArray[np.int32]
    """Status of pages that cannot be seen; 0 for the others."""

    @classmethod
    def find(
        cls, machine: Machine, process: SimProcess, addresses: NDArray[np.uint64], *, moving: bool = False
    ) -> _Pages:
        count = len(addresses)
        starts = np.array([r.start for r in process.regions] or [2**64 - 1], np.uint64)
        ends = np.array([r.end for r in process.regions] or [2**64 - 1], np.uint64)
        region = np.searchsorted(starts, addresses, side="right") - 1
        region[(region < 0) | (addresses >= ends[region])] = -1
        pages = cls(
            region,
            np.zeros(count, np.int64),
            np.full(count, ABSENT, np.int32),
            np.zeros(count, np.uint8),
            np.zeros(count, np.uint8),
            np.where(region < 0, -errno.EFAULT, 0).astype(np.int32),
        )
        for number in np.unique(region[region >= 0]).tolist():
            pages._fill(machine, process, addresses, number, moving)
        return pages

    def _fill(
        self, machine: Machine, process: SimProcess, addresses: NDArray[np.uint64], number: int, moving: bool
    ) -> None:
        region, kernel = process.regions[number], machine.kernel
        cells = np.flatnonzero(self.region == number)
        index = ((addresses[cells] - np.uint64(region.start)) // np.uint64(PAGE)).astype(np.int64)
        node, flags = region.backing.node[index].astype(np.int32), region.backing.flags[index]
        self.index[cells], self.node[cells], self.flags[cells] = index, node, flags
        self.sharers[cells] = region.backing.sharers[index]
        fault = np.zeros(len(cells), np.int32)
        never = kernel.untouched if region.kind is not RegionKind.FILE else -errno.ENOENT
        fault[node == ABSENT] = never
        fault[(node == ABSENT) & (flags & _SWAPPED_FLAG != 0)] = -errno.ENOENT
        fault[flags & _ZERO_FLAG != 0] = -errno.EFAULT
        if not kernel.sees_hinted:
            hinted = (flags & _HINTED_FLAG != 0) & (node != ABSENT)
            fault[hinted] = np.where(flags[hinted] & _HUGE_FLAG != 0, -errno.EFAULT, -errno.ENOENT)
        if region.kind is RegionKind.SPECIAL:
            fault[:] = kernel.special if moving else -errno.EFAULT
        self.fault[cells] = fault

    def where(self) -> NDArray[np.int32]:
        """What a query answers."""
        return np.where(self.fault != 0, self.fault, self.node)

    def folio(self) -> NDArray[np.int64]:
        """A number that two addresses share only if they lie in the same folio."""
        first = np.where(self.flags & _HUGE_FLAG != 0, self.index - self.index % HUGE_PAGES, self.index)
        return (self.region.astype(np.int64) << 40) + first


class _Move:
    """One moving call in progress."""

    def __init__(
        self,
        machine: Machine,
        process: SimProcess,
        addresses: NDArray[np.uint64],
        nodes: NDArray[np.int32],
        status: NDArray[np.int32],
        move_all: bool,
    ) -> None:
        self._machine = machine
        self._process = process
        self._nodes = nodes
        self._status = status
        self._move_all = move_all
        self._pages = _Pages.find(machine, process, addresses, moving=True)
        self._small = self._huge = self._failed = self._runs = 0

    def cost_ns(self) -> int:
        copied = self._small * PAGE + self._huge * _HUGE_BYTES
        return self._machine.costs.moving(self._small, self._huge, self._failed, self._runs, copied)

    def run(self) -> int:
        """Return value of the call: 0, positive, or a negated errno."""
        bad, reason = self._first_bad_node()
        folio = self._pages.folio()[:bad]
        repeated = len(folio) > 1 and not bool((np.diff(folio) > 0).all()) and len(np.unique(folio)) < len(folio)
        returned = self._one_by_one(bad) if repeated else self._in_runs(bad)
        return reason if bad < len(self._nodes) and not self._ended_early else returned

    def _first_bad_node(self) -> tuple[int, int]:
        """Index of the first cell whose node is refused, and with which negated errno."""
        memory = [node.id for node in self._machine.nodes.values() if node.total_pages]
        allowed = self._process.mems_allowed
        known = np.isin(self._nodes, memory)
        good = known if allowed is None else known & np.isin(self._nodes, list(allowed))
        if good.all():
            return len(self._nodes), 0
        first = int(np.argmin(good))
        return first, -errno.EACCES if known[first] else -errno.ENODEV

    def _disposition(self, cells: slice | NDArray[np.intp]) -> NDArray[np.int32]:
        """What becomes of each page when its turn comes: ``_QUEUED``, or the status that is written at once."""
        pages, target = self._pages, self._nodes[cells]
        result = np.full(len(target), _QUEUED, np.int32)
        flags = pages.flags[cells]
        result[flags & _ISOLATED_FLAG != 0] = -errno.EBUSY
        if not self._move_all:
            result[pages.sharers[cells] > 1] = -errno.EACCES
        there = pages.node[cells] == target
        result[there] = target[there]
        fault = pages.fault[cells]
        return np.where(fault != 0, fault, result)

    def _in_runs(self, end: int) -> int:
        """The call when no folio is named twice: whole runs at a time."""
        self._ended_early = False
        fate = self._disposition(slice(0, end))
        queued = fate == _QUEUED
        if queued.all() and end and (self._nodes[:end] == self._nodes[0]).all():
            starts, ends = [0], [end]
        else:
            target = self._nodes[:end]
            same = queued[1:] & queued[:-1] & (target[1:] == target[:-1])
            first = np.flatnonzero(queued & ~np.concatenate(([False], same)))
            last = np.flatnonzero(queued & ~np.concatenate((same, [False]))) + 1
            starts, ends = first.tolist(), last.tolist()
        for start, stop in zip(starts, ends, strict=True):
            # A page of the same target that is not queued ends the run too, with its own status written before.
            by_page = stop < end and not queued[stop] and self._nodes[stop] == self._nodes[start]
            self._write_up_to(fate, stop + 1 if by_page else stop)
            failed = self._flush(np.arange(start, stop), int(self._nodes[start]))
            if failed:
                if stop == len(self._nodes):
                    return failed
                return self._give_up(failed, stop, end, flushed_by_page=by_page)
        self._write_up_to(fate, end)
        return 0

    def _write_up_to(self, fate: NDArray[np.int32], stop: int) -> None:
        cells = np.flatnonzero(fate[:stop] != _QUEUED)
        self._status[cells] = fate[cells]

    def _give_up(self, failed: int, at: int, end: int, *, flushed_by_page: bool) -> int:
        """Return value when a run failed: failed folios and pages not tried; a bad node hides failures before it."""
        if at == end < len(self._nodes):
            return 0  # the flush at the bad node: its own error is what the caller sees
        self._ended_early = True
        if failed < 0:
            return failed
        return failed + len(self._nodes) - at - (1 if flushed_by_page else 0)

    def _one_by_one(self, end: int) -> int:
        """The call page by page: a folio that is isolated already answers -EBUSY, one that has moved is there."""
        self._ended_early = False
        run: list[int] = []
        isolated: set[int] = set()
        folio = self._pages.folio()

        def flush(at: int, *, by_page: bool) -> int:
            cells, target = np.array(run, np.intp), int(self._nodes[run[0]]) if run else 0
            run.clear()
            isolated.clear()
            failed = self._flush(cells, target) if len(cells) else 0
            if not failed:
                self._reread()
                return 0
            return failed if at == len(self._nodes) else self._give_up(failed, at, end, flushed_by_page=by_page)

        for cell in range(end):
            new_run = bool(run) and self._nodes[cell] != self._nodes[run[0]]
            if new_run and ((failed := flush(cell, by_page=False)) or self._ended_early):
                return failed
            fate = int(self._disposition(np.array([cell]))[0])
            if fate == _QUEUED and int(folio[cell]) not in isolated:
                run.append(cell)
                isolated.add(int(folio[cell]))
                continue
            self._status[cell] = -errno.EBUSY if fate == _QUEUED else fate
            if (failed := flush(cell, by_page=True)) or self._ended_early:
                return failed
        return flush(end, by_page=False)

    def _reread(self) -> None:
        """Pages have moved: look where they are now."""
        for number in np.unique(self._pages.region[self._pages.region >= 0]).tolist():
            cells = np.flatnonzero(self._pages.region == number)
            backing = self._process.regions[number].backing
            self._pages.node[cells] = backing.node[self._pages.index[cells]]
            self._pages.flags[cells] = backing.flags[self._pages.index[cells]]

    def _flush(self, cells: NDArray[np.intp], target: int) -> int:
        """Migrate one run; 0, or, with no status written, the number of folios that failed, or -ENOMEM."""
        self._runs += 1
        pages = self._pages
        pinned = pages.flags[cells] & _PINNED_FLAG != 0
        room = True
        for number in np.unique(pages.region[cells]).tolist():
            mine = cells[(pages.region[cells] == number) & ~pinned]
            room = self._migrate(self._process.regions[number].backing, pages.index[mine], target) and room
            if not room:
                break
        failed = int(pinned.sum())
        self._failed += failed
        self._machine.vmstat["pgmigrate_fail"] += failed
        if not room:
            return -errno.ENOMEM
        if not failed:
            self._status[cells] = target
        return failed

    def _migrate(self, backing: Backing, index: NDArray[np.int64], target: int) -> bool:
        """Move the folios at ``index`` as far as there is room; whether there was enough."""
        node = self._machine.nodes[target]
        huge = backing.flags[index] & _HUGE_FLAG != 0
        heads = index[huge] - index[huge] % HUGE_PAGES
        room = node.free_pages - node.reserve_pages
        if len(index) - len(heads) + len(heads) * HUGE_PAGES <= room:
            self._relocate(backing, index[~huge], target)
            self._small += len(index) - len(heads)
            self._relocate(backing, (heads[:, None] + np.arange(HUGE_PAGES)).ravel(), target)
            self._huge += len(heads)
            return True
        for page, is_huge in zip(index.tolist(), huge.tolist(), strict=True):
            wanted = np.array([page]) if not is_huge else page - page % HUGE_PAGES + np.arange(HUGE_PAGES)
            room = max(0, node.free_pages - node.reserve_pages)
            if is_huge and room < HUGE_PAGES:
                backing.flags[wanted] &= np.uint8(255 & ~_HUGE_FLAG)  # split, and moved in pieces
            self._relocate(backing, wanted[:room], target)
            self._small += min(len(wanted), room)
            if room < len(wanted):
                return False
        return True

    def _relocate(self, backing: Backing, index: NDArray[np.int64], target: int) -> None:
        if not len(index):
            return
        leaving = np.bincount(backing.node[index], minlength=256)
        backing.node[index] = target
        backing.flags[index] &= np.uint8(255 & ~_HINTED_FLAG)
        self._machine.take(-leaving)
        self._machine.nodes[target].free_pages -= len(index)
        self._machine.vmstat["pgmigrate_success"] += len(index)
