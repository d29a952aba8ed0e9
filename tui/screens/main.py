"""The main screen: what keys do to cursor, panes and lists, above all that the screens below it do."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.binding import BindingType
from textual.widgets import Input

from tui.actions import ACTIONS
from tui.actions.action import bindings
from tui.screens.viewing import ViewingScreen
from tui.widgets.filter import FILTER, FilterBar
from tui.widgets.nodes import NodeCards
from tui.widgets.pane import Pane, Table
from tui.widgets.processes import SORTS, ProcessTable
from tui.widgets.regions import RegionTable

__all__ = ["MainScreen"]


class MainScreen(ViewingScreen):
    """Keys change what is chosen, or ask the bridge to act; what came of it is seen at the next look."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(ACTIONS)]

    # Moving about

    def action_cursor(self, way: str) -> None:
        self.processes.touched(self.bridge.now_s())
        self.panes[self.active].move_cursor(way)
        self.show_chosen()

    def action_pane(self, way: int) -> None:
        names = list(self.panes)
        self.go_to_pane(names[(names.index(self.active) + way) % len(names)])

    def action_go_in(self) -> None:
        if self.active == "processes":
            self.go_to_pane("regions")
        elif self.active == "regions":
            if self.regions.selected is not None:
                self.page_map.go_to(self.regions.selected.start)
            self.go_to_pane("map")
        elif self.active == "map":
            self.action_zoom(1)
        elif self.queue.latest is not None:
            self.action_ledger()

    @on(Pane.Entered)
    def _entered(self) -> None:
        self.action_go_in()

    def action_go_out(self) -> None:
        pane = self.panes[self.active]
        if self.filter_bar.display and self.filter_bar.purpose != FILTER:
            self.cleared_for_map()
            self.set_focus(pane)
        elif isinstance(pane, ProcessTable | RegionTable) and (self.filter_bar.display or pane.filter):
            self.filter_bar.value = ""
            pane.set_filter("")
            self.set_focus(pane)
        elif self.active == "map" and self.back_out():
            self.redraw_lists()
        elif self.spot is not None:
            self.action_spotlight(self.spot)
        elif self.big:
            self.action_big()
        else:
            self.go_to_pane({"map": "regions"}.get(self.active, "processes"))

    @on(NodeCards.Pressed)
    def _card_pressed(self, event: NodeCards.Pressed) -> None:
        self.action_spotlight(event.node)

    # Lists

    def action_mark(self) -> None:
        seen, region = self.processes.selected, self.regions.selected
        if seen is None:
            return
        if self.active == "processes":
            self.marks.toggle_process(seen.identity)
        elif self.active == "map":
            self.page_map.toggle_mark()
        elif region is not None:
            self.marks.toggle_region(seen.identity, region.start)
        pane = self.panes[self.active]
        if isinstance(pane, Table):
            pane.move_cursor("down")
        self.redraw_lists()

    def action_mark_all(self) -> None:
        seen = self.processes.selected
        if self.active == "processes":
            self.marks.toggle_all_processes(list(self.processes.keys))
        elif self.active == "map":
            self.page_map.toggle_meant()
        elif seen is not None:
            self.marks.toggle_all_regions(seen.identity, list(self.regions.keys))
        self.redraw_lists()

    def action_filter(self) -> None:
        pane = self.panes[self.active]
        if isinstance(pane, ProcessTable | RegionTable):
            self.filter_bar.open(pane.filter)
            self.show_chosen()
        elif self.active == "map":
            self.open_find()

    @on(Input.Changed, "#filter")
    def _filter_typed(self, event: Input.Changed) -> None:
        pane = self.panes[self.active]
        if self.filter_bar.display and self.filter_bar.purpose != FILTER:
            self.typed_for_map(event.value)
        elif (
            self.filter_bar.display
            and isinstance(pane, ProcessTable | RegionTable)
            and event.value.strip() != pane.filter  # esc has cleared both by now
        ):
            pane.set_filter(event.value)
            self._show_selected(self.bridge.now_s())

    @on(Input.Submitted, "#filter")
    def _filter_kept(self) -> None:
        if self.filter_bar.purpose == FILTER or self.kept_for_map(self.filter_bar.value):
            self.panes[self.active].focus()

    @on(FilterBar.Closed)
    def _filter_closed(self) -> None:
        self.filter_bar.display = False
        self.filter_line.show_fault("")
        self.show_chosen()

    def action_sort(self) -> None:
        orders = list(SORTS)
        self.processes.set_sort(orders[(orders.index(self.processes.sort) + 1) % len(orders)], reverse=False)

    def action_sort_reverse(self) -> None:
        self.processes.set_sort(self.processes.sort, reverse=not self.processes.reversed)
