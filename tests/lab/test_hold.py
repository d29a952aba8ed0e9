"""Holding on to processes on a real kernel: whoever gets the pid, or the program, that a job was for is never moved."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from numamig.backends.linux.backend import LinuxBackend
from numamig.errors import TargetGone
from numamig.migrate.destination import Node
from numamig.migrate.job import Job
from numamig.migrate.plan import plan_request
from numamig.migrate.request import Request
from numamig.migrate.snapshot import JobState
from tests.lab.back_door import pages_by_node, wait_until_asleep
from tests.lab.children import PAGES, Child, child_of, finish, forked, make_area, plan_area, quiet

LAST_PID = Path("/proc/sys/kernel/ns_last_pid")


@pytest.fixture(scope="module")
def backend() -> Iterator[LinuxBackend]:
    with quiet():
        yield LinuxBackend()


def take_pid(pid: int, work: Callable[[], None]) -> Child:
    """A process with that pid: the next that is free after the last one given, which root may set."""
    for _ in range(100):
        LAST_PID.write_text(str(pid - 1))
        child = child_of(work)
        if child.pid == pid:
            return child
        child.end()
    pytest.fail(f"pid {pid} was not to be had")


@pytest.mark.parametrize("steps", [0, 2], ids=["before the job", "in the middle"])
def test_who_takes_the_pid_is_never_moved(backend: LinuxBackend, steps: int) -> None:
    if not LAST_PID.exists():
        pytest.skip("missing: /proc/sys/kernel/ns_last_pid (CONFIG_CHECKPOINT_RESTORE)")
    first = child_of(make_area)
    planned = plan_area(backend, first, 1)
    job = Job(1, backend, planned) if steps else None
    for _ in range(steps):
        assert job is not None
        job.step()
    first.end()
    second = take_pid(first.pid, make_area)
    try:
        now = backend.process(second.pid)
        assert now.pid == planned.process.pid
        assert now.identity != planned.process.identity
        assert second.area() == {0: PAGES}
        job = job or Job(1, backend, planned)
        found = finish(job, backend)
        assert job.state is JobState.STOPPED
        moved = {"moved": 256 * steps} if steps else {}
        assert found == {**moved, "gone": PAGES - 256 * steps}
        assert job.reason == f"process {first.pid} has ended"
        assert second.area() == {0: PAGES}
        with pytest.raises(TargetGone):
            backend.hold(planned.process)
    finally:
        second.end()


def test_an_exec_in_the_middle_ends_the_job_and_the_new_program_stays_where_it_is(backend: LinuxBackend) -> None:
    def become_another_program() -> None:
        os.execv("/bin/sleep", ["sleep", "1000"])

    with forked(make_area, become_another_program) as child:
        planned = plan_request(backend, Request(child.pid, Node(1), sources=(0,), batch_pages=256))
        job = Job(1, backend, plan_area(backend, child, 1))
        whole = Job(2, backend, planned)
        job.step()
        assert child.area() == {0: PAGES - 256, 1: 256}
        child.tell()
        while Path(f"/proc/{child.pid}/comm").read_text() != "sleep\n":
            os.sched_yield()
        wait_until_asleep(child.pid)
        before = pages_by_node(child.pid)
        assert backend.process(child.pid).identity == planned.process.identity
        assert finish(job, backend) == {"moved": 256, "gone": PAGES - 256}
        assert set(finish(whole, backend)) == {"gone"}
        assert job.reason == whole.reason == f"process {child.pid} replaced its memory (exec)"
        assert pages_by_node(child.pid) == before
