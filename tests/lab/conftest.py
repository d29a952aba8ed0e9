"""Processes with known memory on the kernel that runs here."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from numamig.backends.linux.backend import LinuxBackend
from numamig.testing import Area
from tests.lab.back_door import pages_by_node, wait_until_asleep
from tests.lab.settings import written

WORKLOAD = Path(__file__).with_name("workload.py")
PAGE = 4096


@dataclass
class LabTarget:
    child: subprocess.Popen[str]
    areas: tuple[Area, ...]
    starts: tuple[int, ...]
    page_bytes = PAGE

    @property
    def pid(self) -> int:
        return self.child.pid

    def pages_by_node(self, area: int) -> dict[int, int]:
        start = self.starts[area]
        return pages_by_node(self.pid, start, start + self.areas[area].pages * PAGE)

    def intact(self) -> bool:
        """Whether the contents are what they were, as the process itself sees them."""
        assert self.child.stdout
        self.tell("?")
        return bool(json.loads(self.child.stdout.readline()))

    def tell(self, order: str) -> None:
        """ "!" runs in circles until the next order, "?" asks for the contents."""
        assert self.child.stdin
        self.child.stdin.write(order)
        self.child.stdin.flush()

    def end(self) -> None:
        self.child.kill()
        self.child.wait()
        for stream in (self.child.stdin, self.child.stdout):
            if stream:
                stream.close()


class LabWorkshop:
    can_pin = True
    can_make_huge = True
    moves_in_runs = True
    kernel_thread = 2

    def __init__(self) -> None:
        self.backend = LinuxBackend()
        self.unused_pid = int(Path("/proc/sys/kernel/pid_max").read_text()) - 1
        self.targets: list[LabTarget] = []

    def start(self, *areas: Area) -> LabTarget:
        specification = json.dumps([asdict(area) for area in areas])
        child = subprocess.Popen(
            [sys.executable, "-S", str(WORKLOAD), specification],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        target = LabTarget(child, areas, ())
        self.targets.append(target)
        target.starts = tuple(json.loads(child.stdout.readline()))
        wait_until_asleep(child.pid)
        for number, area in enumerate(areas):
            expected = {} if area.state in ("untouched", "read") else {area.node: area.pages}
            if area.state == "holes":
                expected = {area.node: area.pages // 2}
            assert target.pages_by_node(number) == expected, "the kernel did not place the workload as it was asked to"
        return target


@pytest.fixture(scope="session", autouse=True)
def no_balancing() -> Iterator[None]:
    """Nobody else moves pages, but where a test has them moved."""
    with written(Path("/proc/sys/kernel/numa_balancing"), "0"):
        yield


@pytest.fixture
def workshop() -> Iterator[LabWorkshop]:
    shop = LabWorkshop()
    yield shop
    for target in shop.targets:
        target.end()
