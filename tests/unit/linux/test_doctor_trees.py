"""What doctor finds on machines that are made of files."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from numamig.backends.base import UNWRITTEN, MovePagesReturn
from numamig.backends.linux import doctor, features, heat, rivals
from numamig.backends.linux.backend import LinuxBackend
from numamig.backends.linux.ownpages import private_pages, read_own_entries
from numamig.errors import RefusedError
from numamig.model.finding import Severity
from tests.unit.linux.test_doctor import by_check


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")


TWO_NODES = {
    "devices/system/node/online": "0-1",
    "devices/system/node/has_memory": "0-1",
    "devices/system/node/node0/meminfo": "Node 0 MemTotal: 1024 kB",
    "devices/system/node/node1/meminfo": "Node 1 MemTotal: 1024 kB",
}
NO_RIGHTS = "Name:\tx\nCapEff:\t0000000000000000\nSeccomp:\t0\nMems_allowed_list:\t0\n"


def refuse(number: int) -> Callable[..., MovePagesReturn]:
    return lambda *_: MovePagesReturn(-1, number, np.array([UNWRITTEN], np.int32))


def test_where_it_is_no_filter_that_forbids_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"self/status": NO_RIGHTS})
    backend = LinuxBackend(tmp_path, tmp_path)
    monkeypatch.setattr(backend, "move_pages", refuse(errno.EPERM))
    (found,) = doctor._move_pages(backend)
    assert (found.severity, "SELinux" in found.remedy) == (Severity.ERROR, True)
    assert "neither by a seccomp filter" in found.reason


def test_where_the_kernel_has_no_move_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither numa_maps nor counters of migration: then ENOSYS is what it seems, filter or not."""
    write(tmp_path, {"self/status": NO_RIGHTS.replace("Seccomp:\t0", "Seccomp:\t2"), "vmstat": "pgfault 1"})
    backend = LinuxBackend(tmp_path, tmp_path)
    monkeypatch.setattr(backend, "move_pages", refuse(errno.ENOSYS))
    (found,) = doctor._move_pages(backend)
    assert "CONFIG_MIGRATION" in found.remedy
    write(tmp_path, {"vmstat": "pgmigrate_success 1", "self/numa_maps": ""})
    (found,) = doctor._move_pages(backend)
    assert "a seccomp filter forbids" in found.reason


def test_where_the_architecture_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = LinuxBackend()

    def unknown(*_: object) -> MovePagesReturn:
        raise RefusedError("move_pages is not known", hint="supported: others")

    monkeypatch.setattr(backend, "move_pages", unknown)
    found = by_check(doctor._move_pages(backend))["move_pages"]
    assert (found.severity, found.remedy) == (Severity.ERROR, "supported: others")


def test_switches(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            **TWO_NODES,
            "sys/kernel/numa_balancing": "2",
            "sys/kernel/yama/ptrace_scope": "1",
            "kernel/mm/numa/demotion_enabled": "true",
            "kernel/mm/ksm/run": "1",
            "kernel/mm/ksm/merge_across_nodes": "1",
            "self/status": NO_RIGHTS,
        },
    )
    backend = LinuxBackend(tmp_path, tmp_path)
    found = by_check([*rivals.find_rivals(backend), doctor._yama(backend)])
    assert {check for check, finding in found.items() if finding.severity is Severity.OK} == {"cgroups"}
    assert found["balancing"].remedy == "sysctl kernel.numa_balancing=0"
    assert "only memory nodes 0 of 0-1" in found["cpuset"].reason
    assert "ptrace_scope=0" in found["yama"].remedy
    write(tmp_path, {"sys/kernel/yama/ptrace_scope": "3", "kernel/mm/ksm/merge_across_nodes": "0"})
    assert doctor._yama(backend).remedy == "it stays so until the next boot"
    assert rivals._ksm(backend).severity is Severity.OK


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"fs/cgroup/cgroup.controllers": "cpuset cpu"}, "cgroup v2"),
        ({"fs/cgroup/cpuset/cpuset.mems": "0"}, "cgroup v1"),
        ({"fs/cgroup/cgroup.controllers": "cpu"}, "no cpusets can be seen"),
    ],
)
def test_whose_cpusets_there_are(tmp_path: Path, files: dict[str, str], words: str) -> None:
    write(tmp_path, {**TWO_NODES, **files})
    assert words in rivals._cpuset_controller(LinuxBackend(tmp_path, tmp_path)).reason


def test_features_of_the_kernel(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            **TWO_NODES,
            "kernel/mm/transparent_hugepage/enabled": "always madvise [never]",
            "kernel/mm/transparent_hugepage/defrag": "always defer [madvise] never",
            "kernel/mm/hugepages/hugepages-2048kB/nr_hugepages": "8",
            "kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages": "0",
            "devices/virtual/memory_tiering/memory_tier4/nodelist": "0",
            "devices/virtual/memory_tiering/memory_tier22/nodelist": "1",
        },
    )
    backend = LinuxBackend(tmp_path, tmp_path)
    assert (
        features._huge_pages(backend, True).reason
        == "transparent huge pages: never, defrag madvise; all pages move one by one"
    )
    assert features._hugetlb(backend).reason.startswith("hugetlb pages: 8 of 2.0M;")
    assert features._tiers(backend).reason == "memory tiers, fastest first: nodes 0 (4), nodes 1 (22)"


DAMON = "kernel/mm/damon/admin/kdamonds"


def damon_files(operations: str) -> dict[str, str]:
    """Its files, as far as they are written to for a trial."""
    context = f"{DAMON}/0/contexts/0"
    return {
        f"{DAMON}/nr_kdamonds": "0",
        f"{DAMON}/0/state": "off",
        f"{DAMON}/0/contexts/nr_contexts": "0",
        f"{context}/avail_operations": operations,
        f"{context}/monitoring_attrs/intervals/update_us": "60000",
    }


def test_heat_by_what_keeps_it_from_us(tmp_path: Path) -> None:
    write(tmp_path, {**TWO_NODES, **damon_files("vaddr fvaddr paddr")})
    backend = LinuxBackend(Path("/proc"), tmp_path)
    damon, idle, _ = heat.find_heat(backend)
    assert (damon.reason, damon.remedy) == ("DAMON: available, it tells which pages are in use", "")
    assert (tmp_path / DAMON / "nr_kdamonds").read_text().strip() == "0"
    assert idle.reason == "idle page bitmap: not available here, the kernel lacks CONFIG_IDLE_PAGE_TRACKING (ENOENT)"
    assert idle.remedy == "a kernel with CONFIG_IDLE_PAGE_TRACKING=y"
    write(tmp_path, damon_files("paddr"))
    damon = heat.find_heat(backend)[0]
    assert damon.reason == "DAMON: not available here, it watches no single processes (paddr)"
    assert damon.remedy == "a kernel with CONFIG_DAMON_VADDR=y"


def test_soft_dirty_is_tried_on_a_page_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Written pages of every process have the bit, or those of none."""
    with private_pages(4096) as own:
        own.bytes_[0] = 1
        (entry,) = read_own_entries(Path("/proc"), own.address, 1)
    found = heat.find_heat(LinuxBackend())[-1]
    assert ("not available" not in found.reason) is bool(entry >> np.uint64(55) & np.uint64(1))
    monkeypatch.setattr(heat, "read_own_entries", lambda *_: np.array([entry & ~np.uint64(1 << 55)]))
    assert heat.find_heat(LinuxBackend())[-1].remedy == "a kernel with CONFIG_MEM_SOFT_DIRTY=y"
    monkeypatch.setattr(heat, "read_own_entries", lambda *_: np.array([entry | np.uint64(1 << 55)]))
    assert heat.find_heat(LinuxBackend())[-1].reason.startswith("soft-dirty bits: available, for writes only")


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        (1, "(mode 1, locality: pages follow who uses them)"),
        (2, "(mode 2, tiering: pages in use are promoted from slow tiers)"),
        (3, "(mode 3, locality: pages follow who uses them and tiering: pages in use are promoted from slow tiers)"),
    ],
)
def test_what_balancing_does(tmp_path: Path, mode: int, words: str) -> None:
    write(tmp_path, {**TWO_NODES, "sys/kernel/numa_balancing": str(mode)})
    assert words in rivals._balancing(LinuxBackend(tmp_path, tmp_path)).reason


def test_features_that_are_not_there(tmp_path: Path) -> None:
    write(tmp_path, TWO_NODES)
    backend = LinuxBackend(tmp_path, tmp_path)
    assert features._huge_pages(backend, True).reason.startswith("this kernel has no transparent huge pages")
    assert features._hugetlb(backend).reason == "no pool of hugetlb pages"
    assert features._tiers(backend).reason == "the kernel knows no memory tiers"
    (closed,) = features._pagemap(backend)
    assert closed.severity is Severity.ERROR
    assert features._page_flags(backend, True).severity is Severity.OK
    assert features._page_flags(backend, False).severity is Severity.WARNING


def test_packages_that_the_firmware_hides(tmp_path: Path) -> None:
    files = {
        "devices/system/node/online": "0",
        "devices/system/node/node0/cpulist": "0-1",
        "devices/system/node/node0/meminfo": "Node 0 MemTotal: 1024 kB",
        "devices/system/cpu/cpu0/topology/physical_package_id": "0",
        "devices/system/cpu/cpu1/topology/physical_package_id": "1",
    }
    write(tmp_path, files)
    backend = LinuxBackend(tmp_path, tmp_path)
    assert "one memory node, but 2 packages" in doctor._nodes(backend).reason
    write(tmp_path, {"devices/system/cpu/cpu1/topology/physical_package_id": "0"})
    assert "--backend simulator" in doctor._nodes(backend).remedy
