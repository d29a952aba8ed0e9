"""Where a scenario's pages lie, in what state, and how hot they are: as asked, and the same everywhere."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.machine import Machine
from numamig.backends.simulator.memory import ABSENT, Backing, Flag
from numamig.backends.simulator.process import SimRegion
from numamig.backends.simulator.scenario import ScenarioFile, build_machine, heat, placement

PAGES = 1 << 18


def machine(*regions: dict[str, Any], nodes: dict[str, Any] | None = None, **keys: Any) -> Machine:
    return build_machine(
        ScenarioFile.model_validate(
            {
                "scenario": 1,
                "title": "t",
                "nodes": [
                    {"id": 0, "cpus": "0-3", "memory": "8GiB", "package": 0, **(nodes or {})},
                    {"id": 2, "memory": "8GiB"},
                ],
                "processes": [{"name": "p", "pid": 7, "regions": list(regions)}],
                **keys,
            }
        )
    )


def placed(entry: dict[str, Any], **keys: Any) -> Backing:
    built = machine({"size": PAGES * 4096, "nodes": {0: 3, 2: 1}, **entry}, **keys)
    return built.processes[7].regions[0].backing


def share(values: NDArray[Any]) -> float:
    return float(np.count_nonzero(values)) / len(values)


def flagged(backing: Backing, flag: Flag) -> NDArray[np.bool_]:
    return np.asarray(backing.flags & np.uint8(flag), bool)


EVERYTHING: list[dict[str, Any]] = [
    {"size": "40MiB", "nodes": {0: 3, 2: 1}, "pattern": "random", "heat": {"zipf": 1.1}, "pinned": "1%", "zero": "5%"},
    {"size": "36MiB", "nodes": {0: 1, 2: 1}, "extent": "1MiB", "present": 0.9, "swapped": "3%", "hinted": "2%"},
    {"size": "33MiB", "nodes": {2: 2, 0: 1}, "huge": True, "busy": "4%", "heat": {"hot": "10%", "of_accesses": "90%"}},
    {"size": "20MiB", "nodes": {2: 2, 0: 1}, "folio": "64KiB", "pattern": "interleave", "locked": True},
    {"size": "16MiB", "kind": "file", "nodes": {2: 2, 0: 5}, "pattern": "halves", "writeback": "7%"},
]


def digest(regions: list[SimRegion]) -> str:
    sums = hashlib.sha256()
    for region in sorted(regions, key=lambda each: each.pages):
        backing = region.backing
        for array in (backing.node, backing.flags, backing.sharers, backing.heat):
            sums.update(b"" if array is None else array.tobytes())
    return sums.hexdigest()


def test_the_same_bytes_on_any_machine() -> None:
    told = digest(machine(*EVERYTHING, seed=42).processes[7].regions)
    assert told == "50bd5a6c0d60d2e90143bd167e301873c4a65b53e3b9cde3e140878b945eb9b8"
    assert told != digest(machine(*EVERYTHING, seed=43).processes[7].regions)


def test_the_size_of_a_chunk_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    told = digest(machine(*EVERYTHING).processes[7].regions)
    monkeypatch.setattr(placement, "_CHUNK", 1 << 9)
    monkeypatch.setattr(heat, "_CHUNK", 1 << 10)
    assert digest(machine(*EVERYTHING).processes[7].regions) == told


def test_other_processes_change_nothing() -> None:
    region = EVERYTHING[0]
    other = {"name": "q", "pid": 3, "regions": [region]}
    mine = {"name": "p", "pid": 7, "regions": [region]}
    alone = machine(region).processes[7].regions
    behind = machine(processes=[other, mine]).processes
    assert digest(behind[7].regions) == digest(alone)
    assert digest(behind[3].regions) != digest(alone)


@pytest.mark.parametrize("pattern", ["random", "blocks", "halves", "interleave"])
def test_nodes_get_their_weight(pattern: str) -> None:
    extent = {"extent": "256KiB"} if pattern == "blocks" else {}
    node = placed({"pattern": pattern, **extent}).node
    assert set(node.tolist()) == {0, 2}
    assert share(node == 0) == pytest.approx(0.75, abs=0.02)
    stretches = int(np.count_nonzero(np.diff(node))) + 1
    assert {"halves": 2, "interleave": PAGES // 2}.get(pattern, stretches) == stretches
    if pattern == "blocks":
        assert PAGES / stretches == pytest.approx(64 / (2 * 0.75 * 0.25), rel=0.1)  # neighbours may be of one node
    if pattern == "interleave":
        assert node[:8].tolist() == [0, 0, 0, 2] * 2


def test_states_are_of_the_pages_that_are_there() -> None:
    backing = placed({"present": "80%", "swapped": "25%", "zero": "10%", "pinned": 0.001, "writeback": "5%"})
    there = backing.node != ABSENT
    assert share(there) == pytest.approx(0.8 * 0.75, abs=0.01)
    swapped = flagged(backing, Flag.SWAPPED)
    assert share(swapped) == pytest.approx(0.8 * 0.25, abs=0.01)
    assert not (swapped & there).any()
    for flag, expected in ((Flag.ZERO, 0.1), (Flag.PINNED, 0.001), (Flag.WRITEBACK, 0.05)):
        assert share(flagged(backing, flag)[there]) == pytest.approx(expected, rel=0.2)
        assert not flagged(backing, flag)[~there].any()
    zero = flagged(backing, Flag.ZERO)
    assert backing.resident_pages == int((there & ~zero).sum())  # the zero page is nobody's memory


def test_memory_is_taken_from_the_nodes() -> None:
    built = machine({"size": "1GiB", "nodes": {0: 1, 2: 1}, "zero": "50%"}, nodes={"used": "1GiB", "cache": "512MiB"})
    node, other = built.nodes[0], built.nodes[2]
    held = built.processes[7].resident_pages
    assert (node.total_pages - node.free_pages - (1536 << 8)) + (other.total_pages - other.free_pages) == held
    assert built.room(node) == node.free_pages + (512 << 8) - node.reserve_pages


def test_folios_are_whole_and_aligned() -> None:
    for entry, size in (({"huge": True}, 512), ({"folio": "64KiB"}, 16)):
        backing = placed({"pattern": "random", "present": "50%", "pinned": "10%", **entry})
        assert backing.folio_pages == size
        for array in (backing.node, backing.flags):
            folios = array.reshape(-1, size)
            assert (folios == folios[:, :1]).all()
        assert (flagged(backing, Flag.LARGE) == (backing.node != ABSENT)).all()
    short = machine({"size": "3MiB", "nodes": {0: 1}, "huge": True}).processes[7].regions[0].backing
    assert flagged(short, Flag.LARGE).sum() == 512  # what is left over has small pages


def test_hugetlb_comes_out_of_its_pool() -> None:
    region = {"kind": "hugetlb", "size": "9MiB", "nodes": {0: 1}}
    built = machine(region, nodes={"hugepages": "64MiB"})
    node = built.nodes[0]
    assert (node.pool_total, node.pool_free) == (32, 27)
    assert node.total_pages - node.free_pages == 32 * 512
    assert built.processes[7].regions[0].pages == 5 * 512
    counters = SimulatorBackend(built).node_counters()
    assert [(pool.total, pool.free) for pool in counters.huge_pools[0]] == [(32, 27)]
    assert machine(region).nodes[0].pool_total == 5  # left out: as large as what lies in it


@pytest.mark.parametrize(("hot", "of_accesses"), [(0.1, 0.9), (0.01, 0.5), (0.2, 0.8), (0.01, 0.95)])
@pytest.mark.parametrize("where", ["scattered", "first", "last"])
def test_hot_pages_get_their_part(hot: float, of_accesses: float, where: str) -> None:
    backing = placed({"heat": {"hot": hot, "of_accesses": of_accesses, "where": where}})
    assert backing.heat is not None
    is_hot = backing.heat == 255
    assert share(is_hot) == pytest.approx(hot, rel=0.05)
    assert backing.heat[is_hot].sum() / backing.heat.sum(dtype=np.int64) == pytest.approx(of_accesses, abs=0.01)
    if where != "scattered":
        part = is_hot[: round(hot * PAGES) + 8] if where == "first" else is_hot[-round(hot * PAGES) - 8 :]
        assert part.sum() == is_hot.sum()


@pytest.mark.parametrize("exponent", [0.5, 0.99, 1.1])
def test_zipf_has_its_quantiles(exponent: float) -> None:
    backing = placed({"heat": {"zipf": exponent, "where": "first"}})
    assert backing.heat is not None
    drawn = backing.heat.cumsum(dtype=np.int64)
    law = (np.arange(1, PAGES + 1.0) ** -exponent).cumsum()
    for part in (0.002, 0.01, 0.1, 0.5):
        count = int(part * PAGES)
        assert drawn[count] / drawn[-1] == pytest.approx(law[count] / law[-1], abs=0.01)


def test_latencies_and_bandwidths() -> None:
    built = machine(nodes={"latency": "110ns", "bandwidth": "400GB/s"}, distances=[[10, 30], [30, 10]])
    assert built.access.latency_ns(0, 0) == 110
    assert built.access.latency_ns(0, 2) == 300  # no latency of its own: by distance
    (node, other) = SimulatorBackend(built).topology().nodes
    assert node.packages == (0,)
    assert node.performance is not None
    assert other.performance is not None
    assert (node.performance.initiators, node.performance.read_latency_ns) == ((0,), 110)
    assert node.performance.read_bandwidth_mib == 400_000_000_000 >> 20
    assert other.performance.read_latency_ns == 300
    by_factor = machine(latency={"local": "200ns", "factor": 2.25})
    assert by_factor.access.latency_ns(0, 2) == 450
    assert by_factor.distances[0, 2] == 22
    by_matrix = machine(latencies=[["80ns", "250ns"], ["1us", "1us"]])
    assert by_matrix.access.latency_ns(0, 2) == 250
    assert SimulatorBackend(machine()).topology().nodes[0].performance is None


def test_a_workload_shares_out_its_accesses() -> None:
    regions = [
        {"name": "near", "size": "64MiB", "nodes": {0: 1}},
        {"name": "far", "size": "8MiB", "nodes": {2: 1}, "heat": {"hot": "10%", "of_accesses": "90%"}},
    ]

    def local(said: Any) -> float:
        work = {"compute": "10ns", "accesses": "endless", "regions": said}
        built = machine(processes=[{"name": "p", "pid": 7, "runs_on": [0], "regions": regions, "workload": work}])
        return built.workings().workloads[0].local

    assert local("all") == pytest.approx(8 / 9)
    assert local(["far"]) == 0
    assert local({"far": 3, "near": 1}) == pytest.approx(0.25)
