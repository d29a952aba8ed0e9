"""One batch through the seam: the call, what it hides, and exactly one outcome for each page.

A positive return of move_pages(2) is no count of pages, a failing run gets no statuses although most of it may have
moved, -EBUSY inside a huge page may be spurious, and pages marked by NUMA balancing are called absent (docs/kernel.md).
So: cells are prefilled, calls name each folio once in runs of equal target, and whatever a call leaves in doubt is
asked again before it is believed.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from numamig.backends.base import (
    MPOL_MF_MOVE,
    MPOL_MF_MOVE_ALL,
    UNWRITTEN,
    Backend,
    ClearsHints,
    MovePagesCall,
    MovePagesReturn,
)
from numamig.errors import TargetGone
from numamig.migrate.batch import Batch, Even
from numamig.migrate.ledger import Ledger, Settled
from numamig.migrate.left import LeftPages
from numamig.migrate.resolve import resolve
from numamig.model.outcome import Outcome, OutcomeCounts

__all__ = ["BatchResult", "Stop", "move_batch"]

_LEAST_FOLIOS = 128  # of a call that is made beside others: below, its fixed cost eats what the other CPU brings


class Stop(StrEnum):
    """Why nothing further should be tried after a batch."""

    TARGET_GONE = "the process ended"
    NO_ROOM = "the target node is full"
    NO_RIGHTS = "the kernel no longer permits moving pages of this process"
    NODE_REFUSED = "the process's cpuset does not allow the target node"
    NODE_OFFLINE = "the target node has no memory any more"
    UNEXPECTED = "the kernel refused the call for a reason that it should not have"


class BatchResult(NamedTuple):
    """What one batch came to."""

    outcomes: OutcomeCounts
    """Base pages; add up to those of the batch."""
    settled: Settled | Even
    """Each folio with its outcome; where they were all alike and all moved, what they have in common."""
    left: LeftPages
    """Pages that did not move, with their outcome."""
    call_ns: tuple[int, ...]
    """How long each moving call took."""
    stop: Stop | None
    calls_at_once: int = 1
    """Into how many calls the pages were divided."""

    @property
    def moved(self) -> dict[tuple[int, int], int]:
        """(from, to) → base pages moved."""
        ledger = Ledger([(0, 1 << 64)])
        if isinstance(self.settled, Even):
            ledger.book_even(self.settled, self.outcomes.total)
        else:
            ledger.book(self.settled)
        return ledger.moved()


def _unchecked() -> None:
    """Whoever asks knows that the process stays what it is."""


def move_batch(
    backend: Backend,
    pid: int,
    batch: Batch,
    page_size: int,
    *,
    shared: bool,
    threads: int = 1,
    check: Callable[[], None] = _unchecked,
) -> BatchResult:
    """Move the folios of ``batch`` and account for each base page of them.

    :param page_size: bytes of a base page
    :param threads: into how many calls, made at the same time, the batch is divided
    :param check: made right before each call; raises ``TargetGone`` where the pid is another's, or its memory, by now
    """
    flags = MPOL_MF_MOVE_ALL if shared else MPOL_MF_MOVE
    if batch.even is None or (threads > 1 and len(batch) >= 2 * _LEAST_FOLIOS):
        return _BatchMove(backend, pid, batch, page_size, flags, threads, check).run()
    clock = backend.clock
    began = clock.now_ns()
    try:
        check()
    except TargetGone:
        return _BatchMove(backend, pid, batch, page_size, flags, threads, check).gone()
    answer = backend.move_pages(pid, batch.address, batch.target, flags)
    call_ns = clock.now_ns() - began
    if answer.returned == 0 and answer.status.tobytes() == batch.target.tobytes():
        return _all_moved(batch.even, page_size, call_ns)
    return _BatchMove(backend, pid, batch, page_size, flags, threads, check).run((answer, call_ns))


def _all_moved(even: Even, page_size: int, call_ns: int) -> BatchResult:
    """The account of a batch that went as it should, at a fraction of the cost."""
    pages = even.folios * (even.page_size // page_size)
    return BatchResult(OutcomeCounts.moved(pages), even, LeftPages.none(), (call_ns,), None)


class _BatchMove:
    """The state of one batch while it is settled; ``outcome`` is per folio, ``pieces`` for folios that came apart."""

    def __init__(
        self,
        backend: Backend,
        pid: int,
        batch: Batch,
        page_size: int,
        flags: int,
        threads: int,
        check: Callable[[], None],
    ) -> None:
        self._backend = backend
        self._pid = pid
        self._batch = batch
        self._page_size = page_size
        self._flags = flags
        self._threads = threads
        self._check = check
        self._at_once = 1
        self._outcome = np.full(len(batch), Outcome.NOT_TRIED, np.int8)
        self._apart = np.zeros(len(batch), np.bool_)
        self._pieces: list[tuple[NDArray[np.uint64], NDArray[np.int8], int, int]] = []
        self._call_ns: list[int] = []
        self._full: set[int] = set()
        """Targets without room: not asked again."""
        self._stop: Stop | None = None

    def run(self, first: tuple[MovePagesReturn, int] | None = None) -> BatchResult:
        """
        :param first: what a call for the whole of it said, and how long it took in ns
        """
        batch = self._batch
        if first is not None:
            answer, call_ns = first
            self._call_ns.append(call_ns)
            self._move_all(self._read_answer(np.arange(len(batch)), answer))
        elif batch.even is not None:
            self._move_all(np.arange(len(batch)))
        else:
            self._move_all(np.argsort(batch.target, kind="stable"))
        hinted = np.flatnonzero((self._outcome == Outcome.HINTED) & ~self._apart)
        if len(hinted) and self._stop is None and self._clear_hints(hinted):
            self._move_all(hinted)
        if self._stop is None and self._full and self._full.issuperset(batch.target.tolist()):
            self._stop = Stop.NO_ROOM
        return self._account()

    def gone(self) -> BatchResult:
        """There was nobody left to move pages of."""
        self._lose(np.arange(len(self._batch)))
        return self._account()

    def _is_there(self, folios: NDArray[np.intp]) -> bool:
        """Whether the process is still what it was; if not, these are gone."""
        try:
            self._check()
        except TargetGone:
            self._lose(folios)
            return False
        return True

    def _lose(self, folios: NDArray[np.intp]) -> None:
        self._outcome[folios] = Outcome.GONE
        self._stop = Stop.TARGET_GONE

    def _move_all(self, pending: NDArray[np.intp]) -> None:
        while len(pending) and self._stop is None and self._is_there(pending):
            pending = self._call(pending)

    def _clear_hints(self, folios: NDArray[np.intp]) -> bool:
        """Whether the marks of NUMA balancing are gone from these, so that a call may see them."""
        if not isinstance(self._backend, ClearsHints) or not self._is_there(folios):
            return False
        try:
            return self._backend.clear_hints(self._pid, self._batch.address[folios])
        except TargetGone:
            self._lose(folios)
            return False

    def _call(self, pending: NDArray[np.intp]) -> NDArray[np.intp]:
        """Moving calls over ``pending``, at the same time; returns what of it the kernel did not try."""
        threads = min(self._threads, max(1, len(pending) // _LEAST_FOLIOS))
        self._at_once = max(self._at_once, threads)
        parts = np.array_split(pending, threads) if threads > 1 else [pending]
        rest = [self._read_answer(part, answer) for part, answer in zip(parts, self._answers(parts), strict=True)]
        return np.concatenate(rest) if len(rest) > 1 else rest[0]

    def _answers(self, parts: Sequence[NDArray[np.intp]]) -> list[MovePagesReturn]:
        """What the kernel says to a call for each part, made at the same time."""
        batch, clock = self._batch, self._backend.clock
        calls = [MovePagesCall(self._pid, batch.address[p], batch.target[p], self._flags) for p in parts]
        began = clock.now_ns()
        alone = len(calls) == 1
        answers = [self._backend.move_pages(*calls[0])] if alone else self._backend.move_pages_together(calls)
        self._call_ns.append(clock.now_ns() - began)
        return answers

    def _read_answer(self, pending: NDArray[np.intp], answer: MovePagesReturn) -> NDArray[np.intp]:
        """Book what one call says of ``pending``; returns what it did not try and what may still be."""
        target = self._batch.target[pending]
        moved = answer.status == target
        if answer.returned == 0 and moved.all():
            self._outcome[pending] = Outcome.MOVED
            return pending[:0]
        self._outcome[pending[moved]] = Outcome.MOVED
        shared = answer.status == -errno.EACCES
        self._outcome[pending[shared]] = Outcome.SHARED
        tried, reason = self._failing_run(answer, target)
        written = (answer.status != UNWRITTEN) & ~moved & ~shared
        self._settle(pending[written], Outcome.BUSY)
        self._settle(pending[tried], reason)
        untried = (answer.status == UNWRITTEN) & ~tried
        if reason is Outcome.NO_ROOM:
            self._full.add(int(target[np.argmax(tried)]))
        if self._full:
            full = untried & np.isin(target, list(self._full))
            self._outcome[pending[full]] = Outcome.NO_ROOM
            untried &= ~full
        rest: NDArray[np.intp] = pending[untried]
        return rest

    def _failing_run(self, answer: MovePagesReturn, target: NDArray[np.int32]) -> tuple[NDArray[np.bool_], Outcome]:
        """Cells that were tried without a status being written, and the outcome of those that did not move.

        Source: do_pages_move() of mm/migrate.c. Runs before the failing one have their statuses; it ends where the
        target changes or at a page that was not queued; nothing behind it was tried.
        """
        unwritten = answer.status == UNWRITTEN
        if answer.returned >= 0 or answer.errno == errno.ENOMEM:
            tried = np.zeros(len(unwritten), np.bool_)
            if unwritten.any():
                first = int(np.argmax(unwritten))
                ends = ~unwritten[first:] | (target[first:] != target[first])
                length = int(np.argmax(ends)) if ends.any() else len(ends)
                tried[first : first + length] = True
            if answer.returned >= 0:
                return tried, Outcome.BUSY
            return tried, Outcome.NO_ROOM
        # The whole call was refused, or ended at a bad node after flushing the run before it: look at every cell.
        reason, self._stop = {
            errno.ESRCH: (Outcome.GONE, Stop.TARGET_GONE),
            errno.EINVAL: (Outcome.GONE, Stop.TARGET_GONE),  # a zombie: its memory is gone
            errno.EPERM: (Outcome.REFUSED, Stop.NO_RIGHTS),
            errno.EACCES: (Outcome.REFUSED, Stop.NODE_REFUSED),
            errno.ENODEV: (Outcome.REFUSED, Stop.NODE_OFFLINE),
        }.get(answer.errno, (Outcome.REFUSED, Stop.UNEXPECTED))
        return unwritten, reason

    def _settle(self, folios: NDArray[np.intp], reason: Outcome) -> None:
        """Ask about folios in doubt; those still at their source get ``reason``."""
        if not len(folios):
            return
        if reason is Outcome.GONE:
            self._outcome[folios] = reason
            return
        if not self._is_there(folios):  # whoever has the pid now would be asked
            return
        batch = self._batch
        base = folios[batch.size_bytes[folios] == self._page_size]
        if len(base):
            self._outcome[base] = resolve(
                self._backend, self._pid, batch.address[base], batch.target[base], reason, self._page_size
            )
        for folio in folios[batch.size_bytes[folios] > self._page_size]:
            # A huge page may have been split and moved in part: only its base pages know.
            pages = int(batch.size_bytes[folio]) // self._page_size
            address = batch.address[folio] + np.arange(pages, dtype=np.uint64) * np.uint64(self._page_size)
            target = np.full(pages, batch.target[folio], np.int32)
            outcome = resolve(self._backend, self._pid, address, target, reason, self._page_size)
            if (outcome == outcome[0]).all():
                self._outcome[folio] = outcome[0]
            else:
                self._apart[folio] = True
                self._pieces.append((address, outcome, int(batch.source[folio]), int(batch.target[folio])))

    def _account(self) -> BatchResult:
        batch, page = self._batch, self._page_size
        whole = ~self._apart
        pages = batch.size_bytes // page
        settled = Settled(batch.address, pages, batch.source, batch.target, self._outcome)
        parts = [settled.only(whole)] if self._pieces else []
        for address, outcome, source, target in self._pieces:
            count = len(address)
            alike = np.ones(count, np.int64), np.full(count, source, np.int16), np.full(count, target, np.int32)
            parts.append(Settled(address, *alike, outcome))
        if parts:
            settled = Settled.joined(parts)
        counts = np.bincount(settled.outcome, weights=settled.pages, minlength=len(Outcome)).astype(np.int64)
        calls_ns = tuple(self._call_ns)
        return BatchResult(OutcomeCounts(counts), settled, _left(settled, page), calls_ns, self._stop, self._at_once)


def _left(settled: Settled, page_size: int) -> LeftPages:
    """What did not move."""
    stayed = settled.outcome > Outcome.ALREADY_THERE
    if not stayed.any():
        return LeftPages.none()
    address = settled.address[stayed]
    end = address + (settled.pages[stayed] * page_size).view(np.uint64)
    return LeftPages.of(address, end, settled.outcome[stayed], settled.source[stayed], settled.target[stayed])
