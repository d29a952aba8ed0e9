"""Estimates of where pages are, each with its error: for processes that are too large to be counted in passing.

All of it is stratified sampling with single pages as the units, so that errors follow from how many were found, and no
look costs more than its number of probes. Source: E. B. Wilson 1927, for intervals that hold with few or no
counter-examples; L. Kish 1965, for what probes that stand for unequally many pages are worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from numamig.backends.base import Backend
from numamig.model.pages import UNKNOWN_NODE
from numamig.model.process import Process, Region, RegionKind
from numamig.observe.pagemap import Grid, PageMap
from numamig.observe.placement import Placement, movable
from numamig.observe.probes import NOT_THERE, UNASKED, Space, probe, spread

__all__ = [
    "PROBES",
    "estimate_process",
    "estimate_regions",
    "half_width",
    "pages_in_buckets",
    "sample_page_map",
]

PROBES: Final = 64
"""In each bucket: where all are alike, at least 95 % of the bucket is."""
_MOST_PROBES: Final = 98_304
_LEAST_PROBES: Final = 8
_Z: Final = 2.1
"""A little more than 1.96: hits are whole numbers, and probes of unequal worth."""
_STRATA: Final = 512
_FIRST_LOOK: Final = 8
"""Probes in each stratum, before the others go where pages were found."""
_SECOND_LOOK: Final = 8192


def half_width(share: NDArray[np.float64], probes: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far the truth may be from an observed share, in 95 of 100 cases; 1 without probes. Shapes as given."""
    n = np.maximum(probes, 1e-9)
    centre = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    spread_ = _Z / (1 + _Z**2 / n) * np.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    width: NDArray[np.float64] = np.where(probes > 0, np.minimum(1.0, spread_ + np.abs(centre - share)), 1.0)
    return width


def _tally(
    nodes: NDArray[np.int16], stratum: NDArray[np.intp], strata: int, columns: Sequence[int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What the probes of each stratum found: by column, shape (strata, columns), and how many were asked, (strata,)."""
    found = np.zeros((strata, len(columns)), np.int64)
    for number, node in enumerate(columns):
        found[:, number] = np.bincount(stratum[nodes == node], minlength=strata)
    return found, np.bincount(stratum[nodes != UNASKED], minlength=strata)


def pages_in_buckets(grid: Grid, regions: Sequence[Region], page_size: int) -> NDArray[np.int64]:
    """How many pages, present or not, the regions have in each bucket; shape (buckets,)."""
    space = Space.of(movable(regions), page_size)
    return space.below(grid.start + np.uint64(grid.bucket_bytes)) - space.below(grid.start)


def sample_page_map(
    backend: Backend,
    pid: int,
    grid: Grid,
    regions: Sequence[Region],
    nodes: Sequence[int],
    page_size: int,
    *,
    probes: int = PROBES,
    most: int = _MOST_PROBES,
    seed: int = 0,
) -> PageMap:
    """The page map from ``probes`` in each bucket, fewer where that would be more than ``most`` in all.

    Where not even eight each can be had, the first buckets are read and the others are left unread.

    :param regions: of the process; nothing is looked for between them
    :raises TargetGone: the process ended.
    :raises RefusedError: the caller may not look.
    """
    space = Space.of(movable(regions), page_size)
    first = space.below(grid.start)
    pages = space.below(grid.start + np.uint64(grid.bucket_bytes)) - first
    each = max(_LEAST_PROBES, min(probes, most // max(1, len(grid))))
    read = np.arange(len(grid)) < most // each
    asked = np.where(read, np.minimum(pages, each), 0)
    where, stratum = spread(first, pages, asked, np.random.default_rng(seed))
    answer = probe(backend, pid, space.address(where))
    found, asked = _tally(answer, stratum, len(grid), [*nodes, UNKNOWN_NODE])
    share = found / np.maximum(asked, 1)[:, None]
    # What is missing here is on no node: a share like any other, and no less uncertain.
    shares = np.column_stack((share, 1 - share.sum(axis=1)))
    left_over = np.minimum(1.0, np.sqrt(np.maximum(pages - asked, 0) / np.maximum(pages - 1, 1)))
    error = half_width(shares, asked[:, None].astype(np.float64)).max(axis=1) * left_over
    error[pages == 0] = 0.0
    return PageMap(
        grid,
        tuple(nodes),
        np.rint(share * pages[:, None]).astype(np.int64),
        np.zeros(len(grid), np.int64),
        error=error.astype(np.float32),
        read=read & ((asked > 0) | (pages == 0)),
    )


def estimate_regions(
    backend: Backend, pid: int, regions: Sequence[Region], page_size: int, *, probes: int = 256, seed: int = 0
) -> list[Placement]:
    """Placement of each region; counted where a region has no more pages than probes, else estimated.

    :raises TargetGone: the process ended.
    :raises RefusedError: the caller may not look.
    """
    shown = [region for region in regions if region.kind is not RegionKind.SPECIAL]
    space = Space.of(movable(shown), page_size)
    pages = np.diff(space.before)
    each = max(_LEAST_PROBES, min(probes, _MOST_PROBES // max(1, len(shown))))
    asked = np.minimum(pages, each)
    where, stratum = spread(space.before[:-1], pages, asked, np.random.default_rng(seed))
    answer = probe(backend, pid, space.address(where))
    columns = _columns(answer)
    found, asked = _tally(answer, stratum, len(shown), columns)
    hits = found.sum(axis=1)
    share = found / np.maximum(hits, 1)[:, None]
    error = half_width(share, hits[:, None].astype(np.float64)).max(axis=1, initial=0.0)
    held = np.rint(found * (pages / np.maximum(asked, 1))[:, None]).astype(np.int64) * page_size
    placements = iter(
        Placement(
            {node: count for node, count in zip(columns, held[n].tolist(), strict=True) if count},
            estimated=bool(asked[n] < pages[n]),
            error=float(error[n]) if hits[n] and asked[n] < pages[n] else float(asked[n] < pages[n]),
        )
        for n in range(len(shown))
    )
    return [Placement({}) if region.kind is RegionKind.SPECIAL else next(placements) for region in regions]


def _columns(nodes: NDArray[np.int16]) -> list[int]:
    """The nodes that were found."""
    return [node for node in np.unique(nodes).tolist() if node not in (NOT_THERE, UNASKED)]


@dataclass(frozen=True, slots=True)
class _Part:
    """What is estimated of one part of an address space."""

    pages_by_node: dict[int, float]
    pages: float
    """Present ones, in all."""
    error: float
    """Of any node's share of them."""
    pages_error: float = 0.0


def estimate_process(
    backend: Backend, process: Process, regions: Sequence[Region], page_size: int, *, seed: int = 0
) -> Placement:
    """Placement of a whole process from some thousand probes, whatever its size.

    How much is resident the kernel says; only hugetlb pages, which it leaves out, are estimated in that too.

    :raises TargetGone: the process ended.
    :raises RefusedError: the caller may not look.
    """
    random = np.random.default_rng(seed)
    wanted = [region for region in regions if region.kind is not RegionKind.SPECIAL]
    parts = []
    for hugetlb, known in ((False, process.resident_bytes / page_size), (True, None)):
        ranges = [(r.start, r.end) for r in wanted if (r.kind is RegionKind.HUGETLB) is hugetlb]
        if ranges:
            parts.append(_estimate(backend, process.pid, Space.of(ranges, page_size), known, random))
    total = sum(part.pages for part in parts)
    if not total:
        return Placement({}, estimated=True, error=1.0)
    nodes = sorted({node for part in parts for node in part.pages_by_node})
    pages = {node: sum(part.pages_by_node.get(node, 0.0) for part in parts) for node in nodes}
    # Shares within each part, and how large the parts are, may all be off; they are so independently of each other.
    variance = sum((part.pages / total * part.error) ** 2 for part in parts)
    for part in parts:
        if part.pages_error and part.pages:
            off = max(abs(part.pages_by_node.get(node, 0.0) / part.pages - pages[node] / total) for node in nodes)
            variance += (part.pages_error / total * off) ** 2
    held = {node: round(count) * page_size for node, count in pages.items()}
    return Placement(held, estimated=True, error=min(1.0, variance**0.5))


def _estimate(backend: Backend, pid: int, space: Space, known: float | None, random: np.random.Generator) -> _Part:
    """Pages by node in some ranges.

    :param known: how many are present, where somebody knows
    """
    first = _strata(space)
    pages = np.diff(np.append(first, space.pages))
    some = np.minimum(pages, _FIRST_LOOK)
    answer, stratum = _ask(backend, pid, space, first, pages, some, random)
    present = np.bincount(stratum[answer >= UNKNOWN_NODE], minlength=len(first))
    more = _allot(pages, some, present)
    second, second_stratum = _ask(backend, pid, space, first, pages, more, random)
    # The first look only says where to look: a stratum that was chosen for what it found would count for too little.
    kept = more[stratum] == 0
    answer, stratum = np.concatenate((answer[kept], second)), np.concatenate((stratum[kept], second_stratum))
    columns = _columns(answer)
    found, asked = _tally(answer, stratum, len(first), columns)
    weight = pages / np.maximum(asked, 1)
    by_node = (found * weight[:, None]).sum(axis=0)
    hits = found.sum(axis=1)
    total = float(by_node.sum())
    if not total:
        return _Part({}, 0.0, 1.0)
    # Probes of one stratum stand for more pages than those of another: together they tell less than as many equals.
    worth = total**2 / float((hits * weight**2).sum())
    error = float(half_width(by_node / total, np.full(len(columns), worth)).max())
    bare = (hits == 0) & (asked < pages)
    # Where n probes found nothing, a share of 3 / n may have been missed; but no more than the kernel says there is.
    missed = 3 * float(pages[bare].sum()) / max(1, int(asked[bare].sum())) if bare.any() else 0.0
    scale = 1.0
    if known is not None:
        scale = known / total
        missed = min(missed, max(0.0, known - total) + known * worth**-0.5)
    error = min(1.0, (error**2 + (missed / (total + missed)) ** 2) ** 0.5)
    off = 0.0 if known is not None else total * float(half_width(np.array(total / space.pages), asked.sum()))
    held = {node: float(count) * scale for node, count in zip(columns, by_node.tolist(), strict=True)}
    return _Part(held, total * scale, error, off)


def _strata(space: Space) -> NDArray[np.int64]:
    """First page of each stratum: equal parts of the space, cut also where a large range begins or ends."""
    sizes = np.diff(space.before)
    large = np.argsort(sizes)[-_STRATA // 4 :]
    equal = np.linspace(0, space.pages, _STRATA, endpoint=False).astype(np.int64)
    cuts = np.unique(np.concatenate((equal, space.before[large], space.before[large + 1])))
    first: NDArray[np.int64] = cuts[cuts < space.pages]
    return first


def _allot(pages: NDArray[np.int64], asked: NDArray[np.int64], present: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many more probes each stratum gets: half of them by its size, half by what was found; shape (strata,) all."""
    left = np.where(asked < pages, pages, 0)
    by_size = left / max(1, left.sum())
    by_find = left * np.sqrt(present / np.maximum(asked, 1))
    by_find = by_find / by_find.sum() if by_find.any() else by_size
    more: NDArray[np.int64] = np.minimum(np.ceil(_SECOND_LOOK / 2 * (by_size + by_find)).astype(np.int64), left)
    return more


def _ask(
    backend: Backend,
    pid: int,
    space: Space,
    first: NDArray[np.int64],
    pages: NDArray[np.int64],
    probes: NDArray[np.int64],
    random: np.random.Generator,
) -> tuple[NDArray[np.int16], NDArray[np.intp]]:
    where, stratum = spread(first, pages, probes, random)
    return probe(backend, pid, space.address(where)), stratum
