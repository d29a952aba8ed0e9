"""Ranges of addresses: several lists of them as one, and whether two have an address in common."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["joined", "overlap"]


def joined(*ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """All of them, ascending and without overlaps."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(each for several in ranges for each in several):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def overlap(some: tuple[tuple[int, int], ...], others: tuple[tuple[int, int], ...]) -> bool:
    """Whether two ascending lists of ranges have an address in common."""
    i = j = 0
    while i < len(some) and j < len(others):
        if some[i][1] <= others[j][0]:
            i += 1
        elif others[j][1] <= some[i][0]:
            j += 1
        else:
            return True
    return False
