"""Which memory a process has: what changes when it replaces its program, its pid and start time staying the same.

Every exec draws places anew for program, stack, arguments and environment (randomize_va_space), so they differ even
where the same program is started again. Source: proc_pid_stat(5); fs/proc/array.c ``do_task_stat``, which writes 0 or 1
in their place for those who may not look into the process; random(4) (boot_id).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from numamig.backends.linux.procfs import parse_stat, read_text
from numamig.backends.linux.sysfs import read_text as read_file
from numamig.model.process import MemoryImage

__all__ = ["read_boot_id", "read_memory_image"]

_LAYOUT: Final = tuple(field - 3 for field in (26, 28, 48, 50))
"""startcode, startstack, arg_start, env_start; the first field behind the name is field 3."""


def read_boot_id(proc_root: Path) -> str:
    """ "" where the machine does not tell."""
    return read_file(proc_root / "sys/kernel/random/boot_id") or ""


def read_memory_image(proc_root: Path, pid: int) -> MemoryImage:
    """As it is now.

    :raises TargetGone: there is none with that pid
    """
    path = f"{proc_root}/{pid}/stat"
    before, now = None, _parse(read_text(path, pid))
    executable = (0, 0)
    while now != before:  # an exec in between: then what was read is of two memories
        try:
            # Not the name that the link reads: deleted programs, and those of other mount namespaces, have inodes too.
            found = Path(f"{proc_root}/{pid}/exe").stat()
            executable = (found.st_dev, found.st_ino)
        except OSError:
            executable = (0, 0)
        before, now = now, _parse(read_text(path, pid))
    return MemoryImage(read_boot_id(proc_root), pid, now[0], executable, now[1])


def _parse(text: str) -> tuple[int, tuple[int, ...]]:
    """Start time and layout, from a line of /proc/PID/stat."""
    fields = text.rpartition(")")[2].split()
    places = tuple(int(fields[place]) for place in _LAYOUT)
    return parse_stat(text).start_time, places if all(place > 1 for place in places) else ()
