"""What moving a page cost on the machine of 2004, and where each of these numbers comes from.

16 Itanium 2 at 1.3 GHz on four nodes, pages of 16 KiB. The thread is "Migrate pages from a ccNUMA node to another" on
linux-ia64, March and April 2004. docs/simulator.md explains the terms; no number here is fitted to a moving time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields

from numamig.backends.simulator.costs import Number, Parameter

__all__ = ["RemapCosts"]

_CACHES = "read: 7-cpu.com, Itanium 2 measured at 1.3 GHz: 1 cycle, 4 more in the second cache, 10 more in the third"
_STEPS = "assumed: a few uncontended atomic operations and list updates each; together 3 % of a page"


def _parameter(value: Number, unit: str, source: str) -> Number:
    return field(default=value, metadata={"symbol": "", "unit": unit, "source": source})


@dataclass(frozen=True, slots=True)
class RemapCosts:
    """The parameters, and what follows from them. Latencies of memory are the machine's (``AccessModel``)."""

    clock_ghz: float = _parameter(1.3, "GHz", "read: the thread")
    entry_bytes: int = _parameter(8, "bytes/PTE", "read: ia64; 2,048 of them in a page, as the thread says")
    entry_cycles: float = _parameter(
        6.5,
        "cycles/PTE",
        "assumed: 6 to 7; load, test for present, extract the page's number, compare, two branches, nothing overlapped",
    )
    """Look at one page table entry that is in the first cache."""
    probe_cycles: float = _parameter(
        3.0, "cycles", "assumed: one step of a binary search in a list that fits into the first cache"
    )
    near_line_bytes: int = _parameter(64, "bytes", "read: 7-cpu.com, line of the first cache")
    l2_cycles: int = _parameter(5, "cycles", _CACHES)
    l3_cycles: int = _parameter(15, "cycles", _CACHES)
    l2_bytes: int = _parameter(256 << 10, "bytes", "read: the thread")
    l3_bytes: int = _parameter(3 << 20, "bytes", "read: the thread, 'at least 3 Mbytes'")
    allocation_ns: float = _parameter(500.0, "ns/page", _STEPS)
    """Take the new page from the free list of its node."""
    page_locks_ns: float = _parameter(200.0, "ns/page", _STEPS)
    """Lock and unlock both pages."""
    table_lock_ns: float = _parameter(150.0, "ns/hold", _STEPS)
    unmap_ns: float = _parameter(300.0, "ns/mapping", _STEPS)
    """Find a mapping by the reverse map and take it down; putting it up again takes as long."""
    flush_ns: float = _parameter(
        700.0, "ns/mapping", "assumed: one ptc.ga, a purge that the bus broadcasts to all CPUs; no interrupts on ia64"
    )
    writeback_ns: float = _parameter(
        8_000_000.0,
        "ns",
        "assumed: a write to a SCSI disk of 10,000 turns a minute: half a turn, 3 ms, and 5 ms of seeking",
    )
    """From the beginning of a list until its pages are written that are being written back then: all at once."""
    reference_ns: float = _parameter(
        1_000.0, "ns", "assumed: so long a thread that touched a page may be in the kernel with it, and holds it"
    )
    """A page that was touched within it is busy: so heat makes pages busy."""
    fault_ns: float = _parameter(1_500.0, "ns/fault", "assumed: enter the fault handler, find nothing to do, return")
    wake_ns: float = _parameter(5_000.0, "ns", "assumed: from the unlocking of a page until who slept on it runs")

    def provenance(self) -> list[Parameter]:
        """Every parameter with its unit and its source."""
        return [Parameter(each.name, value=getattr(self, each.name), **each.metadata) for each in fields(self)]

    def copy_ns(self, read_ns: float, write_ns: float, page_bytes: int, line_bytes: int) -> float:
        """Copying a page line by line: reading one and owning the other go on at once, and the farther one counts.

        :param read_ns: latency from the executing CPU to the old page
        :param write_ns: the same to the new one
        """
        return page_bytes / line_bytes * max(read_ns, write_ns)

    def walk_ns(
        self, entries: int, line_bytes: int, *, reused_bytes: float = math.inf, memory_ns: float = 0.0
    ) -> float:
        """Walking over page table entries in their order.

        :param reused_bytes: what the CPU has gone through since it was last here: it decides which cache has them
        :param memory_ns: latency where they are in none
        """
        cycles = entries * self.entry_cycles
        near_lines = entries * self.entry_bytes / self.near_line_bytes
        lines = entries * self.entry_bytes / line_bytes
        cycles += near_lines * (self.l2_cycles - 1)
        if reused_bytes > self.l3_bytes:
            return cycles / self.clock_ghz + lines * memory_ns
        if reused_bytes > self.l2_bytes:
            cycles += lines * (self.l3_cycles - self.l2_cycles)
        return cycles / self.clock_ghz

    def look_up_ns(self, listed: int) -> float:
        """Seeing whether one page is on a sorted list of so many."""
        return self.probe_cycles * math.ceil(math.log2(listed + 1)) / self.clock_ghz
