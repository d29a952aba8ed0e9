"""Processes as /proc describes them, most of them written by the test."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from numamig.backends.linux.backend import LinuxBackend
from numamig.backends.linux.procfs import parse_stat, parse_status, parse_vmstat, read_process, user_name
from numamig.errors import RefusedError, TargetGone

HOSTILE = "a) b\n(c"


def stat_line(
    pid: int, name: str, *, state: str = "S", flags: int = 0x400000, threads: int = 1, start: int = 777, cpu: int = 0
) -> str:
    """A line of /proc/PID/stat with the fields that matter in their places, numbered as in the man page."""
    fields = ["0"] * 53
    fields[3], fields[4], fields[9] = state, "1", str(flags)
    fields[20], fields[22], fields[39] = str(threads), str(start), str(cpu)
    return f"{pid} ({name}) {' '.join(fields[3:])}\n"


def status_text(pid: int, name: str, *, uid: int = 0, rss_kib: int | None = 2048, group: int | None = None) -> str:
    escaped = name.replace("\\", "\\\\").replace("\n", "\\n")
    memory = "" if rss_kib is None else f"VmRSS:\t    {rss_kib} kB\n"
    return (
        f"Name:\t{escaped}\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t{group or pid}\nNgid:\t0\nPid:\t{pid}\n"
        f"Uid:\t{uid}\t{uid}\t{uid}\t{uid}\n{memory}Threads:\t1\n"
    )


def write_process(root: Path, pid: int, name: str = "db", *, cmdline: bytes = b"db\0-x\0", **about: object) -> Path:
    of_status = {key: about.pop(key) for key in ("uid", "rss_kib", "group") if key in about}
    folder = root / str(pid)
    (folder / "task").mkdir(parents=True)
    (folder / "stat").write_text(stat_line(pid, name, **about))  # type: ignore[arg-type]
    (folder / "status").write_text(status_text(pid, name, **of_status))  # type: ignore[arg-type]
    (folder / "cmdline").write_bytes(cmdline)
    (folder / "maps").write_text("")
    return folder


def write_thread(folder: Path, thread: int, cpu: int) -> None:
    (folder / "task" / str(thread)).mkdir()
    (folder / "task" / str(thread) / "stat").write_text(stat_line(thread, "worker", cpu=cpu))


@pytest.fixture
def roots(tmp_path: Path) -> tuple[Path, Path]:
    """An empty /proc, and a /sys with CPUs 0-1 on node 0 and 2-3 on node 1."""
    proc_root, sys_root = tmp_path / "proc", tmp_path / "sys"
    proc_root.mkdir()
    nodes = sys_root / "devices/system/node"
    for node, cpus in ((0, "0-1"), (1, "2-3")):
        (nodes / f"node{node}").mkdir(parents=True)
        (nodes / f"node{node}/cpulist").write_text(cpus)
    (nodes / "online").write_text("0-1\n")
    return proc_root, sys_root


def test_stat_with_a_hostile_name() -> None:
    stat = parse_stat(stat_line(5, HOSTILE, threads=3, start=123456, cpu=7))
    assert (stat.pid, stat.name, stat.state, stat.parent) == (5, HOSTILE, "S", 1)
    assert (stat.threads, stat.start_time, stat.cpu) == (3, 123456, 7)
    assert not stat.kernel_thread
    assert not stat.ended


def test_stat_of_ourselves() -> None:
    stat = parse_stat(Path("/proc/self/stat").read_text())
    assert stat.pid == os.getpid()
    assert 0 <= stat.cpu < (os.cpu_count() or 1)


def test_status_cannot_be_forged_by_a_name() -> None:
    status = parse_status(status_text(5, "\nUid:\t0\nVmRSS:\t1 kB", uid=1000, rss_kib=4))
    assert (status.thread_group, status.uid, status.resident_bytes) == (5, 1000, 4096)


def test_status_of_those_without_memory() -> None:
    assert parse_status(status_text(2, "kthreadd", rss_kib=None)).resident_bytes == 0


def test_vmstat() -> None:
    assert parse_vmstat("pgmigrate_success 12\npgmigrate_fail 0\nodd line here\n") == {
        "pgmigrate_success": 12,
        "pgmigrate_fail": 0,
    }


def test_user_names() -> None:
    assert user_name(0) == "root"
    assert user_name(4_000_000_123) == "4000000123"


def test_a_process(roots: tuple[Path, Path]) -> None:
    folder = write_process(roots[0], 10, HOSTILE, uid=4_000_000_123, threads=2, cpu=1, rss_kib=8)
    write_thread(folder, 10, 1)
    write_thread(folder, 11, 2)
    process = LinuxBackend(*roots).process(10)
    assert process.identity == (10, 777)
    assert (process.name, process.cmdline) == (HOSTILE, ("db", "-x"))
    assert (process.user, process.yours) == ("4000000123", False)
    assert process.resident_bytes == 8192
    assert process.cpu_nodes == (0, 1)


def test_all_processes(roots: tuple[Path, Path]) -> None:
    write_process(roots[0], 30, "late", threads=9, cpu=3)
    write_process(roots[0], 2, "kthreadd", flags=0x208040, rss_kib=None, cmdline=b"")
    write_process(roots[0], 9, "done", state="Z", rss_kib=None, cmdline=b"")
    write_process(roots[0], 11, "ends")
    (roots[0] / "11/status").unlink()  # it ended between two reads
    (roots[0] / "self").mkdir()
    done, late = LinuxBackend(*roots).processes()
    assert (done.pid, done.zombie, done.cpu_nodes, done.resident_bytes) == (9, True, (), 0)
    assert (late.pid, late.zombie, late.cpu_nodes, late.threads) == (30, False, (1,), 9)


def test_kernel_threads_only_when_asked_for(roots: tuple[Path, Path]) -> None:
    write_process(roots[0], 2, "kthreadd", flags=0x208040, rss_kib=None)
    backend = LinuxBackend(*roots)
    assert backend.processes() == []
    assert backend.process(2).kernel_thread
    with pytest.raises(RefusedError, match="2 is a kernel thread"):
        backend.regions(2)


def test_a_zombie_has_no_regions(roots: tuple[Path, Path]) -> None:
    write_process(roots[0], 9, "done", state="Z")
    with pytest.raises(TargetGone, match="zombie"):
        LinuxBackend(*roots).regions(9)


def test_empty_maps_mean_that_it_ended(roots: tuple[Path, Path]) -> None:
    write_process(roots[0], 9)
    with pytest.raises(TargetGone, match="process 9 has ended"):
        LinuxBackend(*roots).regions(9)


def test_a_thread_is_no_process(roots: tuple[Path, Path]) -> None:
    write_process(roots[0], 11, group=10)
    with pytest.raises(TargetGone, match="thread of process 10"):
        LinuxBackend(*roots).process(11)


@pytest.mark.parametrize("pid", [0, -1, 12])
def test_no_such_process(roots: tuple[Path, Path], pid: int) -> None:
    backend = LinuxBackend(*roots)
    for call in (backend.process, backend.regions):
        with pytest.raises(TargetGone) as caught:
            call(pid)
        assert caught.value.pid == pid


def test_ourselves_as_others_see_us() -> None:
    backend = LinuxBackend()
    me = backend.process(os.getpid())
    assert me.yours
    assert me.resident_bytes > 1 << 20
    assert me.cpu_nodes
    assert me.identity in {process.identity for process in backend.processes()}


def test_a_process_that_ends() -> None:
    backend = LinuxBackend()
    child = subprocess.Popen(["cat", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin and child.stdout
    try:
        child.stdin.write(b"\n")
        child.stdin.flush()
        child.stdout.readline()  # it runs: until then it is still being loaded
        assert backend.process(child.pid).cmdline == ("cat", "-")
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, but not yet collected
        assert backend.process(child.pid).zombie
        for look in (backend.regions, lambda pid: list(backend.page_runs(pid, [(0, 1 << 47)]))):
            with pytest.raises(TargetGone):
                look(child.pid)
    finally:
        child.kill()
        child.communicate()
    with pytest.raises(TargetGone):
        backend.process(child.pid)


def test_kernel_threads_are_none_for_those_who_do_not_want_them(roots: tuple[Path, Path]) -> None:
    write_process(roots[0], 2, "kthreadd", flags=0x208040)
    assert read_process(roots[0], 2, {}.get, all_threads=False, kernel_threads=False, my_uid=0) is None
