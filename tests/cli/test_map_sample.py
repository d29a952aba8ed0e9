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


def test_a_sample_is_marked_in_text(numamig: Numamig) -> None:
    rows = numamig.small("map", "10", "--sample").stdout.splitlines()
    assert "~12" in rows[1] and "~" not in rows[2]
