"""Heat on a real kernel: DAMON tells what a process uses from what it does not, and nobody is disturbed by that."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from numamig.backends.linux.backend import LinuxBackend
from numamig.backends.linux.heat import find_heat
from numamig.errors import RefusedError, TargetGone
from numamig.migrate.destination import Node
from numamig.migrate.order import ordered_chooser
from numamig.migrate.order_mode import OrderMode
from numamig.migrate.plan import plan_request
from numamig.migrate.request import Request
from tests.lab.children import APART, DEFAULT, PAGE, PAGES, START, Child, checked, child_of, libc, make_area

KDAMONDS = Path("/sys/kernel/mm/damon/admin/kdamonds")
COUNT = KDAMONDS / "nr_kdamonds"
HUGE, HUGE_PAGES = 2 << 20, 8
HUGE_START = START + 5 * APART
SCRATCH_PAGES = 64
MADV_DONTNEED, MADV_HUGEPAGE = 4, 14
needs_damon = pytest.mark.skipif(not COUNT.exists(), reason="missing: DAMON (Debian's kernels from 6.12 on have it)")


def areas() -> None:
    """Of base pages, of huge pages, one that nobody touches at all, and one to have the TLB flushed with."""
    make_area(0)
    make_area(1, DEFAULT, pages=SCRATCH_PAGES)
    size = HUGE_PAGES * HUGE
    for start, bytes_ in ((HUGE_START, size), (START + 2 * APART, PAGES * PAGE)):
        checked(libc.mmap(start, bytes_, 3, 0x02 | 0x20 | 0x100000, -1, 0))
    checked(libc.madvise(HUGE_START, size, MADV_HUGEPAGE))
    ctypes.memset(HUGE_START, 7, size)


def use_half() -> None:
    """Touch the first half of each area for ever, as long as the process lives.

    The TLB of an emulated processor forgets little by itself; it is flushed where a process gives memory back, as here.
    """
    used = memory(START, PAGES // 2 * PAGE)[::PAGE]
    huge = memory(HUGE_START, HUGE_PAGES // 2 * HUGE)[77 * PAGE :: HUGE]
    scratch, given_back = memory(START + APART, SCRATCH_PAGES * PAGE)[::PAGE], bytes(SCRATCH_PAGES)
    while True:
        used.tobytes()
        huge.tobytes()
        scratch[:] = given_back
        libc.madvise(START + APART, SCRATCH_PAGES * PAGE, MADV_DONTNEED)


def memory(start: int, size: int) -> memoryview:
    return memoryview((ctypes.c_char * size).from_address(start)).cast("B")


@pytest.fixture
def busy() -> Iterator[Child]:
    child = child_of(areas, use_half)
    child.tell()
    yield child
    child.end()


@pytest.fixture(scope="module")
def backend() -> LinuxBackend:
    return LinuxBackend()


def heat(backend: LinuxBackend, pid: int, start: int, each: int, count: int) -> np.ndarray:
    first = start + np.arange(count, dtype=np.uint64) * np.uint64(each)
    return backend.heat(pid, first, first + np.uint64(each))


@pytest.mark.skipif(COUNT.exists(), reason="missing: a kernel without DAMON")
def test_a_kernel_without_damon_says_so(backend: LinuxBackend) -> None:
    assert not backend.capabilities.heat
    assert "the kernel lacks CONFIG_DAMON_SYSFS" in backend.capabilities.missing["heat"]
    with pytest.raises(RefusedError):
        heat(backend, os.getpid(), START, PAGE, 1)


@needs_damon
def test_doctor_tries_it_out(backend: LinuxBackend) -> None:
    assert backend.capabilities.heat
    assert find_heat(backend)[0].reason == "DAMON: available, it tells which pages are in use"
    assert COUNT.read_text() == "0\n"


@needs_damon
@pytest.mark.parametrize("each", [1, 16, PAGES // 2])
def test_used_pages_are_told_from_others(backend: LinuxBackend, busy: Child, each: int) -> None:
    told = heat(backend, busy.pid, START, each * PAGE, PAGES // each)
    used, unused = np.split(told, 2)
    print(f"used {used.min():.2f}..{used.max():.2f}, unused {unused.min():.2f}..{unused.max():.2f}")
    assert (used > 0.5).all()
    assert (unused < 0.1).all()
    assert COUNT.read_text() == "0\n"


@needs_damon
def test_huge_pages_are_used_as_a_whole(backend: LinuxBackend, busy: Child) -> None:
    used, unused = np.split(heat(backend, busy.pid, HUGE_START, HUGE, HUGE_PAGES), 2)
    assert (used > 0.5).all() and (unused < 0.1).all()


@needs_damon
def test_looking_makes_no_page_present_and_moves_none(backend: LinuxBackend, busy: Child) -> None:
    before = busy.area(0)
    told = heat(backend, busy.pid, START + 2 * APART, 16 * PAGE, PAGES // 16)
    assert not (told > 0).any()
    assert busy.area(2) == {}
    assert busy.area(0) == before


@needs_damon
def test_the_hottest_pages_have_the_first_turn(backend: LinuxBackend, busy: Child) -> None:
    request = Request(busy.pid, Node(1), within=[(START, START + PAGES * PAGE)])
    plan = plan_request(backend, request)
    hold = backend.hold(plan.process)
    for mode, first in ((OrderMode.HOTTEST, 0), (OrderMode.COLDEST, PAGES // 2)):
        batch = ordered_chooser(backend, hold, plan, None, mode).next_batch(PAGES // 2)
        assert ((batch.address - np.uint64(START)) // np.uint64(PAGE)).tolist() == list(
            range(first, first + PAGES // 2)
        )
    hold.close()


@needs_damon
def test_who_has_ended_is_gone(backend: LinuxBackend, busy: Child) -> None:
    busy.end()
    with pytest.raises(TargetGone):
        heat(backend, busy.pid, START, PAGE, 4)
    assert COUNT.read_text() == "0\n"


@needs_damon
def test_a_kernel_thread_is_not_watched(backend: LinuxBackend) -> None:
    with pytest.raises(RefusedError):
        heat(backend, 2, START, PAGE, 4)
    assert COUNT.read_text() == "0\n"


@needs_damon
def test_somebody_elses_set_up_is_left_alone(backend: LinuxBackend, busy: Child) -> None:
    COUNT.write_text("1")
    try:
        (KDAMONDS / "0/contexts/nr_contexts").write_text("1")
        with pytest.raises(RefusedError, match="in use by somebody else"):
            heat(backend, busy.pid, START, PAGE, 4)
        assert COUNT.read_text() == "1\n"
        assert (KDAMONDS / "0/contexts/nr_contexts").read_text() == "1\n"
    finally:
        COUNT.write_text("0")


def is_on() -> bool:
    try:
        return (KDAMONDS / "0/state").read_text() == "on\n"
    except OSError:  # not there yet, or somebody else looks at the same moment (EBUSY)
        return False


@needs_damon
def test_what_a_killed_numamig_has_left_is_cleared(backend: LinuxBackend, busy: Child) -> None:
    watcher = os.fork()
    if watcher == 0:
        try:
            while True:
                heat(backend, busy.pid, START, PAGE, PAGES)
        finally:
            os._exit(1)
    while not is_on():
        time.sleep(0.01)
    os.kill(watcher, signal.SIGKILL)
    os.waitpid(watcher, 0)
    assert COUNT.read_text() == "1\n"
    used, unused = np.split(heat(backend, busy.pid, START, 16 * PAGE, PAGES // 16), 2)
    assert used.min() > unused.max()
    assert COUNT.read_text() == "0\n"
