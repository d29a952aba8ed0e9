"""A profile on a twin comes to what it then comes to on the original, page for page, where a twin can know it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.memory import PAGE, Backing, Flag
from numamig.backends.simulator.process import SimRegion
from numamig.backends.snapshot.backend import SnapshotBackend
from numamig.model.process import RegionKind
from numamig.replay.report import Report
from numamig.replay.run import load_profile, run_profile
from tests.machines import PID, add_process, machine

PROFILE = """numamig: 1
title: There and on
steps:
  - migrate:
      process: {name: workload}
      pages: {from: 0}
      to: 1
      batch: {pages: 300, reserve: 1MiB}
      retry: {mode: never}
      shared: %s
  - wait: 1s
  - migrate:
      process: {pid: 4711}
      pages: {from: "1", kind: anon}
      to: 2
      batch: {pages: 2000}
  - expect: {moved: ">= 1%%"}
"""


def original(kernel: str, free_on_1: int = 1 << 16) -> tuple[SimulatorBackend, list[Backing]]:
    backend = machine(1 << 18, free_on_1, 1 << 16, kernel=kernel)
    small, huge = add_process(backend, [0] * 6000 + [255] * 50 + [1] * 100, [255] * 2048)
    backend.machine.place(huge, 0, np.repeat(np.array([0, 1, 0], np.uint8), 512), Flag.LARGE)
    small.sharers[700:900] = 2
    huge.sharers[1024:1536] = 2
    pool = Backing.untouched(1024)
    backend.machine.place(pool, 0, np.full(1024, 0, np.uint8), Flag.LARGE)
    regions = backend.machine.processes[PID].regions
    regions.append(SimRegion(regions[-1].end + (4 << 20), pool, RegionKind.HUGETLB, page_size=512 * PAGE))
    return backend, [small, huge, pool]


def run(backend: SimulatorBackend, folder: Path, text: str = PROFILE % "false") -> Report:
    path = folder / "profile.yaml"
    path.write_text(text)
    return run_profile(backend, *load_profile(str(path)))


def pages(backend: SimulatorBackend) -> list[tuple[int, int, int]]:
    ranges = [(region.start, region.end) for region in backend.regions(PID)]
    found: list[tuple[int, int, int]] = []
    for runs in backend.page_runs(PID, ranges):
        address, size, node = runs.folios()
        found += zip(address.tolist(), size.tolist(), node.tolist(), strict=True)
    return found


@pytest.mark.parametrize("kernel", ["linux-6.1", "linux-6.12"])
@pytest.mark.parametrize("shared", ["false", "true"])
@pytest.mark.parametrize("free_on_1", [1 << 16, 3000])
def test_outcomes_and_pages_are_as_predicted(kernel: str, shared: str, free_on_1: int, tmp_path: Path) -> None:
    backend, backings = original(kernel, free_on_1)
    before = [backing.node.copy() for backing in backings]
    twin = SnapshotBackend(backend)
    predicted = run(twin, tmp_path, PROFILE % shared)
    assert all((backing.node == was).all() for backing, was in zip(backings, before, strict=True))
    assert backend.machine.moving_calls == 0
    real = run(backend, tmp_path, PROFILE % shared)
    assert backend.machine.moving_calls > 0
    assert real.outcomes.total > 0
    assert [job.outcomes for job in predicted.jobs] == [job.outcomes for job in real.jobs]
    assert [job.moved for job in predicted.jobs] == [job.moved for job in real.jobs]
    assert [job.reason for job in predicted.jobs] == [job.reason for job in real.jobs]
    assert pages(twin) == pages(backend)
    assert {pid: where.bytes_by_node for pid, where in predicted.placement.items()} == {
        pid: where.bytes_by_node for pid, where in real.placement.items()
    }


def test_where_nothing_is_in_the_way_the_time_is_right_too(tmp_path: Path) -> None:
    backend = machine(kernel="linux-6.12")
    add_process(backend, [0] * 20_000)
    predicted = run(SnapshotBackend(backend), tmp_path)
    real = run(backend, tmp_path)
    assert real.jobs[0].busy_ns > 0
    assert [job.busy_ns for job in predicted.jobs] == [job.busy_ns for job in real.jobs]


def test_pins_are_what_a_twin_cannot_see(tmp_path: Path) -> None:
    backend = machine()
    add_process(backend, [0] * 1000, flags={7: Flag.PINNED, 500: Flag.PINNED})
    text = "\n".join((PROFILE % "false").splitlines()[:10])
    predicted, real = run(SnapshotBackend(backend), tmp_path, text), run(backend, tmp_path, text)
    assert predicted.outcomes.as_dict()["moved"] == 1000
    assert (real.outcomes.as_dict()["moved"], real.outcomes.as_dict()["busy"]) == (998, 2)
    warned = [finding.check for job in predicted.jobs for finding in job.plan.warnings]
    assert warned == ["pinned"]
