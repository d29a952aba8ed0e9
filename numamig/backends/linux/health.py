"""How hard memory is to come by: pressure stall information, and what has been swapped out.

Source: Documentation/accounting/psi.rst; kernel/sched/psi.c; mm/vmstat.c.
"""

from __future__ import annotations

import re
from pathlib import Path

from numamig.backends.linux.sysfs import read_text
from numamig.clock import Clock
from numamig.model.topology import Health

__all__ = ["parse_stalled", "read_health"]

_FULL = re.compile(r"^full avg10=(\d+\.\d+) ", re.MULTILINE)
_SWAPPED_OUT = re.compile(r"^pswpout (\d+)$", re.MULTILINE)


def parse_stalled(text: str) -> float | None:
    """Share 0 to 1 from the text of /proc/pressure/memory, which has a percentage; None without a line for all."""
    full = _FULL.search(text)
    return None if full is None else min(1.0, float(full[1]) / 100)


def read_health(proc_root: Path, clock: Clock) -> Health:
    """As it is now. A kernel that was booted without PSI has no such file, or answers EOPNOTSUPP; one without swap
    counts nothing."""
    taken_ns = clock.now_ns()
    swapped_out = _SWAPPED_OUT.search(read_text(proc_root / "vmstat") or "")
    return Health(
        taken_ns=taken_ns,
        stalled=parse_stalled(read_text(proc_root / "pressure/memory") or ""),
        swapped_out_pages=int(swapped_out[1]) if swapped_out else 0,
    )
