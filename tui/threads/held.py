"""A picture that is held: what had been seen when it was frozen, and what was gone to since."""

from __future__ import annotations

from tui.threads.looking import Looker
from tui.threads.snapshots import FlagsSeen, Identity, MapSeen

__all__ = ["Held"]


class Held:
    """Nodes, processes, regions and map as they were. Whoever goes to another process, or another part of the map,
    sees that as it was when they came there.

    The queue is not held: keys act on it.
    """

    def __init__(self, looker: Looker) -> None:
        self.nodes, self.census = looker.nodes, looker.census
        self.regions, self.map, self.overview = looker.regions, looker.map, looker.overview
        self.flags = looker.flags

    def follow(self, looker: Looker, identity: Identity | None) -> None:
        """Take over what is new because it is of something else, not because it is later."""
        regions, held = looker.regions, self.regions
        if regions is not None and regions.identity == identity:
            unfinished = held is None or held.identity != identity or held.placements is None
            if unfinished:
                self.regions = regions
        self.map = _other(self.map, looker.map, identity)
        if _flags_of(self.flags) != _flags_of(looker.flags):
            self.flags = looker.flags
        self.overview = _other(self.overview, looker.overview, identity)


def _other(held: MapSeen | None, seen: MapSeen | None, identity: Identity | None) -> MapSeen | None:
    if seen is None or seen.identity != identity:
        return held
    if held is None or held.identity != identity or held.page_map.grid is not seen.page_map.grid:
        return seen
    return seen if held.page_map.estimated and not seen.page_map.estimated else held


def _flags_of(flags: FlagsSeen | None) -> object:
    """Which pages they are of."""
    return None if flags is None else (flags.identity, None if flags.shares is None else id(flags.shares.grid))
