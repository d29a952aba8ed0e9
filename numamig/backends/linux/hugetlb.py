"""Which mappings are of hugetlb pages, and of what size.

The name of a mapping does not tell: System V segments, memfds and files look alike with large pages and with small
ones, and every size of MAP_HUGETLB is called ``/anon_hugepage (deleted)``. The device does: each mounted hugetlbfs,
and each size of the kernel's internal mounts, has a number of its own, which /proc/PID/maps shows.
Source: fs/hugetlbfs/inode.c (``hugetlbfs_vfsmount``), proc_pid_mountinfo(5).
"""

from __future__ import annotations

import mmap
import platform
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from numamig.units import parse_size

__all__ = ["HugetlbSizes", "parse_mountinfo", "read_hugetlb_sizes"]

DEFAULT_SIZE_BYTES = 2 << 20
_MAP_HUGETLB = 0x40000
_MAP_NORESERVE = 0x40 if platform.machine().startswith("ppc") else 0x4000  # Python 3.11 does not know it
_MAP_HUGE_SHIFT = 26
_ANONYMOUS = "/anon_hugepage (deleted)"


@dataclass(frozen=True, slots=True)
class HugetlbSizes:
    """Bytes of a hugetlb page, found by what /proc/PID/maps says about a mapping."""

    default_bytes: int = DEFAULT_SIZE_BYTES
    """Hugepagesize of /proc/meminfo."""
    by_device: dict[str, int] = field(default_factory=dict)
    """Device as in maps, "00:0f" → bytes."""
    by_mount: tuple[tuple[str, int], ...] = ()
    """Mount points, the longest first."""

    def of(self, device: str, path: str) -> int | None:
        """Bytes of a page of this mapping; None: it is not a hugetlb mapping."""
        if device in self.by_device:
            return self.by_device[device]
        if path == _ANONYMOUS:
            return self.default_bytes
        for mount, size in self.by_mount:
            if path.startswith(mount + "/"):
                return size
        return None


def parse_mountinfo(text: str, default_bytes: int) -> HugetlbSizes:
    """The hugetlbfs mounts of a /proc/PID/mountinfo.

    A line: ``id parent major:minor root mountpoint options [optional …] - fstype source superoptions``.
    """
    by_device: dict[str, int] = {}
    mounts: list[tuple[str, int]] = []
    for line in text.splitlines():
        head, _, tail = line.partition(" - ")
        fields, filesystem = head.split(" "), tail.split(" ")
        if filesystem[0] != "hugetlbfs" or len(fields) < 5:
            continue
        size = default_bytes
        for option in filesystem[-1].split(","):
            if option.startswith("pagesize="):
                size = parse_size(option.removeprefix("pagesize="))  # the kernel writes "2M", "1024M"
        major, _, minor = fields[2].partition(":")
        by_device[f"{int(major):02x}:{int(minor):02x}"] = size
        mounts.append((_unescape(fields[4]), size))
    return HugetlbSizes(default_bytes, by_device, tuple(sorted(mounts, key=lambda mount: -len(mount[0]))))


def read_hugetlb_sizes(proc_root: Path, sys_root: Path) -> HugetlbSizes:
    """Everything there is to know on this machine. Files that are missing count as "none"."""
    default = DEFAULT_SIZE_BYTES
    found = re.search(r"^Hugepagesize:\s+(\d+) kB", _read(proc_root / "meminfo"), re.MULTILINE)
    if found:
        default = int(found[1]) << 10
    mounted = parse_mountinfo(_read(proc_root / "self/mountinfo"), default)
    # What the kernel itself told about its internal mounts is worth no less than a mount's options.
    return HugetlbSizes(default, mounted.by_device | _internal_devices(proc_root, sys_root), mounted.by_mount)


def _internal_devices(proc_root: Path, sys_root: Path) -> dict[str, int]:
    """Device of the kernel's internal mount of each size: map one page of each, never touch it, and look at our maps.

    MAP_NORESERVE takes nothing from the pool, so this works, and disturbs nobody, with an empty pool too.
    """
    devices: dict[str, int] = {}
    try:
        names = sorted(folder.name for folder in (sys_root / "kernel/mm/hugepages").iterdir())
    except OSError:
        return devices
    for name in names:
        size = int(name.removeprefix("hugepages-").removesuffix("kB")) << 10
        kind = _MAP_HUGETLB | (size.bit_length() - 1) << _MAP_HUGE_SHIFT
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE | kind
        try:
            area = mmap.mmap(-1, size, flags=flags, prot=mmap.PROT_READ)
        except (OSError, ValueError, OverflowError):
            continue  # a cgroup or an architecture without this size: then the name has to do
        with area:
            address = np.frombuffer(area, np.uint8).__array_interface__["data"][0]
            found = re.search(rf"^0*{address:x}-\S+ \S+ \S+ (\S+) ", _read(proc_root / "self/maps"), re.MULTILINE)
        if found:
            devices[found[1]] = size
    return devices


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
