"""Batches as bytes: what is written before pages move is read back as it was."""

from __future__ import annotations

import numpy as np
import pytest

from numamig.migrate.batch import Batch, Even
from numamig.migrate.journal.packing import pack_batch, unpack_batch
from numamig.model.pages import UNKNOWN_NODE

PAGE, HUGE = 4096, 2 << 20


def a_batch(seed: int, *, sizes: tuple[int, ...], targets: tuple[int, ...], gaps: bool, nodes: int) -> Batch:
    """Folios drawn by chance, ascending."""
    random = np.random.default_rng(seed)
    count = int(random.integers(1, 3000))
    size = random.choice(sizes, count).astype(np.int64)
    before = size * random.integers(0, 3, count) if gaps else np.zeros(count, np.int64)
    address = np.uint64(7 << 40) + (np.cumsum(size + before) - size).view(np.uint64)
    source = random.integers(UNKNOWN_NODE, nodes, count).astype(np.int16)
    return Batch(address, size, source, random.choice(targets, count).astype(np.int32))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("nodes", [0, 1, 2, 40])
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("targets", [(7,), (7, 1023)])
@pytest.mark.parametrize("sizes", [(PAGE,), (HUGE,), (PAGE, HUGE)])
def test_read_back_as_it_was(
    seed: int, nodes: int, gaps: bool, targets: tuple[int, ...], sizes: tuple[int, ...]
) -> None:
    batch = a_batch(seed, sizes=sizes, targets=targets, gaps=gaps, nodes=nodes)
    found = unpack_batch(pack_batch(batch))
    np.testing.assert_array_equal(found.address, batch.address)
    np.testing.assert_array_equal(found.page_size, batch.size_bytes)
    np.testing.assert_array_equal(found.source, batch.source)
    np.testing.assert_array_equal(found.target, batch.target)


@pytest.mark.parametrize("missing", [1, 2047, 4094])
def test_two_pages_further_apart_than_the_others(missing: int) -> None:
    batch = a_batch(1, sizes=(PAGE,), targets=(1,), gaps=False, nodes=3)
    address = batch.address.copy()
    address[missing % len(address) :] += np.uint64(PAGE)
    found = unpack_batch(pack_batch(Batch(address, batch.size_bytes, batch.source, batch.target)))
    np.testing.assert_array_equal(found.address, address)


def test_all_alike() -> None:
    even = Even(7 << 40, PAGE, 4096, 0, 3)
    packed = pack_batch(Batch.of(even))
    assert len(packed) < 32
    found = unpack_batch(packed)
    np.testing.assert_array_equal(found.address, np.arange(even.start, even.end, PAGE, dtype=np.uint64))
    assert set(found.source.tolist()) == {0}
    assert set(found.target.tolist()) == {3}


def test_scattered_pages_take_a_bit_for_each_node() -> None:
    random = np.random.default_rng(1)
    address = np.arange(7 << 40, (7 << 40) + 4096 * PAGE, PAGE, dtype=np.uint64)
    for nodes in (2, 4):
        source = random.integers(0, nodes, 4096).astype(np.int16)
        batch = Batch(address, np.full(4096, PAGE), source, np.full(4096, 7, np.int32))
        assert len(pack_batch(batch)) <= nodes * (4096 // 8 + 24)
