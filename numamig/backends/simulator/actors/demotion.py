"""Demotion: where a node runs short, its coldest pages go to the next slower tier.

As kswapd does it with demotion_enabled: it begins below the low watermark and ends at the high one, drops page cache
that nobody maps, and then demotes folios, cold ones first, to the nearest node of a slower tier. It asks no cpuset.
What is cold is known here, where the kernel only guesses: who is touched least goes first, and a draw decides between
equals.

Source: mm/vmscan.c (balance_pgdat, demote_folio_list) and mm/memory-tiers.c (next_demotion_node) of 6.1; read, and
written anew.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import simpy
from numpy.typing import NDArray

from numamig.backends.simulator.actors.base import Stream, parameter
from numamig.backends.simulator.actors.marks import Units
from numamig.backends.simulator.chance import draws
from numamig.backends.simulator.costs import Load
from numamig.backends.simulator.memory import Backing, Flag, SimNode

if TYPE_CHECKING:
    from numamig.backends.simulator.machine import Machine
    from numamig.backends.simulator.process import SimProcess

__all__ = ["Demotion", "DemotionSettings"]

_KEPT = int(Flag.PINNED | Flag.ISOLATED | Flag.MLOCKED | Flag.WRITEBACK | Flag.ZERO)


@dataclass(frozen=True, slots=True)
class DemotionSettings:
    """Parameters."""

    look_ns: int = parameter(
        100_000_000, "ns", "assumed: as often as a balanced kswapd looks again before it sleeps, HZ/10"
    )
    """A node that runs short is noticed so late at most; in the kernel an allocation wakes it."""
    low_quarters: int = parameter(5, "min/4", "read: low = min + min/4, __setup_per_zone_wmarks in mm/page_alloc.c 6.1")
    high_quarters: int = parameter(6, "min/4", "read: high = min + min/2, the same")


@dataclass(slots=True)
class Demotion:
    """The actor."""

    settings: DemotionSettings = field(default_factory=DemotionSettings)

    def start(self, machine: Machine) -> object:
        machine.demotion = True
        machine.vmstat.setdefault("pgdemote_kswapd", 0)
        return machine.timeline.process(self._watch(machine))

    def _watch(self, machine: Machine) -> Generator[simpy.Event, None, None]:
        looks = 0
        while True:
            yield machine.timeline.timeout(self.settings.look_ns)
            looks += 1
            for node in sorted(machine.nodes.values(), key=lambda node: node.id):
                below = next_tier(machine, node)
                if below is None or node.free_pages >= node.reserve_pages * self.settings.low_quarters // 4:
                    continue
                took_ns = self._make_room(machine, node, below, looks)
                if took_ns:
                    yield machine.timeline.timeout(took_ns)

    def _make_room(self, machine: Machine, node: SimNode, below: SimNode, look: int) -> int:
        """Up to the high watermark, as far as it goes; how long it takes, in ns."""
        wanted = node.reserve_pages * self.settings.high_quarters // 4 - node.free_pages
        dropped = min(node.cache_pages, wanted)
        node.cache_pages -= dropped
        node.free_pages += dropped
        room = below.free_pages - below.reserve_pages
        took_ns = 0.0
        for process, units in _coldest(machine, node, wanted - dropped, room, look):
            index = units.index()
            small = int((units.pages == 1).sum())
            size = units.backing.folio_pages
            large = (len(index) - small) // size
            ptes, far_ptes = Load.entries(size, machine.kernel.huge_pages)
            load = Load(small + large, small + large * ptes, large * far_ptes, len(index) * machine.page_bytes)
            took = machine.costs.duration(load, machine.conditions(process))
            machine.relocate(units.backing, index, below.id, node.id)
            units.backing.flags[index] &= np.uint8(255 & ~Flag.HINTED)
            machine.disturb([(units.backing, index)], took)
            machine.vmstat["pgdemote_kswapd"] += len(index)
            took_ns += took.batches_ns
        return round(took_ns)


def next_tier(machine: Machine, node: SimNode) -> SimNode | None:
    """Where pages of a node are demoted to: the nearest node of the next slower tier."""
    if node.tier is None or not node.total_pages:
        return None
    slower = [n for n in machine.nodes.values() if n.tier is not None and n.tier > node.tier and n.total_pages]
    distance = machine.distances
    return min(slower, key=lambda n: (n.tier, distance.get((node.id, n.id), 255), n.id), default=None)


def _coldest(machine: Machine, node: SimNode, wanted: int, room: int, look: int) -> Iterator[tuple[SimProcess, Units]]:
    """The coldest folios of a node, by backing: until there are ``wanted`` pages, and never more than ``room``."""
    found: list[tuple[SimProcess, Units]] = []
    touched, chance = [], []
    for number, (process, backing) in enumerate(_backings(machine)):
        index = np.flatnonzero((backing.node == node.id) & (backing.flags & _KEPT == 0))
        units, starts = Units.of(backing, index)
        if not len(units):
            continue
        found.append((process, units))
        touched.append(np.add.reduceat(_touches_per_ns(machine, backing, index), starts) / units.pages)
        chance.append(draws(machine.seed, Stream.COLDNESS, units.head + (number << 40), look))
    if not found or wanted <= 0:
        return
    order = np.lexsort((np.concatenate(chance), np.concatenate(touched)))
    pages = np.concatenate([units.pages for _, units in found])
    total = np.cumsum(pages[order])
    chosen = order[(total - pages[order] < wanted) & (total <= room)]
    first = 0
    for process, units in found:
        mine = np.sort(chosen[(chosen >= first) & (chosen < first + len(units))]) - first
        first += len(units)
        if len(mine):
            yield process, units[mine]


def _backings(machine: Machine) -> Iterator[tuple[SimProcess, Backing]]:
    """All memory, each once, with the first process that maps it."""
    seen: set[int] = set()
    for _, process in sorted(machine.processes.items()):
        for region in process.regions:
            if id(region.backing) not in seen:
                seen.add(id(region.backing))
                yield process, region.backing


def _touches_per_ns(machine: Machine, backing: Backing, index: NDArray[np.int64]) -> NDArray[np.float64]:
    """Shape (pages,): how often each is touched, by all workloads together."""
    touches = np.zeros(len(index))
    for workload in machine.workloads:
        if workload.running and any(backing is each for each in workload.backings):
            row, weight = workload.weights_of(backing, index)
            touches += weight * workload.touches_of_all_per_ns()[row]
    return touches
