"""/proc/PID/maps as regions: what each mapping holds, told by its name and its device.

Source: proc_pid_maps(5); fs/proc/task_mmu.c ``show_map_vma``. Names are hostile text: a process chooses its files'
names, and with prctl(PR_SET_VMA) those of its anonymous memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from numamig.backends.linux._errors import gone
from numamig.backends.linux.hugetlb import HugetlbSizes
from numamig.backends.linux.procfs import parse_stat, read_text
from numamig.errors import RefusedError
from numamig.model.process import Region, RegionKind

__all__ = ["Span", "classify", "parse_maps", "parse_spans", "read_maps"]

Span = tuple[int, int, int]
"""Start, end, and bytes of the smallest page that can be there."""

# start-end permissions offset device inode      path
_LINE = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) (\S+) [0-9a-f]+ (\S+) ([0-9]+) *([^\n]*)$", re.MULTILINE)

_SHMEM = ("/memfd:", "/dev/shm/", "/SYSV", "[anon_shmem:", "/dev/zero")  # noqa: S108 - nothing is written there
# Memory of devices and of the kernel, mapped: no pages that migrate. /dev/shm and hugetlbfs were told apart before.
_DEVICE = ("/dev/", "/sys/", "/proc/", "anon_inode:", "socket:", "/dmabuf:", "/drm mm object", "/i915", "/secretmem")


def classify(path: str, device: str, inode: str, sizes: HugetlbSizes) -> tuple[RegionKind, int | None]:
    """Kind of a mapping, and its page size in bytes where that is not the base page."""
    if not path:
        return RegionKind.ANON, None
    if inode == "0" and path.startswith("["):
        # The kernel's own names. A file cannot have one: its path starts with "/", its inode is not 0.
        if path == "[heap]":
            return RegionKind.HEAP, None
        if path == "[stack]" or path.startswith("[stack:"):
            return RegionKind.STACK, None
        if path.startswith("[anon:"):
            return RegionKind.ANON, None
        if not path.startswith("[anon_shmem:"):
            return RegionKind.SPECIAL, None  # [vdso], [vvar], [vvar_vclock], [vsyscall], [uprobes], [vectors] …
    huge = sizes.of(device, path)
    if huge is not None:
        return RegionKind.HUGETLB, huge
    if path.startswith(_SHMEM):
        return RegionKind.SHMEM, None
    if path.startswith(_DEVICE):
        return RegionKind.SPECIAL, None
    return RegionKind.FILE, None


def parse_maps(text: str, sizes: HugetlbSizes, page_size: int) -> Iterator[Region]:
    """Regions of a maps file, ascending as the kernel writes them; a newline in a path is written ``\\012``."""
    for start, end, permissions, device, inode, path in _LINE.findall(text):
        path = path.replace("\\012", "\n")
        kind, huge = classify(path, device, inode, sizes)
        yield Region(int(start, 16), int(end, 16), kind, permissions, path, huge or page_size)


def parse_spans(text: str, sizes: HugetlbSizes, page_size: int) -> list[Span]:
    """The same for those who only want to know where pages may be, at a third of the cost.

    Neighbours with pages of one size are one span, special regions are left out.
    """
    known: dict[tuple[str, str, str], int] = {}  # a library has several mappings
    spans: list[Span] = []
    last_end = last_size = last_start = 0
    for start, end, _, *what in _LINE.findall(text):
        size = known.get(key := tuple(what), -1)
        if size < 0:
            path, device, inode = what[2].replace("\\012", "\n"), what[0], what[1]
            kind, huge = classify(path, device, inode, sizes)
            size = known[key] = 0 if kind is RegionKind.SPECIAL else huge or page_size
        if not size:
            continue
        first = int(start, 16)
        if first != last_end or size != last_size:
            if last_end:
                spans.append((last_start, last_end, last_size))
            last_start, last_size = first, size
        last_end = int(end, 16)
    if last_end:
        spans.append((last_start, last_end, last_size))
    return spans


def read_maps(proc_root: Path, pid: int) -> str:
    """The text of /proc/PID/maps, of a process that has memory.

    :raises TargetGone: it ended; the maps of a zombie are empty, or cannot be read
    :raises RefusedError: the caller may not look, or it is a kernel thread
    """
    folder = f"{proc_root}/{pid}"
    stat = parse_stat(read_text(f"{folder}/stat", pid))
    if stat.kernel_thread:
        raise RefusedError(f"{pid} is a kernel thread: it has no memory of its own", pid=pid)
    if stat.ended:
        raise gone(pid, "has ended (it is a zombie)")
    text = read_text(f"{folder}/maps", pid)
    if not text:
        raise gone(pid, "has ended")
    return text
