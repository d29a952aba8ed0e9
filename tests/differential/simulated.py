"""The same case on the simulated machine, built from what the guest says was really made.

The only file here that knows the simulator's classes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.kernels import KERNELS
from numamig.backends.simulator.machine import Machine
from numamig.backends.simulator.memory import ABSENT, PAGE, Backing, Flag, SimNode
from numamig.backends.simulator.process import Caller, SimProcess, SimRegion
from numamig.model.process import RegionKind
from tests.differential.case import AreaSpec, AreaTruth, CallAnswer, CallSpec, Case, Report
from tests.differential.recipes import FOUND

__all__ = ["answers"]

_NODE_PAGES = 128 << 10
_PIDS = {"target": 1000, "unused": 99_999, "zombie": 500, "kernel": 2, "negative": -1000}
_CALLERS = {
    "root": Caller(),
    "root_without_nice": Caller(sys_nice=False),
    "root_without_ptrace": Caller(sys_ptrace=False),
    "nobody": Caller("nobody", sys_nice=False, sys_ptrace=False, sys_admin=False, trace=False),
}
_KINDS = {
    "anon": RegionKind.ANON,
    "shared": RegionKind.SHMEM,
    "memfd": RegionKind.SHMEM,
    "memfd_private": RegionKind.FILE,
    "file": RegionKind.FILE,
    "hugetlb": RegionKind.HUGETLB,
    "hugetlb_shared": RegionKind.HUGETLB,
    "text": RegionKind.FILE,
    "vdso": RegionKind.SPECIAL,
    "vvar": RegionKind.SPECIAL,
}


def answers(case: Case, report: Report, kernel: str) -> Iterator[CallAnswer]:
    """What the simulator says to each call, one after the other: as the guest reports it."""
    machine = Machine([SimNode(n, (n,), _NODE_PAGES, _NODE_PAGES) for n in range(3)], kernel=KERNELS[kernel])
    if crowd := case["crowd"]:
        machine.nodes[crowd["node"]].free_pages = crowd["leave"]
    machine.add(SimProcess(_PIDS["kernel"], "kthreadd", kernel_thread=True, capable=True))
    machine.add(SimProcess(_PIDS["zombie"], "python", zombie=True, capable=True))
    areas = [_Area(machine, *pair) for pair in zip(case["areas"], report["areas"], strict=True)]
    target = case["target"]
    machine.add(
        SimProcess(
            _PIDS["target"],
            "python",
            user=target["user"],
            capable=target["user"] == "root",
            regions=[region for area in areas for region in area.regions],
            mems_allowed=None if target["cpuset"] is None else frozenset(target["cpuset"]),
        )
    )
    backend = SimulatorBackend(machine)
    for call in case["calls"]:
        yield _answer(backend, call, areas)


def _answer(backend: SimulatorBackend, call: CallSpec, areas: list[_Area]) -> CallAnswer:
    backend.machine.caller = _CALLERS[call["caller"]]
    addresses = [areas[area].address(offset) if area >= 0 else offset for area, offset in call["addresses"]]
    nodes = call["nodes"]
    answer = backend.move_pages(
        _PIDS[call["pid"]],
        np.array(addresses, np.uint64),
        None if nodes is None else np.array(nodes, np.int32),
        call["flags"],
    )
    return [answer.returned, answer.errno, answer.status.tolist(), [area.placement() for area in areas]]


class _Area:
    """One area: one backing, and a region over a part of it for each mapping."""

    def __init__(self, machine: Machine, spec: AreaSpec, truth: AreaTruth) -> None:
        self.start, self._pages = truth["start"], truth["pages"]
        self._found = spec["recipe"] in FOUND
        self._backing = backing = Backing.untouched(self._pages)
        self._place(machine, truth)
        if spec["map"] == "vvar":
            # No way to look shows it: its first page is always mapped, for the clock, and no other.
            backing.node[0] = 0
            backing.flags[0] = Flag.ZERO
        for name, first, count, *_ in spec["steps"]:
            if name == "pin":
                backing.flags[first : first + count] |= np.uint8(Flag.PINNED)
        if spec["map"] == "vdso":
            backing.flags |= np.uint8(Flag.ISOLATED)
        self.regions = []
        for start, end, permissions, path in truth["mappings"]:
            first, length = (start - self.start) // PAGE, (end - start) // PAGE
            self.regions.append(
                SimRegion(start, backing, _KINDS[spec["map"]], permissions, path, first=first, length=length)
            )

    def _place(self, machine: Machine, truth: AreaTruth) -> None:
        backing = self._backing
        letters = np.array(list("".join(letter * int(count) for count, letter in _runs(truth["placement"]))))
        present = np.isin(letters, list("012"))
        machine.place(backing, 0, np.where(present, letters, str(ABSENT)).astype(np.uint8))
        backing.node[letters == "z"] = 0
        backing.flags[letters == "z"] |= np.uint8(Flag.ZERO)
        if (letters == "z").all() and self._pages >= backing.folio_pages:
            backing.flags |= np.uint8(Flag.LARGE)  # the huge zero page
        sizes = {size for _, _, _, size, _ in truth["folios"] if size > 1}
        if len(sizes) > 1:
            raise ValueError(f"the simulator has no backing with folios of {sizes} pages")
        backing.folio_pages = max(sizes, default=backing.folio_pages)
        for first, pages, index, size, counts in truth["folios"]:
            if size == 1:
                backing.sharers[first : first + pages] = counts[0][1]
                continue
            if (first - index) % size:
                raise ValueError("a large folio is mapped at an address that is no multiple of its size")
            backing.flags[first : first + pages] |= np.uint8(Flag.LARGE)
            # Pages of it that are not mapped here may be mapped elsewhere, and count.
            mapcounts = np.repeat([c for _, c in counts], [n for n, _ in counts])
            gone = [page for page in range(first - index, first - index + size) if letters[page] == "."]
            backing.flags[gone] |= np.uint8(Flag.LARGE)
            for page in [*gone, *range(first, first + pages)]:
                backing.sharers[page] = mapcounts[page - first + index]

    def address(self, offset: int) -> int:
        return self.start + (offset % (self._pages * PAGE) if self._found else offset)

    def placement(self) -> str:
        letters = np.full(self._pages, ord("."), np.uint8)
        for region in self.regions:
            if region.has_no_pages:
                continue
            here = slice(region.first, region.first + region.pages)
            node, flags = self._backing.node[here], self._backing.flags[here]
            part = letters[here]
            part[node != ABSENT] = node[node != ABSENT] + ord("0")
            part[flags & Flag.ZERO != 0] = ord("z")
        return _compact(letters)


def _compact(letters: NDArray[np.uint8]) -> str:
    first = np.concatenate(([0], np.flatnonzero(np.diff(letters)) + 1))
    counts = np.diff(np.concatenate((first, [len(letters)])))
    return " ".join(f"{count}x{chr(letters[at])}" for at, count in zip(first, counts, strict=True))


def _runs(placement: str) -> Iterator[tuple[str, str]]:
    for run in placement.split():
        count, letter = run.split("x")
        yield count, letter
