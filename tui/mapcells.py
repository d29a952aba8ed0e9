"""What a cell of the page map says: page counts become one code per bucket, with numpy, before anything is drawn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from numamig.observe.pagemap import PageMap

__all__ = [
    "ABSENT",
    "BLANK",
    "MIXED",
    "MUCH_MIXED",
    "PURE",
    "UNREAD",
    "cell_codes",
    "changed_share",
    "kind_of",
    "nodes_of",
]

BLANK, UNREAD, ABSENT, PURE, MIXED, MUCH_MIXED = range(6)
_NONE = 0xFFF
PURE_FROM = 0.95
"""Share of a bucket's pages on one node from which the cell shows only that node."""
MUCH_FROM = 0.25


def cell_codes(page_map: PageMap) -> NDArray[np.int64]:
    """One code per bucket, shape (buckets,): kind, first and second node, for ``kind_of`` and ``nodes_of`` to read."""
    counts = page_map.counts
    ids = np.array([*page_map.nodes, _NONE], np.int64)
    total = counts.sum(axis=1)
    order = np.argsort(-counts, axis=1, kind="stable")
    first, second = order[:, 0], order[:, min(1, counts.shape[1] - 1)]
    most = np.take_along_axis(counts, first[:, None], axis=1)[:, 0]
    next_most = np.take_along_axis(counts, second[:, None], axis=1)[:, 0]
    kind = np.where(next_most < total * MUCH_FROM, MIXED, MUCH_MIXED)
    pure = most >= total * PURE_FROM
    kind[pure] = PURE
    second_id = np.where(pure, _NONE, ids[second])
    codes: NDArray[np.int64] = kind << 24 | ids[first] << 12 | second_id
    codes[total == 0] = ABSENT << 24
    if page_map.read is not None:
        codes[~page_map.read] = UNREAD << 24
    return codes


def kind_of(code: int) -> int:
    return code >> 24


def nodes_of(code: int) -> tuple[int, int]:
    """First and second node; -1 where it is not known, or there is none."""
    first, second = code >> 12 & 0xFFF, code & 0xFFF
    return (-1 if first == _NONE else first), (-1 if second == _NONE else second)


def changed_share(before: PageMap, after: PageMap) -> NDArray[np.float64]:
    """How much of each bucket is on another node than before, 0 to 1; both maps have the same grid."""
    gained = np.clip(after.counts - before.counts, 0, None).sum(axis=1)
    lost = np.clip(before.counts - after.counts, 0, None).sum(axis=1)
    whole = np.maximum(1, after.counts.sum(axis=1))
    share: NDArray[np.float64] = np.minimum(gained, lost) / whole
    return share
