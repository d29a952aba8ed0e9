"""How much may still go to a node: every step leaves its reserve free, without asking the machine at every step."""

from __future__ import annotations

from numamig.backends.base import Backend, TellsFree

__all__ = ["Room"]

_KEEPS_NS = 200_000_000
"""Others allocate too: so long is a look believed, and for half of what it showed."""
_KEEPS_LOOKS = 200
"""Or so many times as long as it took, where that is more: looking is to take no more than 0.5 % of the time."""
_KEEPS_MOST_NS = 2_000_000_000


class Room:
    """Of one node. One thread asks."""

    def __init__(self, backend: Backend, node: int, kept_bytes: int, page_size: int) -> None:
        """
        :param kept_bytes: its reserve
        """
        self._backend = backend
        self._node = node
        self._kept = kept_bytes
        self._page_size = page_size
        self._until_ns: int | None = None
        """How long the last look is believed."""
        self._left = 0
        """Bytes that may be moved there before it is looked at again."""
        self._seen = 0

    def pages(self, wanted: int, now_ns: int) -> int:
        """How many base pages of so many may go there now."""
        asked = wanted * self._page_size
        if self._until_ns is None or now_ns > self._until_ns or self._left < max(asked, self._seen // 2):
            began = self._backend.clock.now_ns()
            self._left = self._seen = self._look()
            looked = self._backend.clock.now_ns()
            self._until_ns = looked + min(_KEEPS_MOST_NS, max(_KEEPS_NS, _KEEPS_LOOKS * (looked - began)))
        return min(wanted, self._left // self._page_size)

    def took(self, pages: int) -> None:
        """So many were moved there."""
        self._left -= pages * self._page_size

    def _look(self) -> int:
        """Bytes above the reserve."""
        if isinstance(self._backend, TellsFree):
            free = self._backend.free_bytes(self._node)
        else:
            free = self._backend.node_counters().free_bytes.get(self._node, 0)
        return max(0, free - self._kept)
