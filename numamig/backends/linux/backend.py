"""The Linux machine that this program runs on, as a ``Backend``."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property, partial
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from numamig.backends.base import MPOL_MF_MOVE, Capabilities, MovePagesCall, MovePagesReturn
from numamig.backends.linux import syscalls
from numamig.backends.linux.capabilities import balancing_mode, probe
from numamig.backends.linux.counters import CounterReader
from numamig.backends.linux.damon import Damon
from numamig.backends.linux.heat import why_not
from numamig.backends.linux.hints import HintClearer
from numamig.backends.linux.hold import ProcessHold
from numamig.backends.linux.hugetlb import HugetlbSizes, read_hugetlb_sizes
from numamig.backends.linux.maps import Span, parse_maps, parse_spans, read_maps
from numamig.backends.linux.pagemap import Pagemap
from numamig.backends.linux.pagereaders import OpenPagemap, read_runs
from numamig.backends.linux.procfs import read_process
from numamig.backends.linux.readers import Readers
from numamig.backends.linux.roster import Roster
from numamig.backends.linux.sysfs import read_text, read_topology
from numamig.clock import Clock, SystemClock
from numamig.errors import TargetGone
from numamig.model.finding import Finding
from numamig.model.pageflags import PageFlags
from numamig.model.pages import PageRuns, Ranges
from numamig.model.process import Hazards, MemoryImage, Process, ProcessFacts, Region, RegionPolicy
from numamig.model.topology import Health, NodeCounters, Topology

__all__ = ["LinuxBackend"]


class LinuxBackend:
    """Implements ``numamig.backends.base.Backend`` with the real calls.

    :param proc_root: where /proc is; another place for tests of what is read there
    :param sys_root: the same for /sys
    :param reader_threads: how many threads may read one process' pages together; two, where there are two CPUs
    """

    def __init__(
        self,
        proc_root: str | Path = "/proc",
        sys_root: str | Path = "/sys",
        *,
        clock: Clock | None = None,
        reader_threads: int | None = None,
    ) -> None:
        self.proc_root = Path(proc_root)
        self.sys_root = Path(sys_root)
        self._clock: Clock = clock or SystemClock()
        self._page_size = os.sysconf("SC_PAGESIZE")
        self._threads = reader_threads or min(2, len(os.sched_getaffinity(0)))
        self._capabilities: Capabilities | None = None
        self._hugetlb: HugetlbSizes | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._pool_size = 0
        self._lock = threading.Lock()
        self._hints = HintClearer(self.proc_root, self._clock)
        topology = self.topology()
        self._node_of_cpu = {cpu: node.id for node in topology.nodes for cpu in node.cpus}
        self._huge_page_size = topology.huge_page_size
        self._roster = Roster(self.proc_root, self._node_of_cpu.get, self._page_size)
        self.readers = Readers(
            self.proc_root, self.sys_root, self._ask, self._clock, self._page_size, topology.huge_page_size
        )

    @property
    def name(self) -> str:
        return "linux"

    @property
    def clock(self) -> Clock:
        return self._clock

    @property
    def capabilities(self) -> Capabilities:
        """Probed once, except for NUMA balancing: an operator may switch that off because of what we say of it."""
        if self._capabilities is None:
            see_frames = self.readers.frame_reader is not None
            no_heat = why_not(self.proc_root, self.sys_root, self._clock)
            self._capabilities = probe(self.proc_root, self.sys_root, see_frames=see_frames, no_heat=no_heat)
        balancing = balancing_mode(self.proc_root) > 0
        if balancing != self._capabilities.balancing:
            self._capabilities = dataclasses.replace(self._capabilities, balancing=balancing)
        return self._capabilities

    def topology(self) -> Topology:
        return read_topology(self.sys_root, self.proc_root, self._page_size)

    def processes(self) -> Sequence[Process]:
        """All that can be seen, without kernel threads; ``cpu_nodes`` knows the main thread only."""
        return self._roster.read()

    def process(self, pid: int) -> Process:
        process = read_process(
            self.proc_root, pid, self._node_of_cpu.get, all_threads=True, kernel_threads=True, my_uid=os.getuid()
        )
        if process is None:  # pragma: no cover - only where kernel threads are not wanted
            raise TargetGone(f"process {pid} is a kernel thread", pid=pid)
        return process

    def hold(self, process: Process) -> ProcessHold:
        return ProcessHold(self.proc_root, process, self._page_size, self._spans, self._runs, self._clock)

    def regions(self, pid: int) -> Sequence[Region]:
        return list(parse_maps(read_maps(self.proc_root, pid), self._sizes(), self._page_size))

    def page_runs(self, pid: int, ranges: Ranges) -> Iterator[PageRuns]:
        yield from self._runs(partial(Pagemap, self.proc_root, pid, self._page_size), self._spans(pid), ranges)

    def _spans(self, pid: int) -> list[Span]:
        return parse_spans(read_maps(self.proc_root, pid), self._sizes(), self._page_size)

    def _runs(self, open_pagemap: OpenPagemap, spans: Sequence[Span], ranges: Ranges) -> Iterator[PageRuns]:
        return read_runs(
            self.readers.current(),
            open_pagemap,
            spans,
            ranges,
            page_size=self._page_size,
            huge_page_size=self._huge_page_size,
            threads=self._threads,
        )

    def move_pages(
        self, pid: int, addresses: NDArray[np.uint64], nodes: NDArray[np.int32] | None, flags: int = MPOL_MF_MOVE
    ) -> MovePagesReturn:
        return syscalls.move_pages(pid, addresses, nodes, flags)

    def clear_hints(self, pid: int, addresses: NDArray[np.uint64]) -> bool:
        """By reading a byte of each page, where we may trace the process and nobody has a userfaultfd open."""
        return self._hints.clear(pid, addresses)

    def move_pages_together(self, calls: Sequence[MovePagesCall]) -> list[MovePagesReturn]:
        if len(calls) < 2:
            return [self.move_pages(*call) for call in calls]
        with self._lock:
            if self._pool is None or self._pool_size < len(calls):
                # Those still at work in the smaller pool finish there.
                self._pool = ThreadPoolExecutor(
                    len(calls), "numamig-move", initializer=_take_part_of_cpus, initargs=(count(), len(calls))
                )
                self._pool_size = len(calls)
            pool = self._pool
        waiting = [pool.submit(self.move_pages, *call) for call in calls]
        return [future.result() for future in waiting]

    def node_counters(self) -> NodeCounters:
        return self._counter_reader.read()

    def free_bytes(self, node: int) -> int:
        return self._counter_reader.free_bytes(node)

    @cached_property
    def _counter_reader(self) -> CounterReader:
        return CounterReader(self.sys_root, self.proc_root, self._page_size, self._clock)

    def _ask(self, pid: int, addresses: NDArray[np.uint64]) -> MovePagesReturn:
        return self.move_pages(pid, addresses, None)

    def _sizes(self) -> HugetlbSizes:
        if self._hugetlb is None:
            self._hugetlb = read_hugetlb_sizes(self.proc_root, self.sys_root)
        return self._hugetlb

    def health(self) -> Health:
        from numamig.backends.linux.health import read_health

        return read_health(self.proc_root, self._clock)

    def process_facts(self, pid: int) -> ProcessFacts:
        from numamig.backends.linux.facts import read_facts

        return read_facts(
            self.proc_root,
            pid,
            self._node_of_cpu.get,
            self.topology().memory_nodes,
            self.move_pages,
            self.readers.frame_reader is not None,
        )

    def policies(self, pid: int) -> Sequence[RegionPolicy]:
        from numamig.backends.linux.policies import read_policies

        return read_policies(self.proc_root, pid)

    def hazards(self, pid: int) -> Hazards:
        from numamig.backends.linux.hazards import read_hazards

        return read_hazards(self.proc_root, self.sys_root, pid, os.getpid())

    @property
    def boot_id(self) -> str:
        from numamig.backends.linux.image import read_boot_id

        return read_boot_id(self.proc_root)

    def memory_image(self, pid: int) -> MemoryImage:
        from numamig.backends.linux.image import read_memory_image

        return read_memory_image(self.proc_root, pid)

    def shared_pages(self, pid: int, addresses: NDArray[np.uint64]) -> NDArray[np.int8]:
        from numamig.backends.linux.sharing import read_shared

        return read_shared(self.proc_root, pid, addresses, self._page_size)

    def page_flags(self, pid: int, addresses: NDArray[np.uint64]) -> PageFlags:
        from numamig.backends.linux.pageflags import read_page_flags

        per_huge = self._huge_page_size // self._page_size
        return read_page_flags(
            self.proc_root, pid, addresses, self._page_size, self.readers.page_flags, max(1, per_huge)
        )

    def heat(self, pid: int, start: NDArray[np.uint64], end: NDArray[np.uint64]) -> NDArray[np.float32]:
        """By DAMON, which watches for a third of a second."""
        return Damon(self.proc_root, self.sys_root, self._clock).heat(pid, start, end)

    def huge_room(self, node: int) -> int:
        from numamig.backends.linux.sharing import parse_huge_room

        order = (self._huge_page_size // self._page_size).bit_length() - 1
        return parse_huge_room(read_text(self.proc_root / "buddyinfo") or "", node, order)

    def diagnose(self) -> list[Finding]:
        """What works here, by trying it out: see ``numamig.backends.linux.doctor``."""
        from numamig.backends.linux.doctor import diagnose

        return diagnose(self)


def _take_part_of_cpus(numbers: Iterator[int], threads: int) -> None:
    """Bind the calling thread to its share of the CPUs that it may run on.

    Across nodes the scheduler is in no hurry to part two threads that were started on one CPU
    (kernel/sched/fair.c, ``adjust_numa_imbalance``), and together they would take as long as one.
    """
    cpus = sorted(os.sched_getaffinity(0))
    with suppress(OSError):  # a CPU went offline, or a cpuset changed: then the scheduler has to do
        os.sched_setaffinity(0, cpus[next(numbers) % threads :: threads] or cpus)
