"""What a job that takes another back moves, batch by batch: from the journal, and from the pages as they are now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from numamig.backends.base import Backend, Hold
from numamig.migrate.batch import Batch
from numamig.migrate.chooser import Chooses, ChoosesFor, Place
from numamig.migrate.journal.store import BatchEntry, JobEntry, Journal
from numamig.migrate.ledger import Settled
from numamig.migrate.origins import Origins, moved_by
from numamig.migrate.plan import Plan
from numamig.model.outcome import Outcome
from numamig.model.pages import UNKNOWN_NODE, PageRuns, Ranges

__all__ = ["Undoing", "choose_to_undo"]


@dataclass(frozen=True, slots=True)
class Undoing:
    """Which part of which job is taken back."""

    journal: Journal
    job: JobEntry
    steps: range | None = None
    """Numbers of the batches, from 0; None: all of them."""
    reserve_bytes: int | None = None
    """What every step leaves free where pages go; None: as much as the job itself did."""

    def numbers(self) -> Sequence[int]:
        """Batches to take back, the last one first."""
        every = self.journal.batch_numbers(self.job.id)
        return [n for n in reversed(every) if self.steps is None or n in self.steps]

    def entries(self) -> Iterator[BatchEntry]:
        """The same, as the journal has them."""
        for number in self.numbers():
            entry = self.journal.batch(self.job.id, number)
            if entry is not None:
                yield entry


class _Chooser:
    """Implements ``Chooses``."""

    def __init__(self, hold: Hold, plan: Plan, undoing: Undoing, ranges: Ranges | None) -> None:
        self._hold = hold
        self._plan = plan
        self._undoing = undoing
        self._ranges = plan.ranges if ranges is None else ranges
        self._again = ranges is not None
        """A further pass: what is known already was booked in the first."""
        self._numbers = undoing.numbers()
        self._rest = Origins.none()
        """Of the batch that is taken back at present: from ``_rest_at`` on."""
        self._rest_at: Place | None = None
        self._doubtful = False
        self._unmapped_told = self._again
        self.passed: Settled | None = None
        self.place = Place(0, not self._numbers)
        """May be set back to what it was before a batch, which is then chosen anew."""

    @property
    def remaining(self) -> Ranges:
        """Not told in addresses: the journal knows."""
        return []

    def next_batch(self, most_pages: int) -> Batch:
        self.passed = None
        if not self._unmapped_told:
            self._unmapped_told = True
            self.passed = self._unmapped()
        while not self.place.exhausted:
            if self._rest_at is not self.place:
                self._rest = self._read(self.place)
            if not len(self._rest):
                self._next()
                continue
            now, rest = self._rest.first_pages(most_pages, self._plan.page_size)
            batch, passed, end = self._choose(now)
            if passed is not None:
                self.passed = passed if self.passed is None else Settled.joined([self.passed, passed])
            # Whole folios only: what is larger than the batch goes as one, and has had its turn.
            self._rest = rest.within([(end, (1 << 64) - 1)])
            if len(self._rest):
                self.place = self._rest_at = self.place._replace(cursor=int(self._rest.start[0]))
            else:
                self._next()
            if len(batch) or self.passed is not None:
                return batch
        return _batch_of(*PageRuns.empty().folios(), np.empty(0, np.int16))

    def _next(self) -> None:
        """To the batch before, in which something is left."""
        number, cursor = self.place.next_range + 1, self.place.cursor
        while number < len(self._numbers):
            self._rest = self._read(Place(0, False, number))
            if len(self._rest):
                self.place = self._rest_at = Place(int(self._rest.start[0]), False, number)
                return
            number += 1
        self.place = self._rest_at = Place(cursor, True, number)

    def _read(self, place: Place) -> Origins:
        """What of a batch moved, or may have, and has had no turn."""
        undoing = self._undoing
        entry = undoing.journal.batch(undoing.job.id, self._numbers[place.next_range])
        if entry is None:
            return Origins.none()
        self._doubtful = entry.left is None
        origins = moved_by(entry.intended, entry.left).within(self._ranges)
        return origins.within([(place.cursor, (1 << 64) - 1)])

    def _choose(self, origins: Origins) -> tuple[Batch, Settled | None, int]:
        """What is not where it came from, to be moved; of the rest, what is known; and where the last folio ends."""
        page = self._plan.page_size
        seen = PageRuns.concatenate(self._hold.page_runs(origins.ranges()))
        address, size, node = seen.folios()
        # A folio may begin below what is to be taken back: it belongs to where its first page of it came from.
        origin = origins.of_folios(address, size)
        mine = origin != UNKNOWN_NODE
        address, size, node, origin = address[mine], size[mine], node[mine], origin[mine]
        end = int(address[-1]) + int(size[-1]) if len(address) else 0
        back = node == origin
        batch = _batch_of(address[~back], size[~back], node[~back], origin[~back])
        if self._again or self._doubtful:
            return batch, None, end
        pages = size[back] // page
        home = np.full(len(pages), Outcome.ALREADY_THERE, np.int8)
        there = Settled(address[back], pages, node[back], origin[back].astype(np.int32), home)
        absent = _absent(*origins.unseen(address, size, page))
        every = Settled.joined([there, absent])
        return batch, every if len(every.address) else None, end

    def _unmapped(self) -> Settled | None:
        """What moved and is not mapped any more, or not as it was, of all batches at once; None where all of it is.

        Told before anything moves: so it is known however the job ends.
        """
        undoing = self._undoing
        if _covers(self._ranges, [(start, end) for start, end, _, _ in undoing.job.regions]):
            return None
        pages, node = [np.empty(0, np.int64)], [np.empty(0, np.int16)]
        for entry in undoing.entries():
            if entry.left is None:  # which of it moved nobody can tell any more
                continue
            origins = moved_by(entry.intended, entry.left).outside(self._ranges)
            pages.append((origins.end - origins.start).astype(np.int64) // self._plan.page_size)
            node.append(origins.node)
        count, origin = np.concatenate(pages), np.concatenate(node)
        if not len(count):
            return None
        # Where nothing is mapped there is no region to put it down to: below all of them is none.
        nowhere, outcome = np.full(len(count), UNKNOWN_NODE, np.int16), np.full(len(count), Outcome.UNMAPPED, np.int8)
        return Settled(np.zeros(len(count), np.uint64), count, nowhere, origin.astype(np.int32), outcome)


def choose_to_undo(undoing: Undoing) -> ChoosesFor:
    """What chooses for a job that takes another back."""

    def chooses(_: Backend, hold: Hold, plan: Plan, ranges: Ranges | None) -> Chooses:
        return _Chooser(hold, plan, undoing, ranges)

    return chooses


def _covers(ranges: Ranges, wanted: Ranges) -> bool:
    """Whether all that is wanted lies in ranges; both ascend."""
    number, count = 0, len(ranges)
    for start, end in wanted:
        low = start
        while low < end:
            while number < count and ranges[number][1] <= low:
                number += 1
            if number == count or ranges[number][0] > low:
                return False
            low = ranges[number][1]
    return True


def _absent(address: NDArray[np.uint64], origin: NDArray[np.int16]) -> Settled:
    count = len(address)
    nowhere = np.full(count, UNKNOWN_NODE, np.int16)
    outcome = np.full(count, Outcome.ABSENT, np.int8)
    return Settled(address, np.ones(count, np.int64), nowhere, origin.astype(np.int32), outcome)


def _batch_of(
    address: NDArray[np.uint64], size: NDArray[np.int64], source: NDArray[np.int16], target: NDArray[np.int16]
) -> Batch:
    return Batch(address, size, source, target.astype(np.int32))
