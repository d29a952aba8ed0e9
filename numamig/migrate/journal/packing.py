"""Batches as bytes: runs of folios where there are few, a bit a page where every page is on a node of its own.

Both say the same; the shorter one is taken. A scattered GiB of 4 KiB pages on four nodes comes to about 0.13 MiB, a GiB
that lies on one node to a row for each batch.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from numamig.migrate.batch import Batch, Even
from numamig.migrate.left import LeftPages

__all__ = ["Intended", "left_bytes", "pack_batch", "pack_left", "unpack_batch", "unpack_even", "unpack_left"]

_RUNS, _BITS = 0, 1
_RUN = np.dtype([("start", "<u8"), ("folios", "<u4"), ("page_size", "<u4"), ("source", "<i2"), ("target", "<i2")])
_RUN_OF = struct.Struct("<QIIhh")
"""One of them."""
_HEAD = struct.Struct("<QIIhh")
"""Of the pages that are alike: first address, bits, page size, source, target."""
_LEFT = np.dtype([("start", "<u8"), ("end", "<u8"), ("outcome", "<i1"), ("source", "<i2"), ("target", "<i2")])


class Intended(NamedTuple):
    """Folios of a batch as it was meant; arrays of shape (folios,), ascending by address."""

    address: NDArray[np.uint64]
    page_size: NDArray[np.int64]
    source: NDArray[np.int16]
    target: NDArray[np.int32]


def pack_batch(batch: Batch) -> bytes:
    """What a batch is going to move; its targets are those that are asked for."""
    even = batch.even
    if even is not None:
        return bytes((_RUNS,)) + _RUN_OF.pack(even.start, even.folios, even.page_size, even.source, even.target)
    address, size, source, target = batch.address, batch.size_bytes, batch.source, batch.target
    side_by_side = _side_by_side(batch)
    breaks = source[1:] != source[:-1]
    if not side_by_side:
        breaks |= (address[1:] != batch.end[:-1]) | (size[1:] != size[:-1]) | (target[1:] != target[:-1])
    count = 1 + int(np.count_nonzero(breaks))
    if count > 16:
        bits = _pack_sources(batch) if side_by_side else _pack_bits(batch)
        if bits is not None and len(bits) < count * _RUN.itemsize:
            return bytes((_BITS,)) + bits
    first = np.concatenate(([0], np.flatnonzero(breaks) + 1))
    runs = np.empty(len(first), _RUN)
    runs["start"], runs["page_size"] = address[first], size[first]
    runs["source"], runs["target"] = source[first], target[first]
    runs["folios"] = np.diff(np.concatenate((first, [len(address)])))
    return bytes((_RUNS,)) + runs.tobytes()


def _side_by_side(batch: Batch) -> bool:
    """Whether only their sources differ, and no page lies between them."""
    address, size, target = batch.address, batch.size_bytes, batch.target
    length = int(address[-1]) - int(address[0])
    if length != (len(address) - 1) * int(size[0]):
        return False
    return bool((size == size[0]).all() and (target == target[0]).all())


def _pack_sources(batch: Batch) -> bytes:
    """``_pack_bits`` of pages side by side, at a fraction of the cost."""
    start, page_size, target = int(batch.address[0]), int(batch.size_bytes[0]), int(batch.target[0])
    source = batch.source
    parts = []
    for node in np.flatnonzero(np.bincount(source + 1)).tolist():
        mine = source == node - 1
        first, last = int(mine.argmax()), len(mine) - int(mine[::-1].argmax())
        parts.append(_HEAD.pack(start + first * page_size, last - first, page_size, node - 1, target))
        parts.append(np.packbits(mine[first:last]).tobytes())
    return b"".join(parts)


def _pack_bits(batch: Batch) -> bytes | None:
    """None where pages lie so far apart that a bit for each in between is no gain."""
    address, size = batch.address, batch.size_bytes
    code = (size << 24) | ((batch.source.astype(np.int64) + 1) << 12) | batch.target.astype(np.int64)
    parts = []
    for alike in _distinct(code):
        mine = code == alike
        at, page_size = address[mine], alike >> 24
        start = int(at[0])
        place = (at - np.uint64(start)) // np.uint64(page_size)
        count = int(place[-1]) + 1
        if count > 64 * len(address):
            return None
        bits = np.zeros(count, np.bool_)
        bits[place] = True
        parts.append(_HEAD.pack(start, count, page_size, (alike >> 12 & 0xFFF) - 1, alike & 0xFFF))
        parts.append(np.packbits(bits).tobytes())
    return b"".join(parts)


def _distinct(code: NDArray[np.int64]) -> list[int]:
    """Sorted; few, and so without sorting all of them."""
    found: list[int] = []
    rest = code
    while len(rest) and len(found) < 64:
        found.append(int(rest[0]))
        rest = rest[rest != rest[0]]
    return sorted({*found, *np.unique(rest).tolist()})


def unpack_batch(packed: bytes) -> Intended:
    """What ``pack_batch`` packed."""
    if packed[0] == _RUNS:
        runs = np.frombuffer(packed, _RUN, offset=1)
        folios = runs["folios"].astype(np.int64)
        which = np.repeat(np.arange(len(runs)), folios)
        nth = np.arange(len(which)) - (np.cumsum(folios) - folios)[which]
        size = runs["page_size"].astype(np.int64)[which]
        address = runs["start"][which] + (nth * size).view(np.uint64)
        return Intended(address, size, runs["source"][which], runs["target"][which].astype(np.int32))
    parts: list[Intended] = []
    at = 1
    while at < len(packed):
        start, count, page_size, source, target = _HEAD.unpack_from(packed, at)
        at += _HEAD.size
        length = -(-count // 8)
        bits = np.unpackbits(np.frombuffer(packed, np.uint8, length, at), count=count)
        at += length
        place = np.flatnonzero(bits).astype(np.uint64)
        alike = np.full(len(place), page_size), np.full(len(place), source, np.int16)
        parts.append(Intended(start + place * np.uint64(page_size), *alike, np.full(len(place), target, np.int32)))
    order = np.argsort(np.concatenate([part.address for part in parts]), kind="stable")
    return Intended(*(np.concatenate(each)[order] for each in zip(*parts, strict=True)))


def unpack_even(packed: bytes) -> Even | None:
    """The same of a batch that is one run of folios, at a fraction of the cost; None of others."""
    if packed[0] != _RUNS or len(packed) != 1 + _RUN_OF.size:
        return None
    start, folios, page_size, source, target = _RUN_OF.unpack_from(packed, 1)
    return Even(start, page_size, folios, source, target)


def pack_left(left: LeftPages) -> bytes:
    """Pages of a batch that did not move; empty where all did."""
    if not len(left):
        return b""
    rows = np.empty(len(left), _LEFT)
    rows["start"], rows["end"], rows["outcome"] = left.start, left.end, left.outcome
    rows["source"], rows["target"] = left.source, left.target
    return rows.tobytes()


def left_bytes(packed: bytes) -> int:
    """Of the pages of one ``pack_left``, or of several one behind the other."""
    rows = np.frombuffer(packed, _LEFT)
    return int((rows["end"] - rows["start"]).sum())


def unpack_left(packed: bytes) -> LeftPages:
    """What ``pack_left`` packed."""
    rows = np.frombuffer(packed, _LEFT)
    columns = (rows["start"], rows["end"], rows["outcome"], rows["source"], rows["target"].astype(np.int32))
    return LeftPages(*(np.ascontiguousarray(column) for column in columns))
