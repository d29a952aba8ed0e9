"""What a step leaves free on the receiving node."""

from __future__ import annotations

import pytest

from numamig.migrate.destination import Node
from numamig.migrate.request import Request
from numamig.migrate.reserve import reserve_bytes
from numamig.model.topology import Watermarks

MIB = 1 << 20
MARKS = Watermarks(4 * MIB, 5 * MIB, 6 * MIB)


@pytest.mark.parametrize(
    ("total", "watermarks", "kept"),
    [
        (1000 * MIB, MARKS, 56 * MIB),
        (100 << 30, MARKS, 262 * MIB),
        (1000 * MIB, None, 50 * MIB),
        (0, None, 0),
    ],
)
def test_the_high_watermark_and_a_twentieth(total: int, watermarks: Watermarks | None, kept: int) -> None:
    assert reserve_bytes(Request(1, Node(0)), total, watermarks) == kept


@pytest.mark.parametrize("asked", [0, 7, 1 << 40])
def test_only_what_is_asked_for_replaces_it(asked: int) -> None:
    assert reserve_bytes(Request(1, Node(0), reserve_bytes=asked), 100 << 30, MARKS) == asked
