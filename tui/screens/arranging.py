"""Where things are: nodes, processes, regions, map and queue on one screen, or one at a time."""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.reactive import Reactive
from textual.screen import Screen
from textual.widget import Widget

from numamig.backends.base import Capabilities
from numamig.migrate.snapshot import JobSnapshot
from tui.pages.mapview import LABEL
from tui.pages.pagemap import PageMap
from tui.plans.choice import Marks
from tui.style.look import Look
from tui.widgets.bars import ActLine, Hints, Tabs, TitleBar, TooSmall
from tui.widgets.filter import FilterBar, FilterLine
from tui.widgets.nodes import NodeCards
from tui.widgets.pane import Pane
from tui.widgets.processes import ProcessTable
from tui.widgets.queue import JobStrip, QueuePane
from tui.widgets.regions import RegionTable
from tui.widgets.workings import WorkingsLines

__all__ = ["ArrangedScreen"]

_WIDE, _TALL = 100, 30
_LEAST = (60, 20)
_LEFT = 46


class ArrangedScreen(Screen[None]):
    """The widgets, and which of them there is room for.

    :param notice: a line to show at the start
    """

    focused: Reactive[Widget | None] = Reactive(None, repaint=False)
    """Panes show by themselves which of them has it; Textual's own would paint the whole screen again."""

    def __init__(self, look: Look, capabilities: Capabilities, notice: str = "") -> None:
        super().__init__()
        self.look = look
        self.marks = Marks()
        self.title_bar = TitleBar(look, capabilities)
        self.nodes = NodeCards(look)
        self.processes = ProcessTable(look, self.marks)
        self.processes.locked_why = capabilities.missing.get("move_others", "")
        self.regions = RegionTable(look, self.marks)
        self.page_map = PageMap(look, self.marks)
        self.queue = QueuePane(look, capabilities.kernel)
        self.panes: dict[str, Pane] = {
            "processes": self.processes,
            "regions": self.regions,
            "map": self.page_map,
            "queue": self.queue,
        }
        self.active = "processes"
        self.spot: int | None = None
        self.tabs = Tabs(look, {"processes": "Processes", "regions": "Regions", "map": "Map", "queue": "Queue"})
        self.workings = WorkingsLines(look)
        self.strip = JobStrip(look, capabilities.kernel)
        self.act = ActLine(look)
        self.hints = Hints(look)
        self.filter_bar = FilterBar()
        self.filter_line = FilterLine(self.filter_bar)
        self.too_small = TooSmall(look)
        self._notice = notice
        self._mode = ""
        self.big = False
        """The pane that has the focus fills the screen."""

    def compose(self) -> ComposeResult:
        yield self.title_bar
        yield self.nodes
        yield self.tabs
        with Horizontal(id="middle"):
            with Vertical(id="left"):
                yield self.processes
                yield self.regions
            yield self.page_map
        yield self.workings
        yield self.queue
        yield self.strip
        yield self.act
        yield self.filter_line
        yield self.hints
        yield self.too_small

    def look_again(self) -> None:
        """Hand the latest snapshots to the widgets."""
        raise NotImplementedError

    def show_chosen(self) -> None:
        """What follows from another choice."""
        raise NotImplementedError

    def on_resize(self, event: events.Resize) -> None:
        width, height = event.size
        if width < _LEAST[0] or height < _LEAST[1]:
            mode = "tiny"
        else:
            mode = "wide" if width >= _WIDE and height >= _TALL else "narrow"
        if mode != self._mode:
            self.remove_class("wide", "narrow", "tiny")
            self.add_class(mode)
            self._mode = mode
        self._widen_map()
        if mode == "narrow" and self._notice:  # there is no act line that would show it
            self.notify(self._notice, markup=False, timeout=8)
            self._notice = ""
        self._arrange()
        self.look_again()

    def _widen_map(self) -> None:
        """As many cells as there is room for beside the lists."""
        width = self.size.width
        if self._mode == "wide" and not self.big:
            cells = next((c for c in (128, 64) if width - LABEL - c - 1 >= _LEFT), 32)
            self.page_map.styles.width = LABEL + cells + 1
        else:
            self.page_map.styles.width = "1fr"

    def _arrange(self) -> None:
        """Which panes are there: all, or the active one."""
        one = self._mode != "wide" or self.big
        for name, pane in self.panes.items():
            pane.display = not one or name == self.active
        self.query_one("#left").display = not one or self.active in ("processes", "regions")
        self.query_one("#middle").display = not one or self.active != "queue"
        self.set_class(self.big, "big")
        self.nodes.small = self._mode != "wide"
        self.nodes.styles.height = self.nodes.wanted_lines(*self.size)

    def go_to_pane(self, name: str) -> None:
        self.active = name
        self._arrange()
        self.set_focus(self.panes[name])
        self.show_chosen()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """By mouse, say. The event may be late: what counts is where the focus is now."""
        name = self.focused.id if isinstance(self.focused, Pane) else None
        if name in self.panes and name != self.active:
            self.active = name
            self._arrange()
            self.show_chosen()

    def _too_small(self, job: JobSnapshot | None) -> str:
        times, dot = self.look.glyphs.times, f" {self.look.glyphs.dot} "
        words = [f"{_LEAST[0]}{times}{_LEAST[1]} needed, {self.size.width}{times}{self.size.height} here"]
        if job is not None:
            words += [f"job {job.number} {job.progress * 100:.0f}%", ". p x q"]
        return dot.join(words if job is not None else [*words, "q quits"])
