"""What is wrong in a scenario is said at its line, with what was expected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from numamig.backends.simulator.scenario import load_machine
from numamig.errors import FileError

GOOD = """scenario: 1
title: small
kernel: linux-6.12
seed: 1
line: 64B
nodes:
  - {id: 0, cpus: 0-1, memory: 64MiB, bandwidth: 100GB/s}
  - {id: 4, memory: 64MiB, latency: 250ns, hugepages: 8MiB}
distances:
  - [10, 24]
  - [24, 10]
processes:
  - name: db
    pid: 10
    threads: 2
    runs_on: [0]
    mems: [0, 4]
    workload: {compute: 48ns, accesses: 187e6, in_flight: 2, regions: {cache: 3, heap: 1}}
    regions:
      - {kind: anon, name: cache, size: 8MiB, nodes: {0: 3, 4: 1}, heat: {hot: 10%, of_accesses: 90%}}
      - {kind: heap, name: heap, size: 1MiB, nodes: {0: 1}, swapped: 5%}
      - {kind: shmem, size: 1MiB, nodes: {4: 1}, share: ring}
      - {kind: anon, size: 4MiB}
  - name: helper
    pid: 11
    regions:
      - {kind: shmem, size: 1MiB, share: ring}
"""

TABLE = [
    # plain values
    ("scenario: 1", "scenario: 2", 1, "scenario: input should be 1, not '2'"),
    ("scenario: 1", "scenario: true", 1, "scenario: input should be 1, not 'true'"),
    ("scenario: 1", "scenario: 1.0", 1, "scenario: input should be 1, not '1.0'"),
    ("scenario: 1", "scenario: '1'", 1, "scenario: input should be 1, not '1'"),
    ("scenario: 1\n", "", 1, "scenario is missing"),
    ("scenario: 1\ntitle: small\n", "# small\ntitle: s\nscenario: 1\n", 2, "title: must come after `scenario: 1`"),
    ("title: small", "titel: small", 2, "unknown key 'titel': did you mean 'title'?"),
    ("title: small\n", "", 1, "title is missing"),
    ("kernel: linux-6.12", "kernel: linux-2.4", 3, "kernel: kernel 'linux-2.4' is not known; there are linux-6.1,"),
    ("seed: 1", "seed: -1", 4, "seed: input should be greater than or equal to 0, not '-1'"),
    ("seed: 1", "seed: yes", 4, "seed: input should be a valid integer, not 'yes'"),
    ("line: 64B", "line: 48", 5, "line: must be a power of two, like 64 or 128"),
    ("memory: 64MiB, b", "memory: lots, b", 7, "nodes.0.memory: 'lots' is not a size (write it like 64MiB)"),
    ("cpus: 0-1", "cpus: zero", 7, "nodes.0.cpus: write a list of CPUs like 0-15,32, not 'zero'"),
    ("100GB/s", "fast", 7, "nodes.0.bandwidth: 'fast' is not a rate (write it like 200MiB/s)"),
    ("100GB/s", "0", 7, "nodes.0.bandwidth: '0' is not a rate (it must be more than nothing, like 200MiB/s)"),
    ("250ns", "250", 8, "nodes.1.latency: '250' is not a duration (write it like 48ns or 1.5us)"),
    ("250ns", "0ns", 8, "nodes.1.latency: must be more than nothing, like 100ns, not '0ns'"),
    ("id: 4", "id: true", 8, "nodes.1.id: input should be a valid integer, not 'true'"),
    ("id: 4", "id: 255", 8, "nodes.1.id: input should be less than 255"),
    ("pid: 10\n", "pid: 0\n", 14, "processes.0.pid: input should be greater than 0"),
    ("name: db", "name: a-name-of-16-byt", 13, "processes.0.name: string should have at most 15 characters"),
    ("swapped: 5%", "swapped: 105%", 21, "swapped: '105%' is not a share (write it like 5% or 0.05, from 0 to 1)"),
    ("swapped: 5%", "swapped: .nan", 21, "swapped: 'nan' is not a share (write it like 5% or 0.05, from 0 to 1)"),
    ("swapped: 5%", "locked: 1", 21, "processes.0.regions.1.locked: input should be a valid boolean, not '1'"),
    ("{0: 3, 4: 1}, heat", "{0: -3}, heat", 20, "regions.0.nodes.0: write a weight of more than 0, not '-3'"),
    (
        "{0: 3, 4: 1}, heat",
        "{x: 1}, heat",
        20,
        "processes.0.regions.0.nodes.x: write a number of a node, from 0 to 254",
    ),
    ("{0: 3, 4: 1}, heat", "{255: 1}, heat", 20, "regions.0.nodes.255: write a number of a node, from 0 to 254"),
    ("size: 4MiB}", "size: 4MiB, policy: bind}", 23, "policy: write default, local, bind:0, preferred:1 or interlea"),
    ("size: 4MiB}", "size: 4MiB, policy: preferred:0-1}", 23, "policy: write default, local, bind:0, preferred:1 or"),
    ("size: 4MiB}", "size: 4MiB, policy: bind:7}", 23, "regions.3.policy: process 'db' names node 7, which is not"),
    ("{0: 3, 4: 1}, heat", "{}, heat", 20, "regions.0.nodes: dictionary should have at least 1 item"),
    ("kind: heap", "kind: heep", 21, "processes.0.regions.1.kind: input should be 'anon', 'heap', 'stack'"),
    ("size: 8MiB", "size: 0", 20, "processes.0.regions.0.size: must be more than nothing, like 64MiB, not '0'"),
    ("187e6", "many", 18, "workload.accesses: write a number of accesses like 187e6, or endless, not 'many'"),
    ("in_flight: 2", "in_flight: 0", 18, "workload.in_flight: input should be greater than or equal to 1"),
    ("compute: 48ns, ", "", 18, "processes.0.workload.compute is missing"),
    ("accesses: 187e6", "access: 187e6", 18, "unknown key 'access': did you mean 'accesses'?"),
    # what heat may be
    ("{hot: 10%, of_accesses: 90%}", "warm", 20, "heat: write uniform, {hot: 10%, of_accesses: 90%} or {zipf: 1.1}"),
    ("{hot: 10%, of_accesses: 90%}", "{hot: 10%}", 20, "heat: write uniform, {hot: 10%, of_accesses: 90%} or {zi"),
    ("of_accesses: 90%}", "of_accesses: 9%}", 20, "heat.of_accesses: must be more than hot, or those pages are not"),
    ("hot: 10%,", "hot: 0,", 20, "heat.hot: must be from 0.03% to less than 100%"),
    ("hot: 10%, of_accesses: 90%", "zipf: 9", 20, "heat.zipf: input should be less than or equal to 3"),
    # nodes among each other
    ("id: 4", "id: 0", 8, "nodes.1.id: two nodes have the same id 0"),
    ("id: 4, ", "id: 4, cpus: 1-2, ", 8, "nodes.1.cpus: lists CPU 1, which is already on node 0"),
    ("cpus: 0-1, ", "", 6, "nodes: none of them has CPUs: a machine needs at least one"),
    ("id: 4, memory: 64MiB", "id: 4, memory: 0", 8, "nodes.1: node 4 has neither CPUs nor memory"),
    ("hugepages: 8MiB", "package: 1", 8, "nodes.1.package: node 4 has no CPUs, so it is in no package"),
    ("hugepages: 8MiB", "hugepages: 3MiB", 8, "nodes.1.hugepages: must be whole huge pages of 2.0M"),
    ("hugepages: 8MiB", "used: 65MiB", 8, "nodes.1.memory: used, cache, hugepages and reserve are 65.0M in all, but"),
    ("  - [24, 10]\n", "", 9, "distances: must be 2 rows of 2 numbers, in the order of the nodes: there are 1 rows"),
    ("[24, 10]", "[24, 10, 10]", 11, "distances.1: must be 2 rows of 2 numbers, in the order of the nodes: there are"),
    ("[24, 10]", "[24, 11]", 11, "distances.1: node 4 is 10 from itself, not 11"),
    ("[24, 10]", "[9, 10]", 11, "distances.1.0: input should be greater than or equal to 10, not '9'"),
    ("line: 64B", "latency: {factor: 2}", 5, "latency.factor: distances says already how far nodes are: give one"),
    ("line: 64B", "latencies: [[100ns, 200ns]]", 5, "latencies: must be 2 rows of 2 numbers"),
    ("distances:\n  - [10, 24]", "latencies:\n  - [80ns, 2us]", 11, "latencies.1.0: '24' is not a duration"),
    # processes
    ("pid: 11", "pid: 10", 25, "processes.1.pid: two processes have the same pid 10"),
    ("runs_on: [0]", "runs_on: [7]", 16, "runs_on.0: process 'db' names node 7, which is not there"),
    ("runs_on: [0]", "runs_on: [0, 4]", 16, "runs_on.1: process 'db' names node 4, which has no CPUs to run on"),
    ("mems: [0, 4]", "mems: [0, 3]", 17, "mems.1: process 'db' names node 3, which is not there"),
    ("mems: [0, 4]", "mems: []", 17, "mems: list should have at least 1 item"),
    ("mems: [0, 4]", "kernel_thread: true", 19, "regions: a kernel thread has no memory of its own"),
    # regions
    ("{0: 3, 4: 1}, heat", "{0: 3, 7: 1}, heat", 20, "nodes.7: process 'db' names node 7, which is not there"),
    ("name: heap, s", "name: cache, s", 21, "regions.1.name: two regions of process 'db' are called 'cache'"),
    ("size: 4MiB}", "size: 4MiB, huge: true}", 23, "regions.3.huge: says nothing here: without nodes the region was"),
    (
        "size: 1MiB, share: ring}\n",
        "size: 2MiB, share: ring}\n",
        27,
        "'ring' is shmem of 1.0M elsewhere: kind and size",
    ),
    ("\n      - {kind: shmem, size: 1MiB, share", "\n      - {kind: shmem, size: 1MiB, busy: 1%, share", 27, "say"),
    ("heat: {hot", "pattern: random, extent: 1MiB, heat: {hot", 20, "extent: says nothing for pattern random, only"),
    ("{0: 3, 4: 1}, heat", "{0: 1.5}, pattern: interleave, heat", 20, "nodes: interleave takes whole weights from 1"),
    ("heat: {hot", "folio: 48KiB, heat: {hot", 20, "folio: must be a power of two from 16K to 1.0M"),
    ("heat: {hot", "folio: 64KiB, huge: true, heat: {hot", 20, "folio: the region has huge pages already: give one"),
    ("swapped: 5%", "swapped: 5%, locked: true", 21, "swapped: locked memory is never swapped out"),
    ("nodes: {4: 1}, share", "nodes: {4: 1}, zero: 1%, share", 22, "zero: shmem memory has no zero page: only anony"),
    ("swapped: 5%", "zero: 5%, huge: true", 21, "zero: the zero page is a single page: not with huge or folio"),
    (
        "kind: shmem, size: 1MiB, nodes",
        "kind: hugetlb, hinted: 1%, size: 2MiB, nodes",
        22,
        "hugetlb memory is never marked",
    ),
    ("kind: anon, size: 4MiB", "kind: special, nodes: {0: 1}, size: 8KiB", 23, "special memory (vdso) is the kernel's"),
    ("size: 8MiB", "size: 1GiB", 7, "node 0 is 736 MiB too small for what is to lie on it"),
    ("size: 4MiB", "size: 100TiB", 12, "processes: regions of more than 16.0T in all cannot be simulated"),
    (
        "kind: anon, size: 4MiB",
        "kind: hugetlb, size: 16MiB, nodes: {4: 1}",
        8,
        "node 4: 16.0M of hugetlb regions are to",
    ),
    # workloads
    ("{cache: 3, heap: 1}", "{cashe: 3}", 18, "regions.cashe: process 'db' has no region 'cashe'; named are: cache, h"),
    ("{cache: 3, heap: 1}", "cache", 18, "workload.regions: write all, names of regions like [heap, buffers], or"),
    ("{cache: 3, heap: 1}", "[]", 18, "workload.regions: write all, names of regions like [heap, buffers], or"),
    ("{cache: 3, heap: 1}", "{cache: 0}", 18, "workload.regions.cache: write a weight of more than 0"),
    ("{cache: 3, heap: 1}", "[cache, cache]", 18, "workload.regions: names a region twice"),
    ("size: 1MiB, nodes: {0: 1}, sw", "size: 1MiB, sw", 18, "heap: region 'heap' has no nodes: it was never touched"),
    # actors
    ("seed: 1\n", "seed: 1\nactors: [{kind: gremlin}]\n", 5, "actors.0.kind: 'gremlin' is not known; actors are: "),
    (
        "seed: 1\n",
        "seed: 1\nactors: [{kind: page-counters, intervall: 2ms}]\n",
        5,
        "'intervall': did you mean 'interval'?",
    ),
    (
        "seed: 1\n",
        "seed: 1\nactors: [{kind: page-counters, interval: soon}]\n",
        5,
        "actors.0.interval: 'soon' is not a",
    ),
    ("seed: 1\n", "seed: 1\nactors: [{}]\n", 5, "actors.0.kind: is missing; actors are: "),
]


def fault(folder: Path, text: str) -> str:
    path = folder / "s.yaml"
    path.write_text(text)
    with pytest.raises(FileError) as caught:
        load_machine(path)
    return str(caught.value).replace(f"{folder}/", "")


def test_without_a_fault_it_loads(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(GOOD)
    assert len(load_machine(tmp_path / "s.yaml").processes) == 2


@pytest.mark.parametrize(("old", "new", "line", "words"), TABLE)
def test_a_fault_has_its_line(tmp_path: Path, old: str, new: str, line: int, words: str) -> None:
    assert old in GOOD
    head, sep, tail = GOOD.partition(old) if GOOD.count(old) == 1 else GOOD.rpartition(old)
    assert sep
    told = fault(tmp_path, head + new + tail).splitlines()
    assert [each for each in told if each.startswith(f"s.yaml:{line}:") and words in each], told
    assert len(told) <= 5  # what follows from a fault may be told as well


@pytest.mark.parametrize(
    ("kernel", "old", "new", "line", "words"),
    [
        ("linux-6.1", "heat: {hot", "folio: 64KiB, heat: {hot", 20, "folio: kernel linux-6.1 has no folios between"),
        ("ia64-2004-rescan", "swapped: 5%", "huge: true", 21, "huge: kernel ia64-2004-rescan has no huge pages"),
        ("ia64-2004-rescan", "swapped: 5%", "present: 1", 8, "hugepages: kernel ia64-2004-rescan has no huge pages"),
    ],
)
def test_what_a_kernel_does_not_have(tmp_path: Path, kernel: str, old: str, new: str, line: int, words: str) -> None:
    text = GOOD.replace("linux-6.12", kernel).replace(old, new)
    if words.startswith("huge:"):
        text = text.replace(", hugepages: 8MiB", "")
    told = fault(tmp_path, text)
    assert told.startswith(f"s.yaml:{line}:")
    assert words in told


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("id: 4", "id: 0").replace("pid: 11", "pid: 10").replace("runs_on: [0]", "runs_on: [3]")
    lines = [int(line.split(":")[1]) for line in fault(tmp_path, text).splitlines()]
    assert {8, 16, 25} <= set(lines)
    assert lines == sorted(lines)


WEIRD: list[Any] = [
    None,
    True,
    -1,
    0,
    1,
    2.5,
    float("nan"),
    float("inf"),
    10**30,
    "",
    "x",
    "0-99999999999",
    "9" * 400 + "ns",
    "1e999",
]
WEIRD += [[], [[]], ["x"], [None], {}, {"x": 1}, {0: 0}, {None: 1}, "9" * 400 + "%", "-5%", "1PiB", "1" * 30 + "TiB"]


def places(data: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something can be replaced."""
    inside = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [at, *(place for key, value in inside for place in places(value, (*at, key)))]


def test_whatever_is_written_it_loads_or_says_what_is_wrong(tmp_path: Path) -> None:
    for number, place in enumerate(places(yaml.safe_load(GOOD))[1:]):
        for weird in WEIRD[number % 5 :: 5]:  # each kind of value at some of the places: all of it takes a minute
            data = yaml.safe_load(GOOD)
            holder = data
            for key in place[:-1]:
                holder = holder[key]
            holder[place[-1]] = weird
            (tmp_path / "s.yaml").write_text(yaml.safe_dump(data, sort_keys=False))
            try:
                load_machine(tmp_path / "s.yaml").workings()
            except FileError as error:
                assert error.faults, (place, weird)
