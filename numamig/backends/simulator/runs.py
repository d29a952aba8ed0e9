"""Moving pages as today's kernels do: queued in runs of equal target, flushed, statuses written or not.

Source: mm/migrate.c (do_pages_move, add_page_for_migration, move_pages_and_store_status) and docs/kernel.md.
"""

from __future__ import annotations

import errno

import numpy as np
from numpy.typing import NDArray

from numamig.backends.base import UNWRITTEN
from numamig.backends.simulator.costs import Duration, Load
from numamig.backends.simulator.folios import pinned, split_remnants, wear
from numamig.backends.simulator.lookup import Pages
from numamig.backends.simulator.machine import Machine
from numamig.backends.simulator.memory import ABSENT, Backing, Flag, PageIndex, all_are
from numamig.backends.simulator.process import SimProcess
from numamig.model.process import RegionKind

__all__ = ["move_in_runs"]

_QUEUED = UNWRITTEN  # a page that is isolated for migration: its status is written when its run has moved
# Plain numbers: looking up members of an IntFlag costs more than the array operations they are used in.
_LARGE_FLAG = int(Flag.LARGE)
_ISOLATED_FLAG = int(Flag.ISOLATED)
_HINTED_FLAG = int(Flag.HINTED)
_WRITEBACK_FLAG = int(Flag.WRITEBACK)


def move_in_runs(
    machine: Machine,
    process: SimProcess,
    addresses: NDArray[np.uint64],
    nodes: NDArray[np.int32],
    status: NDArray[np.int32],
    *,
    move_all: bool,
) -> tuple[int, Duration, int]:
    """Move pages and write their statuses.

    :returns: return value of the call (0, positive or a negated errno), how long it takes, and bytes copied
    """
    moved = _in_one_go(machine, process, addresses, nodes, status)
    if moved is not None:
        pages = len(addresses)
        took = machine.private_pages(process, pages)
        machine.outcomes["moved"] += pages
        returned, touched, copied_bytes = 0, [moved], pages * machine.page_bytes
    else:
        move = _Move(machine, process, addresses, nodes, status, move_all)
        returned = move.run()
        took = machine.costs.duration(move.load, machine.conditions(process, move.mappers))
        touched, copied_bytes = move.touched, move.load.copied_bytes
        for answer, count in zip(*np.unique(status[status < 0], return_counts=True), strict=True):
            machine.outcomes["unwritten" if answer == UNWRITTEN else errno.errorcode[-int(answer)]] += int(count)
    machine.book(took)
    machine.disturb(touched, took)
    return returned, took, copied_bytes


def _in_one_go(
    machine: Machine,
    process: SimProcess,
    addresses: NDArray[np.uint64],
    nodes: NDArray[np.int32],
    status: NDArray[np.int32],
) -> tuple[Backing, PageIndex] | None:
    """Move neighbouring small pages, on one node and without anything that could go wrong, as one slice.

    :returns: what moved; None, with nothing done, where they are not all like that
    """
    pages, page_bytes = len(addresses), machine.page_bytes
    if not pages or len(nodes) != pages:
        return None
    start, target = int(addresses[0]), int(nodes[0])
    region = process.region_at(start)
    node = machine.nodes.get(target)
    if (
        region is None
        or node is None
        or node.total_pages == 0
        or region.kind is RegionKind.SPECIAL
        or region.permissions.startswith("---")
        or start % page_bytes
    ):
        return None
    first = (start - region.start) // page_bytes
    if first + pages > region.pages:
        return None
    first += region.first
    here = slice(first, first + pages)
    allowed = process.mems_allowed
    backing = region.backing
    where = backing.node[here]
    if (
        len(where) < pages
        or (allowed is not None and target not in allowed)
        or machine.room(node) < pages
        or (source := int(where[0])) in (target, ABSENT)
        or not all_are(where, source)
        or not all_are(backing.flags[here], 0)
        or not all_are(backing.sharers[here], 1)
        or nodes.tobytes() != nodes[:1].tobytes() * pages
        or int(addresses[-1]) - start != (pages - 1) * page_bytes
        or addresses.tobytes() != np.arange(start, start + pages * page_bytes, page_bytes, dtype=np.uint64).tobytes()
    ):
        return None
    machine.relocate(backing, here, target, source)
    status.fill(target)
    return backing, here


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
        self._pages = Pages.find(machine, process, addresses, moving=True)
        self._folios = self._ptes = self._far_ptes = self._copied_bytes = self._failed = self._runs = 0
        self._written_back = False
        self._mapped_ptes = 0
        """Entries of all page tables that were changed."""
        self.touched: list[tuple[Backing, PageIndex]] = []
        """What moved."""

    @property
    def load(self) -> Load:
        """What there was to do."""
        done = self._folios, self._ptes, self._far_ptes, self._copied_bytes
        return Load(*done, self._runs, self._failed, self._written_back)

    @property
    def mappers(self) -> float:
        """Page tables that map what moved, on average."""
        return self._mapped_ptes / self._ptes if self._ptes else 1.0

    def run(self) -> int:
        """Return value of the call: 0, positive, or a negated errno."""
        bad, reason = self._first_bad_node()
        folio = self._pages.folio(self._process)[:bad]
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
        result[pages.refused(self._machine, self._process, cells, move_all=self._move_all)] = -errno.EACCES
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
        folio = self._pages.folio(self._process)

        def flush(at: int, *, by_page: bool) -> int:
            cells, target = np.array(run, np.intp), int(self._nodes[run[0]]) if run else 0
            run.clear()
            isolated.clear()
            failed = self._flush(cells, target) if len(cells) else 0
            if not failed:
                self._pages.look_again(self._process)
                folio[:] = self._pages.folio(self._process)
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

    def _flush(self, cells: NDArray[np.intp], target: int) -> int:
        """Migrate one run; 0, or, with no status written, the number of folios that failed, or -ENOMEM."""
        self._runs += 1
        pages, failed, split = self._pages, 0, 0
        for number in np.unique(pages.region[cells]).tolist():
            region = self._process.regions[number]
            mine = cells[pages.region[cells] == number]
            self._wait_for_writeback(region.backing, mine)
            held = pinned(region.backing, pages.index[mine], pages.head[mine])
            failed += int(held.sum())
            index = pages.index[mine[~held]]
            if self._machine.kernel.splits_remnants:
                index, folios = split_remnants(region.backing, index)
                split += folios
                wear(self._machine.kernel, region, pages.index[mine])
            if not self._migrate(region.backing, index, target):
                self._count_failed(failed)
                return -errno.ENOMEM
        self._count_failed(failed)
        if not failed:
            self._status[cells] = target
        # Folios that were split count as failed, unless all went well in the end.
        return failed + split if failed else 0

    def _wait_for_writeback(self, backing: Backing, cells: NDArray[np.intp]) -> None:
        """As MIGRATE_SYNC does before it unmaps a folio, be it pinned or not."""
        written = cells[self._pages.flags[cells] & _WRITEBACK_FLAG != 0]
        if not len(written):
            return
        index = self._pages.index[written]
        large = backing.flags[index] & _LARGE_FLAG != 0
        for part in (index, backing.whole(np.unique(self._pages.head[written][large]))):
            backing.flags[part] &= np.uint8(255 & ~_WRITEBACK_FLAG)
        self._written_back = True

    def _count_failed(self, failed: int) -> None:
        self._failed += failed
        self._machine.vmstat["pgmigrate_fail"] += failed

    def _migrate(self, backing: Backing, index: NDArray[np.int64], target: int) -> bool:
        """Move the folios of the pages at ``index`` as far as there is room; whether there was enough."""
        machine, size = self._machine, backing.folio_pages
        node = machine.nodes[target]
        large = backing.flags[index] & _LARGE_FLAG != 0
        heads = np.unique(index[large] - index[large] % size)
        whole = backing.whole(heads)
        if len(index) - int(large.sum()) + len(whole) <= machine.room(node):
            small = index[~large]
            self._relocate(backing, small, target, len(small), 1)
            self._relocate(backing, whole, target, len(heads), size)
            return True
        for page, is_large in zip(index.tolist(), large.tolist(), strict=True):
            wanted = np.array([page]) if not is_large else backing.whole(np.array([page - page % size]))
            room = machine.room(node)
            if is_large and room < len(wanted):
                backing.flags[wanted] &= np.uint8(255 & ~_LARGE_FLAG)  # split, and moved in pieces
                self._relocate(backing, wanted[:room], target, room, 1)
                return False
            self._relocate(backing, wanted[:room], target, 1, len(wanted))
            if room < len(wanted):
                return False
        return True

    def _relocate(self, backing: Backing, index: NDArray[np.int64], target: int, folios: int, folio_pages: int) -> None:
        if not len(index):
            return
        machine = self._machine
        ptes, far_ptes = Load.entries(folio_pages, huge_pages=machine.kernel.huge_pages)
        self._folios += folios
        self._ptes += folios * ptes
        self._far_ptes += folios * far_ptes
        self._mapped_ptes += int(backing.sharers[index].sum()) * ptes // folio_pages
        self._copied_bytes += len(index) * machine.page_bytes
        backing.flags[index] &= np.uint8(255 & ~_HINTED_FLAG)
        machine.relocate(backing, index, target)
        machine.outcomes["moved"] += len(index)
        self.touched.append((backing, index))
