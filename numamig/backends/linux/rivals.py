"""Who else decides where pages are: cpusets, NUMA balancing, demotion, KSM. Read from switches, which is all they have.

Source: cgroups(7), cpuset(7); Documentation/admin-guide/sysctl/kernel.rst (numa_balancing), mm/ksm.rst;
Documentation/ABI/testing/sysfs-kernel-mm-numa.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from numamig.backends.linux.capabilities import balancing_mode, status_field
from numamig.backends.linux.facts import parse_mems_allowed
from numamig.backends.linux.sysfs import read_number, read_text
from numamig.model.finding import Finding, Severity
from numamig.model.nodeset import format_nodeset

if TYPE_CHECKING:
    from numamig.backends.linux.backend import LinuxBackend

__all__ = ["allowed_nodes", "find_rivals"]

OK, WARNING = Severity.OK, Severity.WARNING
_CGROUPS = "fs/cgroup"
_KSM = "kernel/mm/ksm"


def find_rivals(backend: LinuxBackend) -> list[Finding]:
    """One finding for each of them."""
    return [_cpuset(backend), _cpuset_controller(backend), _balancing(backend), _demotion(backend), _ksm(backend)]


def allowed_nodes(backend: LinuxBackend) -> list[int]:
    """Memory nodes that our own cpuset allows."""
    nodes = backend.topology().memory_nodes
    allowed = parse_mems_allowed(f"Mems_allowed_list:\t{status_field(backend.proc_root, 'Mems_allowed_list')}", nodes)
    return list(nodes if allowed is None else allowed)


def _cpuset(backend: LinuxBackend) -> Finding:
    nodes, allowed = backend.topology().memory_nodes, allowed_nodes(backend)
    if list(nodes) == allowed:
        return Finding("cpuset", OK, f"your cpuset allows all memory nodes: {format_nodeset(nodes)}")
    return Finding(
        "cpuset",
        WARNING,
        f"your cpuset allows only memory nodes {format_nodeset(allowed)} of {format_nodeset(nodes)}",
        "each process has a cpuset of its own (numamig show PID); widen cpuset.mems of its control group, in "
        "containers docker run --cpuset-mems",
    )


def _cpuset_controller(backend: LinuxBackend) -> Finding:
    """Whose cpusets there are, since that decides who moves pages when one is written."""
    root = backend.sys_root / _CGROUPS
    if "cpuset" in (read_text(root / "cgroup.controllers") or "").split():
        reason = (
            "cpusets are those of cgroup v2: to write cpuset.mems, or to enter a group, moves all pages of its members"
        )
        return Finding("cgroups", OK, reason)
    if os.path.exists(root / "cpuset/cpuset.mems"):
        reason = "cpusets are those of cgroup v1: to write cpuset.mems moves pages where cpuset.memory_migrate is 1"
        return Finding("cgroups", OK, reason)
    return Finding(
        "cgroups", OK, "no cpusets can be seen here: what a process may use is in numamig show PID all the same"
    )


def _balancing(backend: LinuxBackend) -> Finding:
    mode = balancing_mode(backend.proc_root)
    if not mode:
        return Finding("balancing", OK, "NUMA balancing is off")
    return Finding(
        "balancing",
        WARNING,
        f"NUMA balancing is on ({_balances(mode)}): it may move pages back, and older kernels hide the pages it has "
        "marked from move_pages",
        "sysctl kernel.numa_balancing=0",
    )


def _balances(mode: int) -> str:
    """What it does, by the bits of its mode."""
    bits = ((1, "locality: pages follow who uses them"), (2, "tiering: pages in use are promoted from slow tiers"))
    return f"mode {mode}, " + " and ".join(words for bit, words in bits if mode & bit)


def _demotion(backend: LinuxBackend) -> Finding:
    if read_text(backend.sys_root / "kernel/mm/numa/demotion_enabled") not in ("true", "1"):
        return Finding("demotion", OK, "the kernel does not demote pages to slower nodes")
    return Finding(
        "demotion",
        WARNING,
        "demotion is on: under pressure the kernel moves pages to slower nodes, cpusets or not",
        "echo false > /sys/kernel/mm/numa/demotion_enabled",
    )


def _ksm(backend: LinuxBackend) -> Finding:
    folder = backend.sys_root / _KSM
    if read_number(folder / "run") != 1:
        return Finding("ksm", OK, "equal pages are not merged (KSM is off)")
    if read_number(folder / "merge_across_nodes") == 0:
        return Finding("ksm", OK, "KSM merges equal pages, but only those on one node")
    return Finding(
        "ksm",
        WARNING,
        "KSM merges equal pages of all nodes: then they count as shared, and one of them is far from somebody",
        "echo 2 > /sys/kernel/mm/ksm/run takes them apart, after which merge_across_nodes may be set to 0",
    )
