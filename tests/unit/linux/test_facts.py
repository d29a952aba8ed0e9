"""Facts about processes: of trees that the test writes, and of ourselves."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from numamig.backends.base import MPOL_MF_MOVE_ALL, MovePagesReturn, TellsPolicies, TellsProcessFacts
from numamig.backends.linux import facts as facts_module
from numamig.backends.linux.backend import LinuxBackend
from numamig.backends.linux.facts import parse_cgroup, parse_mems_allowed
from numamig.backends.linux.policies import parse_policies
from numamig.errors import RefusedError, TargetGone
from numamig.model.process import RegionPolicy
from tests.unit.linux.test_procfs import roots, stat_line, write_process, write_thread  # noqa: F401 - a fixture


def test_the_linux_backend_tells_facts_and_policies() -> None:
    backend = LinuxBackend()
    assert isinstance(backend, TellsProcessFacts)
    assert isinstance(backend, TellsPolicies)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("0::/user.slice/a b\n", "/user.slice/a b"),
        ("5:cpuset:/db\n0::/system.slice/db.service\n", "/system.slice/db.service"),
        ("9:name=systemd:/x\n4:memory:/y\n3:cpu,cpuset:/db:1\n0::/\n", "/db:1"),
        ("3:cpuset:/db\n", "/db"),
        ("4:memory:/y\n", ""),
        ("0::/\n", "/"),
        ("0::/../../a (deleted)\n", "/../../a (deleted)"),
        ("", ""),
    ],
)
def test_control_group(text: str, path: str) -> None:
    assert parse_cgroup(text) == path


@pytest.mark.parametrize(
    ("listed", "allowed"),
    [("0-1023", None), ("0,2-3", None), ("0", (0,)), ("2,3", (2, 3)), ("1", ()), ("", None), ("?", None)],
)
def test_cpuset_among_the_memory_nodes(listed: str, allowed: tuple[int, ...] | None) -> None:
    status = f"Name:\tMems_allowed_list:\\n1\nMems_allowed:\tff\nMems_allowed_list:\t{listed}\nTgid:\t1\n"
    assert parse_mems_allowed(status, (0, 2, 3)) == allowed
    assert parse_mems_allowed("Name:\tx\n", (0, 2, 3)) is None


def test_policies_with_spaces_and_flags() -> None:
    text = (
        "55d000 default file=/usr/bin/bind:0\\040interleave:1 mapped=5 N0=5 kernelpagesize_kB=4\n"
        "7f0000000000 prefer (many):0,2 anon=1 dirty=1 N0=1 kernelpagesize_kB=4\n"
        "7f0000100000 weighted interleave:0-1\n"
        "7f0000200000 bind=static|balancing:1-3 stack anon=1\n"
        "7f0000300000 interleave=relative:0-1 huge dirty=2\n"
        "7f0000400000 local heap anon=9\n"
        "7f0000500000 prefer:1\n"
        "7f0000600000 something new anon=1\n"
    )
    assert [(told.start, told.policy) for told in parse_policies(text)] == [
        (0x55D000, "default"),
        (0x7F0000000000, "prefer (many):0,2"),
        (0x7F0000100000, "weighted interleave:0-1"),
        (0x7F0000200000, "bind=static|balancing:1-3"),
        (0x7F0000300000, "interleave=relative:0-1"),
        (0x7F0000400000, "local"),
        (0x7F0000500000, "prefer:1"),
        (0x7F0000600000, "something"),
    ]


def write_facts(root: Path, pid: int, **about: object) -> Path:
    folder = write_process(root, pid, **about)  # type: ignore[arg-type]
    with open(folder / "status", "a") as status:
        status.write("Mems_allowed_list:\t0\n")
    (folder / "cgroup").write_text("0::/db\x1b.slice\n")
    (folder / "pagemap").write_text("")
    return folder


def let_move_pages_answer(backend: LinuxBackend, monkeypatch: pytest.MonkeyPatch, **answers: int) -> None:
    """``me``: errno about our own memory; ``other``: about others'; ``shared``: with MPOL_MF_MOVE_ALL."""

    def answer(pid: int, addresses: np.ndarray, nodes: object, flags: int) -> MovePagesReturn:
        assert len(addresses) == 0
        number = answers.get("shared", 0) if flags == MPOL_MF_MOVE_ALL else answers.get("other" if pid else "me", 0)
        return MovePagesReturn(-1 if number else 0, number, np.empty(0, np.int32))

    monkeypatch.setattr(backend, "move_pages", answer)


@pytest.fixture
def tree(roots: tuple[Path, Path]) -> LinuxBackend:  # noqa: F811
    """Two memory nodes with two CPUs each."""
    nodes = roots[1] / "devices/system/node"
    (nodes / "has_memory").write_text("0-1\n")
    for node in (0, 1):
        (nodes / f"node{node}/meminfo").write_text(f"Node {node} MemTotal: 1024 kB\nNode {node} MemFree: 512 kB\n")
    return LinuxBackend(*roots)


def test_facts_of_a_process(tree: LinuxBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_facts(tree.proc_root, 10, threads=4, cpu=1, uid=os.getuid())
    for thread, cpu in ((10, 1), (11, 2), (12, 3), (13, 9)):  # nobody knows the node of CPU 9
        write_thread(folder, thread, cpu)
    let_move_pages_answer(tree, monkeypatch)
    facts = tree.process_facts(10)
    assert facts.process.identity == (10, 777)
    assert facts.threads_by_node == {0: 1, 1: 2}
    assert facts.process.cpu_nodes == (0, 1)
    assert facts.mems_allowed == (0,)
    assert facts.cgroup == "/db\x1b.slice"
    assert (facts.may_look, facts.may_move, facts.may_move_shared, facts.obstacle) == (True, True, True, "")


def test_of_very_many_threads_every_so_many_is_looked_at(tree: LinuxBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_facts(tree.proc_root, 10, threads=30)
    for thread in range(10, 40):
        write_thread(folder, thread, thread % 2)
    let_move_pages_answer(tree, monkeypatch)
    monkeypatch.setattr(facts_module, "_MOST_THREADS", 12)
    assert tree.process_facts(10).threads_by_node == {0: 10}
    assert tree.process_facts(10).process.threads == 30


@pytest.mark.parametrize(
    ("answers", "abilities", "words"),
    [
        ({"shared": errno.EPERM}, (True, True, False), "CAP_SYS_NICE"),
        ({"other": errno.EPERM}, (False, False, False), "CAP_SYS_PTRACE"),
        ({"me": errno.EPERM, "other": errno.EPERM}, (False, False, False), "even on our own memory"),
        ({"me": errno.ENOSYS, "other": errno.ENOSYS}, (False, False, False), "CONFIG_MIGRATION"),
    ],
)
def test_what_the_caller_may_do_is_what_move_pages_says(
    tree: LinuxBackend,
    monkeypatch: pytest.MonkeyPatch,
    answers: dict[str, int],
    abilities: tuple[bool, bool, bool],
    words: str,
) -> None:
    write_facts(tree.proc_root, 10, uid=os.getuid() + 1)
    let_move_pages_answer(tree, monkeypatch, **answers)
    facts = tree.process_facts(10)
    assert (facts.may_look, facts.may_move, facts.may_move_shared) == abilities
    assert words in facts.obstacle
    assert "\n" not in facts.obstacle


def test_who_ends_while_being_looked_at_is_gone(tree: LinuxBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_facts(tree.proc_root, 10)
    let_move_pages_answer(tree, monkeypatch, other=errno.ESRCH)
    with pytest.raises(TargetGone):
        tree.process_facts(10)

    def another_takes_its_pid(*_: object) -> MovePagesReturn:
        (folder / "stat").write_text(stat_line(10, "other", start=778))
        return MovePagesReturn(0, 0, np.empty(0, np.int32))

    monkeypatch.setattr(tree, "move_pages", another_takes_its_pid)
    with pytest.raises(TargetGone):
        tree.process_facts(10)


def test_kernel_threads_and_zombies_have_nothing_to_move(tree: LinuxBackend) -> None:
    write_facts(tree.proc_root, 2, flags=0x208040, rss_kib=None)
    write_facts(tree.proc_root, 9, state="Z", rss_kib=None)
    for pid, words in ((2, "kernel thread"), (9, "has ended")):
        facts = tree.process_facts(pid)
        assert not (facts.may_look or facts.may_move or facts.may_move_shared)
        assert words in facts.obstacle
    with pytest.raises(RefusedError, match="kernel thread"):
        tree.policies(2)
    with pytest.raises(TargetGone, match="zombie"):
        tree.policies(9)


def test_a_kernel_without_policies_says_so(tree: LinuxBackend) -> None:
    folder = write_facts(tree.proc_root, 10)
    with pytest.raises(RefusedError) as caught:
        tree.policies(10)
    assert "CONFIG_NUMA" in str(caught.value)
    (folder / "numa_maps").write_text("")
    with pytest.raises(TargetGone):
        tree.policies(10)
    (folder / "numa_maps").write_text("1000 bind:0 anon=1\n")
    assert tree.policies(10) == [RegionPolicy(0x1000, "bind:0")]


def test_a_thread_and_nobody_are_no_processes(tree: LinuxBackend) -> None:
    write_facts(tree.proc_root, 11, group=10)
    for pid in (11, 12):
        for call in (tree.process_facts, tree.policies) if pid == 12 else (tree.process_facts,):
            with pytest.raises(TargetGone):
                call(pid)


def test_facts_of_ourselves() -> None:
    stop = threading.Event()
    threads = [threading.Thread(target=stop.wait) for _ in range(100)]
    for thread in threads:
        thread.start()
    try:
        facts = LinuxBackend().process_facts(os.getpid())
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert sum(facts.threads_by_node.values()) == facts.process.threads > 100
    assert facts.may_look and facts.may_move
    assert facts.cgroup.startswith("/")


def test_policies_of_ourselves_are_of_our_regions() -> None:
    backend = LinuxBackend()
    if not Path("/proc/self/numa_maps").exists():
        pytest.skip("missing: numa_maps (CONFIG_NUMA)")
    told = backend.policies(os.getpid())
    assert [policy.start for policy in told] == sorted(policy.start for policy in told)
    starts = {region.start for region in backend.regions(os.getpid())}
    assert len(starts & {policy.start for policy in told}) > len(told) * 0.9
