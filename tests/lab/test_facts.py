"""Facts about processes, and doctor, on a real kernel: held to its own files, and to changes that are really made."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numamig.backends.base import MPOL_MF_MOVE, UNWRITTEN
from numamig.backends.linux.backend import LinuxBackend
from numamig.errors import RefusedError
from numamig.migrate.destination import Node
from numamig.migrate.job import Job
from numamig.migrate.plan import plan_request
from numamig.migrate.request import Request
from numamig.model.finding import Severity
from tests.lab.children import (
    APART,
    BIND,
    DEFAULT,
    INTERLEAVE,
    PAGE,
    PAGES,
    PREFERRED,
    PREFERRED_MANY,
    START,
    STATIC_NODES,
    checked,
    finish,
    forked,
    libc,
    make_area,
    plan_area,
    quiet,
    set_policy,
)
from tests.unit.linux.jail import run_in_child, turn_into_nobody

CGROUPS = Path("/sys/fs/cgroup")
YAMA = Path("/proc/sys/kernel/yama/ptrace_scope")


@pytest.fixture(scope="module")
def backend() -> Iterator[LinuxBackend]:
    with quiet():
        yield LinuxBackend()


# Cpusets


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group that allows nodes 0 and 1."""
    mounted = False
    root = CGROUPS
    if not (root / "cgroup.controllers").exists():
        root = Path("/tmp/numamig-cgroups")
        root.mkdir(exist_ok=True)
        checked(libc.mount(b"none", str(root).encode(), b"cgroup2", 0, None))
        mounted = True
    if "cpuset" not in (root / "cgroup.controllers").read_text().split():
        pytest.skip("missing: the cpuset controller of cgroup v2")
    (root / "cgroup.subtree_control").write_text("+cpuset")
    folder = root / "numamig lab"
    folder.mkdir()
    (folder / "cpuset.mems").write_text("0-1")
    yield folder
    folder.rmdir()
    if mounted:
        checked(libc.umount(str(root).encode()))


def test_a_cpuset_is_told_preflight_refuses_and_the_kernel_does(backend: LinuxBackend, group: Path) -> None:
    def work() -> None:
        make_area(0)
        make_area(1, nodes=(2,))

    with forked(work) as child:
        assert backend.process_facts(child.pid).mems_allowed is None
        assert child.area(1) == {2: PAGES}
        before_joining = plan_area(backend, child, 2)
        (group / "cgroup.procs").write_text(str(child.pid))

        facts = backend.process_facts(child.pid)
        assert facts.mems_allowed == (0, 1)
        assert facts.cgroup == "/numamig lab"
        assert facts.may_move
        # To join the group has moved what lay outside of it, though bound there: nobody asked numamig.
        assert 2 not in child.area(1)
        assert sum(child.area(1).values()) == PAGES

        refused = plan_area(backend, child, 2)
        (finding,) = refused.errors
        assert (finding.check, finding.severity) == ("cpuset", Severity.ERROR)
        assert "cpuset.mems of its control group /numamig lab" in finding.remedy
        with pytest.raises(RefusedError, match="allows nodes 0-1 only"):
            refused.demand_possible()

        before = child.area()
        assert before == {0: PAGES}
        pages = START + np.arange(16, dtype=np.uint64) * PAGE
        answer = backend.move_pages(child.pid, pages, np.full(16, 2, np.int32), MPOL_MF_MOVE)
        assert (answer.returned, answer.errno) == (-1, errno.EACCES)
        assert (answer.status == UNWRITTEN).all()
        for planned in (before_joining, refused):
            job = Job(1, backend, planned)
            assert finish(job, backend) == {"refused": 256, "not_tried": PAGES - 256}
            assert job.reason == "the process's cpuset does not allow the target node"
        assert child.area() == before

        # Of a call that names nodes inside and outside, what comes before the first one outside has moved.
        mixed = backend.move_pages(child.pid, pages, np.repeat(np.array([1, 2, 1], np.int32), [4, 4, 8]), MPOL_MF_MOVE)
        assert (mixed.returned, mixed.errno) == (-1, errno.EACCES)
        assert mixed.status.tolist() == [1] * 4 + [UNWRITTEN] * 12
        assert child.area() == {0: PAGES - 4, 1: 4}

        assert {f.check: f.severity for f in plan_area(backend, child, 1).findings}["cpuset"] is Severity.OK
        assert finish(Job(1, backend, plan_area(backend, child, 1)), backend) == {"moved": PAGES - 4}
        assert child.area() == {1: PAGES}


# Facts


def test_threads_are_counted_where_they_ran(backend: LinuxBackend) -> None:
    def work() -> None:
        ran = threading.Semaphore(0)

        def run_on(cpu: int) -> None:
            os.sched_setaffinity(0, {cpu})  # of the calling thread
            ran.release()
            threading.Event().wait()

        for cpu in (0, 0, 0, 1, 1):
            threading.Thread(target=run_on, args=(cpu,), daemon=True).start()
        os.sched_setaffinity(0, {1})
        for _ in range(5):
            ran.acquire()

    with forked(work) as child:
        facts = backend.process_facts(child.pid)
    assert facts.threads_by_node == {0: 3, 1: 3}
    assert facts.process.threads == 6
    assert facts.process.cpu_nodes == (0, 1)


def test_policies_are_those_of_numa_maps(backend: LinuxBackend) -> None:
    areas = (
        (DEFAULT, (), "interleave:0,2"),  # that of the process
        (BIND, (0, 1), "bind:0-1"),
        (BIND | STATIC_NODES, (1,), "bind=static:1"),
        (INTERLEAVE, (0, 2), "interleave:0,2"),
        (PREFERRED, (1,), "prefer:1"),
        (PREFERRED, (), "local"),
        (PREFERRED_MANY, (0, 2), "prefer (many):0,2"),
    )

    def work() -> None:
        set_policy(INTERLEAVE, (0, 2))
        for number, (policy, nodes, _) in enumerate(areas):
            make_area(number, policy, nodes, pages=8)

    with forked(work) as child:
        told = {policy.start: policy.policy for policy in backend.policies(child.pid)}
        raw = Path(f"/proc/{child.pid}/numa_maps").read_text().splitlines()
        regions = backend.regions(child.pid)
    for number, (_, _, words) in enumerate(areas):
        assert told[START + number * APART] == words
        assert f"{START + number * APART:x} {words} " in "\n".join(raw)
    assert list(told) == [int(line.split()[0], 16) for line in raw]
    for line in raw:
        address, words = line.split(" ", 1)
        assert words.startswith(told[int(address, 16)])
    assert {region.start for region in regions} - set(told) == {
        region.start for region in regions if region.path == "[vsyscall]"
    }


def abilities(backend: LinuxBackend, pid: int) -> list[object]:
    facts = backend.process_facts(pid)
    return [facts.may_look, facts.may_move, facts.may_move_shared, facts.obstacle]


@pytest.mark.parametrize("scope", ["0", "2"])
def test_nobody_may_move_his_own_whatever_yama_says_and_nothing_else(scope: str) -> None:
    """Yama keeps from tracing, and to move pages is to read: that is not what it forbids."""
    if not YAMA.exists():
        pytest.skip("missing: Yama")
    before = YAMA.read_text()

    def look(roots: int) -> Any:
        turn_into_nobody()
        backend = LinuxBackend()

        def work() -> None:
            make_area()

        with forked(work) as own:
            mine = abilities(backend, own.pid)
            found = finish(Job(1, backend, plan_area(backend, own, 1)), backend)
            where = own.area()
        try:
            plan_request(backend, Request(roots, Node(1)))
        except RefusedError as error:
            return [mine, found, where, abilities(backend, roots), str(error)]
        return []

    try:
        YAMA.write_text(scope)
        with forked(make_area) as child:
            mine, found, where, roots, refusal = run_in_child(lambda: look(child.pid))
            assert child.area() == {0: PAGES}
            assert abilities(LinuxBackend(), child.pid) == [True, True, True, ""]
    finally:
        YAMA.write_text(before)
    assert mine[:3] == [True, True, False]
    assert "CAP_SYS_NICE" in mine[3]
    assert (found, where) == ({"moved": PAGES}, {"1": PAGES})
    assert roots[:3] == [False, False, False]
    assert roots[3].startswith("it belongs to user root: ")
    assert "CAP_SYS_PTRACE" in refusal


# Doctor


def test_doctor_as_root(backend: LinuxBackend) -> None:
    found = {finding.check: finding for finding in backend.diagnose()}
    assert {check for check, finding in found.items() if finding.severity is not Severity.OK} <= {"rights"}
    assert found["nodes"].reason == "3 memory nodes: 0-2"
    assert "and back" in found["moving"].reason
    assert "one of our own moved whole from node" in found["thp"].reason
    print(json.dumps({check: finding.reason for check, finding in found.items()}, indent=1))


def test_doctor_as_nobody() -> None:
    def look() -> Any:
        turn_into_nobody()
        return [finding.as_dict() for finding in LinuxBackend().diagnose()]

    with forked(make_area):
        found = {finding["check"]: finding for finding in run_in_child(look)}
    not_well = {check for check, finding in found.items() if finding["severity"] != "ok"}
    assert not_well - {"yama", "kpageflags"} == {"rights", "shared", "pagemap"}
    assert "and back" in found["moving"]["reason"]
    print(json.dumps({check: found[check]["reason"] for check in not_well}, indent=1))
