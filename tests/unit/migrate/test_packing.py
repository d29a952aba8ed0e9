"""Batches as the journal keeps them: what is read is what was written, and it is as small as it is said to be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numamig.migrate.batch import Batch, Even
from numamig.migrate.journal.packing import pack_batch, pack_left, unpack_batch, unpack_left
from numamig.migrate.left import LeftPages
from numamig.migrate.origins import moved_by
from numamig.model.outcome import Outcome
from numamig.model.pages import UNKNOWN_NODE

PAGE, HUGE = 4096, 2 << 20
NODES = st.sampled_from([0, 1, 2, 1023])
TOP = (1 << 47) - (1 << 30)


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """Ascending folios of two sizes, with gaps, from and to several nodes."""
    address = draw(st.sampled_from([0, 0x7F00_0000_0000, TOP]))
    rows: list[tuple[int, int, int, int]] = []
    for _ in range(draw(st.integers(1, 6))):
        size = draw(st.sampled_from([PAGE, PAGE, HUGE]))
        address = -(-(address + draw(st.sampled_from([0, PAGE, 64 * PAGE, 1 << 28])) * (address < TOP)) // size) * size
        source, target = draw(NODES | st.just(UNKNOWN_NODE)), draw(NODES)
        for _ in range(draw(st.integers(1, 40 if size == PAGE else 3))):
            rows.append((address, size, source, target))
            address += size * draw(st.sampled_from([1, 1, 1, 2]))
    columns = zip(*rows, strict=True)
    types = (np.uint64, np.int64, np.int16, np.int32)
    return Batch(*(np.array(column, kind) for column, kind in zip(columns, types, strict=True)))  # type: ignore[arg-type]


def said(batch: Batch) -> list[tuple[int, int, int, int]]:
    columns = (batch.address, batch.size_bytes, batch.source, batch.target)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def read(packed: bytes) -> list[tuple[int, int, int, int]]:
    return list(zip(*(column.tolist() for column in unpack_batch(packed)), strict=True))


@given(batches())
def test_what_is_read_is_what_was_written(batch: Batch) -> None:
    packed = pack_batch(batch)
    assert read(packed) == said(batch)
    assert len(packed) <= 1 + 24 * len(batch)


@given(st.integers(0, 1 << 35), st.sampled_from([PAGE, HUGE]), st.integers(1, 5000), NODES, NODES)
def test_a_batch_of_one_run_is_one_row(first: int, size: int, folios: int, source: int, target: int) -> None:
    batch = Batch.of(Even(first * size, size, folios, source, target))
    assert read(pack_batch(batch)) == said(batch)
    assert len(pack_batch(batch)) < 32


@given(batches(), st.data())
def test_what_moved_is_what_was_meant_without_what_was_left(batch: Batch, data: st.DataObject) -> None:
    stays = np.array(data.draw(st.lists(st.booleans(), min_size=len(batch), max_size=len(batch))), np.bool_)
    outcome = np.full(len(batch), Outcome.BUSY, np.int8)
    columns = (batch.address, batch.end, outcome, batch.source, batch.target)
    left = LeftPages.of(*(column[stays] for column in columns))  # type: ignore[arg-type]
    packed = pack_left(left)
    found = unpack_left(packed)
    for name in ("start", "end", "outcome", "source", "target"):
        assert getattr(found, name).tolist() == getattr(left, name).tolist()
    for result, gone in ((packed, ~stays), (None, np.ones(len(batch), np.bool_))):
        origins = moved_by(pack_batch(batch), result)
        known = gone & (batch.source != UNKNOWN_NODE) & (batch.source != batch.target)
        if known.any():
            came_from = np.where(known, batch.source, UNKNOWN_NODE)
            assert origins.of(batch.address).tolist() == came_from.tolist()
        assert int((origins.end - origins.start).sum()) == int(batch.size_bytes[known].sum())


def test_no_result_and_nothing_left_are_not_the_same() -> None:
    batch = Batch.of(Even(0, PAGE, 10, 0, 1))
    assert pack_left(LeftPages.none()) == b""
    assert len(moved_by(pack_batch(batch), b"")) == len(moved_by(pack_batch(batch), None)) == 1


@pytest.mark.parametrize("batch_pages", [512, 4096])
def test_a_scattered_gibibyte_is_as_small_as_it_is_said_to_be(batch_pages: int) -> None:
    pages = 1 << 18
    source = np.random.default_rng(1).integers(1, 5, pages).astype(np.int16)
    address = np.arange(pages, dtype=np.uint64) * np.uint64(PAGE)
    size, target = np.full(pages, PAGE), np.zeros(pages, np.int32)
    cuts = [slice(first, first + batch_pages) for first in range(0, pages, batch_pages)]
    packed = [pack_batch(Batch(address[c], size[c], source[c], target[c])) for c in cuts]
    assert sum(map(len, packed)) < (0.14 if batch_pages == 4096 else 0.18) * (1 << 20)
    assert np.concatenate([unpack_batch(each).source for each in packed]).tolist() == source.tolist()
