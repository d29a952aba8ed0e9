"""What doctor finds: here, with less rights than we have, behind real seccomp filters, and on machines of files."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numamig.backends.base import UNWRITTEN, MovePagesReturn
from numamig.backends.linux import doctor, features, rivals
from numamig.backends.linux.backend import LinuxBackend
from numamig.backends.linux.doctor import diagnose
from numamig.backends.linux.syscalls import syscall_number
from numamig.cli import main
from numamig.errors import RefusedError
from numamig.model.finding import Finding, Severity
from tests.unit.linux.jail import (
    enter_user_namespace,
    forbid,
    let_be_looked_into,
    need_filters,
    need_root,
    run_in_child,
    turn_into_nobody,
)

CHECKS = [
    "nodes", "move_pages", "moving", "seccomp", "rights", "shared", "yama", "processes", "pidfd", "marks", "pagemap",
    "scan", "kpageflags", "thp", "hugetlb", "tiers", "heat", "heat", "cpuset", "cgroups", "balancing", "demotion",
    "ksm",
]  # fmt: skip
NODES_ARGUMENT = 3  # of move_pages


@pytest.fixture(scope="module")
def backend() -> LinuxBackend:
    return LinuxBackend()


def by_check(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.check: finding for finding in findings}


def hold_to_form(findings: list[dict[str, str]]) -> None:
    """One sentence each, a remedy for all that is not well, and nothing said twice."""
    reasons = [finding["reason"] for finding in findings]
    assert len(set(reasons)) == len(reasons)
    for finding in findings:
        assert "\n" not in finding["reason"] + finding["remedy"]
        assert not re.search(r"\.( |$)", finding["reason"]), finding
        assert bool(finding["remedy"]) is (finding["severity"] != "ok"), finding


def diagnose_in_child(prepare: Callable[[], object]) -> dict[str, dict[str, str]]:
    """What doctor finds once ``prepare`` has taken something away."""

    def look() -> Any:
        prepare()
        return [finding.as_dict() for finding in diagnose(LinuxBackend())]

    findings: list[dict[str, str]] = run_in_child(look)
    hold_to_form(findings)
    return {finding["check"]: finding for finding in findings}


def test_here(backend: LinuxBackend) -> None:
    findings = diagnose(backend)
    assert [finding.check for finding in findings] == CHECKS
    hold_to_form([finding.as_dict() for finding in findings])
    found = by_check(findings)
    assert found["move_pages"].severity is Severity.OK
    assert found["moving"].severity is Severity.OK
    if len(backend.topology().memory_nodes) == 1:
        assert "--backend simulator" in found["nodes"].remedy


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS])
def test_a_real_filter_that_forbids_move_pages(number: int) -> None:
    need_filters()
    found = diagnose_in_child(lambda: forbid(syscall_number(), number))
    blocked = found["move_pages"]
    assert blocked["severity"] == "error"
    name = errno.errorcode[number]
    assert blocked["reason"] == f"a seccomp filter forbids move_pages ({name}), even on our own memory"
    for remedy in ("docker or podman run --security-opt seccomp=unconfined", "seccompProfile", "SystemCallFilter="):
        assert remedy in blocked["remedy"]
    assert "seccomp" not in found and "moving" not in found


def test_a_real_filter_that_only_lets_ask() -> None:
    need_filters()
    found = diagnose_in_child(lambda: forbid(syscall_number(), errno.EPERM, unless_null=NODES_ARGUMENT))
    assert found["move_pages"]["severity"] == "ok"
    assert found["moving"]["severity"] == "error"
    assert "seccomp filter forbids" in found["moving"]["reason"]


def test_a_real_filter_that_lets_move_pages_pass_is_no_fault() -> None:
    need_filters()
    unknown_to_us = 0xFFF
    found = diagnose_in_child(lambda: forbid(unknown_to_us, errno.EPERM))
    assert found["seccomp"] == {
        "check": "seccomp",
        "severity": "ok",
        "reason": "a seccomp filter watches our calls, and lets move_pages pass",
        "remedy": "",
    }


def test_the_command_ends_with_3_behind_a_filter(capfd: pytest.CaptureFixture[str]) -> None:
    need_filters()

    def ask() -> int:
        forbid(syscall_number(), errno.EPERM)
        try:
            main(["doctor"])
        except SystemExit as ended:
            sys.stdout.flush()
            return int(ended.code or 0)
        return 99

    assert run_in_child(ask) == 3
    assert "seccomp=unconfined" in capfd.readouterr().out


def test_calls_besides_that_a_filter_forbids() -> None:
    need_filters()
    if os.uname().machine != "x86_64":
        pytest.skip("missing: the numbers of pidfd_open and process_vm_readv elsewhere")
    pidfd_open, process_vm_readv = 434, 310

    def prepare() -> None:
        forbid(pidfd_open, errno.EPERM)
        forbid(process_vm_readv, errno.ENOSYS)

    found = diagnose_in_child(prepare)
    assert found["pidfd"]["reason"].startswith("no pidfd_open (EPERM)")
    assert (found["marks"]["severity"], found["marks"]["remedy"][:31]) == ("warning", "sysctl kernel.numa_balancing=0,")
    assert "ENOSYS, a filter forbids it" in found["marks"]["reason"]


def test_nobody() -> None:
    need_root()
    found = diagnose_in_child(turn_into_nobody)
    assert found["moving"]["severity"] == "ok"
    assert found["rights"]["severity"] == "warning" and "CAP_SYS_PTRACE" in found["rights"]["remedy"]
    assert found["shared"]["severity"] == "warning" and "SYS_NICE" in found["shared"]["remedy"]
    assert found["pagemap"]["severity"] == "warning" and "CAP_SYS_ADMIN" in found["pagemap"]["remedy"]
    assert found["kpageflags"]["severity"] == ("ok" if "PAGEMAP_SCAN works" in found["scan"]["reason"] else "warning")


def test_a_numamig_with_file_capabilities() -> None:
    need_root()

    def prepare() -> None:
        turn_into_nobody()
        let_be_looked_into(False)

    found = diagnose_in_child(prepare)
    assert found["pagemap"]["severity"] == "warning"
    assert "AmbientCapabilities" in found["pagemap"]["remedy"]


def test_root_of_a_user_namespace() -> None:
    need_root()

    def prepare() -> None:
        turn_into_nobody()
        enter_user_namespace()

    try:
        found = diagnose_in_child(prepare)
    except AssertionError:
        pytest.skip("missing: user namespaces for everybody")
    assert found["rights"]["severity"] == "warning"
    assert "outside of this user namespace" in found["rights"]["reason"]
    assert found["shared"]["remedy"] == "run numamig as root outside of the container"


def test_a_container_shows_its_own_processes_only() -> None:
    need_root()
    command = (
        "from numamig.backends.linux.backend import LinuxBackend as B\n"
        "print([f.remedy for f in B().diagnose() if f.check == 'processes'])"
    )
    done = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", command],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    if done.stderr.startswith("unshare: "):
        pytest.skip(f"missing: pid namespaces ({done.stderr.strip()})")
    assert "--pid=host" in done.stdout


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
    (tmp_path / "kernel/mm/damon/admin").mkdir(parents=True)
    backend = LinuxBackend(tmp_path, tmp_path)
    assert (
        features._huge_pages(backend, True).reason
        == "transparent huge pages: never, defrag madvise; all pages move one by one"
    )
    assert features._hugetlb(backend).reason.startswith("hugetlb pages: 8 of 2.0M;")
    assert features._tiers(backend).reason == "memory tiers, fastest first: nodes 0 (4), nodes 1 (22)"
    assert [finding.reason.split(", ")[0] for finding in features._heat(backend)] == [
        "DAMON: available",
        "idle page bitmap: not available here",
    ]


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


def test_a_page_that_does_not_arrive(backend: LinuxBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    real = backend.move_pages

    def full(pid: int, addresses: np.ndarray, nodes: np.ndarray | None, flags: int = 0) -> MovePagesReturn:
        return real(pid, addresses, None) if nodes is None else MovePagesReturn(-1, errno.ENOMEM, nodes)

    monkeypatch.setattr(backend, "move_pages", full)
    found = by_check(doctor._move_pages(backend))["moving"]
    assert found.severity is Severity.ERROR
    assert "free memory of node" in found.remedy
