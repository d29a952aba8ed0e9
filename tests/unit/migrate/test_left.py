"""Interval arithmetic of what stayed behind, against sets of pages."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from numamig.migrate.left import LeftPages
from numamig.model.outcome import Outcome

PAGE = 4096
pages = st.dictionaries(st.integers(0, 60), st.sampled_from([Outcome.BUSY, Outcome.SHARED]))


def build(of: dict[int, Outcome]) -> LeftPages:
    start = np.array(list(of), np.uint64) * np.uint64(PAGE)
    outcome = np.array(list(of.values()), np.int8)
    return LeftPages.of(start, start + np.uint64(PAGE), outcome, outcome.astype(np.int16), outcome.astype(np.int32))


def spread(left: LeftPages) -> dict[int, Outcome]:
    found: dict[int, Outcome] = {}
    for (start, end), outcome in zip(left.ranges(), left.outcome.tolist(), strict=True):
        for page in range(start // PAGE, end // PAGE):
            assert page not in found
            found[page] = Outcome(outcome)
    return found


@given(pages)
def test_building_loses_nothing(of: dict[int, Outcome]) -> None:
    left = build(of)
    assert spread(left) == of
    assert left.counts(PAGE).total == len(of)
    assert (left.addresses(PAGE) // np.uint64(PAGE)).tolist() == sorted(of)
    assert left.ranges() == sorted(left.ranges())


@given(pages, pages)
def test_without(of: dict[int, Outcome], gone: dict[int, Outcome]) -> None:
    other = build(gone)
    assert spread(build(of).without(other.start, other.end)) == {p: o for p, o in of.items() if p not in gone}


@given(pages, pages)
def test_within(of: dict[int, Outcome], wanted: dict[int, Outcome]) -> None:
    other = build(wanted)
    assert spread(build(of).within(other.start, other.end)) == {p: o for p, o in of.items() if p in wanted}


@given(pages, st.integers(1, 20))
def test_chunks_lose_nothing_and_are_small(of: dict[int, Outcome], most: int) -> None:
    chunks = list(build(of).chunks(most, PAGE))
    assert all(chunk.pages(PAGE) <= 2 * most for chunk in chunks)
    assert {page: o for chunk in chunks for page, o in spread(chunk).items()} == of
    assert sum(map(len, map(spread, chunks))) == len(of)


@given(pages)
def test_joining_and_filtering(of: dict[int, Outcome]) -> None:
    parts = [build({p: o for p, o in of.items() if p % 3 == rest}) for rest in range(3)]
    assert spread(LeftPages.joined(parts)) == of
    busy = build(of).with_outcome(Outcome.BUSY)
    assert spread(busy) == {p: o for p, o in of.items() if o is Outcome.BUSY}
