"""Choosing on the page map: the cursor, what is marked, what stands out; nothing is drawn here."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from textual.message import Message

from numamig.migrate.ranges import joined
from numamig.migrate.snapshot import JobSnapshot
from numamig.observe.pagemap import Grid, PageMap
from tui.pages.mapview import Drawn
from tui.pages.mapwindow import MapWindow
from tui.pages.seeking import holding, meant_regions
from tui.plans.addresses import Addresses, in_regions, ranges_of, size_of
from tui.plans.choice import Marks, Only, amount
from tui.style.look import Look, Spans
from tui.threads.snapshots import Identity, ProcessSeen
from tui.widgets.pane import Pane
from tui.words.present import size_text

__all__ = ["PickingMap"]


class PickingMap(Pane):
    """What is marked are addresses of the process: they stay, however the map is zoomed, scrolled or left."""

    class ViewChanged(Message):
        """Other buckets are in view."""

        def __init__(self, grid: Grid | None, overview: Grid | None) -> None:
            super().__init__()
            self.grid = grid
            self.overview = overview

    class NotFound(Message):
        """There is nothing more of what was sought."""

        def __init__(self, words: str) -> None:
            super().__init__()
            self.words = words

    class Picked(Message):
        """Other addresses are marked."""

    def __init__(self, look: Look, marks: Marks) -> None:
        super().__init__(look, name="map")
        self.marks = marks
        self.window = MapWindow()
        self.process: ProcessSeen | None = None
        self.front: JobSnapshot | None = None
        """The job that is at work here."""
        self.following: int | None = None
        """The job whose next batch the cursor goes along with."""
        self.spot: int | None = None
        """The node in the spotlight."""
        self._lit: tuple[Drawn, Only, NDArray[np.bool_]] | None = None

    def view(self, *, changed: bool) -> None:
        """Draw anew, and ask for what is in view now where that has changed."""
        if changed:
            self.post_message(self.ViewChanged(self.window.grid(), self.window.overview()))
        self.refresh()

    # The cursor

    def stay(self) -> None:
        """The cursor goes along with nothing any more."""
        self.following = None

    def move_cursor(self, way: str) -> None:
        self.stay()
        self.view(changed=self.window.move(way))
        self.post_message(self.Changed(self))

    def go_to(self, address: int) -> bool:
        """The cursor on the bucket that holds an address; whether there is one."""
        layout = self.window.layout
        if layout is None or layout.place(address) is None:
            return False
        self.stay()
        self.view(changed=self.window.go_to(address))
        return True

    def zoom(self, way: int) -> None:
        self.view(changed=self.window.zoom(way))

    def fit(self) -> None:
        self.view(changed=self.window.fit())

    def out(self) -> None:
        """One zoom back, towards the whole process."""
        self.view(changed=self.window.out())

    # The front of a job

    def show_front(self, job: JobSnapshot | None) -> None:
        """Go along with where a job is, if the cursor follows it."""
        self.front = job
        if self.following is None:
            return
        if job is None or job.number != self.following:
            self.following = None
            self.refresh()
        elif self.window.layout is not None and self.window.layout.step(job.cursor, 0) != self.window.cursor:
            self.view(changed=self.window.follow(job.cursor))

    def toggle_following(self) -> None:
        """Follow the job that is at work here, or no longer."""
        self.following = self.front.number if self.front is not None and self.following is None else None
        self.refresh()
        self.show_front(self.front)

    # Marks

    @property
    def open_range(self) -> Addresses:
        """What would be marked just now; empty where no range is open."""
        span = self.window.range
        return in_regions(self.window.regions, *span) if span is not None else ()

    @property
    def marked_ranges(self) -> Addresses:
        """What is marked by address, the range that is open included."""
        return tuple(joined(self.marks.ranges_in(self.identity), self.open_range))

    @property
    def marked(self) -> Addresses:
        """All that is marked of the process, by region or by address."""
        return self.marks.addresses(self.identity, self.window.regions)

    @property
    def only(self) -> Only:
        """The class of pages that stands out; ``Only()`` where there is none."""
        return self.marks.only_of(self.identity)

    @property
    def identity(self) -> Identity | None:
        """Of the process that is shown."""
        return self.process.identity if self.process is not None else None

    def toggle_range(self) -> None:
        """Begin a range at the cursor, or mark the one that is open."""
        if self.window.range is None:
            self.window.begin_range()
            self.refresh()
        else:
            self.mark_range()

    def give_up_range(self) -> None:
        self.window.end_range()
        self.refresh()

    def toggle_mark(self) -> None:
        """Mark the range that is open, or else the cell under the cursor; one that is marked is taken out."""
        span = self.window.under_cursor
        if self.window.range is not None:
            self.mark_range()
        elif span is not None and self.identity is not None:
            regions = self.window.regions
            self.marks.toggle(self.identity, in_regions(regions, *span), regions)
            self.move_cursor("right")
            self.post_message(self.Picked())

    def toggle_meant(self) -> None:
        """Mark all regions that can hold pages of the class that stands out, or none of them."""
        if self.identity is not None and self.only != Only():
            regions = self.window.regions
            part = ranges_of(meant_regions(self.only, regions))
            if not part:
                self.post_message(self.NotFound(f"no region can hold pages {', '.join(self.only.words)}"))
                return
            self.marks.toggle(self.identity, part, regions)
            self.refresh()

    def mark_range(self) -> None:
        """The one that is open."""
        if self.identity is not None:
            self.marks.mark(self.identity, self.open_range)
        self.give_up_range()
        self.post_message(self.Picked())

    def picked(self) -> Spans:
        """For the title: what the cursor follows, the range that is open, what is marked, the class that stands out."""
        starts = self.marks.of(self.identity)
        marked = amount([r for r in self.window.regions if r.start in starts], self.marks.ranges_in(self.identity))
        words = [f"following job {self.following}"] if self.following is not None else []
        if self.window.range is not None:
            words.append(f"range {size_text(size_of(self.open_range))}")
        words += [marked] if marked else []
        only = ", ".join(self.only.words)
        words += [self.look.shown(only)] if only else []
        spans: Spans = []
        for each in words:
            spans += [(each, self.look.bold), (f" {self.look.glyphs.dot} ", self.look.label)]
        return spans

    # The class of cells that stands out

    @property
    def drawn(self) -> Drawn | None:
        """What is drawn of the cells in view."""
        raise NotImplementedError

    def shared(self, page_map: PageMap) -> NDArray[np.float32] | None:
        """Share of the pages of each bucket that others map too, NaN where not known; None where nothing is known."""
        raise NotImplementedError

    @property
    def overview(self) -> Drawn | None:
        """The whole process in coarse buckets."""
        raise NotImplementedError

    @property
    def lit(self) -> NDArray[np.bool_] | None:
        """Which of the buckets that are drawn hold pages of the class that is looked for, shape (buckets,)."""
        only = self.only
        if only == Only() or self.drawn is None:
            return None
        if self._lit is None or self._lit[0] is not self.drawn or self._lit[1] != only:
            self._lit = (
                self.drawn,
                only,
                holding(only, self.drawn.page_map, self.window.regions, self.shared(self.drawn.page_map)),
            )
        return self._lit[2]
