"""Why pages are elsewhere than they were put: worked out from what the kernel counts, and from where they are now.

A page that changes its node is either migrated, and then it is counted in pgmigrate_success, whoever had it done; or it
is given back and allocated anew. Balancing and demotion count what they migrate once more, in counters of their own:
what is left is somebody else's. All counters are the machine's, not the process's: a cause is likely, never certain.
Source: mm/migrate.c (migrate_pages, migrate_misplaced_folio), mm/vmscan.c (demote_folio_list).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Final

from numamig.model.finding import Finding, Severity
from numamig.model.topology import NodeCounters, Switches, Topology
from numamig.units import format_count

__all__ = ["Cause", "Change", "Movements", "Surroundings", "attribute", "describe"]


class Cause(StrEnum):
    """What drift is put down to: ``Finding.check`` of what a watch says."""

    NONE = "none"
    """Nothing has drifted."""
    BALANCING = "balancing"
    DEMOTION = "demotion"
    TOOL = "tool"
    """Somebody had them migrated: move_pages, migrate_pages, mbind, a cpuset."""
    FAULTS = "faults"
    """They were given back and allocated anew."""
    RECLAIM = "reclaim"
    """They were taken from memory, and perhaps came back elsewhere."""
    RELEASED = "released"
    """The process gave them back."""
    BEFORE = "before"
    """They were not in place when the watch began."""
    PROCESS = "process"
    """It ended, or replaced its memory."""
    UNKNOWN = "unknown"


_RECLAIMED: Final = ("pgsteal_kswapd", "pgsteal_direct", "pgsteal_khugepaged", "pgsteal_proactive")
_DEMOTED: Final = ("pgdemote_kswapd", "pgdemote_direct", "pgdemote_khugepaged", "pgdemote_proactive")


@dataclass(frozen=True, slots=True)
class Movements:
    """What a machine has counted since it began, or between two readings; base pages, but for the faults."""

    taken_ns: int
    migrated: int | None
    """pgmigrate_success: by whomever, compaction included. None where the kernel does not count, and then nothing can
    be told from any of them."""
    balanced: int
    """numa_pages_migrated."""
    hint_faults: int
    """numa_hint_faults: marked pages that were touched."""
    demoted: int
    """pgdemote_…"""
    compacted: int
    """compact_isolated: pages that compaction took up, to migrate them within their node or to migrate others to."""
    reclaimed: int
    """pgsteal_…"""
    swapped_out: int
    swapped_in: int

    @classmethod
    def of(cls, counters: NodeCounters) -> Movements:
        """From one reading of a backend."""
        vmstat = counters.vmstat
        return cls(
            counters.taken_ns,
            vmstat.get("pgmigrate_success"),
            vmstat.get("numa_pages_migrated", 0),
            vmstat.get("numa_hint_faults", 0),
            sum(vmstat.get(name, 0) for name in _DEMOTED),
            vmstat.get("compact_isolated", 0),
            sum(vmstat.get(name, 0) for name in _RECLAIMED),
            vmstat.get("pswpout", 0),
            vmstat.get("pswpin", 0),
        )

    def since(self, earlier: Movements) -> Movements:
        """What was counted after ``earlier``; ``taken_ns`` is how long that was."""
        grown = {f.name: getattr(self, f.name) for f in fields(self)}
        for name, count in grown.items():
            before = getattr(earlier, name)
            grown[name] = None if count is None or before is None else max(0, count - before)
        return Movements(**grown)

    def plus(self, other: Movements) -> Movements:
        """Of two intervals together."""
        sums = {f.name: getattr(self, f.name) for f in fields(self)}
        for name, count in sums.items():
            more = getattr(other, name)
            sums[name] = None if count is None or more is None else count + more
        return Movements(**sums)

    def as_dict(self) -> dict[str, int | None]:
        """To be kept; ``Movements(**kept)`` is the same again."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @property
    def by_others(self) -> int:
        """Migrated, and neither by balancing nor by demotion."""
        return max(0, (self.migrated or 0) - self.balanced - self.demoted)


@dataclass(frozen=True, slots=True)
class Change:
    """What has become of pages between two looks, in estimated base pages."""

    left: Mapping[tuple[int, int], float]
    """(from, to) → pages that were in place and are present on another node now."""
    fresh: float
    """Absent before, and present now on another node than they should be."""
    gone: float
    """In place before, and absent now."""
    error: float
    """Pages by which each of these may be wrong."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Which causes are possible at all."""

    switches: Switches
    cpu_nodes: frozenset[int]
    """Where threads of the process were seen; empty where not known."""
    tiers: Mapping[int, int] = field(default_factory=dict)
    """Node → memory tier, where it has one."""

    @classmethod
    def of(cls, topology: Topology, switches: Switches, cpu_nodes: frozenset[int]) -> Surroundings:
        return cls(switches, cpu_nodes, {n.id: n.tier for n in topology.nodes if n.tier is not None})

    def demotes(self, source: int, target: int) -> bool:
        """Whether demotion moves pages this way: only ever to a slower tier."""
        here, there = self.tiers.get(source), self.tiers.get(target)
        return here is None or there is None or there > here

    def balances(self, target: int) -> bool:
        """Whether balancing brings pages to a node: to one where threads run, or, with tiering, to a fast one."""
        tiering = (self.switches.balancing or 0) & 2
        return bool(tiering) or not self.cpu_nodes or target in self.cpu_nodes


def attribute(change: Change, counted: Movements, around: Surroundings) -> dict[Cause, float]:
    """Pages by likely cause; they add up to all that changed.

    Each way that pages went takes from what was counted: the causes that go this way first, then the others. What was
    not migrated by anybody was allocated anew.
    """
    found: dict[Cause, float] = {}

    def put_down(cause: Cause, pages: float) -> None:
        if pages > 0:
            found[cause] = found.get(cause, 0.0) + pages

    if counted.migrated is None:
        put_down(Cause.UNKNOWN, sum(change.left.values()) + change.fresh + change.gone)
        return found
    budget = {
        Cause.DEMOTION: float(counted.demoted),
        Cause.BALANCING: float(counted.balanced),
        Cause.TOOL: float(max(0, counted.by_others - counted.compacted)),
        # Compaction leaves pages on their node, but how much of what was migrated was its work nobody counts.
        Cause.UNKNOWN: float(min(counted.by_others, counted.compacted)),
    }
    unexplained = 0.0
    for (source, target), pages in change.left.items():
        likely = {
            Cause.DEMOTION: around.demotes(source, target),
            Cause.BALANCING: around.balances(target),
            Cause.TOOL: True,
            Cause.UNKNOWN: False,
        }
        rest = pages
        for cause in sorted(budget, key=lambda cause: not likely[cause]):
            part = min(rest, budget[cause])
            put_down(cause, part)
            budget[cause] -= part
            rest -= part
        unexplained += rest
    if found and unexplained <= change.error:
        put_down(max(found, key=lambda cause: found[cause]), unexplained)  # no more than the estimate may be wrong
        unexplained = 0.0
    anew = unexplained + change.fresh
    put_down(Cause.RECLAIM if counted.swapped_in >= anew / 2 > 0 else Cause.FAULTS, anew)
    put_down(Cause.RECLAIM if counted.reclaimed >= change.gone / 2 > 0 else Cause.RELEASED, change.gone)
    return found


def describe(cause: Cause, pages: float, counted: Movements, around: Surroundings) -> Finding:
    """One cause in words, with its evidence and what helps.

    :param counted: while pages were put down to it
    """
    reason, remedy = _WORDS[cause]
    if cause is Cause.UNKNOWN and counted.migrated is None:
        reason = "{pages} pages have drifted, and why is not known: this kernel does not count what is migrated"
    numbers = {f.name: format_count(getattr(counted, f.name) or 0) for f in fields(counted)}
    numbers |= {"pages": format_count(round(pages)), "by_others": format_count(counted.by_others)}
    mode = around.switches.balancing_words or "no switch"
    severity = Severity.OK if cause is Cause.NONE else Severity.WARNING
    return Finding(cause.value, severity, reason.format_map(numbers | {"mode": mode}), remedy)


_WORDS: Final[Mapping[Cause, tuple[str, str]]] = {
    Cause.NONE: ("nothing has drifted", ""),
    Cause.BALANCING: (
        (
            "NUMA balancing ({mode} now) is the likely cause for {pages} pages: meanwhile it migrated {balanced}, "
            "after {hint_faults} hint faults"
        ),
        "sysctl kernel.numa_balancing=0, or bind the memory, or let the threads run where it is",
    ),
    Cause.DEMOTION: (
        "demotion is the likely cause for {pages} pages: meanwhile the kernel demoted {demoted} to slower nodes",
        "make room on the node, or echo false > /sys/kernel/mm/numa/demotion_enabled",
    ),
    Cause.TOOL: (
        (
            "another tool is the likely cause for {pages} pages: meanwhile {by_others} were migrated, neither by "
            "balancing ({balanced}) nor by demotion ({demoted})"
        ),
        "look for numad, migratepages, a container manager that writes cpuset.mems, or another job (numamig jobs)",
    ),
    Cause.FAULTS: (
        (
            "{pages} pages were allocated anew and not migrated: given back and touched again, copied on write, or "
            "collapsed to huge ones (only {migrated} were migrated meanwhile)"
        ),
        "let the threads run on the target, or bind the memory there (numactl --membind), and move them again",
    ),
    Cause.RECLAIM: (
        (
            "memory is short, which is the likely cause for {pages} pages: meanwhile {reclaimed} were reclaimed, "
            "{swapped_out} swapped out and {swapped_in} swapped in"
        ),
        "make room on the node; what comes back is allocated where the thread runs that touches it",
    ),
    Cause.RELEASED: (
        (
            "{pages} pages are absent: only {reclaimed} were reclaimed meanwhile, so the process is likely to have "
            "given them back itself"
        ),
        "",
    ),
    Cause.BEFORE: (
        "{pages} pages were not in place when the watch began",
        "move them again; a job's account says why pages stayed",
    ),
    Cause.PROCESS: ("nothing left to watch: the process ended, or replaced its memory", ""),
    Cause.UNKNOWN: (
        (
            "{pages} pages have drifted, and why is not known: {by_others} were migrated meanwhile, by a tool or by "
            "compaction within nodes"
        ),
        "look for numad, migratepages, or a container manager that writes cpuset.mems",
    ),
}
