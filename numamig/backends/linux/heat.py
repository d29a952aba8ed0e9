"""What could tell which pages are in use: sources that the kernel has or lacks, and that we may read or not.

None of them is needed to move pages. DAMON is the one that is read, where pages are meant by their heat or moved in the
order of it. Source: Documentation/admin-guide/mm/damon/usage.rst, idle_page_tracking.rst, soft-dirty.rst; the files of
the first two are root's.
"""

from __future__ import annotations

import errno
import mmap
import os
from pathlib import Path
from typing import TYPE_CHECKING

from numamig.backends.linux.capabilities import IDLE_BITMAP
from numamig.backends.linux.damon import OPERATIONS, Damon
from numamig.backends.linux.ownpages import private_pages, read_own_entries
from numamig.backends.linux.pagemap import PRESENT, SOFT_DIRTY
from numamig.clock import Clock
from numamig.errors import RefusedError
from numamig.model.finding import Finding, Severity

if TYPE_CHECKING:
    from numamig.backends.linux.backend import LinuxBackend

__all__ = ["find_heat", "why_not"]

_UNUSED = "numamig does not read it"


def find_heat(backend: LinuxBackend) -> list[Finding]:
    """One finding for each source. That one is missing is no fault; its remedy is for those who want it."""
    return [
        _damon(backend),
        _of_file("idle page bitmap", backend.sys_root / IDLE_BITMAP, "CONFIG_IDLE_PAGE_TRACKING", os.O_RDWR),
        _soft_dirty(backend),
    ]


def why_not(proc_root: Path, sys_root: Path, clock: Clock) -> str:
    """Why heat cannot be told, and what helps; "" where it can. Nothing is written for that.

    So a kernel that lacks CONFIG_DAMON_VADDR is found out only by the doctor, and by who asks for heat.
    """
    try:
        Damon(proc_root, sys_root, clock).demand_free()
    except OSError as error:
        found = _not_here("DAMON", "CONFIG_DAMON_SYSFS", error.errno or 0)
        return f"{found.reason}: {found.remedy}"
    except RefusedError as error:
        return f"{error.message}: {error.hint}"
    return ""


def _damon(backend: LinuxBackend) -> Finding:
    """By setting it up for a moment: what it can watch it does not say before."""
    try:
        operations = Damon(backend.proc_root, backend.sys_root, backend.clock).operations()
    except OSError as error:
        return _not_here("DAMON", "CONFIG_DAMON_SYSFS", error.errno or 0)
    except RefusedError as error:
        return Finding(
            "heat",
            Severity.OK,
            f"DAMON: not available now, {error.message.removeprefix('DAMON is ')}",
            error.hint or "",
        )
    if OPERATIONS not in operations:
        reason = f"DAMON: not available here, it watches no single processes ({', '.join(operations) or 'nothing'})"
        return Finding("heat", Severity.OK, reason, "a kernel with CONFIG_DAMON_VADDR=y")
    return Finding("heat", Severity.OK, "DAMON: available, it tells which pages are in use")


def _of_file(name: str, path: Path, option: str, mode: int) -> Finding:
    """By opening what would have to be written to; nothing is."""
    try:
        os.close(os.open(path, mode | os.O_CLOEXEC))
    except OSError as error:
        return _not_here(name, option, error.errno or 0)
    return Finding("heat", Severity.OK, f"{name}: available, {_UNUSED}")


def _not_here(name: str, option: str, number: int) -> Finding:
    why = errno.errorcode.get(number, str(number))
    if number in (errno.ENOENT, errno.ENOTDIR, errno.ENXIO, errno.ENODEV):
        reason, remedy = f"the kernel lacks {option}", f"a kernel with {option}=y"
    elif number in (errno.EACCES, errno.EPERM):
        reason, remedy = "it is there, but you may not use it", "run with sudo"
    elif number == errno.EROFS:
        reason, remedy = "it is there, but /sys is mounted read-only", "run outside of the container"
    else:
        reason, remedy = "it is there, but does not open", "look into the kernel's log"
    return Finding("heat", Severity.OK, f"{name}: not available here, {reason} ({why})", remedy)


def _soft_dirty(backend: LinuxBackend) -> Finding:
    """Written pages have the bit from the start, so that nothing has to be cleared for a trial."""
    name, option = "soft-dirty bits", "CONFIG_MEM_SOFT_DIRTY"
    try:
        os.close(os.open(backend.proc_root / "self/clear_refs", os.O_WRONLY | os.O_CLOEXEC))
    except OSError as error:
        return _not_here(name, "CONFIG_PROC_PAGE_MONITOR", error.errno or 0)
    with private_pages(mmap.PAGESIZE) as own:
        own.bytes_[0] = 1
        entries = read_own_entries(backend.proc_root, own.address, 1)
    if not len(entries) or not entries[0] & PRESENT:
        reason = f"{name}: not available here, our own pagemap does not show a page that was just written"
        return Finding("heat", Severity.OK, reason, "run with sudo")
    if not entries[0] & SOFT_DIRTY:
        reason = f"{name}: not available here, the kernel lacks {option}: a page of our own that was written has none"
        return Finding("heat", Severity.OK, reason, f"a kernel with {option}=y")
    return Finding("heat", Severity.OK, f"{name}: available, for writes only; {_UNUSED}")
