"""Random draws that depend on what is drawn for, and not on when: keyed by (seed, page, attempt).

The same scenario gives the same draws, in whatever order its pages come up. Source: splitmix64 (Steele, Lea, Flood:
"Fast splittable pseudorandom number generators", OOPSLA 2014).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["draws"]

_GOLDEN, _FIRST, _SECOND = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def draws(seed: int, stream: int, pages: NDArray[np.int64], attempt: int = 0) -> NDArray[np.float64]:
    """Numbers in [0, 1), one for each page.

    :param stream: what the draw is for, so that two purposes never share their numbers
    :param pages: shape (pages,), any numbers that name pages
    """
    with np.errstate(over="ignore"):
        key = _mixed(np.uint64(seed & 0xFFFFFFFFFFFFFFFF) + _GOLDEN * np.uint64(stream + 1))
        key = _mixed(key + _GOLDEN * np.uint64(attempt + 1))
        mixed = _mixed(_mixed(pages.astype(np.uint64) * _GOLDEN + key))
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mixed(z: NDArray[np.uint64] | np.uint64) -> NDArray[np.uint64]:
    z = (z ^ (z >> np.uint64(30))) * _FIRST
    z = (z ^ (z >> np.uint64(27))) * _SECOND
    return np.asarray(z ^ (z >> np.uint64(31)), np.uint64)
