"""Where each bucket of a page map is drawn: rows of cells in address order, at any zoom, worked out by arithmetic.

Gaps between regions are left out. A region begins a row; small regions share one, with a blank cell between. Only the
rows in view are ever filled with buckets, so that a terabyte at single pages costs as little as a megabyte.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from numamig.model.process import Region, RegionKind
from numamig.observe.pagemap import Grid, lay_out

__all__ = ["MapLayout", "Piece", "Stretch", "fitting_bucket", "lay_out_rows", "overview_grid"]


@dataclass(frozen=True, slots=True)
class Piece:
    """The buckets of one region."""

    region: int
    start: int
    """First address of its first bucket."""
    buckets: int
    row: int
    column: int
    """0 where it has rows of its own."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Neighbouring cells of one row."""

    region: int
    start: int
    buckets: int
    column: int


@dataclass(frozen=True, slots=True)
class MapLayout:
    """The whole map; a piece with more buckets than a row has goes on in the following rows."""

    bucket_bytes: int
    cells: int
    """In a row."""
    pieces: tuple[Piece, ...]
    rows: int
    _first_rows: tuple[int, ...]

    def row(self, row: int) -> list[Stretch]:
        """What is drawn in a row."""
        found = []
        at = bisect_right(self._first_rows, row) - 1
        while at >= 0:
            piece = self.pieces[at]
            skipped = (row - piece.row) * self.cells
            if skipped < piece.buckets:
                start = piece.start + skipped * self.bucket_bytes
                found.append(
                    Stretch(piece.region, start, min(self.cells - piece.column, piece.buckets - skipped), piece.column)
                )
            if piece.row < row or piece.column == 0:
                break
            at -= 1
        return found[::-1]

    def starts_here(self, stretch: Stretch) -> bool:
        """Whether a stretch begins its piece, and does not go on with it."""
        at = bisect_right(self.pieces, stretch.start, key=lambda piece: piece.start) - 1
        return at >= 0 and self.pieces[at].start == stretch.start

    def place(self, address: int) -> tuple[int, int] | None:
        """Row and column of the bucket that holds an address."""
        at = bisect_right(self.pieces, address, key=lambda piece: piece.start) - 1
        if at < 0:
            return None
        piece = self.pieces[at]
        nth = (address - piece.start) // self.bucket_bytes
        if nth >= piece.buckets:
            return None
        return (
            (piece.row + nth // self.cells, nth % self.cells) if not piece.column else (piece.row, piece.column + nth)
        )

    def nearest(self, row: int, column: int) -> int | None:
        """Address of the bucket at, or nearest to, a place."""
        stretches = self.row(max(0, min(self.rows - 1, row)))
        if not stretches:
            return None

        def away(s: Stretch) -> int:
            return max(s.column - column, column - (s.column + s.buckets - 1), 0)

        best = min(stretches, key=away)
        nth = max(0, min(best.buckets - 1, column - best.column))
        return best.start + nth * self.bucket_bytes

    def step(self, address: int, buckets: int) -> int:
        """The address some buckets further on, or back; stays within the map."""
        at = max(0, bisect_right(self.pieces, address, key=lambda piece: piece.start) - 1)
        if not self.pieces:
            return address
        nth = min(self.pieces[at].buckets - 1, (address - self.pieces[at].start) // self.bucket_bytes) + buckets
        while nth < 0 and at > 0:
            at -= 1
            nth += self.pieces[at].buckets
        while nth >= self.pieces[at].buckets and at < len(self.pieces) - 1:
            nth -= self.pieces[at].buckets
            at += 1
        piece = self.pieces[at]
        return piece.start + max(0, min(piece.buckets - 1, nth)) * self.bucket_bytes

    def grid(self, first_row: int, rows: int) -> Grid:
        """The buckets of some rows, to be looked at."""
        starts: list[NDArray[np.uint64]] = []
        owners: list[NDArray[np.int32]] = []
        for row in range(max(0, first_row), min(self.rows, first_row + rows)):
            for s in self.row(row):
                offsets = np.arange(s.buckets, dtype=np.uint64) * np.uint64(self.bucket_bytes)
                starts.append(np.uint64(s.start) + offsets)
                owners.append(np.full(s.buckets, s.region, np.int32))
        if not starts:
            return Grid(self.bucket_bytes, np.empty(0, np.uint64), np.empty(0, np.int32))
        return Grid(self.bucket_bytes, np.concatenate(starts), np.concatenate(owners))

    def rows_of(self, first_row: int, rows: int) -> NDArray[np.int64]:
        """Row of each bucket of ``grid``; shape (buckets,)."""
        every = np.arange(max(0, first_row), min(self.rows, first_row + rows))
        return np.repeat(every, [sum(s.buckets for s in self.row(row)) for row in every.tolist()])

    @property
    def last_address(self) -> int:
        """Of the last bucket."""
        last = self.pieces[-1]
        return last.start + (last.buckets - 1) * self.bucket_bytes


def lay_out_rows(regions: Sequence[Region], bucket_bytes: int, cells: int) -> MapLayout:
    """Every region in address order; a bucket that two regions share belongs to the first (see ``pagemap.lay_out``)."""
    pieces: list[Piece] = []
    covered = row = column = 0
    for number, region in enumerate(regions):
        if region.kind is RegionKind.SPECIAL:
            continue
        low = max(covered, region.start // bucket_bytes * bucket_bytes)
        if low >= region.end:
            continue
        covered = -(-region.end // bucket_bytes) * bucket_bytes
        buckets = (covered - low) // bucket_bytes
        small = buckets < cells // 2
        if column and (not small or column + 1 + buckets > cells):
            row, column = row + 1, 0
        elif column:
            column += 1
        pieces.append(Piece(number, low, buckets, row, column))
        if small:
            column += buckets
        else:
            row, column = row + -(-buckets // cells), 0
    rows = row + (1 if column else 0)
    return MapLayout(bucket_bytes, cells, tuple(pieces), rows, tuple(piece.row for piece in pieces))


def fitting_bucket(regions: Sequence[Region], cells: int, rows: int, page_size: int) -> int:
    """The smallest bucket, a power of two, at which the map takes at most ``rows`` rows."""
    total = sum(r.size_bytes for r in regions if r.kind is not RegionKind.SPECIAL)
    bucket = page_size
    while bucket * 2 * cells * max(1, rows) <= total:
        bucket *= 2
    while bucket < 1 << 46 and lay_out_rows(regions, bucket, cells).rows > max(1, rows):
        bucket *= 2
    return bucket


def overview_grid(regions: Sequence[Region], most_buckets: int, page_size: int) -> Grid:
    """Coarse buckets of everything, for the map above the map."""
    shown = [r for r in regions if r.kind is not RegionKind.SPECIAL]
    bucket = page_size
    while bucket < 1 << 46 and sum(-(-r.size_bytes // bucket) for r in shown) > most_buckets:
        if bucket * most_buckets < sum(r.size_bytes for r in shown) or len(shown) <= most_buckets:
            bucket *= 2
        else:
            break  # more regions than buckets: neighbours will share cells anyway
    return lay_out(regions, bucket)
