"""Batches in another order than that of addresses: what is hottest or coldest first, or drawn by lot.

The memory of a pass is divided into blocks once, when the first batch is asked for, and the blocks are put in order.
Of each block the pages are chosen just in time, as ever. Within a batch addresses ascend: what is moved together has no
order.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from numamig.backends.base import Backend, Hold
from numamig.migrate.batch import Batch
from numamig.migrate.blocks import Blocks, divide
from numamig.migrate.chooser import Chooser, Chooses, Place, Units
from numamig.migrate.heat import demand_heat
from numamig.migrate.ledger import Settled
from numamig.migrate.order_mode import OrderMode
from numamig.migrate.plan import Plan
from numamig.model.pages import PageRuns, Ranges

__all__ = ["OrderedChooser", "in_order", "ordered_chooser"]

_ALL = 1 << 40  # pages


def ordered_chooser(
    backend: Backend, hold: Hold, plan: Plan, ranges: Ranges | None, mode: OrderMode, seed: int = 0
) -> Chooses:
    """What chooses the batches of a pass in an order; as ``ChoosesFor`` but for the last two.

    :param seed: for ``OrderMode.RANDOM``
    """
    where = list(plan.ranges if ranges is None else ranges)
    units = Units(plan.page_size, plan.huge_page_size or plan.page_size, plan.largest_folio)

    def chooses(some: Ranges) -> Chooses:
        return Chooser(backend, hold, plan.request, some, units)

    def blocks() -> tuple[Blocks, NDArray[np.intp]]:
        found = divide(hold, plan, where)
        return found, in_order(backend, hold, plan, where, found, mode, seed)

    return chooses(where) if mode is OrderMode.ADDRESS else OrderedChooser(where, plan.page_size, blocks, chooses)


def in_order(
    backend: Backend, hold: Hold, plan: Plan, ranges: Ranges, blocks: Blocks, mode: OrderMode, seed: int
) -> NDArray[np.intp]:
    """Numbers of the blocks, the one first that is to have its turn first; of equal ones the one that lies lower.

    What is not known to be hot or cold comes last.

    :raises TargetGone: the process ended.
    :raises RefusedError: this machine does not tell which pages are in use.
    """
    if mode is OrderMode.ADDRESS:
        return np.arange(len(blocks))
    if mode is OrderMode.RANDOM:
        # What a bit generator yields stays the same from one numpy to the next; what is made of it need not.
        return np.argsort(np.random.PCG64(seed).random_raw(len(blocks)), kind="stable")
    teller = demand_heat(backend)
    start, end = blocks.hulls(hold.page_runs(ranges))
    there = np.flatnonzero(end)
    heat = np.full(len(blocks), np.nan, np.float32)
    if len(there):
        heat[there] = teller.heat(plan.request.pid, start[there], end[there])
    return np.argsort(-heat if mode is OrderMode.HOTTEST else heat, kind="stable")


class OrderedChooser:
    """Implements ``Chooses``: hands the blocks, one after the other, to choosers of their own.

    Where it has come to is in ``place`` alone: ``next_range`` counts blocks that had their turn, ``cursor`` is how far
    the next one has been chosen from. So it can be set back.
    """

    def __init__(
        self,
        ranges: Ranges,
        page_size: int,
        blocks: Callable[[], tuple[Blocks, NDArray[np.intp]]],
        chooses: Callable[[Ranges], Chooses],
    ) -> None:
        """
        :param blocks: divides the ranges, and puts the blocks in order; called once, for the first batch
        :param chooses: makes what chooses by address, for some of the ranges
        """
        self._ranges = list(ranges)
        self._edges = np.array(self._ranges, np.uint64).reshape(-1, 2)
        self._page_size = page_size
        self._make_blocks = blocks
        self._chooses = chooses
        self._blocks: Blocks | None = None
        self._order: list[int] = []
        self._beyond: list[tuple[Place, int, int]] = []
        """Folios that reach out of their block, as (when, start, end): they grew after the memory was divided."""
        self.passed: Settled | None = None
        self.place = Place(self._ranges[0][0] if self._ranges else 0, not self._ranges)

    @property
    def remaining(self) -> list[tuple[int, int]]:
        """What no batch has come to."""
        if self.place.exhausted:
            return []
        if self._blocks is None:
            return list(self._ranges)
        return self._blocks.within(self._edges, self._order[self.place.next_range :], self.place.cursor)

    def next_batch(self, most_pages: int) -> Batch:
        """As ``Chooses.next_batch``.

        A batch may be up to an eighth short where more could be had: the last few pages are not worth a look each.

        :raises TargetGone: the process ended.
        :raises RefusedError: this machine does not tell which pages are in use.
        """
        self.passed = None
        wanted = left = most_pages * self._page_size
        batches: list[Batch] = []
        passed: list[Settled] = []
        while not self.place.exhausted and (left * 8 > wanted or not batches):
            blocks, before = self._divided(), self.place
            count = self._fitting(blocks, left)
            while True:
                chooser, batch = self._choose(blocks, count, left)
                size = batch.pages(self._page_size) * self._page_size
                if size <= left or count == 1:
                    break
                count //= 2  # folios that are larger than their blocks
            if batches and size > left:
                break
            if chooser.passed is not None:
                passed.append(chooser.passed)
            if chooser.place.exhausted:
                self._advance(blocks, before.next_range + count)
            else:
                self.place = Place(chooser.place.cursor, False, before.next_range)
            if len(batch):
                batches.append(batch)
                left -= size
        if passed:
            self.passed = Settled.joined(passed)
        return _joined(batches)

    def _divided(self) -> Blocks:
        if self._blocks is None:
            self._blocks, order = self._make_blocks()
            self._order = order.tolist()
        return self._blocks

    def _fitting(self, blocks: Blocks, left: int) -> int:
        """How many of the next blocks have no more than so many bytes together; 1 at least."""
        turn, total, count = self.place.next_range, 0, 0
        for block in self._order[turn : turn + left // self._page_size]:
            total += int(blocks.end[block] - blocks.start[block])
            if total > left:
                break
            count += 1
        return max(1, count)

    def _choose(self, blocks: Blocks, count: int, left: int) -> tuple[Chooses, Batch]:
        """Pages of the next so many blocks: all of them, but of a single block no more than so many bytes."""
        turn = self.place.next_range
        ranges = blocks.within(self._edges, self._order[turn : turn + count], self.place.cursor)
        chooser = self._chooses(ranges)
        batch = chooser.next_batch(max(1, left // self._page_size))
        if not chooser.place.exhausted and count > 1:
            chooser = self._chooses(ranges)
            batch = chooser.next_batch(_ALL)
        return chooser, self._each_once(blocks, batch) if blocks.fine else batch

    def _advance(self, blocks: Blocks, turn: int) -> None:
        exhausted = turn >= len(self._order)
        self.place = Place(self.place.cursor if exhausted else int(blocks.start[self._order[turn]]), exhausted, turn)

    def _each_once(self, blocks: Blocks, batch: Batch) -> Batch:
        """Without the folios that an earlier block has shown already."""
        if not len(batch):
            return batch
        # Without those from here on: it has been set back, or chooses anew.
        now = self.place
        self._beyond = [each for each in self._beyond if _comes_before(each[0], now)]
        known = np.zeros(len(batch), np.bool_)
        for _, start, end in self._beyond:
            known |= (batch.address < np.uint64(end)) & (batch.end > np.uint64(start))
        block = np.maximum(blocks.at(batch.address), 0)
        out = ~known & ((batch.address < blocks.start[block]) | (batch.end > blocks.end[block]))
        for number in np.flatnonzero(out).tolist():
            self._beyond.append((now, int(batch.address[number]), int(batch.end[number])))
        if not known.any():
            return batch
        kept = ~known
        return Batch(batch.address[kept], batch.size_bytes[kept], batch.source[kept], batch.target[kept])


def _comes_before(one: Place, other: Place) -> bool:
    return (one.next_range, one.cursor) < (other.next_range, other.cursor)


def _joined(batches: list[Batch]) -> Batch:
    """All of them as one, ascending."""
    if len(batches) == 1:
        return batches[0]
    if not batches:
        address, size, node = PageRuns.empty().folios()
        return Batch(address, size, node, np.empty(0, np.int32))
    address = np.concatenate([batch.address for batch in batches])
    order = np.argsort(address, kind="stable")
    return Batch(
        address[order],
        np.concatenate([batch.size_bytes for batch in batches])[order],
        np.concatenate([batch.source for batch in batches])[order],
        np.concatenate([batch.target for batch in batches])[order],
    )
