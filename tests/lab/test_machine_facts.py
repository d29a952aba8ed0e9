"""What is said of the machine, held to the raw files of the kernel and to numactl."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from numamig.backends.linux.backend import LinuxBackend
from numamig.cli import main
from numamig.lab.machine import DEFAULT_MACHINE
from numamig.observe.rates import rates_between
from numamig.testing import Area
from tests.lab.conftest import LabWorkshop

PAGE = 4096
NODES = Path("/sys/devices/system/node")
BALANCING = Path("/proc/sys/kernel/numa_balancing")
DEMOTION = Path("/sys/kernel/mm/numa/demotion_enabled")


@pytest.fixture
def backend() -> LinuxBackend:
    return LinuxBackend()


def table_of(path: Path) -> dict[str, int]:
    return {name: int(count) for name, count in (line.split() for line in path.read_text().splitlines())}


def test_nodes_are_what_numactl_says(backend: LinuxBackend) -> None:
    topology = backend.topology()
    told = subprocess.run(["numactl", "--hardware"], capture_output=True, text=True, check=True).stdout
    sizes = {int(node): int(mib) for node, mib in re.findall(r"^node (\d+) size: (\d+) MB", told, re.MULTILINE)}
    cpus = {
        int(node): tuple(map(int, listed.split()))
        for node, listed in re.findall(r"^node (\d+) cpus:(.*)$", told, re.MULTILINE)
    }
    assert {node.id: node.total_bytes >> 20 for node in topology.nodes} == sizes
    assert {node.id: node.cpus for node in topology.nodes} == cpus == {0: (0,), 1: (1,), 2: ()}
    assert [[topology.distances[a, b] for b in range(3)] for a in range(3)] == list(
        map(list, DEFAULT_MACHINE.distances)
    )
    packages = Path("/sys/devices/system/cpu/cpu0/topology/physical_package_id").read_text()
    assert [node.packages for node in topology.nodes] == [(int(packages),)] * 2 + [()]
    # QEMU says of no node how fast it is, or what it is made of.
    assert {(node.performance, node.label) for node in topology.nodes} == {(None, "")}
    tiers = {node.tier for node in topology.nodes}
    assert len(tiers) == 1 and tiers != {None}


def test_free_memory_is_that_of_meminfo(backend: LinuxBackend) -> None:
    def meminfo() -> dict[int, int]:
        texts = {node: (NODES / f"node{node}/meminfo").read_text() for node in range(3)}
        found = {node: re.search(r"MemFree:\s+(\d+) kB", text) for node, text in texts.items()}
        return {node: int(match[1]) << 10 for node, match in found.items() if match}

    before, counters, after = meminfo(), backend.node_counters(), meminfo()
    for node, free in counters.free_bytes.items():
        assert abs(free - (before[node] + after[node]) // 2) <= abs(before[node] - after[node]) + (2 << 20)
    assert set(counters.free_bytes) == {0, 1, 2}


def test_watermarks_are_those_of_zoneinfo(backend: LinuxBackend) -> None:
    marks = backend.node_counters().watermarks
    pages = {node: {"min": 0, "low": 0, "high": 0} for node in range(3)}
    node, of_zone = -1, {}
    for line in Path("/proc/zoneinfo").read_text().splitlines():
        words = line.split()
        if words[0] == "Node":
            node, of_zone = int(words[1].rstrip(",")), {}
        elif words[0] in ("min", "low", "high"):
            of_zone[words[0]] = int(words[1])
        elif words[0] == "managed" and int(words[1]):
            for mark, count in of_zone.items():
                pages[node][mark] += count
    for node, held in marks.items():
        assert (held.min_bytes, held.low_bytes, held.high_bytes) == tuple(pages[node][m] * PAGE for m in pages[node])
        assert 0 < held.min_bytes < held.low_bytes < held.high_bytes
    assert set(marks) == {0, 1, 2}
    # What a user may lose is what vm.min_free_kbytes asks for, but for rounding.
    asked = int(Path("/proc/sys/vm/min_free_kbytes").read_text()) << 10
    assert abs(sum(held.min_bytes for held in marks.values()) - asked) < 1 << 20


@pytest.fixture
def pool_of_node_1() -> Iterator[Path]:
    path = NODES / "node1/hugepages/hugepages-2048kB/nr_hugepages"
    before = path.read_text()
    yield path
    path.write_text(before)


def test_a_pool_grows_on_the_node_it_was_asked_of(backend: LinuxBackend, pool_of_node_1: Path) -> None:
    def pools() -> dict[int, tuple[int, int, int]]:
        found = backend.node_counters().huge_pools
        (small,) = {len(of_node) for of_node in found.values()}
        assert small == len(list(Path("/sys/kernel/mm/hugepages").iterdir()))
        return {node: (p.total, p.free, p.surplus) for node, of_node in found.items() for p in of_node[:1]}

    before = pools()
    total, free, _ = before[1]
    pool_of_node_1.write_text(str(total + 5))
    assert pools() == before | {1: (total + 5, free + 5, 0)}
    assert backend.node_counters().huge_pools[1][0].page_bytes == 2 << 20


def test_counters_of_nodes_are_the_raw_ones(backend: LinuxBackend) -> None:
    for node in range(3):
        before = table_of(NODES / f"node{node}/numastat")
        counted = backend.node_counters()
        after = table_of(NODES / f"node{node}/numastat")
        assert set(counted.numastat[node]) == set(before)
        assert all(before[name] <= count <= after[name] for name, count in counted.numastat[node].items())
        assert set(counted.node_vmstat[node]) == set(table_of(NODES / f"node{node}/vmstat"))


def test_moving_shows_in_the_rates(workshop: LabWorkshop) -> None:
    backend = workshop.backend
    target = workshop.start(Area(1024, 0))
    before = backend.node_counters()
    pages = np.uint64(target.starts[0]) + np.arange(1024, dtype=np.uint64) * np.uint64(PAGE)
    assert backend.move_pages(target.pid, pages, np.full(1024, 2, np.int32)).returned == 0
    after = backend.node_counters()
    assert target.pages_by_node(0) == {2: 1024}
    rates = rates_between(before, after)
    assert rates.machine["pgmigrate_success"] * rates.seconds == pytest.approx(
        after.vmstat["pgmigrate_success"] - before.vmstat["pgmigrate_success"]
    )
    assert round(rates.machine["pgmigrate_success"] * rates.seconds) >= 1024
    # The pages were allocated on node 2 by a CPU of another node.
    assert round(rates.by_node[2]["numa_other"] * rates.seconds) >= 1024
    assert round(rates.by_node[2]["numa_hit"] * rates.seconds) >= 1024


@pytest.fixture
def switches() -> Iterator[None]:
    before = {path: path.read_text() for path in (BALANCING, DEMOTION)}
    yield
    for path, text in before.items():
        path.write_text(text)


def test_switches_are_told_as_they_are_thrown(backend: LinuxBackend, switches: None) -> None:
    for mode, demotion, words in ((0, False, "off"), (1, True, "locality"), (2, False, "tiering")):
        BALANCING.write_text(str(mode))
        DEMOTION.write_text(str(int(demotion)))
        told = backend.node_counters().switches
        assert (told.balancing, told.demotion, told.numastat, told.balancing_words) == (mode, demotion, True, words)


def test_the_command_prints_them(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["nodes", "--interval", "200ms", "--json"])
    assert ended.value.code == 0
    document = json.loads(capsys.readouterr().out)
    assert [node["watermarks"]["min_bytes"] > 0 for node in document["nodes"]] == [True] * 3
    assert document["rates"]["machine"]["numa_hit"] > 0
    assert set(document["rates"]["nodes"]) == {"0", "1", "2"}
    done = subprocess.run(
        [sys.executable, "-m", "numamig", "nodes", "--interval", "200ms"], capture_output=True, text=True, check=True
    )
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "NUMA balancing" in done.stdout
    assert "numa_hit" in done.stdout


@pytest.mark.parametrize("dtype", [np.int64, np.uint64, np.int32])
@pytest.mark.parametrize("size", [12, 28, 64, 1000])
def test_the_processor_can_sort(size: int, dtype: type[np.integer]) -> None:
    """What sorts wrongly counts wrongly: as long as the emulated processor had AVX2, this failed."""
    random = np.random.default_rng(size)
    for _ in range(50):
        numbers = random.integers(0, size, size).astype(dtype)
        order = np.argsort(numbers)
        assert numbers[order].tolist() == sorted(numbers.tolist()) and sorted(order.tolist()) == list(range(size))
