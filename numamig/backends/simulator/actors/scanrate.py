"""How often NUMA balancing scans a process: more often while that brings pages home, less often where it does not.

Source: kernel/sched/fair.c of 6.1 (task_scan_min, task_scan_max, update_task_scan_period); read, and written anew.
"""

from __future__ import annotations

from dataclasses import dataclass

from numamig.backends.simulator.actors.base import parameter

__all__ = ["FaultTally", "ScanRate", "ScanSettings"]

_SYSCTL = "read: default of /sys/kernel/debug/sched/numa_balancing, kernel/sched/fair.c 6.1"
_SLOTS = 10
"""NUMA_PERIOD_SLOTS: a period is changed by tenths of itself."""
_THRESHOLD = 7
"""NUMA_PERIOD_THRESHOLD: from seven tenths on, faults are mostly local, or mostly private."""


@dataclass(frozen=True, slots=True)
class ScanSettings:
    """Parameters of scanning."""

    delay_ns: int = parameter(1_000_000_000, "ns", f"{_SYSCTL}: scan_delay_ms")
    """Before a process is scanned for the first time; also its first period."""
    period_min_ns: int = parameter(1_000_000_000, "ns", f"{_SYSCTL}: scan_period_min_ms")
    """For as much memory as is scanned at a time; a process of n windows is scanned n times as often."""
    period_max_ns: int = parameter(60_000_000_000, "ns", f"{_SYSCTL}: scan_period_max_ms")
    size_bytes: int = parameter(256 << 20, "bytes", f"{_SYSCTL}: scan_size_mb")
    """Marked at a time."""
    most_bytes_per_s: int = parameter(2560 << 20, "bytes/s", "read: MAX_SCAN_WINDOW, kernel/sched/fair.c 6.1")
    """Never scanned faster than this."""
    widest: int = parameter(8, "1", "read: virtpages = pages * 8 in task_numa_work, kernel/sched/fair.c 6.1")
    """As many times ``size_bytes`` of addresses are walked at a time where there is little to mark."""

    def windows(self, resident_bytes: int) -> int:
        """In how many windows a process is scanned."""
        return max(1, -(-resident_bytes // self.size_bytes))

    def shortest_ns(self, resident_bytes: int) -> int:
        windows = max(1, self.most_bytes_per_s // self.size_bytes)
        return max(1_000_000_000 // windows, self.period_min_ns // self.windows(resident_bytes))

    def longest_ns(self, resident_bytes: int) -> int:
        return max(self.shortest_ns(resident_bytes), self.period_max_ns // self.windows(resident_bytes))


@dataclass(slots=True)
class FaultTally:
    """Base pages of the faults since the period was last looked at."""

    local: int = 0
    remote: int = 0
    private: int = 0
    shared: int = 0
    failed: int = 0
    """That should have moved and did not."""


class ScanRate:
    """The scan period of one process."""

    def __init__(self, settings: ScanSettings) -> None:
        self.settings = settings
        self.period_ns = settings.delay_ns

    def adapt(self, tally: FaultTally, resident_bytes: int) -> None:
        """A pass over the process has ended."""
        shortest, longest = self.settings.shortest_ns(resident_bytes), self.settings.longest_ns(resident_bytes)
        if tally.local + tally.shared == 0 or tally.failed:
            # Nobody is at home, or the pages find no room: there is nothing to hurry for.
            self.period_ns = min(longest, self.period_ns * 2)
            return
        slot = -(-self.period_ns // _SLOTS)
        local = tally.local * _SLOTS // (tally.local + tally.remote)
        private = tally.private * _SLOTS // (tally.private + tally.shared)
        if private >= _THRESHOLD:
            change = max(1, private - _THRESHOLD)
        elif local >= _THRESHOLD:
            change = max(1, local - _THRESHOLD)
        else:
            change = max(local, private) - _THRESHOLD
        self.period_ns = min(longest, max(shortest, self.period_ns + change * slot))
