"""Pages that NUMA balancing has marked: older kernels hide them from move_pages; they are seen, counted and moved."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from numamig.backends.linux.backend import LinuxBackend
from numamig.backends.linux.query_reader import QueryReader
from numamig.cli.narrate import print_job
from numamig.migrate.job import Job
from numamig.model.nodeset import parse_ranges
from numamig.model.outcome import Outcome
from numamig.model.pages import UNKNOWN_NODE, PageRuns
from numamig.testing import Area
from tests.lab.children import PAGES as AREA_PAGES
from tests.lab.children import PREFERRED, START, checked, finish, forked, libc, make_area, plan_area
from tests.lab.conftest import PAGE, LabTarget, LabWorkshop
from tests.lab.jobs import counts, migrate

SWITCH = Path("/proc/sys/kernel/numa_balancing")
USERFAULTFD = {"x86_64": 323, "aarch64": 282}[platform.machine()]


def numa_pte_updates() -> int:
    lines = Path("/proc/vmstat").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("numa_pte_updates ")).split()[1])


def cpus_of(node: int) -> set[int]:
    return set(parse_ranges(Path(f"/sys/devices/system/node/node{node}/cpulist").read_text().strip()))


def pages(target: LabTarget) -> np.ndarray:
    return target.starts[0] + np.arange(target.areas[0].pages, dtype=np.uint64) * PAGE


@pytest.fixture(params=[Area(8192), Area(8 * 512, 0, "huge")], ids=["small", "huge"])
def marked(workshop: LabWorkshop, request: pytest.FixtureRequest) -> LabTarget:
    """A process whose pages on node 0 are marked, and stay so: it is stopped, and balancing is off again."""
    target = workshop.start(request.param)
    count = target.areas[0].pages
    # Pages that already lie where a process of one thread runs are never marked.
    os.sched_setaffinity(target.pid, set(range(os.cpu_count() or 1)) - cpus_of(0))
    before = numa_pte_updates()

    def scanned() -> bool:
        # The counter is the whole machine's, and we are scanned too; where marks can be seen, they are counted.
        # Elsewhere all that matters is that there are some.
        if is_old():
            return hidden(workshop, target) > count * 3 // 4
        return numa_pte_updates() > before + count // 2

    SWITCH.write_text("1")
    try:
        target.tell("!")
        until = time.monotonic() + 120
        while not scanned():
            assert time.monotonic() < until, "NUMA balancing marks nothing"
            time.sleep(0.05)
    finally:
        SWITCH.write_text("0")
        os.kill(target.pid, signal.SIGSTOP)
    return target


def hidden(workshop: LabWorkshop, target: LabTarget) -> int:
    """Pages that are there, and that the kernel calls absent."""
    answer = -errno.EFAULT if target.areas[0].state == "huge" else -errno.ENOENT
    return int((workshop.backend.move_pages(target.pid, pages(target), None).status == answer).sum())


def is_old() -> bool:
    return tuple(map(int, platform.release().split(".")[:2])) < (6, 7)


def test_marked_pages_are_seen_counted_and_moved(workshop: LabWorkshop, marked: LabTarget) -> None:
    start, count = marked.starts[0], marked.areas[0].pages
    unseen = hidden(workshop, marked)
    # What this test is about, on the kernel where it happens; the other one answers for each.
    assert unseen > count // 2 if is_old() else unseen == 0
    assert marked.pages_by_node(0) == {0: count}
    seen = PageRuns.concatenate(workshop.backend.page_runs(marked.pid, [(start, start + count * PAGE)]))
    assert seen.bytes_by_node() == {0: count * PAGE}
    job = migrate(workshop, marked, 2, sources=(0,))
    assert counts(job) == {"moved": count}
    assert marked.pages_by_node(0) == {2: count}
    os.kill(marked.pid, signal.SIGCONT)
    assert marked.intact()


def test_where_marks_must_stay_the_pages_are_hinted_and_never_absent(workshop: LabWorkshop, marked: LabTarget) -> None:
    count, unseen = marked.areas[0].pages, hidden(workshop, marked)
    watching = ctypes.CDLL(None).syscall(USERFAULTFD, os.O_CLOEXEC)
    assert watching >= 0
    try:
        job = migrate(workshop, marked, 2)
    finally:
        os.close(watching)
    assert job.outcomes.total == count
    assert job.outcomes[Outcome.HINTED] == unseen == marked.pages_by_node(0).get(0, 0)
    assert job.outcomes[Outcome.MOVED] == marked.pages_by_node(0).get(2, 0) == count - unseen


def test_without_page_frames_they_are_asked_for_once_more(
    workshop: LabWorkshop, marked: LabTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = workshop.backend
    monkeypatch.setattr(backend.readers, "current", lambda: backend.readers.query_reader)
    assert isinstance(backend.readers.current(), QueryReader)
    start, count = marked.starts[0], marked.areas[0].pages
    seen = PageRuns.concatenate(backend.page_runs(marked.pid, [(start, start + count * PAGE)])).bytes_by_node()
    assert seen.get(UNKNOWN_NODE, 0) == hidden(workshop, marked) * PAGE
    assert sum(seen.values()) == count * PAGE
    # Only what is on node 0 is to move, and of the hidden pages that is not known before their marks are gone.
    job = migrate(workshop, marked, 2, sources=(0,))
    at = marked.pages_by_node(0)
    assert counts(job) == {"moved": count}
    assert at == {2: count}


def test_clearing_marks_moves_nothing(workshop: LabWorkshop, marked: LabTarget) -> None:
    count = marked.areas[0].pages
    for cpu in sorted(os.sched_getaffinity(0)):
        os.sched_setaffinity(0, {cpu})
        try:
            assert workshop.backend.clear_hints(marked.pid, pages(marked))
        finally:
            os.sched_setaffinity(0, range(os.cpu_count() or 1))
        assert marked.pages_by_node(0) == {0: count}
        assert hidden(workshop, marked) == 0


def test_what_may_not_be_accessed_is_not_said_to_be_marked(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        make_area(0, PREFERRED, (0,))
        checked(libc.mprotect(ctypes.c_void_p(START), ctypes.c_size_t(AREA_PAGES * PAGE), 0))

    backend = LinuxBackend()
    with forked(work) as child:
        job = Job(1, backend, plan_area(backend, child, 1))
        assert finish(job, backend) == ({"hinted": AREA_PAGES} if is_old() else {"moved": AREA_PAGES})
        assert child.area() == {0 if is_old() else 1: AREA_PAGES}
    print_job(job.snapshot(), job.ledger())
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  hinted")]
    assert ["may not be accessed (PROT_NONE)" in line for line in told] == ([True] if is_old() else [])
    assert "NUMA balancing" not in "".join(told)
