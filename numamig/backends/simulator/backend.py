"""The simulator as a backend: what tools see of the simulated machine."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from numamig.backends.base import MPOL_MF_MOVE, Capabilities, FolioCost, MovePagesCall, MovePagesReturn
from numamig.backends.simulator import calls, facts, foresight, heat
from numamig.backends.simulator.folios import mapped_huge_between
from numamig.backends.simulator.machine import Machine
from numamig.backends.simulator.memory import ABSENT, Flag, all_are
from numamig.backends.simulator.process import SimProcess, SimRegion
from numamig.backends.simulator.rating import huge_pools, rated
from numamig.backends.simulator.timeline import MachineClock
from numamig.errors import RefusedError, TargetGone
from numamig.model.finding import Finding
from numamig.model.pageflags import PageFlags
from numamig.model.pages import UNKNOWN_NODE, PageRuns, Ranges, clip_ranges
from numamig.model.process import Hazards, MemoryImage, Process, ProcessFacts, Region, RegionKind, RegionPolicy
from numamig.model.topology import Health, Node, NodeCounters, Switches, Topology, Watermarks
from numamig.model.workings import Workings

__all__ = ["SimulatorBackend"]

_CHUNK_PAGES = 1 << 20
# Plain numbers: looking up members of an IntFlag costs more than the array operations they are used in.
_LARGE_FLAG = int(Flag.LARGE)
_HINTED_FLAG = int(Flag.HINTED)
_ZERO_FLAG = int(Flag.ZERO)


class SimulatedHold:
    """A process by its pid and start time."""

    def __init__(self, backend: SimulatorBackend, process: Process) -> None:
        self._backend = backend
        self._identity = process.identity

    def check(self) -> None:
        pid, start_time = self._identity
        process = self._backend.machine.process(pid)
        if process.start_time != start_time or process.zombie:
            raise TargetGone(f"process {pid} has ended", pid=pid)

    def page_runs(self, ranges: Ranges) -> Iterator[PageRuns]:
        self.check()
        return self._backend.page_runs(self._identity[0], ranges)

    def close(self) -> None:
        """Nothing is held in a machine in memory."""


class SimulatorBackend:
    """A ``Machine`` behind the protocol of ``numamig.backends.base``."""

    name = "simulator"

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        caller = machine.caller
        self._capabilities = Capabilities(
            kernel=machine.kernel.name,
            machine=machine.title,
            scenario=machine.scenario,
            user=caller.user,
            simulated=True,
            virtual_time=True,
            lasting=machine.keeper is not None,
            move_others=caller.sys_ptrace,
            move_shared=caller.sys_nice,
            see_pfn=caller.sys_admin,
            heat=caller.sys_admin,
            missing=facts.missing(caller),
        )

    @property
    def capabilities(self) -> Capabilities:
        if self._capabilities.balancing != bool(self.machine.balancing):
            self._capabilities = replace(self._capabilities, balancing=bool(self.machine.balancing))
        return self._capabilities

    @property
    def clock(self) -> MachineClock:
        return self.machine.clock

    def topology(self) -> Topology:
        page, huge = self.machine.page_bytes, self.machine.kernel.huge_bytes
        nodes = tuple(
            Node(
                n.id,
                n.cpus,
                n.total_pages * page,
                n.free_pages * page,
                n.tier,
                n.label,
                () if n.package is None else (n.package,),
                rated(self.machine, n),
            )
            for n in sorted(self.machine.nodes.values(), key=lambda n: n.id)
        )
        folios = {
            region.backing.folio_pages * page
            for process in (self.machine.processes.values() if self.machine.kernel.mthp else ())
            for region in process.regions
        }
        return Topology(nodes, self.machine.distances, page, huge, tuple(sorted(s for s in folios if page < s < huge)))

    def processes(self) -> Sequence[Process]:
        with self.machine.lock:
            return [
                facts.seen(self.machine, p) for _, p in sorted(self.machine.processes.items()) if not p.kernel_thread
            ]

    def process(self, pid: int) -> Process:
        with self.machine.lock:
            return facts.seen(self.machine, self.machine.process(pid))

    def hold(self, process: Process) -> SimulatedHold:
        held = SimulatedHold(self, process)
        held.check()
        return held

    def regions(self, pid: int) -> Sequence[Region]:
        with self.machine.lock:
            return [
                Region(r.start, r.end, r.kind, r.permissions, r.path, r.page_size) for r in self._looked_at(pid).regions
            ]

    def page_runs(self, pid: int, ranges: Ranges) -> Iterator[PageRuns]:
        if len(ranges) == 1:
            (start, end), process = ranges[0], self._looked_at(pid)
            region = process.region_at(start)
            short = region is not None and end - start <= _CHUNK_PAGES * region.backing.page_bytes
            if region is not None and short and end <= region.end and region.kind is not RegionKind.SPECIAL:
                with self.machine.lock:
                    return iter((self._runs(region, start, end, region.start)[0],))
        return self._page_runs(pid, ranges)

    def _page_runs(self, pid: int, ranges: Ranges) -> Iterator[PageRuns]:
        for region in list(self._looked_at(pid).regions):
            if region.kind is RegionKind.SPECIAL:
                continue
            seen, chunk = region.start, _CHUNK_PAGES * region.backing.page_bytes
            for start, end in clip_ranges(ranges, region.start, region.end):
                for low in range(start, end, chunk):
                    with self.machine.lock:
                        self.machine.process(pid)
                        runs, seen = self._runs(region, low, min(end, low + chunk), seen)
                    yield runs

    def move_pages(
        self, pid: int, addresses: NDArray[np.uint64], nodes: NDArray[np.int32] | None, flags: int = MPOL_MF_MOVE
    ) -> MovePagesReturn:
        with self.machine.lock:
            self.clock.act()
            return calls.carry_out_alone(self.machine, MovePagesCall(pid, addresses, nodes, flags))

    def move_pages_together(self, calls_: Sequence[MovePagesCall]) -> list[MovePagesReturn]:
        """In virtual time they all begin at once, and share what they share."""
        with self.machine.lock:
            self.clock.act()
            return calls.carry_out(self.machine, calls_)

    def clear_hints(self, pid: int, addresses: NDArray[np.uint64]) -> bool:
        """As reading a byte of each page would, where the caller may trace the process."""
        with self.machine.lock:
            process = self.machine.process(pid)
            if not (self.machine.may_look_at(process) and self.machine.caller.trace):
                return False
            calls.clear_hints(self.machine, process, addresses)
            return True

    def process_facts(self, pid: int) -> ProcessFacts:
        with self.machine.lock:
            return facts.process_facts(self.machine, self.machine.process(pid))

    def hazards(self, pid: int) -> Hazards:
        with self.machine.lock:
            return foresight.hazards(self.machine, self.machine.process(pid))

    def shared_pages(self, pid: int, addresses: NDArray[np.uint64]) -> NDArray[np.int8]:
        with self.machine.lock:
            return foresight.shared_pages(self.machine, self._looked_at(pid), addresses)

    def page_flags(self, pid: int, addresses: NDArray[np.uint64]) -> PageFlags:
        with self.machine.lock:
            return foresight.page_flags(self.machine, self._looked_at(pid), addresses)

    def heat(self, pid: int, start: NDArray[np.uint64], end: NDArray[np.uint64]) -> NDArray[np.float32]:
        """As it is now, and in no time: nothing is watched for it."""
        with self.machine.lock:
            process = self._looked_at(pid)
            if not self.machine.caller.sys_admin:
                raise RefusedError(facts.NO_HEAT, hint="in the scenario: `caller: {sys_admin: true}`", pid=pid)
            return heat.heat(self.machine, process, start, end)

    def folio_cost(self, pid: int, folio_bytes: int) -> FolioCost | None:
        with self.machine.lock:
            return foresight.folio_cost(self.machine, self.machine.process(pid), folio_bytes)

    @property
    def boot_id(self) -> str:
        return self.machine.boot_id

    def memory_image(self, pid: int) -> MemoryImage:
        """A simulated process keeps its program: pid and start time tell it from others of the same boot."""
        process = self.machine.process(pid)
        program = zlib.crc32(process.name.encode())
        return MemoryImage(self.machine.boot_id, pid, process.start_time, (0, program), ())

    def policies(self, pid: int) -> Sequence[RegionPolicy]:
        with self.machine.lock:
            return facts.policies(self._looked_at(pid))

    def node_counters(self) -> NodeCounters:
        with self.machine.lock:
            nodes, page = self.machine.nodes.values(), self.machine.page_bytes
            return NodeCounters(
                self.clock.now_ns(),
                {node.id: node.free_pages * page for node in nodes},
                dict(self.machine.vmstat),
                # In the proportions of mm/page_alloc.c: low and high are a quarter and a half above min.
                watermarks={
                    node.id: Watermarks(*(node.reserve_pages * page * quarters // 4 for quarters in (4, 5, 6)))
                    for node in nodes
                    if node.reserve_pages
                },
                huge_pools=huge_pools(self.machine),
                switches=Switches(balancing=self.machine.balancing, demotion=self.machine.demotion),
            )

    def free_bytes(self, node: int) -> int:
        found = self.machine.nodes.get(node)
        return found.free_pages * self.machine.page_bytes if found is not None else 0

    def health(self) -> Health:
        with self.machine.lock:
            return Health(self.clock.now_ns(), self.machine.stalled, self.machine.vmstat.get("pswpout", 0))

    def workings(self) -> Workings:
        return self.machine.workings()

    def diagnose(self) -> list[Finding]:
        """Nothing can be wrong with a machine in memory, except what its scenario takes away."""
        return facts.diagnose(self.machine)

    def _looked_at(self, pid: int) -> SimProcess:
        process = self.machine.process(pid)
        if not self.machine.may_look_at(process):
            raise RefusedError(
                f"no right to look at pid {pid} ({process.name!r}, user {process.user})",
                hint="it takes CAP_SYS_PTRACE, or being the same user",
                pid=pid,
            )
        return process

    def _runs(self, region: SimRegion, start: int, end: int, seen: int) -> tuple[PageRuns, int]:
        """Present pages of one region between two addresses; a huge page at either end is whole.

        :param seen: nothing below this address is shown, since it has been
        :returns: the pages, and the address up to which pages were shown
        """
        backing, kernel = region.backing, self.machine.kernel
        page, folio = backing.page_bytes, backing.folio_pages
        low, high = (start - region.start) // page, -(-(end - region.start) // page)
        # Page tables show huge pages; other folios look like the pages that they are made of.
        flags = backing.flags
        if flags[low + region.first] & _LARGE_FLAG and mapped_huge_between(region, low, low + 1, kernel)[0]:
            low -= (low + region.first) % folio
        if flags[high - 1 + region.first] & _LARGE_FLAG and mapped_huge_between(region, high - 1, high, kernel)[0]:
            high += -(high + region.first) % folio
        low = max(low, (seen - region.start) // page)
        if low >= high:
            return PageRuns.empty(), seen
        self.clock.look_ns(self.machine.costs.looking(high - low))
        here = slice(low + region.first, high + region.first)
        node, flags = backing.node[here], flags[here]
        start = region.start + low * page
        if all_are(node, on := int(node[0])) and all_are(flags, 0):  # the whole of it in one run
            if on == ABSENT:
                return PageRuns.empty(), region.start + high * page
            return PageRuns(
                np.array((start,), np.uint64),
                np.array((page,), np.int64),
                np.array((high - low,), np.int64),
                np.array((on,), np.int16),
            ), region.start + high * page
        kind = node.astype(np.int16)
        large = mapped_huge_between(region, low, high, kernel)
        kind[large] |= 256
        absent = (node == ABSENT) | (flags & _ZERO_FLAG != 0)
        kind[absent] = -1
        if not self.machine.caller.sys_admin and not self.machine.kernel.sees_hinted:
            hidden = (flags & _HINTED_FLAG != 0) & ~absent
            kind[hidden] = np.where(large[hidden], -3, -2)
        first = np.concatenate(([0], np.flatnonzero(np.diff(kind)) + 1))
        pages = np.diff(np.concatenate((first, [high - low])))
        kinds = kind[first]
        keep = kinds != -1
        first, pages, kinds = first[keep], pages[keep], kinds[keep]
        huge = (kinds == -3) | ((kinds > 0) & (kinds & 256 != 0))
        runs = PageRuns(
            address=(region.start + (low + first) * page).astype(np.uint64),
            page_size=np.where(huge, folio * page, page).astype(np.int64),
            count=np.where(huge, pages // folio, pages).astype(np.int64),
            node=np.where(kinds < 0, UNKNOWN_NODE, kinds & 255).astype(np.int16),
        )
        return runs, region.start + high * page
