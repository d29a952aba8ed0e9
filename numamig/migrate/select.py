"""Which pages: what of a process's memory a request means."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from numamig.backends.base import Backend, TellsSharing
from numamig.migrate.destination import Interleave
from numamig.migrate.request import Mapped, Request
from numamig.model.pages import UNKNOWN_NODE, PageRuns, Ranges, clip_ranges
from numamig.model.process import Region

__all__ = ["meant", "narrowed", "select_regions"]


def select_regions(regions: Sequence[Region], request: Request) -> list[tuple[Region, int, int]]:
    """Each region that the request means, with the part of it that is meant: (region, start, end)."""
    selected: list[tuple[Region, int, int]] = []
    for region in regions:
        if not region.matches(request.kinds) or not _fits(region, request):
            continue
        whole: Ranges = [(region.start, region.end)]
        parts = whole if request.within is None else clip_ranges(request.within, region.start, region.end)
        selected.extend((region, start, end) for start, end in parts)
    return selected


def _fits(region: Region, request: Request) -> bool:
    most = request.most_region_bytes
    if region.size_bytes < request.least_region_bytes or (most is not None and region.size_bytes > most):
        return False
    return not request.paths or any(fnmatchcase(region.path, pattern) for pattern in request.paths)


def meant(runs: PageRuns, request: Request, page_size: int) -> tuple[PageRuns, NDArray[np.int32]]:
    """The pages that a request wants elsewhere, and where; the second of shape (runs,).

    Pages on a node that is not known are meant only where every node is meant: nothing is moved on a guess.

    :param page_size: bytes of a base page
    """
    if isinstance(request.to, Interleave):  # of a run, each folio goes elsewhere than the one before
        address, size, node = runs.folios()
        runs = PageRuns(address, size, np.ones(len(address), np.int64), node)
    target = request.to.targets(runs.address, runs.page_size, runs.node)
    wanted = (runs.node != target) & (target >= 0)
    if request.sources is not None:
        wanted &= np.isin(runs.node, request.sources) & (runs.node != UNKNOWN_NODE)
    if request.huge is not None:
        wanted &= (runs.page_size > page_size) == request.huge
    return (runs, target) if wanted.all() else (runs[wanted], target[wanted])


def narrowed(backend: Backend, runs: PageRuns, request: Request) -> PageRuns:
    """Of these, what is mapped by others, or by nobody else, as a request wants it: each page is asked for.

    :raises TargetGone: the process ended.
    :raises RefusedError: the caller may not look.
    """
    if request.mapped is not Mapped.ANY and len(runs) and isinstance(backend, TellsSharing):
        address, size, node = runs.folios()
        others = backend.shared_pages(request.pid, address)
        kept = others == (1 if request.mapped is Mapped.SHARED else 0)
        runs = PageRuns.of_folios(address[kept], size[kept], node[kept])
    return runs
