"""Why a process had better be left alone, by trees that the test writes and by real processes."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from numamig.backends.base import TellsHazards, TellsHugeRoom, TellsSharing
from numamig.backends.linux.backend import LinuxBackend
from numamig.backends.linux.hazards import ancestors, read_hazards
from numamig.backends.linux.sharing import parse_huge_room
from numamig.errors import TargetGone
from numamig.model.process import Hazards
from tests.unit.linux.test_procfs import HOSTILE, stat_line, write_process
from tests.unit.linux.trees import write

ME = 900


@pytest.fixture
def roots(tmp_path: Path) -> tuple[Path, Path]:
    """A /proc with processes 1, 500, 600 below it and ourselves below 600, and a /sys without isolated CPUs."""
    proc_root, sys_root = tmp_path / "proc", tmp_path / "sys"
    proc_root.mkdir()
    for pid, parent in ((1, 0), (500, 1), (600, 1), (ME, 600)):
        write_process(proc_root, pid, HOSTILE)
        set_field(proc_root / f"{pid}/stat", pid, 4, parent)
    write(sys_root / "devices/system/cpu/isolated", "")
    return proc_root, sys_root


def set_field(path: Path, pid: int, field: int, value: int) -> None:
    head, _, tail = stat_line(pid, HOSTILE).rpartition(")")
    fields = tail.split()
    fields[field - 3] = str(value)
    path.write_text(f"{head}) {' '.join(fields)}\n")


def write_thread(proc_root: Path, pid: int, thread: int, policy: int) -> None:
    folder = proc_root / f"{pid}/task/{thread}"
    folder.mkdir()
    set_field(folder / "stat", thread, 41, policy)


def write_files(proc_root: Path, pid: int, *targets: str) -> None:
    folder = proc_root / f"{pid}/fd"
    folder.mkdir()
    for number, target in enumerate(targets):
        (folder / str(number)).symlink_to(target)


def test_a_process_like_any_other(roots: tuple[Path, Path]) -> None:
    write_thread(roots[0], 500, 500, 0)
    write_files(
        roots[0], 500, "/dev/null", "/home/ada/dev/kvm", "/dev/kvmlog", "anon_inode:[eventpoll]", "/dev/vfiox/1"
    )
    assert read_hazards(*roots, 500, ME) == Hazards()


def test_who_it_is(roots: tuple[Path, Path]) -> None:
    assert ancestors(roots[0], ME) == {600, 1}
    assert read_hazards(*roots, 600, ME) == Hazards(ancestor=True)
    assert read_hazards(*roots, 1, ME) == Hazards(ancestor=True, init=True)
    assert not read_hazards(*roots, ME, ME).ancestor


def test_a_circle_of_parents_has_an_end(roots: tuple[Path, Path]) -> None:
    """As pids are reused while they are read."""
    set_field(roots[0] / "1/stat", 1, 4, 600)
    assert ancestors(roots[0], ME) == {600, 1}


@pytest.mark.parametrize(("policy", "found"), [(0, 0), (1, 1), (2, 1), (3, 0), (5, 0), (6, 1), (7, 0)])
def test_scheduling_of_its_threads(roots: tuple[Path, Path], policy: int, found: int) -> None:
    write_thread(roots[0], 500, 500, 0)
    write_thread(roots[0], 500, 501, policy)
    assert read_hazards(*roots, 500, ME).realtime_threads == found


def test_of_very_many_threads_not_all_are_looked_at(roots: tuple[Path, Path]) -> None:
    for thread in range(3000):
        write_thread(roots[0], 500, 500 + thread, 1)
    assert read_hazards(*roots, 500, ME).realtime_threads == 1000


@pytest.mark.parametrize("opened", ["/dev/kvm", "anon_inode:kvm-vm", "anon_inode:kvm-vcpu:0"])
def test_a_virtual_machine(roots: tuple[Path, Path], opened: str) -> None:
    write_files(roots[0], 500, "/dev/null", opened)
    assert read_hazards(*roots, 500, ME) == Hazards(kvm_guest=True)


def test_devices_that_reach_memory(roots: tuple[Path, Path]) -> None:
    opened = ("/dev/vfio/vfio", "/dev/vfio/12", "/dev/vfio/12", "/dev/infiniband/uverbs0", "anon_inode:[vfio-device]")
    write_files(roots[0], 500, *opened)
    assert read_hazards(*roots, 500, ME).devices == (
        "/dev/infiniband/uverbs0",
        "/dev/vfio/12",
        "/dev/vfio/vfio",
        "anon_inode:[vfio-device]",
    )


def test_pinned_memory(roots: tuple[Path, Path]) -> None:
    status = roots[0] / "500/status"
    status.write_text(status.read_text() + "VmLck:\t       4 kB\nVmPin:\t    2048 kB\nVmHWM:\t    9999 kB\n")
    assert read_hazards(*roots, 500, ME).pinned_bytes == 2 << 20


def test_isolated_cpus(roots: tuple[Path, Path]) -> None:
    """By the boot parameter, and by a partition of a control group."""
    write(roots[1] / "devices/system/cpu/isolated", "2-3")
    assert read_hazards(*roots, 500, ME).isolated_cpus == (2, 3)
    write(roots[1] / "fs/cgroup/cpuset.cpus.isolated", "3,7")
    assert read_hazards(*roots, 500, ME).isolated_cpus == (2, 3, 7)


def test_nobody_there(roots: tuple[Path, Path]) -> None:
    with pytest.raises(TargetGone):
        read_hazards(*roots, 501, ME)


def test_real_processes() -> None:
    backend = LinuxBackend()
    assert isinstance(backend, TellsHazards)
    assert backend.hazards(1).init
    assert backend.hazards(os.getppid()).ancestor
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert backend.hazards(child.pid) == Hazards(isolated_cpus=backend.hazards(child.pid).isolated_cpus)
        child.kill()


BUDDYINFO = (
    "Node 0, zone      DMA      0      0      0      0      0      0      0      0      1      1      3 \n"
    "Node 0, zone    DMA32      2      2      4      2      5      4      4      4      5      3    751 \n"
    "Node 0, zone   Normal   1148   1328   1400    714    516    268    193     98     22      1   1477 \n"
    "Node 1, zone  Movable      0      0      0      0      0      0      0      0      9      7      0 \n"
)


@pytest.mark.parametrize(
    ("node", "order", "room"), [(0, 9, 3 + 2 * 751 + 1 + 2 * 1477), (1, 9, 7), (1, 8, 9 + 14), (1, 11, 0), (2, 9, 0)]
)
def test_unbroken_free_memory(node: int, order: int, room: int) -> None:
    assert parse_huge_room(BUDDYINFO, node, order) == room


def test_room_of_this_machine_is_no_more_than_is_free() -> None:
    backend = LinuxBackend()
    assert isinstance(backend, TellsHugeRoom)
    topology = backend.topology()
    for node in topology.nodes:
        assert 0 <= backend.huge_room(node.id) * topology.huge_page_size <= node.total_bytes


def test_pages_that_a_child_maps_too() -> None:
    """Private pages are shared after a fork, until one of the two writes to them."""
    backend = LinuxBackend()
    assert isinstance(backend, TellsSharing)
    with mmap.mmap(-1, 9 * 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as area:
        area.madvise(mmap.MADV_NOHUGEPAGE)
        start = np.frombuffer(area, np.uint8).__array_interface__["data"][0]
        for page in range(8):
            area[page * 4096] = 1
        told, tell = os.pipe()
        child = os.fork()
        if child == 0:
            os.read(told, 1)
            os._exit(0)
        for page in range(3):
            area[page * 4096] = 2
        address = start + np.arange(9, dtype=np.uint64) * np.uint64(4096)
        assert backend.shared_pages(os.getpid(), address).tolist() == [0] * 3 + [1] * 5 + [-1]
        os.write(tell, b"\n")
        os.waitpid(child, 0)
        assert backend.shared_pages(os.getpid(), address).tolist() == [0] * 8 + [-1]
        os.close(told)
        os.close(tell)
