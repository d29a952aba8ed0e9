"""What keys do to the page map, and which node is in the spotlight."""

from __future__ import annotations

from tui.screens.acting import ActingScreen

__all__ = ["MappingScreen"]


class MappingScreen(ActingScreen):
    """The map changes what is in view; the bridge looks at what is new there."""

    def action_zoom(self, way: int) -> None:
        self.page_map.zoom(way)
        self.show_chosen()

    def action_fit(self) -> None:
        self.page_map.fit()
        self.show_chosen()

    def action_lens(self, way: int) -> None:
        self.page_map.look_through(self.page_map.lens.after(way))
        self.bridge.watch_lens(self.page_map.lens)
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
        self.show_chosen()
