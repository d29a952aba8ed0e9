"""A process with known memory to look at: run as a script it makes the areas that it is asked for, and waits."""

from __future__ import annotations

import ctypes
import json
import mmap
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["HUGE", "PAGE", "Area", "Held", "available_bytes", "hold"]

PAGE: Final = 4096
HUGE: Final = 2 << 20
_MAP_NORESERVE: Final = 0x4000
_STEP: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Area:
    """What to have.

    ``small``: pages of 4 KiB, touched one after the other. ``scattered``: the same, touched in random order, so that
    neighbours lie anywhere in physical memory. ``huge``: huge pages. ``sparse``: one page touched in every gigabyte.
    """

    kind: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Held:
    """A process that has it, and sleeps."""

    pid: int
    ranges: tuple[tuple[int, int], ...]
    """Of each area."""


def available_bytes() -> int:
    """What can be had without swapping."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return 0


@contextmanager
def hold(*areas: Area) -> Iterator[Held]:
    """A process with these areas, as long as the context lasts."""
    asked = json.dumps([(area.kind, area.size_bytes) for area in areas])
    command = [sys.executable, "-m", "benchmarks.memory", asked]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            starts = json.loads(process.stdout.readline())
            ranges = [(start, start + area.size_bytes) for start, area in zip(starts, areas, strict=True)]
            yield Held(process.pid, tuple(ranges))
        finally:
            process.kill()


def _make(kind: str, size: int) -> int:
    """Map and touch one area; its address, a multiple of a huge page."""
    import numpy as np

    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
    area = mmap.mmap(-1, size + HUGE, flags=flags)
    area.madvise(mmap.MADV_HUGEPAGE if kind == "huge" else mmap.MADV_NOHUGEPAGE)
    whole = np.frombuffer(area, np.uint8)
    offset = -int(whole.__array_interface__["data"][0]) % HUGE
    bytes_ = whole[offset : offset + size]
    if kind == "sparse":
        bytes_[:: 1 << 30] = 1
    elif kind == "scattered":
        pages = bytes_[::PAGE]
        pages[np.random.default_rng(1).permutation(len(pages))] = 1
    else:
        for at in range(0, size, _STEP):
            bytes_[at : min(size, at + _STEP) : PAGE] = 1
    _areas.append(area)
    return int(bytes_.__array_interface__["data"][0])


_areas: list[mmap.mmap] = []


def main(asked: str) -> None:
    ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)  # PR_SET_PDEATHSIG: never left behind
    print(json.dumps([_make(kind, size) for kind, size in json.loads(asked)]), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1])
