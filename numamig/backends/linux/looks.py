"""Where in an address space to look: the asked ranges, cut to mappings and into chunks of bounded size.

Two things make this more than cutting. Neighbouring mappings are looked at as one, and many small ones fill one
chunk: a process has hundreds, and each look costs far more than a page. And a range is widened to whole huge pages
inside its mapping, because a huge page that reaches into a range belongs to it, named by its true start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from numamig.backends.linux.maps import Span
from numamig.model.pages import Ranges

__all__ = ["BLOCK_SLOTS", "Chunk", "Look", "cut_into_blocks", "cut_into_chunks", "plan_looks"]

BLOCK_SLOTS = 32768
"""Slots looked at together: 256 KiB of pagemap, which stays in a CPU's cache while it is worked on."""
_BLOCKS = 2
"""Of a chunk that is one stretch: what is handed to a thread at a time."""


@dataclass(slots=True)
class Look:
    """A stretch of mapped addresses to look at."""

    start: int
    end: int
    slot_bytes: int
    """Bytes of a slot, the smallest page that can be here: a base page, or a hugetlb page."""
    wanted: list[tuple[int, int]]
    """The parts that were asked for; the rest is looked at only to see whole huge pages."""


class Chunk:
    """One stretch, or several that fill a block together, one slot after the other. Not changed once it is made.

    :param slot_bytes: bytes of a slot
    :param pieces: address ranges, ascending, of whole slots
    :param unwanted: parts of the pieces whose small pages were not asked for
    """

    __slots__ = ("_edges", "pieces", "slot_bytes", "slots", "unwanted")

    def __init__(self, slot_bytes: int, pieces: list[tuple[int, int]], unwanted: list[tuple[int, int]]) -> None:
        self.slot_bytes = slot_bytes
        self.pieces = pieces
        self.unwanted = unwanted
        self.slots = sum(end - start for start, end in pieces) // slot_bytes
        """In all."""
        self._edges: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None

    def _starts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Address of the first slot of each piece, and its index; shape (pieces,) each."""
        if self._edges is None:
            starts, ends = np.array(self.pieces, np.int64).T
            lengths = (ends - starts) // self.slot_bytes
            self._edges = starts, np.cumsum(lengths) - lengths
        return self._edges

    def first_slots(self) -> NDArray[np.int64]:
        """Index of the first slot of each piece; shape (pieces,)."""
        return self._starts()[1]

    def addresses(self, slots: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Address of each of these slots; shape as given."""
        if len(self.pieces) == 1:
            address = slots * self.slot_bytes + self.pieces[0][0]
        else:
            starts, first = self._starts()
            piece = np.searchsorted(first, slots, side="right") - 1
            address = starts[piece] + (slots - first[piece]) * self.slot_bytes
        return address.view(np.uint64)

    def part(self, start: int, end: int) -> Chunk:
        """A part of a chunk of one piece."""
        unwanted = [(max(a, start), min(b, end)) for a, b in self.unwanted if a < end and b > start]
        return Chunk(self.slot_bytes, [(start, end)], unwanted)

    def unwanted_slots(self) -> NDArray[np.bool_]:
        """Shape (slots,): whether the slot lies in an unwanted part."""
        starts, first = self._starts()
        edge = np.zeros(self.slots + 1, np.int32)
        for side, step in ((0, 1), (1, -1)):
            address = np.array([part[side] for part in self.unwanted], np.int64)
            # The end of a part may be the end of its piece, so the piece is found by its last byte.
            piece = np.searchsorted(starts, address - side, side="right") - 1
            np.add.at(edge, first[piece] + (address - starts[piece]) // self.slot_bytes, step)
        return np.cumsum(edge[:-1]) > 0


def plan_looks(spans: Sequence[Span], ranges: Ranges, page_size: int, huge_page_size: int) -> list[Look]:
    """What to look at for ``ranges``, ascending and without overlaps.

    :param spans: the address space, ascending: stretches of mappings without a gap
    :param page_size: bytes of a base page
    """
    looks: list[Look] = []
    ranges = [(start, end) for start, end in ranges if start < end]
    at = 0
    for span_start, span_end, slot_bytes in spans:
        previous: Look | None = None
        grain = slot_bytes if slot_bytes > page_size else huge_page_size
        while at < len(ranges) and ranges[at][1] <= span_start:
            at += 1
        for nth in range(at, len(ranges)):
            asked_start, asked_end = ranges[nth]
            if asked_start >= span_end:
                break
            start = max(span_start, asked_start // slot_bytes * slot_bytes)
            end = min(span_end, -(-asked_end // slot_bytes) * slot_bytes)
            look_start = max(span_start, start // grain * grain)
            look_end = min(span_end, -(-end // grain) * grain)
            if previous and look_start <= previous.end:
                last_start, last_end = previous.wanted[-1]
                if start <= last_end:
                    previous.wanted[-1] = (last_start, max(last_end, end))
                else:
                    previous.wanted.append((start, end))
                previous.end = max(previous.end, look_end)
            else:
                previous = Look(look_start, look_end, slot_bytes, [(start, end)])
                looks.append(previous)
    return looks


def _unwanted(look: Look) -> Iterator[tuple[int, int]]:
    at = look.start
    for start, end in look.wanted:
        if at < start:
            yield at, start
        at = end
    if at < look.end:
        yield at, look.end


def cut_into_chunks(
    looks: Sequence[Look], huge_page_size: int, skip: Callable[[int, int], int], most: int = BLOCK_SLOTS
) -> Iterator[Chunk]:
    """Chunks of bounded size, one at a time, whatever the size of the looks; never cut inside a huge page.

    Several pieces are at most ``most`` slots together, one alone is at most twice that.

    :param most: no less than a huge page has slots
    :param skip: given a start and an end, the first address in between where something may be present, or the end
    """
    pieces: list[tuple[int, int]] = []
    unwanted: list[tuple[int, int]] = []
    slots = slot_bytes = 0
    for look in looks:
        grain = max(huge_page_size, look.slot_bytes)
        block = most * look.slot_bytes
        at, end = look.start, look.end
        gaps = list(_unwanted(look))
        # Worth asking only where a block could be saved.
        while end - at >= block and (at := max(at, skip(at, end) // grain * grain)) < end:
            if end - at <= block:
                break
            if pieces:
                yield Chunk(slot_bytes, pieces, unwanted)
                pieces, unwanted, slots = [], [], 0
            until = min(end, (at + _BLOCKS * block) // grain * grain)
            yield Chunk(look.slot_bytes, [(at, until)], gaps).part(at, until)
            at = until
        if at >= end:
            continue
        if pieces and (look.slot_bytes != slot_bytes or (end - at) // slot_bytes > most - slots):
            yield Chunk(slot_bytes, pieces, unwanted)
            pieces, unwanted, slots = [], [], 0
        slot_bytes = look.slot_bytes
        pieces.append((at, end))
        unwanted += [(max(a, at), min(b, end)) for a, b in gaps if a < end and b > at]
        slots += (end - at) // slot_bytes
    if pieces:
        yield Chunk(slot_bytes, pieces, unwanted)


def cut_into_blocks(
    chunk: Chunk, huge_page_size: int, skip: Callable[[int, int], int], most: int = BLOCK_SLOTS
) -> Iterator[Chunk]:
    """The same for one chunk: parts that fit a block; holes are skipped between them."""
    if chunk.slots <= most:
        yield chunk
        return
    grain = max(huge_page_size, chunk.slot_bytes)
    ((at, end),) = chunk.pieces
    while at < end:
        until = min(end, (at + most * chunk.slot_bytes) // grain * grain)
        yield chunk.part(at, until)
        at = max(until, skip(until, end) // grain * grain)
