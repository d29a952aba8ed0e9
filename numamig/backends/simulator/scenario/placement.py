"""Where the pages of a scenario's regions lie, and in what state they are: drawn a chunk at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from numamig.backends.simulator.machine import Machine
from numamig.backends.simulator.memory import ABSENT, Backing, Flag
from numamig.backends.simulator.scenario.processes import RegionEntry
from numamig.backends.simulator.scenario.streams import Key, Stream, lookup_table
from numamig.model.process import RegionKind

__all__ = ["place"]

_CHUNK = 1 << 18
_ZERO = np.uint8(Flag.ZERO)


class _Pattern(Protocol):
    """Nodes of units (pages, or folios), in the order of their addresses."""

    def draw(self, units: int) -> NDArray[np.uint8]: ...


def place(machine: Machine, backing: Backing, entry: RegionEntry, key: Key) -> None:
    """Give the pages of a region their nodes and states, and take their memory from the nodes.

    :param key: of the draws: the same key and entry give the same pages
    """
    if entry.nodes is None:
        return
    pages = len(backing.node)
    unit = backing.folio_pages if entry.huge or entry.folio or entry.kind is RegionKind.HUGETLB else 1
    units = -(-pages // unit)
    pattern = _pattern(entry, units, unit * backing.page_bytes, key)
    states = _States(entry, key, unit > 1)
    held = np.zeros(256, np.int64)
    for first in range(0, units, _CHUNK):
        node = pattern.draw(min(_CHUNK, units - first))
        flags = states.draw(node)
        here = slice(first * unit, min(pages, (first + len(node)) * unit))
        length = here.stop - here.start
        spread = node if unit == 1 else np.repeat(node, unit)[:length]
        backing.node[here] = spread
        if flags is not None:
            backing.flags[here] = flags if unit == 1 else np.repeat(flags, unit)[:length]
            if entry.zero:
                spread = spread[flags & _ZERO == 0]
        held += np.bincount(spread, minlength=256)
    if tail := pages % unit:
        backing.flags[pages - tail :] &= np.uint8(255 & ~Flag.LARGE)  # too short for a folio
    backing.resident_pages += int(held[:ABSENT].sum())
    machine.take(held)


class _States:
    """Which pages were never touched or are swapped out, and the flags of the others."""

    def __init__(self, entry: RegionEntry, key: Key, large: bool) -> None:
        self._present = (entry.present, Stream(key, "present"))
        self._swapped = (entry.swapped, Stream(key, "swapped"))
        shares = {
            Flag.ZERO: ("zero", entry.zero),
            Flag.WRITEBACK: ("writeback", entry.writeback),
            Flag.PINNED: ("pinned", entry.pinned),
            Flag.ISOLATED: ("busy", entry.busy),
            Flag.HINTED: ("hinted", entry.hinted),
        }
        self._some = [(flag, share, Stream(key, name)) for flag, (name, share) in shares.items() if share]
        self._all = (Flag.LARGE if large else Flag(0)) | (Flag.MLOCKED if entry.locked else Flag(0))

    def draw(self, node: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
        """Flags of units, None where none has any; units that are not present lose their node (all bits set)."""
        share, stream = self._present
        if share < 1:
            node |= np.where(stream.chosen(share, len(node)), np.uint8(0), np.uint8(ABSENT))
        swapped = None
        if self._swapped[0]:
            swapped = self._swapped[1].chosen(self._swapped[0], len(node)) & (node != ABSENT)
            node |= swapped.view(np.uint8) * np.uint8(ABSENT)
        if not self._some and not self._all and swapped is None:
            return None
        flags = np.full(len(node), np.uint8(self._all))
        for flag, share, stream in self._some:
            flags |= stream.chosen(share, len(node)).view(np.uint8) * np.uint8(flag)
        flags *= (node != ABSENT).view(np.uint8)
        if swapped is not None:
            flags |= swapped.view(np.uint8) * np.uint8(Flag.SWAPPED)
        return flags


def _pattern(entry: RegionEntry, units: int, unit_bytes: int, key: Key) -> _Pattern:
    weights: Mapping[int, float] = entry.nodes or {}
    if entry.pattern == "interleave":
        return _Interleave(weights)
    if entry.pattern == "halves":
        return _Halves(weights, units)
    table = lookup_table(weights)
    if entry.pattern == "random":
        return _Random(table, key)
    return _Blocks(table, max(1, entry.extent // unit_bytes), key)


class _Random:
    """Each unit on its own."""

    def __init__(self, table: NDArray[np.uint8], key: Key) -> None:
        self._table, self._stream = table, Stream(key, "node")

    def draw(self, units: int) -> NDArray[np.uint8]:
        return self._table.take(self._stream.shorts(units))


class _Interleave:
    """By turns: as many units in a row as a node's weight, as weighted interleaving does."""

    def __init__(self, weights: Mapping[int, float]) -> None:
        shared = math.gcd(*(int(weight) for weight in weights.values()))
        turns = [int(weight) // shared for weight in weights.values()]
        self._round = np.repeat(np.array(list(weights), np.uint8), turns)

    def draw(self, units: int) -> NDArray[np.uint8]:
        drawn = np.resize(self._round, units)
        self._round = np.roll(self._round, -(units % len(self._round)))
        return drawn


class _Halves:
    """One stretch for each node, in the order written."""

    def __init__(self, weights: Mapping[int, float], units: int) -> None:
        total, before, self._first = sum(weights.values()), 0.0, 0
        self._nodes = np.array(list(weights), np.uint8)
        ends = []
        for weight in weights.values():
            before += weight
            ends.append(round(before / total * units))
        self._ends = np.array(ends)

    def draw(self, units: int) -> NDArray[np.uint8]:
        here = np.arange(self._first, self._first + units)
        self._first += units
        return self._nodes[np.searchsorted(self._ends, here, side="right")]


class _Blocks:
    """Stretches by chance, each of one node."""

    def __init__(self, table: NDArray[np.uint8], mean_units: int, key: Key) -> None:
        self._table, self._mean = table, mean_units
        self._nodes, self._lengths = Stream(key, "node"), Stream(key, "extent")
        self._node = np.empty(0, np.uint8)
        self._left = np.empty(0, np.int64)

    def draw(self, units: int) -> NDArray[np.uint8]:
        while (lacking := units - int(self._left.sum())) > 0:
            more = -(-lacking // self._mean) + 7 & ~7  # of whole words, so that nothing of a stream is lost
            self._node = np.concatenate((self._node, self._table.take(self._nodes.shorts(more))))
            self._left = np.concatenate((self._left, self._lengths.lengths(self._mean, more)))
        ends = np.cumsum(self._left)
        last = int(np.searchsorted(ends, units))
        taken = self._left[: last + 1].copy()
        taken[-1] -= ends[last] - units
        drawn = np.repeat(self._node[: last + 1], taken)
        self._left[last] -= taken[-1]
        self._node, self._left = self._node[last:], self._left[last:]
        return drawn
