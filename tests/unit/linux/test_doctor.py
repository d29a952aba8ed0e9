"""What doctor finds: here, with less rights than we have, and behind real seccomp filters."""

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

from numamig.backends.base import MovePagesReturn
from numamig.backends.linux import doctor
from numamig.backends.linux.backend import LinuxBackend
from numamig.backends.linux.doctor import diagnose
from numamig.backends.linux.heat import find_heat
from numamig.backends.linux.syscalls import syscall_number
from numamig.cli import main
from numamig.model.finding import Finding, Severity
from tests.unit.linux.jail import (
    enter_user_namespace,
    forbid,
    let_be_looked_into,
    need_filters,
    need_root,
    need_user_namespaces,
    run_in_child,
    turn_into_nobody,
)

CHECKS = [
    "nodes", "move_pages", "moving", "seccomp", "rights", "shared", "yama", "processes", "pidfd", "marks", "pagemap",
    "scan", "kpageflags", "thp", "hugetlb", "tiers", "heat", "heat", "heat", "cpuset", "cgroups", "balancing",
    "demotion", "ksm",
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
        if finding["check"] == "heat":  # that it is missing is no fault, and yet some want it
            assert bool(finding["remedy"]) is ("not available" in finding["reason"]), finding
        else:
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


def test_heat_that_only_root_may_use(backend: LinuxBackend) -> None:
    need_root()
    there = [each.reason.split(":")[0] for each in find_heat(backend)[:2] if "not available" not in each.reason]

    def look() -> Any:
        turn_into_nobody()
        return [finding.as_dict() for finding in find_heat(LinuxBackend())]

    found = {finding["reason"].split(":")[0]: finding for finding in run_in_child(look)}
    for name in there:
        assert found[name]["reason"].endswith("it is there, but you may not use it (EACCES)")
        assert found[name]["remedy"] == "run with sudo"


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
    need_user_namespaces()

    def prepare() -> None:
        turn_into_nobody()
        enter_user_namespace()

    found = diagnose_in_child(prepare)
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


def test_a_page_that_does_not_arrive(backend: LinuxBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    real = backend.move_pages

    def full(pid: int, addresses: np.ndarray, nodes: np.ndarray | None, flags: int = 0) -> MovePagesReturn:
        return real(pid, addresses, None) if nodes is None else MovePagesReturn(-1, errno.ENOMEM, nodes)

    monkeypatch.setattr(backend, "move_pages", full)
    found = by_check(doctor._move_pages(backend))["moving"]
    assert found.severity is Severity.ERROR
    assert "free memory of node" in found.remedy
