"""Which node a page frame belongs to: a table by memory block, and the spans of zones where blocks do not tell.

Source: Documentation/admin-guide/mm/memory-hotplug.rst (nodeN/memoryK covers the physical addresses from
K × block_size_bytes on); mm/vmstat.c ``zoneinfo_show_print``. A block may straddle nodes, and spans of zones may
overlap: where neither is clear the answer here is ``UNCLEAR``, and the reader asks move_pages.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from numamig.backends.linux.sysfs import NODES, read_list, read_text

__all__ = [
    "UNCLEAR",
    "FrameTable",
    "ZoneSpan",
    "build_table",
    "parse_zone_spans",
    "read_block_nodes",
    "read_frame_table",
]

UNCLEAR: Final = -3
"""In place of a node: known to be memory, not known where; or some of it a zero page, and no memory."""
_FALLBACK_BLOCK_FRAMES = 1 << 15  # 128 MiB of 4 KiB pages, the kernel's section, where there are no memory blocks
_MOST_BLOCKS = 1 << 22  # device memory may lie at absurd addresses: no table that long


@dataclass(frozen=True, slots=True)
class ZoneSpan:
    """The frames between the first and the last of a zone; holes, and frames of other nodes, may lie between."""

    node: int
    first: int
    end: int
    """Exclusive."""


@dataclass(frozen=True, slots=True)
class FrameTable:
    """Page frame → node."""

    shift: np.uint64
    """A block is 2 ** shift frames."""
    nodes: NDArray[np.int16]
    """Shape (blocks + 1,): a node or ``UNCLEAR``; the last cell, ``UNCLEAR``, stands for all frames beyond."""
    spans: tuple[ZoneSpan, ...] = ()
    _edges: list[int] = field(init=False, compare=False)
    """Block numbers from which on another node follows, and the end."""
    _shift: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_shift", int(self.shift))
        object.__setattr__(self, "_edges", [*(np.flatnonzero(np.diff(self.nodes)) + 1).tolist(), len(self.nodes)])

    def without(self, spans: tuple[tuple[int, int], ...]) -> FrameTable:
        """The same, ``UNCLEAR`` for all blocks with any of these frames (first, how many): they need a second look."""
        nodes = self.nodes.copy()
        for first, count in spans:
            nodes[first >> int(self.shift) : (first + count - 1 >> int(self.shift)) + 1] = UNCLEAR
        return FrameTable(self.shift, nodes, self.spans)

    def node_of_all(self, first: int, last: int) -> int:
        """The one node of all frames between these two; ``UNCLEAR`` where there may be several."""
        block = first >> self._shift
        if last >> self._shift >= self._edges[bisect_right(self._edges, block, hi=len(self._edges) - 1)]:
            return UNCLEAR
        return int(self.nodes[block])

    def nodes_of(self, frames: NDArray[np.uint64]) -> NDArray[np.int16]:
        """Node of each frame, or ``UNCLEAR``; shape as given."""
        block = np.minimum(frames >> self.shift, np.uint64(len(self.nodes) - 1))
        nodes: NDArray[np.int16] = self.nodes[block.view(np.int64)]
        return nodes

    def nodes_by_zone(self, frames: NDArray[np.uint64]) -> NDArray[np.int16]:
        """The same by the spans of zones: ``UNCLEAR`` where none, or those of two nodes, claim a frame."""
        nodes = np.full(frames.shape, UNCLEAR, np.int16)
        claimed = np.zeros(frames.shape, np.bool_)
        for span in self.spans:
            inside = (frames - np.uint64(span.first)) < np.uint64(span.end - span.first)
            clash = inside & claimed & (nodes != span.node)
            nodes[inside & ~claimed] = span.node
            nodes[clash] = UNCLEAR
            claimed |= inside
        return nodes


def parse_zone_spans(text: str) -> tuple[ZoneSpan, ...]:
    """The spans of all zones that have pages, from /proc/zoneinfo."""
    spans: list[ZoneSpan] = []
    for zone in re.split(r"^(?=Node \d+, zone)", text, flags=re.MULTILINE):
        node = re.match(r"Node (\d+), zone", zone)
        spanned = re.search(r"^\s+spanned\s+(\d+)", zone, re.MULTILINE)
        first = re.search(r"^\s+start_pfn:\s+(\d+)", zone, re.MULTILINE)
        if node and spanned and first and int(spanned[1]):
            spans.append(ZoneSpan(int(node[1]), int(first[1]), int(first[1]) + int(spanned[1])))
    return tuple(spans)


def read_block_nodes(sys_root: Path) -> dict[int, int]:
    """Memory block → node, ``UNCLEAR`` for a block that two nodes claim."""
    blocks: dict[int, int] = {}
    for node in read_list(sys_root / NODES / "online") or ():
        for folder in (sys_root / NODES / f"node{node}").iterdir():
            number = folder.name.removeprefix("memory")
            if number != folder.name and number.isdecimal():
                blocks[int(number)] = UNCLEAR if int(number) in blocks else node
    return blocks


def build_table(blocks: dict[int, int], block_bytes: int, spans: tuple[ZoneSpan, ...], page_size: int) -> FrameTable:
    """A table from memory blocks; a block that they leave unclear is told by zones, if only one node's touch it.

    :param blocks: block number → node or ``UNCLEAR``
    """
    block_frames = block_bytes // page_size if blocks else _FALLBACK_BLOCK_FRAMES
    last = max([*blocks, *((span.end - 1) // block_frames for span in spans)], default=0)
    nodes = np.full(min(last + 1, _MOST_BLOCKS) + 1, UNCLEAR, np.int16)
    untouched = np.ones(len(nodes), np.bool_)
    for span in spans:
        part = slice(span.first // block_frames, min((span.end - 1) // block_frames + 1, len(nodes) - 1))
        nodes[part] = np.where(untouched[part] | (nodes[part] == span.node), span.node, UNCLEAR)
        untouched[part] = False
    for block, node in blocks.items():
        if node != UNCLEAR and block < len(nodes) - 1:
            nodes[block] = node
    return FrameTable(np.uint64(block_frames.bit_length() - 1), nodes, spans)


def read_frame_table(sys_root: Path, proc_root: Path, page_size: int) -> FrameTable:
    """The table of this machine as it is now; memory may come and go."""
    size = read_text(sys_root / "devices/system/memory/block_size_bytes")  # hexadecimal, without 0x
    spans = parse_zone_spans(read_text(proc_root / "zoneinfo") or "")
    blocks = read_block_nodes(sys_root) if size else {}
    return build_table(blocks, int(size or "0", 16), spans, page_size)
