"""Whether what has changed is what a journal says, worked out anew: the arithmetic of undo has no part in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from numamig.migrate.journal.packing import unpack_batch, unpack_left
from numamig.migrate.journal.store import BatchEntry

__all__ = ["ABSENT", "PAGE", "Layout", "explain"]

PAGE, ABSENT = 4096, 255
Layout = NDArray[np.uint8]
"""Node of every page that there is to look at, one after the other; ``ABSENT`` for those that are on none."""


def explain(
    before: Layout,
    after: Layout,
    batches: Sequence[tuple[int, BatchEntry]],
    places: Callable[[int, NDArray[np.uint64]], NDArray[np.int64]],
) -> None:
    """Do what the journal says: it must come to what is there; of a batch without a result any part may be done.

    :param batches: each with the pid of its job
    :param places: where in a layout pages of a process are
    """
    state, maybe = before.copy(), np.full(len(before), ABSENT, np.uint8)
    for pid, batch in batches:
        intended = unpack_batch(batch.intended)
        pages = intended.page_size // PAGE
        assert int(pages.sum()) == batch.pages
        address = addresses(intended.address, pages)
        source, target = np.repeat(intended.source, pages), np.repeat(intended.target, pages)
        place = places(pid, address)
        assert ((state[place] == source) | (maybe[place] == source)).all(), (
            "the journal is wrong about where pages were"
        )
        state[place], maybe[place] = source, ABSENT
        if batch.left is None:
            maybe[place] = target
        else:
            left = unpack_left(batch.left) if batch.left else None
            moved = np.ones(len(address), np.bool_) if left is None else ~np.isin(address, left.addresses(PAGE))
            assert left is None or int((~moved).sum()) == left.pages(PAGE)
            state[place[moved]] = target[moved]
    unexplained = (after != state) & ((maybe == ABSENT) | (after != maybe))
    assert not unexplained.any(), (
        f"{int(unexplained.sum())} pages moved that the journal knows nothing of, or not as it says"
    )


def addresses(start: NDArray[np.uint64], pages: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Every base page of some folios."""
    nth = np.arange(int(pages.sum())) - np.repeat(np.cumsum(pages) - pages, pages)
    return np.repeat(start, pages) + (nth * PAGE).view(np.uint64)
