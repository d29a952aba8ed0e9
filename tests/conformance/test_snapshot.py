"""The conformance suite on the twin of a simulated machine: it answers as the original would."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from numamig.backends.base import Backend
from numamig.backends.simulator.memory import ABSENT
from numamig.backends.snapshot.backend import SnapshotBackend
from numamig.testing import Area, ConformanceSuite, Workshop
from tests.conformance.test_simulator import SimTarget, SimWorkshop


@dataclass
class Twin:
    """A process of the original, as the twin has it."""

    original: SimTarget
    backend: SnapshotBackend

    @property
    def pid(self) -> int:
        return self.original.pid

    @property
    def page_bytes(self) -> int:
        return self.original.page_bytes

    @property
    def starts(self) -> tuple[int, ...]:
        return self.original.starts

    def pages_by_node(self, area: int) -> dict[int, int]:
        """From the twin's page tables."""
        self.backend.take(self.pid)
        region = self.original.process.regions[area]
        found: dict[int, int] = {}
        for extent in self.backend.machine.processes[self.pid].regions:
            if region.start <= extent.start < region.end:
                nodes = extent.backing.node[extent.first :][: extent.pages]
                for node, count in zip(*np.unique(nodes[nodes != ABSENT], return_counts=True), strict=True):
                    found[int(node)] = found.get(int(node), 0) + int(count)
        return found

    def end(self) -> None:
        self.original.end()


class TwinWorkshop(SimWorkshop):
    can_pin = False  # a twin sees no pins

    def __init__(self, kernel: str) -> None:
        super().__init__(kernel)
        self.twin = SnapshotBackend(self.backend)
        self.backend = self.twin

    def start(self, *areas: Area) -> Twin:  # type: ignore[override]
        return Twin(super().start(*areas), self.twin)


class TestSnapshot(ConformanceSuite):
    @pytest.fixture(params=["linux-6.1", "linux-6.12", "ia64-2004-hold-lock"])
    def workshop(self, request: pytest.FixtureRequest) -> TwinWorkshop:
        return TwinWorkshop(request.param)

    def test_a_process_is_seen_and_then_gone(self, workshop: Workshop, backend: Backend, here: int) -> None:
        """Of the original; the twin of one that it has taken in does not end."""
        target = workshop.start(Area(8, here))
        before = target.pages_by_node(0)
        target.end()
        assert backend.process(target.pid).pid == target.pid
        assert target.pages_by_node(0) == before == {here: 8}
