"""What keys do to the page map, and which node is in the spotlight."""

from __future__ import annotations

from textual import on

from tui.pages.pickingmap import PickingMap
from tui.screens.acting import ActingScreen

__all__ = ["MappingScreen"]


class MappingScreen(ActingScreen):
    """The map changes what is in view; the bridge looks at what is new there."""

    def action_zoom(self, way: int) -> None:
        self.page_map.zoom(way)
        self.show_chosen()

    def action_range(self) -> None:
        self.page_map.toggle_range()
        self.redraw_lists()

    def action_front(self) -> None:
        self.page_map.toggle_following()
        self.show_chosen()

    @on(PickingMap.Picked)
    def _picked(self) -> None:
        self.redraw_lists()

    def back_out(self) -> bool:
        """One step back in the map, what is marked last: it took most work. Whether there was one."""
        page_map, marks = self.page_map, self.marks
        if page_map.window.range is not None:
            page_map.give_up_range()
        elif page_map.following is not None:
            page_map.toggle_following()
        elif page_map.window.zoomed:
            page_map.out()
        else:
            return marks.clear_ranges(page_map.identity) or marks.clear_only(page_map.identity)
        return True

    def action_fit(self) -> None:
        self.page_map.fit()
        self.show_chosen()

    def action_lens(self, way: int) -> None:
        self.page_map.look_through(self.page_map.lens.after(way))
        self.bridge.watcher.watch_lens(self.page_map.lens)
        self.show_chosen()

    def action_spotlight(self, node: int) -> None:
        self.spot = None if self.spot == node else node
        self.processes.spot = self.regions.spot = self.spot
        self.nodes.show_spot(self.spot)
        self.page_map.show_spot(self.spot)
        self.redraw_lists()

    def redraw_lists(self) -> None:
        self.processes.refresh()
        self.regions.refresh()
        self.page_map.refresh()
        self.show_chosen()
