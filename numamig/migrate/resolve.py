"""What became of pages in doubt: asked again, and of the page readers where move_pages(2) cannot tell."""

from __future__ import annotations

import errno

import numpy as np
from numpy.typing import NDArray

from numamig.backends.base import Backend
from numamig.errors import RefusedError, TargetGone
from numamig.model.outcome import Outcome
from numamig.model.pages import PageRuns

__all__ = ["resolve"]


def resolve(
    backend: Backend,
    pid: int,
    address: NDArray[np.uint64],
    target: NDArray[np.int32],
    reason: Outcome,
    page_size: int,
    at_target: Outcome = Outcome.MOVED,
) -> NDArray[np.int8]:
    """Outcome of base pages in doubt, by asking where they are now; int8 of shape (pages,).

    :param reason: the outcome of those that are still present elsewhere
    :param at_target: the outcome of those that are where they should be
    """
    outcome = np.full(len(address), reason, np.int8)
    if not len(address):
        return outcome
    answer = backend.move_pages(pid, address, None)
    if answer.returned < 0:
        if answer.errno in (errno.ESRCH, errno.EINVAL):
            outcome[:] = Outcome.GONE
        elif answer.errno == errno.EPERM:
            outcome[:] = Outcome.REFUSED
        return outcome  # else: what could not be asked again keeps its reason, since a batch must always be booked
    outcome[answer.status == target] = at_target
    hidden = answer.status < 0
    if hidden.any():
        outcome[hidden] = _not_visible(backend, pid, address[hidden], target[hidden], page_size, at_target)
    return outcome


def _not_visible(
    backend: Backend,
    pid: int,
    address: NDArray[np.uint64],
    target: NDArray[np.int32],
    page_size: int,
    at_target: Outcome,
) -> NDArray[np.int8]:
    """Outcome of pages that move_pages calls absent: only the page readers and the map know better."""
    outcome = np.full(len(address), Outcome.UNMAPPED, np.int8)
    step = np.uint64(page_size)
    ranges = _joined(address, address + step)
    try:
        for region in backend.regions(pid):
            outcome[(address >= np.uint64(region.start)) & (address < np.uint64(region.end))] = Outcome.ABSENT
        seen = PageRuns.concatenate(backend.page_runs(pid, ranges))
    except TargetGone:
        return np.full(len(address), Outcome.GONE, np.int8)
    except RefusedError:
        return np.full(len(address), Outcome.REFUSED, np.int8)
    if len(seen):
        place = np.searchsorted(seen.address, address, side="right") - 1
        present = (place >= 0) & (address < seen.end[place])
        outcome[present] = Outcome.HINTED
        outcome[present & (seen.node[place] == target)] = at_target
    return outcome


def _joined(start: NDArray[np.uint64], end: NDArray[np.uint64]) -> list[tuple[int, int]]:
    """Ranges of pages in any order, neighbours in one."""
    order = np.argsort(start)
    start, end = start[order], end[order]
    edges = np.flatnonzero(start[1:] != end[:-1]) + 1
    first, last = np.concatenate(([0], edges)), np.concatenate((edges, [len(start)])) - 1
    return list(zip(start[first].tolist(), end[last].tolist(), strict=True))
