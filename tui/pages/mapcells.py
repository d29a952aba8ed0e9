"""What a cell of the page map says: page counts become one number per bucket, with numpy, before anything is drawn.

A number holds everything that the look of a cell depends on, so that equal rows are equal arrays.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from numamig.observe.pagemap import PageMap
from tui.threads.lenses import RARE

__all__ = [
    "ABSENT",
    "BLANK",
    "CURSOR",
    "FLASH",
    "LIT",
    "MARKED",
    "MIXED",
    "MUCH_MIXED",
    "NAMED",
    "NEXT",
    "PURE",
    "UNLIT",
    "UNREAD",
    "cell_codes",
    "changed_share",
    "heat_of",
    "kind_of",
    "mark_of",
    "named",
    "nodes_of",
    "with_lens",
]

BLANK, UNREAD, ABSENT, PURE, MIXED, MUCH_MIXED = range(6)
_NONE = 0xFFF
_MARK, _HEAT = 32, 40
NAMED, FLASH, NEXT, CURSOR = (1 << bit for bit in (48, 49, 50, 51))
"""The digit is written; its pages have just moved; they are of the next batch; the cursor is there."""
MARKED, LIT, UNLIT = (1 << bit for bit in (52, 53, 54))
"""It is marked; it is of the class of cells that stands out, or it is not while there is such a class."""
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


def with_lens(codes: NDArray[np.int64], marks: NDArray[np.int64], heat: NDArray[np.int64]) -> NDArray[np.int64]:
    """Codes with what a lens adds to cells with pages.

    :param marks: ``lenses.marks_of``
    :param heat: ``lenses.heat_steps``
    """
    there = (codes >> 24) >= PURE
    return np.where(there, codes | marks << _MARK | heat << _HEAT, codes)


def named(cells: NDArray[np.int64], column: int, *, every_mark: bool) -> NDArray[np.int64]:
    """Neighbouring cells of a row with ``NAMED`` where the digit goes: where another kind of cell begins, and at every
    eighth. Marks that hold for long stretches are written now and then only, and where there is no digit.

    :param column: of the first of them
    :param every_mark: write all of them
    """
    code = cells & (1 << _MARK) - 1
    begins = np.ones(len(cells), np.bool_)
    np.not_equal(code[1:], code[:-1], out=begins[1:])
    nth = np.arange(column, column + len(cells)) % 8
    with_digit = begins | (nth == 0)
    mark = cells >> _MARK & 0xFF
    if not every_mark and mark.any():
        first = np.ones(len(cells), np.bool_)
        np.not_equal(mark[1:], mark[:-1], out=first[1:])
        left_out = (mark > RARE) & (with_digit | ~(first | (nth == 4)))
        cells = np.where(left_out, cells & ~(0xFF << _MARK), cells)
    return np.where(with_digit, cells | NAMED, cells)


def kind_of(code: int) -> int:
    return code >> 24 & 0xF


def mark_of(code: int) -> int:
    """Of ``lenses.LETTERS``; 0 for none."""
    return code >> _MARK & 0xFF


def heat_of(code: int) -> int:
    """As ``lenses.heat_steps``."""
    return code >> _HEAT & 0xF


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
