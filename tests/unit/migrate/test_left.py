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
    return LeftPages.of(start, start + np.uint64(PAGE), np.array(list(of.values()), np.int8))


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


@given(pages, st.integers(0, 60), st.integers(0, 60))
def test_between(of: dict[int, Outcome], low: int, high: int) -> None:
    assert spread(build(of).between(low * PAGE, high * PAGE)) == {p: o for p, o in of.items() if low <= p < high}


@given(pages)
def test_joining_and_filtering(of: dict[int, Outcome]) -> None:
    parts = [build({p: o for p, o in of.items() if p % 3 == rest}) for rest in range(3)]
    assert spread(LeftPages.joined(parts)) == of
    busy = build(of).with_outcome(Outcome.BUSY)
    assert spread(busy) == {p: o for p, o in of.items() if o is Outcome.BUSY}
