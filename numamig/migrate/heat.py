"""What of a process is touched often, or seldom: looked at once, when a plan is made."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from numamig.backends.base import Backend, TellsHeat
from numamig.errors import RefusedError
from numamig.migrate.order_mode import Heat
from numamig.model.process import Region

__all__ = ["demand_heat", "heat_of", "warm_parts"]

_MOST_BLOCKS = 1 << 16


def demand_heat(backend: Backend) -> TellsHeat:
    """
    :raises RefusedError: this machine, or the caller's rights, do not tell what is in use.
    """
    capabilities = backend.capabilities
    if isinstance(backend, TellsHeat) and capabilities.heat:
        return backend
    why = capabilities.missing.get("heat", "this machine does not tell which pages are in use")
    raise RefusedError(f"heat is not known here: {why}", hint="choose pages by --kind, --path or --address")


def heat_of(backend: Backend, pid: int, start: NDArray[np.uint64], end: NDArray[np.uint64]) -> NDArray[np.float32]:
    """As ``TellsHeat.heat``.

    :raises RefusedError: it cannot be told here.
    :raises TargetGone: the process ended.
    """
    return demand_heat(backend).heat(pid, start, end)


def warm_parts(
    backend: Backend, pid: int, selected: Sequence[tuple[Region, int, int]], heat: Heat, page_size: int
) -> list[tuple[Region, int, int]]:
    """Of some parts of regions, what is touched as often as is asked for; what is not known is not.

    In blocks of a page each, larger ones for more than 65,536 pages.

    :param selected: (region, start, end), ascending
    :raises RefusedError: heat cannot be told here.
    :raises TargetGone: the process ended.
    """
    demand_heat(backend)
    if not selected:
        return []
    edges = np.array([(start, end) for _, start, end in selected], np.uint64)
    size = page_size
    while int((-(-(edges[:, 1] - edges[:, 0]).astype(np.int64) // size)).sum()) > max(_MOST_BLOCKS, 2 * len(selected)):
        size *= 2
    count = -(-(edges[:, 1] - edges[:, 0]).astype(np.int64) // size)
    which = np.repeat(np.arange(len(selected)), count)
    nth = np.arange(len(which)) - (np.cumsum(count) - count)[which]
    start = edges[which, 0] + (nth * size).view(np.uint64)
    end = np.minimum(start + np.uint64(size), edges[which, 1])
    told = heat_of(backend, pid, start, end)
    fits = (told >= heat.least) & (told <= heat.most)
    which, start, end = which[fits], start[fits], end[fits]
    if not len(which):
        return []
    first = np.concatenate(([0], np.flatnonzero((which[1:] != which[:-1]) | (start[1:] != end[:-1])) + 1))
    last = np.concatenate((first[1:], [len(which)])) - 1
    parts = zip(which[first].tolist(), start[first].tolist(), end[last].tolist(), strict=True)
    return [(selected[part][0], low, high) for part, low, high in parts]
