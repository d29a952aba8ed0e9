"""The conformance suite on a machine whose state lies in a file, and that another program has made."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import yaml

from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.kernels import KERNELS, Locking
from numamig.backends.simulator.machinefile import open_machine
from numamig.backends.simulator.memory import ABSENT, Backing, Flag
from numamig.testing import Area, ConformanceSuite


@dataclasses.dataclass
class FileTarget:
    workshop: FileWorkshop
    pid: int

    @property
    def page_bytes(self) -> int:
        return self.workshop.backend.machine.page_bytes

    @property
    def starts(self) -> tuple[int, ...]:
        return tuple(region.start for region in self.workshop.backend.machine.process(self.pid).regions)

    def backing(self, area: int) -> Backing:
        return self.workshop.backend.machine.process(self.pid).regions[area].backing

    def pages_by_node(self, area: int) -> dict[int, int]:
        """As whoever opens the file next finds them."""
        self.workshop.open_again()
        backing = self.backing(area)
        nodes, counts = np.unique(backing.node[backing.node != ABSENT], return_counts=True)
        return {int(n): int(c) for n, c in zip(nodes, counts, strict=True)}

    def end(self) -> None:
        self.workshop.backend.machine.end(self.pid)
        self.workshop.open_again()


class FileWorkshop:
    """With each target the machine is made anew, from a scenario with one process more, and opened again."""

    can_pin = True
    kernel_thread = 2
    unused_pid = 99_999

    def __init__(self, folder: Path, kernel: str) -> None:
        self._file, self._scenario = folder / "m.numamig", folder / "conformance.yaml"
        nodes = [{"id": node, "cpus": node, "memory": "1GiB"} for node in (0, 1, 4)]
        self._entries = [{"name": "kthreadd", "pid": 2, "kernel_thread": True}]
        self._about = {"scenario": 1, "title": "conformance", "kernel": kernel, "processes": self._entries}
        self._about["nodes"] = [*nodes, {"id": 5, "cpus": 9, "memory": 0}]
        self.can_make_huge = bool(KERNELS[kernel].huge_pages)
        self.moves_in_runs = KERNELS[kernel].locking is Locking.PER_TABLE
        self._page_bytes = KERNELS[kernel].page_bytes
        self._write()
        self.backend = SimulatorBackend(open_machine(self._file, self._scenario))

    def start(self, *areas: Area) -> FileTarget:
        pid = 1000 + len(self._entries)
        regions = [self._region(area, f"{pid}-{number}") for number, area in enumerate(areas)]
        self._entries.append({"name": "workload", "pid": pid, "regions": regions})
        for number, region in enumerate(regions):
            if "share" in region:
                sharer = {key: region[key] for key in ("kind", "size", "share")}
                self._entries.append({"name": "sharer", "pid": pid + 500 + number, "regions": [sharer]})
        self.backend.machine.close()
        self._file.unlink()
        self._write()
        self.backend.machine = open_machine(self._file, self._scenario)
        target = FileTarget(self, pid)
        for number, area in enumerate(areas):
            target.backing(number).flags[list(area.pinned)] |= np.uint8(Flag.PINNED)
        self.open_again()
        return target

    def open_again(self) -> None:
        self.backend.machine.close()
        self.backend.machine = open_machine(self._file)

    def _region(self, area: Area, name: str) -> dict[str, object]:
        region: dict[str, object] = {"kind": "anon", "size": area.pages * self._page_bytes}
        if area.state != "untouched":
            region["nodes"] = {area.node: 1}
        states: dict[str, dict[str, object]] = {
            "read": {"zero": 1.0},
            "huge": {"huge": True},
            "shared": {"kind": "shmem", "share": name},
        }
        return region | states.get(area.state, {})

    def _write(self) -> None:
        self._scenario.write_text(yaml.safe_dump(self._about, sort_keys=False))


class TestMachineFile(ConformanceSuite):
    @pytest.fixture(params=list(KERNELS))
    def workshop(self, request: pytest.FixtureRequest, tmp_path: Path) -> FileWorkshop:
        return FileWorkshop(tmp_path, request.param)
