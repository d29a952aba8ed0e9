"""Streams of whole numbers drawn by chance: the same for the same key, on any machine and with any version.

Only the raw output of PCG64 is used, which NumPy promises never to change, and whole numbers are made of it without
floating point. Source: O'Neill, "PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms", 2014.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = ["Key", "Stream", "lookup_table"]

Key = tuple[int, ...]
"""What a stream is for: (seed, pid, region)."""
_PURPOSES = (
    "node",
    "extent",
    "present",
    "swapped",
    "zero",
    "writeback",
    "pinned",
    "busy",
    "hinted",
    "heat",
    "fraction",
)
_SIXTEEN_BITS = 1 << 16


class Stream:
    """The numbers of one key and purpose, in their order."""

    def __init__(self, key: Key, purpose: str) -> None:
        number = _PURPOSES.index(purpose)
        self._source, self._finer = (
            np.random.PCG64(np.random.SeedSequence([*key, number + part])) for part in (0, len(_PURPOSES))
        )

    def _raw(self, words: int) -> NDArray[np.uint64]:
        return np.asarray(self._source.random_raw(words), np.dtype("<u8"))

    def bytes_(self, count: int) -> NDArray[np.uint8]:
        """Shape (count,): 0 to 255. Of what a last word has left over nothing is used."""
        return self._raw(-(-count // 8)).view(np.uint8)[:count]

    def shorts(self, count: int) -> NDArray[np.uint16]:
        """Shape (count,): 0 to 65,535."""
        return self._raw(-(-count // 4)).view(np.dtype("<u2"))[:count]

    def chosen(self, share: float, count: int) -> NDArray[np.bool_]:
        """Shape (count,): true for that share of them, by chance, to one in 4 billion.

        One byte decides for nearly all; where it does not, 24 bits more do.
        """
        drawn = self.bytes_(count)
        whole, rest = divmod(round(share * (1 << 32)), 1 << 24)
        chosen = np.asarray(drawn < whole)
        if rest:
            undecided = np.flatnonzero(drawn == whole)
            chosen[undecided] = self._finer.random_raw(len(undecided)) >> np.uint64(40) < np.uint64(rest)
        return chosen

    def lengths(self, mean: int, count: int) -> NDArray[np.int64]:
        """Shape (count,): from 1 to 2 · mean - 1, all alike likely."""
        drawn = self._raw(-(-count // 2)).view(np.dtype("<u4"))[:count].astype(np.int64)
        return 1 + (drawn * (2 * mean - 1) >> 32)


def lookup_table(weights: Mapping[int, float]) -> NDArray[np.uint8]:
    """Shape (65536,): each key so many times as its weight is part of all."""
    total, before, table = sum(weights.values()), 0.0, np.empty(_SIXTEEN_BITS, np.uint8)
    for key, weight in weights.items():
        table[round(before / total * _SIXTEEN_BITS) : round((before + weight) / total * _SIXTEEN_BITS)] = key
        before += weight
    return table
