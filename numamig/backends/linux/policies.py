"""/proc/PID/numa_maps: the NUMA policy of each mapping. To read it the kernel walks all page tables of the process.

Source: fs/proc/task_mmu.c ``show_numa_map``; mm/mempolicy.c ``mpol_to_str``, some of whose words hold spaces:
"prefer (many):0-1", "weighted interleave:0-1". A mapping without a policy of its own shows that of the process.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from numamig.backends.linux._errors import gone
from numamig.backends.linux.procfs import parse_stat, read_text
from numamig.errors import RefusedError
from numamig.model.process import RegionPolicy

__all__ = ["parse_policies", "read_policies"]

_MODE = r"(?:weighted interleave|prefer \(many\)|[^ =:\n]+)"
# A file's name is escaped, and comes later: it can forge neither a line nor a policy.
_LINE = re.compile(rf"^([0-9a-f]+) ({_MODE}(?:=[a-z|]+)?(?::[0-9,-]+)?)(?: |$)", re.MULTILINE)


def parse_policies(text: str) -> Iterator[RegionPolicy]:
    """Policies of a numa_maps file, ascending as the kernel writes them."""
    for start, policy in _LINE.findall(text):
        yield RegionPolicy(int(start, 16), policy)


def read_policies(proc_root: Path, pid: int) -> list[RegionPolicy]:
    """One for each mapping, the kernel's own (vsyscall) left out.

    :raises TargetGone: the process ended
    :raises RefusedError: the caller may not look, it is a kernel thread, or this kernel knows no policies
    """
    folder = proc_root / str(pid)
    stat = parse_stat(read_text(folder / "stat", pid))
    if stat.kernel_thread:
        raise RefusedError(f"{pid} is a kernel thread: it has no memory of its own", pid=pid)
    if stat.ended:
        raise gone(pid, "has ended (it is a zombie)")
    if not (folder / "numa_maps").exists() and (folder / "maps").exists():
        raise RefusedError("this kernel has no /proc/PID/numa_maps", hint="it was built without CONFIG_NUMA", pid=pid)
    text = read_text(folder / "numa_maps", pid)
    if not text:
        raise gone(pid, "has ended")
    return list(parse_policies(text))
