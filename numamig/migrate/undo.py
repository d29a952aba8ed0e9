"""Taking a job back: its pages go where they came from, in steps and with the same account as any other job.

What to take back is read from the journal, batch by batch and the last one first. What had a result is known; of a batch
without one (its process was killed in the middle) any part may have moved, and the pages themselves say which did. Pages
are chosen as they are now: who has moved them since, or freed them, is seen and accounted for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from numamig.backends.base import Backend, Hold
from numamig.errors import RefusedError, TargetGone, UsageError
from numamig.migrate.batch import Batch
from numamig.migrate.chooser import Chooses, Place
from numamig.migrate.journal.packing import unpack_batch, unpack_left
from numamig.migrate.journal.record import image_of
from numamig.migrate.journal.store import JobEntry, Journal
from numamig.migrate.ledger import Settled
from numamig.migrate.plan import Plan
from numamig.migrate.preflight import check
from numamig.migrate.request import Request
from numamig.model.finding import Finding, Severity
from numamig.model.outcome import Outcome
from numamig.model.pages import UNKNOWN_NODE, PageRuns, Ranges
from numamig.model.process import MemoryImage, Process, Region

__all__ = ["Undoing", "choose_to_undo", "demand_same_memory", "plan_undo"]


@dataclass(frozen=True, slots=True)
class Undoing:
    """Which part of which job is taken back."""

    journal: Journal
    job: JobEntry
    steps: range | None = None
    """Numbers of the batches, from 0; None: all of them."""


class _Origins:
    """Pages of one batch that were moved, or may have been, with the node that they came from; ascending."""

    def __init__(self, start: NDArray[np.uint64], end: NDArray[np.uint64], node: NDArray[np.int16]) -> None:
        self.start, self.end, self.node = start, end, node

    def __len__(self) -> int:
        return len(self.start)

    def within(self, ranges: Ranges) -> _Origins:
        """The parts inside of ranges that ascend and do not overlap."""
        starts, ends, nodes = [], [], []
        for low, high in ranges:
            first = int(np.searchsorted(self.end, np.uint64(low), side="right"))
            last = int(np.searchsorted(self.start, np.uint64(high)))
            if first < last:
                starts.append(np.maximum(self.start[first:last], np.uint64(low)))
                ends.append(np.minimum(self.end[first:last], np.uint64(high)))
                nodes.append(self.node[first:last])
        if not starts:
            return _Origins(self.start[:0], self.end[:0], self.node[:0])
        return _Origins(np.concatenate(starts), np.concatenate(ends), np.concatenate(nodes))

    def first_pages(self, pages: int, page_size: int) -> tuple[_Origins, _Origins]:
        """So many base pages, and the rest."""
        size = (self.end - self.start).astype(np.int64) // page_size
        total = np.cumsum(size)
        count = int(np.searchsorted(total, pages))
        if count >= len(self):
            return self, self.within([])
        cut = self.start[count] + np.uint64((pages - (int(total[count - 1]) if count else 0)) * page_size)
        return self.within([(0, int(cut))]), self.within([(int(cut), (1 << 64) - 1)])

    def of(self, address: NDArray[np.uint64]) -> NDArray[np.int16]:
        """Where pages came from; ``UNKNOWN_NODE`` for those that are not among them."""
        place = np.searchsorted(self.start, address, side="right") - 1
        inside = (place >= 0) & (address < self.end[place])
        return np.where(inside, self.node[place], UNKNOWN_NODE).astype(np.int16)


class _Chooser:
    """Implements ``Chooses``."""

    def __init__(self, hold: Hold, plan: Plan, undoing: Undoing, ranges: Ranges | None) -> None:
        self._hold = hold
        self._plan = plan
        self._undoing = undoing
        self._ranges = plan.ranges if ranges is None else ranges
        self._again = ranges is not None
        """A further pass: what is known already was booked in the first."""
        self._numbers = _numbers(undoing)
        self._rest: _Origins | None = None
        """Of the batch that is taken back at present."""
        self._doubtful = False
        self.passed: Settled | None = None
        self.place = Place(0, not self._numbers)

    @property
    def remaining(self) -> Ranges:
        """Not told in addresses: the journal knows."""
        return []

    def next_batch(self, most_pages: int) -> Batch:
        self.passed = None
        page = self._plan.page_size
        while not self.place.exhausted:
            rest = self._read() if self._rest is None else self._rest
            if len(rest):
                # Whole folios only: what is larger than the batch goes as one.
                now, self._rest = rest.first_pages(most_pages, page)
                self.place = self.place._replace(cursor=int(now.start[0]))
                batch, self.passed = self._choose(now)
                if not len(self._rest):
                    self._next()
                if len(batch) or self.passed is not None:
                    return batch
            else:
                self._next()
        return _batch(PageRuns.empty(), np.empty(0, np.int16))

    def _next(self) -> None:
        self._rest = None
        number = self.place.next_range + 1
        self.place = Place(self.place.cursor, number >= len(self._numbers), number)

    def _read(self) -> _Origins:
        """What of the present batch moved, or may have."""
        undoing = self._undoing
        entry = undoing.journal.batch(undoing.job.id, self._numbers[self.place.next_range])
        if entry is None:
            return _Origins(np.empty(0, np.uint64), np.empty(0, np.uint64), np.empty(0, np.int16))
        self._doubtful = entry.left is None
        origins = _moved(entry.intended, entry.left)
        return origins.within(self._ranges)

    def _choose(self, origins: _Origins) -> tuple[Batch, Settled | None]:
        """What is not where it came from, to be moved; and of the rest, what is known."""
        page = self._plan.page_size
        seen = PageRuns.concatenate(self._hold.page_runs(_joined(origins)))
        address, size, node = seen.folios()
        # A folio may begin below what is to be taken back: it belongs to where its first page of it came from.
        origin = origins.of(np.maximum(address, _first_in(origins, address, size)))
        mine = origin != UNKNOWN_NODE
        address, size, node, origin = address[mine], size[mine], node[mine], origin[mine]
        back = node == origin
        batch = _batch_of(address[~back], size[~back], node[~back], origin[~back])
        if self._again or self._doubtful:
            return batch, None
        pages = size[back] // page
        there = _settled(address[back], pages, node[back], origin[back], Outcome.ALREADY_THERE)
        absent = _absent(origins, address, size, page)
        every = Settled.joined([there, absent])
        return batch, every if len(every.address) else None


def choose_to_undo(undoing: Undoing, backend: Backend, hold: Hold, plan: Plan, ranges: Ranges | None) -> Chooses:
    """As ``ChoosesFor``, with what is to be taken back bound to the first argument."""
    return _Chooser(hold, plan, undoing, ranges)


def demand_same_memory(backend: Backend, job: JobEntry) -> Process:
    """The process of a job, if it is still that one and still has that memory.

    :raises RefusedError: another boot, another process, or another program in it.
    :raises TargetGone: it ended.
    """
    then = job.image
    hint = "pages do not outlive their process: there is nothing to take back"
    try:
        process = backend.process(then.pid)
        now = image_of(backend, process)
    except TargetGone as error:
        raise TargetGone(f"{error.message}: {hint}", pid=then.pid) from None
    if (job.backend, then.boot) != (backend.name, now.boot):
        raise RefusedError(
            f"job {job.id} was done on {job.machine} ({job.backend}) and in another boot than this", hint=hint
        )
    if now.start_time != then.start_time:
        raise RefusedError(f"pid {then.pid} is another process now ({process.name!r})", hint=hint, pid=then.pid)
    if _differ(then, now):
        raise RefusedError(
            f"pid {then.pid} runs another program now ({process.name!r}): its memory was replaced", hint=hint
        )
    return process


def _differ(then: MemoryImage, now: MemoryImage) -> bool:
    """Where one of both could not be told, it is no difference."""
    executable = any(then.executable) and any(now.executable) and then.executable != now.executable
    layout = bool(then.layout) and bool(now.layout) and then.layout != now.layout
    return executable or layout


def plan_undo(backend: Backend, undoing: Undoing) -> Plan:
    """What it comes to to take a job back.

    :raises UsageError: there is nothing to take back, or that was done already.
    :raises RefusedError: it is another process or another memory by now, or rights are missing.
    :raises TargetGone: the process ended.
    """
    journal, job = undoing.journal, undoing.job
    process = demand_same_memory(backend, job)
    done = [other for other in journal.jobs(job.image.boot) if other.undoes == job.id and other.state == "done"]
    if done and undoing.steps is None:
        raise UsageError(f"job {job.id} was taken back by job {done[-1].id}", hint=f"numamig undo {done[-1].id}: redo")
    pages: Counter[int] = Counter()
    put: Counter[int] = Counter()
    for number in _numbers(undoing):
        entry = journal.batch(job.id, number)
        if entry is None:
            continue
        origins = _moved(entry.intended, entry.left)
        sizes = (origins.end - origins.start).astype(np.int64) // job.page_size
        for node in np.unique(origins.node).tolist():
            pages[node] += int(sizes[origins.node == node].sum())
        for node in np.unique(unpack_batch(entry.intended).target).tolist():
            put[node] += int(sizes.sum())
    if not pages:
        raise UsageError(f"job {job.id} moved no page", hint="numamig jobs lists what others did")
    request = replace(Request.from_dict(job.request), target=pages.most_common(1)[0][0], sources=None, within=None)
    _, findings = check(backend, request)
    findings += _later(journal, job)
    regions = _same_regions(backend, job)
    topology = backend.topology()
    return Plan(
        request=request,
        process=process,
        ranges=tuple((start, end) for _, start, end in regions),
        regions=len(regions),
        bytes_by_node={put.most_common(1)[0][0]: sum(pages.values()) * job.page_size},
        pages=sum(pages.values()),
        page_size=job.page_size,
        huge_page_size=topology.huge_page_size,
        findings=tuple(findings),
        selected=tuple(region for region, _, _ in regions),
        undoes=job.id,
    )


def _later(journal: Journal, job: JobEntry) -> Iterator[Finding]:
    """Jobs that moved pages of the same process afterwards."""
    undone = {other.undoes for other in journal.jobs(job.image.boot)}
    for other in journal.jobs(job.image.boot):
        same = (other.image.pid, other.image.start_time) == (job.image.pid, job.image.start_time)
        if same and other.id > job.id and other.kind == "move" and other.id not in undone:
            yield Finding(
                "later job",
                Severity.WARNING,
                f"job {other.id} moved pages of the same process since",
                f"pages that it moved go back too, to where job {job.id} found them; numamig undo {other.id} first",
            )


def _same_regions(backend: Backend, job: JobEntry) -> list[tuple[Region, int, int]]:
    """What of the job's regions is still mapped, and is what it was."""
    found: list[tuple[Region, int, int]] = []
    then = iter(job.regions)
    was = next(then, None)
    for region in backend.regions(job.image.pid):
        while was is not None and was[1] <= region.start:
            was = next(then, None)
        while was is not None and was[0] < region.end:
            if (region.kind.value, region.path) == (was[2], was[3]):
                found.append((region, max(region.start, was[0]), min(region.end, was[1])))
            if was[1] > region.end:
                break
            was = next(then, None)
    return found


def _numbers(undoing: Undoing) -> Sequence[int]:
    """Batches to take back, the last one first."""
    every = undoing.journal.batch_numbers(undoing.job.id)
    return [n for n in reversed(every) if undoing.steps is None or n in undoing.steps]


def _moved(intended: bytes, left: bytes | None) -> _Origins:
    batch = unpack_batch(intended)
    start, end, node = batch.address, batch.address + batch.page_size.view(np.uint64), batch.source
    keep = (node != batch.target) & (node != UNKNOWN_NODE)
    start, end, node = start[keep], end[keep], node[keep]
    stayed = unpack_left(left) if left else None
    if stayed is not None and len(start):
        points = np.unique(np.concatenate((start, end, stayed.start, stayed.end)))
        piece, until = points[:-1], points[1:]
        mine = np.searchsorted(start, piece, side="right") - 1
        inside = (mine >= 0) & (piece < end[mine])
        theirs = np.searchsorted(stayed.start, piece, side="right") - 1
        inside &= ~((theirs >= 0) & (piece < stayed.end[theirs]))
        start, end, node = piece[inside], until[inside], node[mine[inside]]
    if not len(start):
        return _Origins(start, end, node)
    first = np.concatenate(([0], np.flatnonzero((start[1:] != end[:-1]) | (node[1:] != node[:-1])) + 1))
    last = np.concatenate((first[1:], [len(start)])) - 1
    return _Origins(start[first], end[last], node[first])


def _joined(origins: _Origins) -> list[tuple[int, int]]:
    """Ranges, neighbours in one wherever they came from."""
    first = np.concatenate(([0], np.flatnonzero(origins.start[1:] != origins.end[:-1]) + 1))
    last = np.concatenate((first[1:], [len(origins)])) - 1
    return list(zip(origins.start[first].tolist(), origins.end[last].tolist(), strict=True))


def _first_in(origins: _Origins, address: NDArray[np.uint64], size: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Of each folio, the first address that is to be taken back; 0 where there is none in it."""
    place = np.searchsorted(origins.end, address, side="right")
    inside = place < len(origins)
    start = origins.start[np.minimum(place, len(origins) - 1)]
    return np.where(inside & (start < address + size.view(np.uint64)), start, np.uint64(0))


def _absent(origins: _Origins, address: NDArray[np.uint64], size: NDArray[np.int64], page: int) -> Settled:
    """What is to be taken back and was not seen."""
    step = np.uint64(page)
    pages = ((origins.end - origins.start) // step).astype(np.int64)
    which = np.repeat(np.arange(len(origins)), pages)
    nth = np.arange(len(which)) - (np.cumsum(pages) - pages)[which]
    every = origins.start[which] + nth.view(np.uint64) * step
    place = np.searchsorted(address, every, side="right") - 1
    seen = (
        (place >= 0) & (every < (address + size.view(np.uint64))[place]) if len(address) else np.zeros(len(every), bool)
    )
    node = origins.node[which][~seen]
    return _settled(every[~seen], np.ones(len(node), np.int64), np.full(len(node), UNKNOWN_NODE), node, Outcome.ABSENT)


def _settled(
    address: NDArray[np.uint64],
    pages: NDArray[np.int64],
    source: NDArray[np.int16],
    target: NDArray[np.int16],
    outcome: Outcome,
) -> Settled:
    every = np.full(len(address), outcome, np.int8)
    return Settled(address, pages, source.astype(np.int16), target.astype(np.int32), every)


def _batch_of(
    address: NDArray[np.uint64], size: NDArray[np.int64], source: NDArray[np.int16], target: NDArray[np.int16]
) -> Batch:
    return Batch(address, size, source, target.astype(np.int32))


def _batch(runs: PageRuns, target: NDArray[np.int16]) -> Batch:
    address, size, node = runs.folios()
    return _batch_of(address, size, node, target)
