"""Regions from /proc/PID/maps, with every kind of name and device."""

from __future__ import annotations

import mmap
import os
from itertools import pairwise
from pathlib import Path

import pytest

from numamig.backends.linux.hugetlb import HugetlbSizes, parse_mountinfo, read_hugetlb_sizes
from numamig.backends.linux.maps import parse_maps, parse_spans
from numamig.model.process import Region, RegionKind

PAGE = 4096
SIZES = HugetlbSizes(2 << 20, {"00:0f": 2 << 20, "00:10": 1 << 30}, (("/mnt/huge", 16 << 20),))


def region(tail: str, *, device: str = "00:00", inode: int = 0) -> Region:
    (found,) = parse_maps(f"7f0000000000-7f0040000000 rw-p 00000000 {device} {inode}    {tail}\n", SIZES, PAGE)
    return found


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("", RegionKind.ANON),
        ("[heap]", RegionKind.HEAP),
        ("[stack]", RegionKind.STACK),
        ("[stack:17]", RegionKind.STACK),
        ("[anon:glibc: malloc arena]", RegionKind.ANON),
        ("[anon_shmem:cache]", RegionKind.SHMEM),
        ("[vdso]", RegionKind.SPECIAL),
        ("[vvar]", RegionKind.SPECIAL),
        ("[vvar_vclock]", RegionKind.SPECIAL),
        ("[vsyscall]", RegionKind.SPECIAL),
        ("[uprobes]", RegionKind.SPECIAL),
        ("[a name of kernels to come]", RegionKind.SPECIAL),
    ],
)
def test_names_of_the_kernel(path: str, kind: RegionKind) -> None:
    assert region(path) == Region(0x7F0000000000, 0x7F0040000000, kind, "rw-p", path, PAGE)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/usr/lib/libc.so.6", RegionKind.FILE),
        ("/tmp/a (deleted)", RegionKind.FILE),
        ("/dev/zero (deleted)", RegionKind.SHMEM),
        ("/SYSV00000000 (deleted)", RegionKind.SHMEM),
        ("/memfd:jit (deleted)", RegionKind.SHMEM),
        ("/dev/shm/segment", RegionKind.SHMEM),
        ("/dev/mem", RegionKind.SPECIAL),
        ("/dev/dri/card0", RegionKind.SPECIAL),
        ("/dev/vfio/12", RegionKind.SPECIAL),
        ("/dev/nvidia0", RegionKind.SPECIAL),
        ("/sys/devices/pci0000:00/0000:00:02.0/resource0", RegionKind.SPECIAL),
        ("anon_inode:[io_uring]", RegionKind.SPECIAL),
        ("/[aio] (deleted)", RegionKind.FILE),
        ("/a\\012b  c]", RegionKind.FILE),
    ],
)
def test_names_of_files(path: str, kind: RegionKind) -> None:
    found = region(path, device="fe:00", inode=42)
    assert (found.kind, found.page_size) == (kind, PAGE)
    assert found.path == path.replace("\\012", "\n")


@pytest.mark.parametrize(
    ("path", "device", "size"),
    [
        ("/anon_hugepage (deleted)", "00:0f", 2 << 20),
        ("/anon_hugepage (deleted)", "00:10", 1 << 30),
        ("/anon_hugepage (deleted)", "00:99", 2 << 20),  # a device not learned: the default size
        ("/SYSV0000abcd (deleted)", "00:10", 1 << 30),  # SHM_HUGETLB
        ("/memfd:ram (deleted)", "00:0f", 2 << 20),  # MFD_HUGETLB
        ("/mnt/huge/db/segment", "00:50", 16 << 20),
    ],
)
def test_hugetlb_is_told_by_device_and_by_mount(path: str, device: str, size: int) -> None:
    found = region(path, device=device, inode=42)
    assert (found.kind, found.page_size) == (RegionKind.HUGETLB, size)


def test_below_a_mount_means_below_it() -> None:
    assert region("/mnt/hugetables/x", device="fe:00", inode=1).kind is RegionKind.FILE


def test_a_path_with_ends_of_lines_of_all_alphabets() -> None:
    text = "1000-2000 r--p 00000000 fe:00 1    /a\x0bb\x85c\u2028d\n2000-3000 rw-p 00000000 00:00 0 \n"
    first, second = parse_maps(text, SIZES, PAGE)
    assert first.path == "/a\x0bb\x85c\u2028d"
    assert (second.start, second.kind) == (0x2000, RegionKind.ANON)


def test_spans_join_neighbours_and_leave_special_regions_out() -> None:
    text = (
        "1000-2000 r--p 00000000 fe:00 1    /a\n"
        "2000-3000 rw-p 00000000 00:00 0 \n"
        "3000-4000 r--p 00000000 00:00 0    [vvar]\n"
        "4000-5000 rw-p 00000000 00:00 0 \n"
        "200000-600000 rw-p 00000000 00:0f 7    /anon_hugepage (deleted)\n"
        "600000-601000 rw-p 00000000 00:00 0    [heap]\n"
    )
    assert parse_spans(text, SIZES, PAGE) == [
        (0x1000, 0x3000, PAGE),
        (0x4000, 0x5000, PAGE),
        (0x200000, 0x600000, 2 << 20),
        (0x600000, 0x601000, PAGE),
    ]
    assert parse_spans("", SIZES, PAGE) == []


def test_mounts_of_hugetlbfs() -> None:
    text = (
        "25 24 0:23 / /dev/shm rw,relatime - tmpfs tmpfs rw\n"
        "40 24 0:31 / /dev/hugepages rw,relatime shared:9 - hugetlbfs hugetlbfs rw,pagesize=2M\n"
        "41 24 0:300 / /mnt/one\\040gig rw - hugetlbfs none rw,pagesize=1024M\n"
        "42 24 0:33 / /mnt/plain rw - hugetlbfs none rw\n"
    )
    sizes = parse_mountinfo(text, 64 << 10)
    assert sizes.by_device == {"00:1f": 2 << 20, "00:12c": 1 << 30, "00:21": 64 << 10}
    assert sizes.of("fe:00", "/mnt/one gig/x") == 1 << 30
    assert sizes.of("fe:00", "/mnt/plain/x") == 64 << 10
    assert sizes.of("fe:00", "/mnt/x") is None


def test_without_any_of_the_files_the_default_holds(tmp_path: Path) -> None:
    assert read_hugetlb_sizes(tmp_path, tmp_path) == HugetlbSizes(2 << 20)


def test_each_size_of_this_machine_has_a_device() -> None:
    sizes = read_hugetlb_sizes(Path("/proc"), Path("/sys"))
    if not sizes.by_device:
        pytest.skip("missing: hugetlb pages in this kernel")
    listed = {int(p.name[10:-2]) << 10 for p in Path("/sys/kernel/mm/hugepages").iterdir()}
    assert set(sizes.by_device.values()) == listed


def test_our_own_maps() -> None:
    with mmap.mmap(-1, 3 * PAGE) as shared:
        shared[0] = 1
        text = Path("/proc/self/maps").read_text()
        regions = list(parse_maps(text, read_hugetlb_sizes(Path("/proc"), Path("/sys")), os.sysconf("SC_PAGESIZE")))
    assert len(regions) == text.count("\n")
    kinds = {region.kind for region in regions}
    assert {RegionKind.ANON, RegionKind.FILE, RegionKind.STACK, RegionKind.SHMEM, RegionKind.SPECIAL} <= kinds
    assert all(a.end <= b.start for a, b in pairwise(regions))
