"""The ledger adds up as one who counts page by page."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from numamig.migrate.ledger import UNKNOWN_REGION, Ledger, Settled
from numamig.model.outcome import Outcome
from numamig.model.pages import UNKNOWN_NODE

PAGE = 4096
RANGES = [(1 << 30, 2 << 30), (2 << 30, 3 << 30), (8 << 30, 9 << 30)]


@pytest.mark.parametrize("outcomes", [(Outcome.MOVED,), (Outcome.BUSY,), (Outcome.MOVED, Outcome.BUSY, Outcome.SHARED)])
@pytest.mark.parametrize("targets", [(2,), (2, 1023)])
@pytest.mark.parametrize("within", [RANGES[:1], RANGES[1:2], RANGES])
@pytest.mark.parametrize("nodes", [(0,), (UNKNOWN_NODE, 0, 1, 1022)])
def test_adds_up(
    nodes: tuple[int, ...],
    within: list[tuple[int, int]],
    targets: tuple[int, ...],
    outcomes: tuple[Outcome, ...],
) -> None:
    random, ledger, expected = np.random.default_rng(1), Ledger(RANGES), Counter[tuple[int, int, int, int]]()
    for _ in range(3):
        starts = np.concatenate([np.arange(*each, 16 << 20, dtype=np.uint64) for each in within])
        count = len(starts)
        settled = Settled(
            starts,
            random.integers(1, 513, count),
            random.choice(nodes, count).astype(np.int16),
            random.choice(targets, count).astype(np.int32),
            random.choice(outcomes, count).astype(np.int8),
        )
        ledger.book(settled, page_size=PAGE)
        for address, pages, source, target, outcome in zip(*(column.tolist() for column in settled), strict=True):
            region = next(n for n, (start, end) in enumerate(RANGES) if start <= address < end)
            expected[region, source, target, outcome] += pages
    found = {(row.region, row.source, row.target, int(row.outcome)): row.pages for row in ledger.rows()}
    assert found == dict(expected)
    assert ledger.chosen == sum(expected.values())


def test_what_lies_before_all_regions_is_put_down_to_none() -> None:
    ledger = Ledger(RANGES)
    columns = np.array([1]), np.array([0], np.int16), np.array([2], np.int32), np.zeros(1, np.int8)
    ledger.book(Settled(np.array([4096], np.uint64), *columns))
    (row,) = ledger.rows()
    assert (row.region, row.pages) == (UNKNOWN_REGION, 1)
