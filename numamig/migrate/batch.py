"""The folios of one step."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Batch", "Even"]


class Even(NamedTuple):
    """Folios side by side, all of one size and on one node."""

    start: int
    page_size: int
    folios: int
    source: int
    target: int

    @property
    def end(self) -> int:
        return self.start + self.folios * self.page_size


class Batch:
    """Folios chosen for one step; arrays of shape (folios,), ascending, made when they are asked for."""

    __slots__ = ("_size_bytes", "_source", "address", "even", "target")

    def __init__(
        self,
        address: NDArray[np.uint64],
        size_bytes: NDArray[np.int64] | None,
        source: NDArray[np.int16] | None,
        target: NDArray[np.int32],
        even: Even | None = None,
    ) -> None:
        self.address, self.target = address, target
        self._size_bytes, self._source = size_bytes, source
        self.even = even
        """Where it is known that they are all alike: then sizes and sources may be left out."""

    @classmethod
    def of(cls, even: Even) -> Batch:
        """What is nearly always chosen, at a fraction of the cost."""
        address = np.arange(even.start, even.end, even.page_size, dtype=np.uint64)
        target = np.empty(even.folios, np.int32)
        target.fill(even.target)
        return cls(address, None, None, target, even)

    def __len__(self) -> int:
        return len(self.address)

    @property
    def size_bytes(self) -> NDArray[np.int64]:
        if self._size_bytes is None:
            assert self.even is not None
            self._size_bytes = np.full(len(self), self.even.page_size)
        return self._size_bytes

    @property
    def source(self) -> NDArray[np.int16]:
        if self._source is None:
            assert self.even is not None
            self._source = np.full(len(self), self.even.source, np.int16)
        return self._source

    @property
    def end(self) -> NDArray[np.uint64]:
        return self.address + self.size_bytes.view(np.uint64)

    def pages(self, page_size: int) -> int:
        """Base pages, of ``page_size`` bytes."""
        even = self.even
        return even.folios * (even.page_size // page_size) if even else int(self.size_bytes.sum()) // page_size

    @property
    def span(self) -> tuple[int, int]:
        """First byte, and the first one behind it all."""
        return (self.even.start, self.even.end) if self.even else (int(self.address[0]), int(self.end[-1]))
