"""Where the pages of a scenario's regions lie, and in what state they are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from numamig.backends.simulator.machine import Machine
from numamig.backends.simulator.memory import ABSENT, HUGE_PAGES, PAGE, Backing, Flag
from numamig.backends.simulator.scenario.schema import RegionEntry
from numamig.model.process import RegionKind

__all__ = ["place"]


def place(machine: Machine, backing: Backing, entry: RegionEntry, random: np.random.Generator) -> None:
    """Give the pages of a region their nodes and states."""
    if not entry.nodes:
        return
    pages = len(backing.node)
    huge = entry.huge or entry.kind is RegionKind.HUGETLB
    unit = HUGE_PAGES if huge else 1
    units = -(-pages // unit)
    node = _pattern(entry, units, unit, random)
    if entry.present < 1:
        node[random.random(units) >= entry.present] = ABSENT
    placed = np.repeat(node, unit)[:pages]
    flags = np.zeros(pages, np.uint8)
    if huge:
        whole = pages // HUGE_PAGES * HUGE_PAGES
        flags[:whole][placed[:whole] != ABSENT] |= np.uint8(Flag.LARGE)
    for share, flag in ((entry.pinned, Flag.PINNED), (entry.busy, Flag.ISOLATED), (entry.hinted, Flag.HINTED)):
        if share:
            flags[np.repeat(random.random(units) < share, unit)[:pages] & (placed != ABSENT)] |= np.uint8(flag)
    backing.flags[:] = flags
    machine.place(backing, 0, placed)


def _pattern(entry: RegionEntry, units: int, unit: int, random: np.random.Generator) -> NDArray[np.uint8]:
    nodes = np.array(sorted(entry.nodes), np.uint8)
    weights = np.array([entry.nodes[int(n)] for n in nodes], float)
    weights /= weights.sum()
    if entry.pattern == "interleave":
        return np.resize(nodes, units)
    if entry.pattern == "random":
        return random.choice(nodes, units, p=weights).astype(np.uint8)
    if entry.pattern == "halves":
        return nodes[np.searchsorted(np.cumsum(weights), (np.arange(units) + 0.5) / units)].astype(np.uint8)
    mean = max(1, entry.extent // (unit * PAGE))
    stretches = units // mean + 2
    lengths = np.maximum(1, random.geometric(1 / mean, stretches * 2))
    drawn = np.repeat(random.choice(nodes, len(lengths), p=weights), lengths)[:units].astype(np.uint8)
    return np.concatenate((drawn, np.full(units - len(drawn), nodes[int(np.argmax(weights))], np.uint8)))
