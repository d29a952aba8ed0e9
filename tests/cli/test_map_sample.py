"""``numamig map --sample``: estimates that say so, and how far off they may be."""

from __future__ import annotations

from tests.cli.conftest import Numamig

MIB = 1 << 20


def test_what_is_counted_says_that_it_is_exact(numamig: Numamig) -> None:
    regions = numamig.json("map", "10")["regions"]
    assert [(region["estimated"], region["error"]) for region in regions] == [(False, 0.0)] * 2


def test_a_sample_comes_with_its_error(numamig: Numamig) -> None:
    document = numamig.json("map", "10", "--sample", "--pages")
    heap, shared = document["regions"]
    assert heap["estimated"] and 0 < heap["error"] < 0.1
    assert abs(heap["bytes_by_node"]["0"] / (16 * MIB) - 0.75) <= heap["error"]
    assert (shared["estimated"], shared["bytes_by_node"]) == (False, {"0": MIB})  # as many probes as pages
    assert "pages" not in document
    assert {bucket["read"] for bucket in document["buckets"]} == {True}
    assert document["buckets"][0]["pages_by_node"] == {"0": 4}


def test_a_sample_is_marked_in_text_and_says_how_far_off_it_may_be(numamig: Numamig) -> None:
    error = numamig.json("map", "10", "--sample")["regions"][0]["error"]
    header, heap, shared = numamig.small("map", "10", "--sample").stdout.splitlines()
    assert header.split()[-2:] == ["±", "path"]
    assert "~12" in heap and heap.split()[-2] == f"{error:.0%}"
    assert "~" not in shared and "%" not in shared
    assert "±" not in numamig.small("map", "10").stdout


def test_ps_says_how_far_off_it_may_be(numamig: Numamig) -> None:
    numamig.scenario.write_text(
        "scenario: 1\ntitle: large\nnodes:\n"
        "  - {id: 0, cpus: 0-1, memory: 4GiB}\n  - {id: 1, cpus: 2-3, memory: 4GiB}\n"
        "processes:\n"
        "  - {name: big, pid: 10, runs_on: [0], regions: [{kind: heap, size: 2GiB, nodes: {0: 1, 1: 1}}]}\n"
        "  - {name: small, pid: 11, runs_on: [0], regions: [{kind: heap, size: 2MiB, nodes: {0: 1, 1: 1}}]}\n"
    )
    big, small = numamig.json("ps")["processes"]
    assert (big["estimated"], small["estimated"], small["error"]) == (True, False, 0.0)
    assert 0.01 <= big["error"] < 0.1
    header, first, second = numamig.small("ps").stdout.splitlines()
    assert header.split() == ["pid", "name", "user", "rss", "node", "0", "node", "1", "remote", "±", "runs", "on"]
    cells = first.split()
    assert cells[3] == "2.0G"  # exact
    assert cells[4][0] == cells[5][0] == cells[6][0] == "~"
    assert cells[7] == f"{big['error']:.0%}"
    assert "~" not in second and second.count("%") == 1  # its remote share, counted
