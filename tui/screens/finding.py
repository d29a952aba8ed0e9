"""What is typed to find pages: an address, a class of pages that stands out on the map, the number of a node."""

from __future__ import annotations

from textual import on

from numamig.errors import UsageError
from numamig.model.nodeset import format_nodeset
from tui.pages.picking import HOW, find_text, read_find
from tui.pages.pickingmap import PickingMap
from tui.plans.choice import Only
from tui.screens.mapping import MappingScreen
from tui.widgets.filter import FIND, NODE

__all__ = ["FindingScreen"]


class FindingScreen(MappingScreen):
    """What is typed is tried at once; what cannot be read is said on the line, and the line stays open."""

    _only_before = Only()
    """The class that stood out before the line was opened: what leads to an address leaves it as it was."""

    def open_find(self) -> None:
        if self.page_map.identity is not None:
            self._only_before = self.page_map.only
            self.filter_bar.open(find_text(self.page_map.only), FIND, HOW)
            self.show_chosen()

    def action_pick_node(self) -> None:
        self.filter_bar.open("", NODE, f"node {format_nodeset(self.situation().nodes)}: enter puts it in the spotlight")
        self.show_chosen()

    def _read(self, text: str, *, typing: bool) -> int | Only | None:
        """What it means; None where that is not clear, which the line says."""
        try:
            found = self._node(text) if self.filter_bar.purpose == NODE else self._place(text, typing=typing)
        except UsageError as error:
            words = f"{error.message}: {error.hint}" if error.hint else error.message
            self.filter_line.show_fault(self.look.shown(words))
            return None
        self.filter_line.show_fault("")
        return found

    def _place(self, text: str, *, typing: bool) -> int | Only:
        seen = self.bridge.looker.nodes
        nodes = seen.topology.memory_nodes if seen is not None else ()
        found = read_find(text, nodes, self.page_map.selected, typing=typing)
        if isinstance(found, int) and not typing and not self.page_map.go_to(found):
            raise UsageError(f"{found:#x} is in none of its regions")
        return found

    def _node(self, text: str) -> int | None:
        nodes = self.situation().nodes
        if not text.strip():
            return None
        if not text.strip().isdecimal() or int(text) not in nodes:
            raise UsageError(f"there is no node {text.strip()}", hint=f"nodes {format_nodeset(nodes)}")
        return int(text)

    def typed_for_map(self, text: str) -> None:
        """A class stands out while it is typed."""
        found, identity = self._read(text, typing=True), self.page_map.identity
        if isinstance(found, Only) and identity is not None:
            self.marks.keep_only(identity, found)
            self.page_map.refresh()

    def kept_for_map(self, text: str) -> bool:
        """Go where it leads, or keep what stands out; whether it could be read."""
        found, identity = self._read(text, typing=False), self.page_map.identity
        if self.filter_bar.purpose == NODE:
            if isinstance(found, int) and found != self.spot:
                self.action_spotlight(found)
        elif identity is not None and found is not None:
            self.marks.keep_only(identity, found if isinstance(found, Only) else self._only_before)
            self.redraw_lists()
        return found is not None or not text.strip()

    def cleared_for_map(self) -> None:
        """No class stands out any more."""
        if self.filter_bar.purpose == FIND:
            self.marks.clear_only(self.page_map.identity)
            self.redraw_lists()

    def action_seek(self, way: int) -> None:
        self.page_map.seek(way)
        self.show_chosen()

    @on(PickingMap.NotFound)
    def _not_found(self, event: PickingMap.NotFound) -> None:
        self.notify(self.look.shown(event.words), markup=False, timeout=4)
