"""Going to the next run of pages on the map, wherever it is: what is not in view is looked at on the way."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from numamig.observe.pagemap import PageMap
from tui.pages.pickingmap import PickingMap
from tui.pages.seeking import Search, beyond, holding, on_nodes, within_view
from tui.plans.choice import Marks, Only
from tui.style.look import Look, Spans

__all__ = ["SeekingMap"]


class SeekingMap(PickingMap):
    """Runs of what is lit, of the node in the spotlight, or else of remote pages."""

    def __init__(self, look: Look, marks: Marks) -> None:
        super().__init__(look, marks)
        self._search: Search | None = None
        """It waits for what is in view to be looked at."""

    def stay(self) -> None:
        super().stay()
        self._search = None

    def picked(self) -> Spans:
        seeking: Spans = [("seeking", self.look.bold), (f" {self.look.glyphs.dot} ", self.look.label)]
        return [*(seeking if self._search is not None else []), *super().picked()]

    def seek(self, way: int) -> None:
        """The cursor to the next (1) or previous (-1) run of cells that stand out, or else of remote pages."""
        span, drawn = self.window.under_cursor, self.drawn
        self.stay()
        if span is None or drawn is None:
            return
        where = drawn.span(span[0], 1)
        found = self._found(drawn.page_map)
        inside = where is not None and found is not None and bool(found[0][where][0])
        self._go_on(Search(way, span[1] if way > 0 else span[0], way > 0 and inside, span[0]))

    def seek_on(self) -> None:
        """What was waited for was looked at."""
        if self._search is not None:
            self._go_on(self._search)

    def _go_on(self, search: Search) -> None:
        """Among what is in view; where the run is elsewhere, to where it may be, and on when that was looked at."""
        window, drawn, grid = self.window, self.drawn, self.window.grid()
        self._search = None
        if drawn is None or grid is None or not np.array_equal(drawn.page_map.grid.start, grid.start):
            self._search = search
            return
        found = self._found(drawn.page_map)
        if found is None:
            self.post_message(self.NotFound("it has no home node, so that none of its pages is remote"))
            return
        first, last = window.ends
        answer = within_view(search, drawn.page_map.grid, found[0], first=first, last=last)
        if isinstance(answer, Search) and self.overview is not None:
            coarse = self.overview.page_map
            some, all_ = self._found(coarse) or found
            answer = beyond(answer, coarse.grid, some, all_)
        if isinstance(answer, int):
            self.view(changed=window.follow(answer, search.way))
            self.post_message(self.Changed(self))
        elif answer is None or answer == search:
            self.view(changed=window.follow(search.origin))
            self.post_message(self.NotFound(f"no further {self._sought}"))
        else:
            self._search = answer
            self.view(changed=window.follow(answer.at - (answer.way < 0), answer.way))
            if np.array_equal((window.grid() or grid).start, grid.start):
                self._go_on(answer)

    @property
    def _sought(self) -> str:
        if self.only != Only():
            return f"page {', '.join(self.only.words)}"
        return "remote page" if self.spot is None else f"page on node {self.spot}"

    def _found(self, page_map: PageMap) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
        """Which buckets hold pages that are sought, and which hold nothing else; None where there can be none."""
        home = self.process.home if self.process is not None else ()
        if self.only != Only():
            nodes, some = self.only.sources, holding(self.only, page_map, self.window.regions, self.shared(page_map))
        elif self.spot is None and not home:
            return None
        else:
            nodes = (self.spot,) if self.spot is not None else tuple(n for n in page_map.nodes if n not in home)
            some = on_nodes(page_map, nodes)
        pages = page_map.counts if nodes is None else page_map.counts[:, [n in nodes for n in (*page_map.nodes, -1)]]
        return some, some & (pages.sum(axis=1) * self.window.page_size >= page_map.grid.bucket_bytes)
