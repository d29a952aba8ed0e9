"""What preflight says of real processes, held to what the kernel shows and does."""

from __future__ import annotations

import ctypes
import mmap
import os
import re
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from numamig.backends.linux.backend import LinuxBackend
from numamig.errors import RefusedError
from numamig.migrate.destination import Node
from numamig.migrate.job import Job
from numamig.migrate.plan import Plan, plan_request
from numamig.migrate.preflight import look, recheck
from numamig.migrate.request import Request
from numamig.model.finding import Finding, Severity
from numamig.model.process import Hazards
from tests.lab.back_door import pages_by_node
from tests.lab.children import (
    APART,
    BIND,
    DEFAULT,
    PAGE,
    PAGES,
    PREFERRED,
    START,
    Child,
    checked,
    finish,
    forked,
    libc,
    make_area,
    plan_area,
    quiet,
    set_policy,
)
from tests.lab.settings import POOLS, written

HERE = [(START, START + PAGES * PAGE)]


def found(plan: Plan, check: str) -> Finding:
    (finding,) = [each for each in plan.findings if each.check == check]
    return finding


@pytest.mark.parametrize(
    ("policy", "priority"), [(os.SCHED_FIFO, 5), (os.SCHED_RR, 5), (os.SCHED_BATCH, 0), (os.SCHED_OTHER, 0)]
)
def test_real_time_processes_need_the_flag(policy: int, priority: int) -> None:
    backend = LinuxBackend()
    with forked(lambda: make_area(policy=DEFAULT)) as child:
        os.sched_setscheduler(child.pid, policy, os.sched_param(priority))
        realtime = priority > 0
        assert backend.hazards(child.pid).realtime_threads == int(realtime)
        plan = plan_area(backend, child, 2)
        assert found(plan, "critical").severity is (Severity.ERROR if realtime else Severity.OK)
        if realtime:
            with pytest.raises(RefusedError, match="real-time thread"):
                plan.demand_possible()
            allowed = plan_request(backend, Request(child.pid, Node(2), within=HERE, critical=True))
            allowed.demand_possible()
            assert found(allowed, "critical").severity is Severity.WARNING


def test_one_thread_among_others_is_enough() -> None:
    code = (
        "import os, threading\n"
        "def work():\n"
        "    os.sched_setscheduler(threading.get_native_id(), os.SCHED_RR, os.sched_param(3))\n"
        "    print(flush=True)\n"
        "    input()\n"
        "threading.Thread(target=work).start()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-S", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout
        child.stdout.readline()
        assert LinuxBackend().hazards(child.pid) == Hazards(realtime_threads=1)
        child.kill()


def test_init_and_what_we_run_below() -> None:
    backend = LinuxBackend()
    assert backend.hazards(1).init
    assert backend.hazards(os.getppid()).ancestor
    for pid in (1, os.getppid()):
        before = pages_by_node(pid)
        with pytest.raises(RefusedError) as refused:
            plan_request(backend, Request(pid, Node(2))).demand_possible()
        assert "--critical" in str(refused.value.hint)
        assert pages_by_node(pid) == before
    # Of its children a process may move what it likes.
    with forked(lambda: make_area(policy=DEFAULT)) as child:
        assert not backend.hazards(child.pid).ancestor


def test_a_virtual_machine_monitor_has_kvm_open() -> None:
    """There is no KVM in the laboratory: a file of its name has to do, in a /dev of the child's own."""
    if os.path.exists("/dev/kvm"):
        pytest.skip("this laboratory has a real /dev/kvm")
    clone_newns, ms_private, ms_rec = 0x20000, 1 << 18, 1 << 14
    libc = ctypes.CDLL(None, use_errno=True)

    def work() -> None:
        assert libc.unshare(clone_newns) == 0
        assert libc.mount(b"none", b"/", None, ms_private | ms_rec, None) == 0
        assert libc.mount(b"none", b"/dev", b"tmpfs", 0, None) == 0
        Path("/dev/vfio").mkdir()
        for name in ("/dev/kvm", "/dev/vfio/12"):
            os.open(name, os.O_CREAT | os.O_RDWR)

    with forked(work) as child:
        hazards = LinuxBackend().hazards(child.pid)
        assert (hazards.kvm_guest, hazards.devices) == (True, ("/dev/vfio/12",))


def two_areas() -> None:
    """The first is bound to node 0, the second prefers it."""
    make_area(0, BIND, (0,))
    make_area(1, PREFERRED, (0,))


def test_a_bound_region_is_refused_and_named() -> None:
    backend = LinuxBackend()
    with quiet(), forked(two_areas) as child:
        plan = plan_area(backend, child, 1)
        error = found(plan, "policy")
        assert error.severity is Severity.ERROR
        assert f"0x{START:x}-0x{START + PAGES * PAGE:x} (anon, bind:0)" in error.reason
        assert f"{START + APART:x}" not in error.reason
        assert error.remedy.startswith("move to node 0, choose other pages with --address or --kind")
        with pytest.raises(RefusedError, match="bound away from node 1"):
            plan.demand_possible()
        other = [(START + APART, START + APART + PAGES * PAGE)]
        allowed = plan_request(backend, Request(child.pid, Node(1), within=other))
        assert found(allowed, "policy").severity is Severity.OK
        allowed.demand_possible()
        assert finish(Job(1, backend, allowed), backend) == {"moved": PAGES}
        assert (child.area(0), child.area(1)) == ({0: PAGES}, {1: PAGES})
        # Nobody but us stands in the way.
        where = START + np.arange(PAGES, dtype=np.uint64) * PAGE
        assert backend.move_pages(child.pid, where, np.full(PAGES, 1, np.int32)).returned == 0
        assert child.area(0) == {1: PAGES}


def test_the_policy_of_the_process_binds_as_well() -> None:
    """As numactl --membind sets it."""

    def work() -> None:
        set_policy(BIND, (0, 2))
        make_area(0, DEFAULT)

    backend = LinuxBackend()
    with quiet(), forked(work) as child:
        assert found(plan_area(backend, child, 1), "policy").severity is Severity.ERROR
        assert found(plan_area(backend, child, 2), "policy").severity is Severity.OK


def smaps(pid: int, start: int, end: int) -> dict[str, int]:
    """Pages by the labels of smaps, of the mappings that begin in [start, end)."""
    sums: dict[str, int] = {}
    inside = False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if head := re.match(r"([0-9a-f]+)-[0-9a-f]+ ", line):
            inside = start <= int(head[1], 16) < end
        elif inside and (row := re.fullmatch(r"(\w+): +(\d+) kB", line)):
            sums[row[1]] = sums.get(row[1], 0) + (int(row[2]) >> 2)
    return sums


def shared_truth(child: Child, pages: int) -> float:
    sums = smaps(child.pid, START, START + pages * PAGE)
    shared = sums["Shared_Clean"] + sums["Shared_Dirty"]
    assert shared + sums["Private_Clean"] + sums["Private_Dirty"] == sums["Rss"] == pages
    return shared / pages


MANY = 12_000


@pytest.mark.parametrize("part", [0.0, 0.3, 0.9])
def test_the_shared_share_is_within_its_error(part: int) -> None:
    """A child that forks shares all; what one of the two writes to is private again."""

    def work() -> None:
        make_area(0, DEFAULT, pages=MANY)
        if os.fork() == 0:
            ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)  # PR_SET_PDEATHSIG
            os.read(os.pipe()[0], 1)
        step = 10
        for page in range(MANY):
            if page % step >= part * step:
                ctypes.memset(START + page * PAGE, 8, 1)

    backend = LinuxBackend()
    with quiet(), forked(work) as child:
        within = [(START, START + MANY * PAGE)]
        truth = shared_truth(child, MANY)
        assert truth == pytest.approx(part)
        request = Request(child.pid, Node(2), sources=tuple(pages_by_node(child.pid)), within=within)
        shared = look(backend, request).shared
        assert shared is not None
        assert abs(shared.share - truth) <= shared.error
        assert shared.error < 0.03
        plan = plan_request(backend, request)
        assert found(plan, "shared").severity is (Severity.WARNING if part else Severity.OK)


@pytest.mark.parametrize("advice", [mmap.MADV_HUGEPAGE, mmap.MADV_NOHUGEPAGE])
def test_few_pages_are_all_looked_at(advice: int) -> None:
    """Exactly, where huge pages have come apart too."""
    pages = 1024

    def work() -> None:
        place = START + APART
        checked(libc.mmap(place, pages * PAGE, 3, 0x02 | 0x20 | 0x100000, -1, 0))
        checked(libc.madvise(place, pages * PAGE, advice))
        ctypes.memset(place, 1, pages * PAGE)
        if os.fork() == 0:
            ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)
            os.read(os.pipe()[0], 1)
        for page in range(700, pages):
            ctypes.memset(place + page * PAGE, 2, 1)

    backend = LinuxBackend()
    with quiet(), forked(work) as child:
        place = START + APART
        within = [(place, place + pages * PAGE)]
        sums = smaps(child.pid, *within[0])
        truth = (sums["Shared_Clean"] + sums["Shared_Dirty"]) / pages
        assert 0 < truth < 1
        shared = look(backend, Request(child.pid, Node(2), within=within)).shared
        assert shared is not None
        assert (shared.share, shared.error) == (pytest.approx(truth), 0)


def test_the_reserve_of_a_node() -> None:
    """Node 2 with all but a little kept free: a warning, and the plan is possible all the same."""
    backend = LinuxBackend()
    with quiet(), forked(lambda: make_area(policy=DEFAULT)) as child:
        free = backend.node_counters().free_bytes[2]
        plenty = plan_area(backend, child, 2)
        assert found(plenty, "room").severity is Severity.OK
        request = Request(child.pid, Node(2), within=HERE, reserve_bytes=free - (1 << 20))
        short = plan_request(backend, request)
        assert found(short, "room").severity is Severity.WARNING
        short.demand_possible()
        assert "room" in {f.check for f in recheck(backend, request, PAGES * PAGE) if f.severity is Severity.WARNING}
        watermark = backend.node_counters().watermarks[2].high_bytes
        node = backend.topology().node(2)
        assert node is not None
        assert watermark > 0
        assert (
            f"{round((watermark + node.total_bytes // 20) / 2**20, 1)}M are kept free" in found(plenty, "room").reason
        )


def test_an_empty_pool_is_told() -> None:
    with ExitStack() as stack:
        # Whatever an earlier test left in the pool of the receiving node goes first.
        for node, pages in ((0, "2"), (1, "0"), (2, "0")):
            stack.enter_context(written(Path(POOLS.format(node)), pages))
        map_hugetlb = 0x40000

        def work() -> None:
            area = mmap.mmap(-1, 4 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | map_hugetlb)
            area[:] = bytes(4 << 20)
            globals()["pool"] = area

        backend = LinuxBackend()
        with quiet(), forked(work) as child:
            plan = plan_request(backend, Request(child.pid, Node(2), kinds=frozenset({"hugetlb"})))  # type: ignore[arg-type]
            assert plan.pages == 1024
            assert found(plan, "hugetlb").severity is Severity.WARNING
            assert "2 hugetlb pages of 2.0M are to move, and the pool of node 2 has 0 free" in (
                found(plan, "hugetlb").reason
            )


def test_an_exec_is_another_memory() -> None:
    """Of the same program with the same arguments."""
    code = "import os, sys; print(flush=True); sys.stdin.readline(); os.execv(sys.executable, sys.orig_argv)"
    backend = LinuxBackend()
    with subprocess.Popen(
        [sys.executable, "-S", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin
        assert child.stdout
        child.stdout.readline()
        before = backend.memory_image(child.pid)
        assert backend.memory_image(child.pid) == before
        child.stdin.write("\n")
        child.stdin.flush()
        child.stdout.readline()
        after = backend.memory_image(child.pid)
        child.kill()
    assert after != before
    assert after.executable == before.executable != (0, 0)
