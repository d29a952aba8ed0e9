"""Why a process had better be left alone: who it is, how it is scheduled, and which devices reach its memory.

Nothing is tried, little is read: a look costs some milliseconds, and disturbs nobody. Source: proc_pid_stat(5),
proc_pid_status(5), proc_pid_fd(5), sched(7); virt/kvm/kvm_main.c ("kvm-vm"); Documentation/driver-api/vfio.rst;
Documentation/ABI/testing/sysfs-devices-system-cpu; Documentation/admin-guide/cgroup-v2.rst (cpuset.cpus.isolated).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

from numamig.backends.linux.procfs import parse_stat, read_text
from numamig.backends.linux.sysfs import read_list
from numamig.errors import NumamigError, RefusedError, TargetGone
from numamig.model.process import Hazards

__all__ = ["ancestors", "read_hazards"]

_REALTIME: Final = frozenset({"1", "2", "6"})
"""SCHED_FIFO, SCHED_RR and SCHED_DEADLINE in field 41 of /proc/PID/task/TID/stat."""
_POLICY: Final = 41 - 3
_MOST_THREADS: Final = 1024  # some 20 ms
_MOST_FILES: Final = 16_384  # those opened first: guests and drivers open theirs as they start
_MOST_DEVICES: Final = 8
_MOST_ANCESTORS: Final = 1024
_GUEST: Final = re.compile(r"/dev/kvm$|anon_inode:\[?kvm-v(m|cpu)\b")
_DEVICE: Final = re.compile(r"/dev/(?:vfio|infiniband)/|/dev/iommu$|anon_inode:\[?(?:vfio-device|iommufd)\b")
_PINNED: Final = re.compile(r"^VmPin:\s+(\d+) kB$", re.MULTILINE)


def read_hazards(proc_root: Path, sys_root: Path, pid: int, me: int) -> Hazards:
    """Everything, as it is now.

    :param me: pid of the caller
    :raises TargetGone: there is none with that pid
    """
    folder = f"{proc_root}/{pid}"
    pinned = _PINNED.search(read_text(f"{folder}/status", pid))
    targets = list(islice(_opened(folder), _MOST_FILES))
    return Hazards(
        init=pid == 1,
        ancestor=pid in ancestors(proc_root, me),
        realtime_threads=_realtime_threads(folder, pid),
        kvm_guest=any(_GUEST.match(target) for target in targets),
        devices=tuple(sorted({target for target in targets if _DEVICE.match(target)})[:_MOST_DEVICES]),
        pinned_bytes=int(pinned[1]) << 10 if pinned else 0,
        isolated_cpus=_isolated_cpus(sys_root),
    )


def ancestors(proc_root: Path, me: int) -> set[int]:
    """Pids of all that the process ``me`` runs below, itself left out; as far up as /proc shows them."""
    above: set[int] = set()
    at = me
    while len(above) < _MOST_ANCESTORS:
        try:
            at = parse_stat(read_text(f"{proc_root}/{at}/stat", at)).parent
        except NumamigError:
            break  # it ended, or this /proc hides it
        if at <= 0 or at in above:
            break
        above.add(at)
    return above


def _realtime_threads(folder: str, pid: int) -> int:
    """Of those that are looked at: every second, third … where there are too many."""
    try:
        threads = [entry.name for entry in Path(folder, "task").iterdir()]
    except OSError:
        return 0
    found = 0
    for thread in threads[:: -(-len(threads) // _MOST_THREADS) or 1]:
        try:
            text = read_text(f"{folder}/task/{thread}/stat", pid)
        except (TargetGone, RefusedError):
            continue  # that thread ended; the process need not have
        found += text.rpartition(")")[2].split()[_POLICY] in _REALTIME
    return found


def _opened(folder: str) -> Iterator[str]:
    """What its files are; nothing where that may not be seen."""
    try:
        for entry in Path(folder, "fd").iterdir():
            with suppress(OSError):  # closed meanwhile
                yield str(entry.readlink())
    except OSError:
        return


def _isolated_cpus(sys_root: Path) -> tuple[int, ...]:
    """By the boot parameter isolcpus, and by partitions of control groups, which not every kernel tells of (6.7)."""
    files = (sys_root / "devices/system/cpu/isolated", sys_root / "fs/cgroup/cpuset.cpus.isolated")
    return tuple(sorted({cpu for file in files for cpu in read_list(file) or ()}))
