"""What a real kernel counts when pages leave: verified against numa_maps, and each cause made to happen."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from numamig.backends.linux import syscalls
from numamig.backends.linux.backend import LinuxBackend
from numamig.migrate.job import Job
from numamig.model.nodeset import parse_ranges
from numamig.observe.causes import Cause, Movements
from numamig.observe.drift import Drift, Watch
from numamig.observe.verify import verify
from tests.lab.children import (
    BALANCING,
    DEFAULT,
    PAGE,
    PAGES,
    START,
    Child,
    checked,
    finish,
    forked,
    libc,
    make_area,
    plan_area,
    quiet,
)

EXPECTED = [(START, START + PAGES * PAGE, 1)]
MADV_DONTNEED = 4


def cpus_of(node: int) -> set[int]:
    return set(parse_ranges(Path(f"/sys/devices/system/node/node{node}/cpulist").read_text().strip()))


def local_area() -> None:
    """Memory without a policy, on node 0, where its process stays."""
    os.sched_setaffinity(0, cpus_of(0))
    make_area(policy=DEFAULT)


def touch_for_ever() -> None:
    while True:
        ctypes.memset(START, 7, PAGES * PAGE)


def discard_and_touch() -> None:
    checked(libc.madvise(START, PAGES * PAGE, MADV_DONTNEED))
    ctypes.memset(START, 7, PAGES * PAGE)


@pytest.fixture
def backend() -> LinuxBackend:
    return LinuxBackend()


@pytest.fixture(autouse=True)
def nobody_else() -> Iterator[None]:
    with quiet():
        yield


def moved_to_node_1(backend: LinuxBackend, child: Child) -> Watch:
    """The job is done, all of it is where it should be, and a watch has begun."""
    assert finish(Job(1, backend, plan_area(backend, child, 1)), backend) == {"moved": PAGES}
    found = verify(backend, backend.hold(backend.process(child.pid)), EXPECTED)
    assert (found.in_place, found.elsewhere, found.absent) == (PAGES, {}, 0)
    watch = Watch(backend, backend.process(child.pid), EXPECTED)
    assert says(watch.look()) == (1.0, Cause.NONE)
    return watch


def says(drift: Drift) -> tuple[float, Cause]:
    return drift.in_place, Cause(drift.cause.check)


def until(watch: Watch, enough: Callable[[Drift], bool]) -> Drift:
    give_up = time.monotonic() + 180
    while not enough(drift := watch.look()):
        assert time.monotonic() < give_up, drift
        time.sleep(0.2)
    return drift


def test_balancing_takes_back_what_threads_use_from_afar(backend: LinuxBackend) -> None:
    with forked(local_area, touch_for_ever) as child:
        watch = moved_to_node_1(backend, child)
        BALANCING.write_text("1")
        child.tell()
        drift = until(watch, lambda drift: drift.in_place < 0.5)
        BALANCING.write_text("0")
        assert Cause(drift.cause.check) is Cause.BALANCING, drift.causes
        assert set(drift.elsewhere) == {0}


def test_a_second_process_that_moves_them_is_another_tool(backend: LinuxBackend) -> None:
    with forked(local_area) as child:
        watch = moved_to_node_1(backend, child)
        address = START + np.arange(PAGES // 2, dtype=np.uint64) * np.uint64(PAGE)

        def move_half() -> None:
            answer = syscalls.move_pages(child.pid, address, np.full(len(address), 2, np.int32), 2)
            assert answer.returned == 0

        with forked(move_half):
            drift = watch.look()
        assert says(drift) == (0.5, Cause.TOOL), drift.causes
        assert (drift.elsewhere, drift.error) == ({2: PAGES // 2}, 0.0)
        assert child.area() == {1: PAGES // 2, 2: PAGES // 2}
        found = verify(backend, backend.hold(backend.process(child.pid)), EXPECTED)
        assert (found.in_place, found.elsewhere) == (PAGES // 2, {2: PAGES // 2})


def test_pages_that_are_given_back_and_touched_again_were_not_migrated(backend: LinuxBackend) -> None:
    with forked(local_area, discard_and_touch) as child:
        watch = moved_to_node_1(backend, child)
        child.tell()
        drift = until(watch, lambda drift: drift.elsewhere == {0: PAGES})
        # The kernel's counters are of the whole machine: a page or two of others may have been migrated meanwhile.
        assert Cause(drift.cause.check) is Cause.FAULTS, drift.causes
        assert child.area() == {0: PAGES}


def test_a_process_that_becomes_another_program_is_not_watched_further(backend: LinuxBackend) -> None:
    with forked(local_area, lambda: os.execv("/bin/sleep", ["sleep", "1000"])) as child:
        watch = moved_to_node_1(backend, child)
        child.tell()
        assert says(until(watch, lambda drift: drift.ended)) == (1.0, Cause.PROCESS)


def test_health_is_what_the_kernel_says(backend: LinuxBackend) -> None:
    health = backend.health()
    assert health.stalled is None or 0 <= health.stalled <= 1
    assert (health.stalled is None) is not Path("/proc/pressure/memory").exists()
    counted = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
    assert health.swapped_out_pages == int(counted["pswpout"])
    names = Movements.of(backend.node_counters())
    assert names.migrated is not None and names.reclaimed >= 0
    # The names that causes are worked out from exist on this kernel.
    assert {"numa_pages_migrated", "numa_hint_faults", "pgsteal_kswapd", "compact_isolated", "pswpin"} <= counted.keys()
    assert {"pgdemote_kswapd", "pgdemote_direct"} <= counted.keys()
