"""The page readers against each other, and against numa_maps: one process with every kind of memory on every node."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from numamig.backends.linux.backend import LinuxBackend
from numamig.backends.linux.calibration import table_agrees
from numamig.backends.linux.frame_reader import FrameReader
from numamig.backends.linux.frames import UNCLEAR, FrameTable, read_frame_table
from numamig.backends.linux.maps import parse_spans, read_maps
from numamig.backends.linux.ownpages import learn_zero_frames
from numamig.backends.linux.pagemap import Pagemap
from numamig.backends.linux.pagereaders import KeyReader, read_runs
from numamig.model.pages import PageRuns
from numamig.model.process import Region, RegionKind
from numamig.observe.sampling import estimate_process, estimate_regions
from tests.lab.back_door import wait_until_asleep

PAGE, HUGE = 4096, 2 << 20
NODES = (0, 1, 2)
CHILD = """
import ctypes, mmap, os, sys
PAGE, HUGE, MBIND = 4096, 2 << 20, 237
libc = ctypes.CDLL(None, use_errno=True)
kept = []

def make(size, node, flags, advice=None, file=-1, touched=1):
    area = mmap.mmap(file, size, flags=flags)
    kept.append(area)
    start = ctypes.addressof(ctypes.c_char.from_buffer(area))
    if node is not None:
        mask = (ctypes.c_ulong * 16)(1 << node)
        assert not libc.syscall(MBIND, ctypes.c_void_p(start), ctypes.c_ulong(size), 2, mask, ctypes.c_ulong(1025), 0)
    if advice is not None:
        libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), advice)
    for at in range(0, size, touched * PAGE):
        area[at] = 1
    return area

private, shared = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS
for node in range(3):
    make(6 << 20, node, private, 15)
    make(4 << 20, node, private, 15, touched=3)
    make(10 << 20, node, private, 14)
    make(1 << 20, node, shared)
    with open(f"/dev/shm/readers-{node}", "w+b") as file:
        file.truncate(1 << 20)
        make(1 << 20, node, mmap.MAP_SHARED, file=file.fileno())
        os.unlink(file.name)
    if sys.argv[1] == "hugetlb":
        make(2 * HUGE, node, private | 0x40000)
for advice in (15, 14):  # zero pages, small and huge
    area = mmap.mmap(-1, 6 << 20, flags=private)
    kept.append(area)
    libc.madvise(ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(area))), ctypes.c_size_t(6 << 20), advice)
    for at in range(0, 6 << 20, PAGE):
        area[at]
print(flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def backend() -> LinuxBackend:
    return LinuxBackend()


@pytest.fixture(scope="module")
def child() -> Iterator[int]:
    pool = Path("/proc/sys/vm/nr_hugepages")
    balancing = Path("/proc/sys/kernel/numa_balancing")
    before = {path: path.read_text() for path in (pool, balancing) if path.exists()}
    if balancing.exists():
        balancing.write_text("0")
    for node in NODES:
        Path(f"/sys/devices/system/node/node{node}/hugepages/hugepages-2048kB/nr_hugepages").write_text("2")
    kind = "hugetlb" if int(pool.read_text()) >= 6 else "none"
    command = [sys.executable, "-S", "-c", CHILD, kind]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        wait_until_asleep(process.pid)
        yield process.pid
        process.kill()
    for path, value in before.items():
        path.write_text(value)


def look(backend: LinuxBackend, reader: KeyReader, pid: int) -> PageRuns:
    spans = parse_spans(read_maps(backend.proc_root, pid), backend._sizes(), PAGE)
    everything = [(0, 1 << 62)]
    return PageRuns.concatenate(
        read_runs(
            reader,
            partial(Pagemap, backend.proc_root, pid, PAGE),
            spans,
            everything,
            page_size=PAGE,
            huge_page_size=HUGE,
            threads=2,
        )
    )


def numa_maps(pid: int) -> dict[int, dict[int, int]]:
    """Start of each mapping → bytes by node."""
    mappings: dict[int, dict[int, int]] = {}
    for line in Path(f"/proc/{pid}/numa_maps").read_text().splitlines():
        size = int(dict(re.findall(r"(kernelpagesize_kB)=(\d+)", line)).get("kernelpagesize_kB", 4)) << 10
        mappings[int(line.split()[0], 16)] = {int(n): int(p) * size for n, p in re.findall(r"\bN(\d+)=(\d+)", line)}
    return mappings


def by_region(runs: PageRuns, regions: list[Region]) -> dict[int, dict[int, int]]:
    return {region.start: runs.between(region.start, region.end).bytes_by_node() for region in regions}


def straddling(backend: LinuxBackend) -> FrameReader:
    """A reader whose table knows no block for sure, as if every one straddled two nodes: zones tell, or move_pages."""
    frames = backend.readers.frame_reader
    assert frames is not None
    table = frames._table
    unclear = FrameTable(table.shift, np.full_like(table.nodes, UNCLEAR), table.spans)
    zero = learn_zero_frames(backend.proc_root, HUGE)
    return FrameReader(unclear, zero, backend.readers.page_flags, backend.readers.ask, HUGE)


def test_every_reader_tells_what_numa_maps_does(backend: LinuxBackend, child: int) -> None:
    regions = [region for region in backend.regions(child) if region.kind is not RegionKind.SPECIAL]
    truth = numa_maps(child)
    expected = {region.start: truth.get(region.start, {}) for region in regions}
    everywhere = {node for placed in expected.values() for node in placed}
    assert everywhere == set(NODES)
    assert any(region.kind is RegionKind.HUGETLB for region in regions)
    assert backend.readers.frame_reader is not None
    readers = {
        "frames": backend.readers.frame_reader,
        "query": backend.readers.query_reader,
        "straddling": straddling(backend),
    }
    seen = {}
    for name, reader in readers.items():
        runs = look(backend, reader, child)
        assert by_region(runs, regions) == expected, name
        seen[name] = runs
    for one in ("frames", "straddling"):
        for column in ("address", "page_size", "count", "node"):
            assert np.array_equal(getattr(seen[one], column), getattr(seen["frames"], column)), (one, column)
    # Huge pages and hugetlb pages on each node, each named once.
    huge = seen["frames"][seen["frames"].page_size == HUGE]
    assert set(huge.node.tolist()) == set(NODES)
    assert int(huge.count.sum()) >= 3 * 4 + 3 * 2


@pytest.mark.parametrize("node", NODES)
def test_a_table_that_takes_a_node_for_another_is_not_believed(backend: LinuxBackend, node: int) -> None:
    """Also a node on which we have nothing."""
    zero = learn_zero_frames(backend.proc_root, HUGE)
    right = read_frame_table(backend.sys_root, backend.proc_root, PAGE)
    wrong = replace(right, nodes=np.where(right.nodes == node, (node + 1) % 3, right.nodes).astype(np.int16))
    assert [
        table_agrees(table, zero, backend.proc_root, backend.readers.ask, PAGE, HUGE, NODES) for table in (right, wrong)
    ] == [True, False]


def test_estimates_agree_with_what_is_counted(backend: LinuxBackend, child: int) -> None:
    regions = backend.regions(child)
    truth = numa_maps(child)
    process = backend.process(child)
    whole = estimate_process(backend, process, regions, PAGE)
    total = sum(held for placed in truth.values() for held in placed.values())
    for node in NODES:
        share = sum(placed.get(node, 0) for placed in truth.values()) / total
        assert abs(whole.bytes_by_node[node] / whole.total_bytes - share) <= whole.error
    wrong = 0
    for region, placement in zip(regions, estimate_regions(backend, child, regions, PAGE), strict=True):
        placed = truth.get(region.start, {})
        if region.kind is not RegionKind.SPECIAL and placed:
            held = sum(placed.values())
            off = [
                abs(placement.bytes_by_node.get(n, 0) / max(1, placement.total_bytes) - placed.get(n, 0) / held)
                for n in NODES
            ]
            wrong += max(off) > placement.error + 1e-9
    assert wrong <= len(regions) // 20
