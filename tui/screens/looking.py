"""Nodes, processes, regions, map and queue on one screen, or one at a time: layout, and showing what was seen."""

from __future__ import annotations

from pathlib import Path

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.reactive import Reactive
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input

from numamig.migrate.snapshot import JobSnapshot, JobState
from tui.actions import find
from tui.actions.action import Situation
from tui.pages.mapview import LABEL
from tui.pages.pagemap import PageMap
from tui.plans.choice import Marks, Only
from tui.style.look import Look
from tui.threads.acts import Said
from tui.threads.bridge import Bridge
from tui.threads.held import Held
from tui.threads.snapshots import Census, RegionsSeen, Steps
from tui.widgets.bars import ActLine, Hints, Tabs, TitleBar, TooSmall
from tui.widgets.filter import FilterBar, FilterLine
from tui.widgets.nodes import NodeCards
from tui.widgets.pane import Pane
from tui.widgets.processes import ProcessTable
from tui.widgets.queue import JobStrip, QueuePane
from tui.widgets.regions import RegionTable
from tui.widgets.workings import WorkingsLines
from tui.words.narrate import Narrator

__all__ = ["LookingScreen"]

_WIDE, _TALL = 100, 30
_LEAST = (60, 20)
_LOOK_HZ = 8
_LEFT = 46


class LookingScreen(Screen[None]):
    """Reads the latest snapshots on a timer and hands them to the widgets."""

    focused: Reactive[Widget | None] = Reactive(None, repaint=False)
    """Panes show by themselves which of them has it; Textual's own would paint the whole screen again."""

    class Acted(Message):
        """Something was done that was asked for."""

    def __init__(self, look: Look, bridge: Bridge, notice: str = "", screenshots: Path = Path()) -> None:
        """
        :param screenshots: where screenshots and reports go
        """
        super().__init__()
        self.screenshots = screenshots
        self.look = look
        self.bridge = bridge
        capabilities = bridge.backend.capabilities
        self.simulated = capabilities.simulated
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
        self.narrator = Narrator(notice)
        self._notice = notice
        self._mode = ""
        self.big = False
        """The pane that has the focus fills the screen."""
        self.held: Held | None = None
        """The picture that is held, while it is."""
        self._census: Census | None = None
        self._seen_regions: tuple[RegionsSeen | None, object] = (None, None)

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

    def on_mount(self) -> None:
        self.processes.focus()
        self.set_interval(1 / _LOOK_HZ, self.look_again)
        self.bridge.acted = lambda: self.post_message(self.Acted())

    @on(Acted)
    def _acted(self) -> None:
        self.look_again()

    # Layout

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

    # Looking

    def look_again(self) -> None:
        """Hand the latest snapshots to the widgets; each draws only what is new to it."""
        bridge, looker = self.bridge, self.held or self.bridge.looker
        now_s, jobs = bridge.now_s(), bridge.jobs()
        at_rest = not any(job.state is JobState.RUNNING for job in jobs)
        states = ("FROZEN",) * bool(self.held) + ("READ-ONLY",) * bridge.read_only
        now_ns, trouble = bridge.backend.clock.now_ns(), bridge.looker.trouble
        self.title_bar.show(now_ns, bridge.speed, trouble, states, at_rest=at_rest)
        first = self.nodes.seen is None and looker.nodes is not None
        self.nodes.show(looker.nodes, jobs, now_s)
        if looker.nodes is not None:
            self.page_map.window.page_size = looker.nodes.topology.page_size
        if first:
            self._arrange()
        if looker.census is not None and looker.census is not self._census:
            self._census = looker.census
            self.marks.forget({row.identity for row in looker.census.rows})
            still = bool(self.processes.filter or self.marks.processes or self.filter_bar.display)
            self.processes.show(looker.census, now_s, still=still)
        self._show_workings()
        steps = bridge.steps(jobs)
        self.queue.show(jobs, bridge.problems, steps)
        job = self.queue.acting
        self.page_map.show_next(job)
        self.page_map.show_front(self._front(jobs))
        self._show_strip(self.queue.latest, steps)
        self.tabs.show(self.active, {"queue": sum(not j.state.ended for j in jobs)})
        for wrong in self.narrator.hear(bridge.events(), bridge.missed):
            self.notify(self.look.shown(wrong), severity="error", markup=False, timeout=10)
        for said in bridge.said():
            self.say(said)
        self.show_chosen()
        if self._mode == "tiny":
            self.too_small.show(self._too_small(job))

    def show_chosen(self) -> None:
        """What follows from the key just pressed; whatever else has happened is seen at the next look."""
        self._show_selected(self.bridge.now_s())
        self.tabs.show(self.active, self.tabs.counts)
        selected = self.processes.selected
        looking = (
            f"numamig{' --backend simulator' if self.simulated else ''} map {selected.process.pid}" if selected else ""
        )
        self.act.show(self.narrator.command or looking, self.narrator.note)
        self.hints.show(self.situation())
        # One of them at a time, at once: with another number of lines Textual would paint all the others again.
        self.filter_line.display = self.filter_bar.display
        self.hints.display = not self.filter_bar.display

    def _front(self, jobs: tuple[JobSnapshot, ...]) -> JobSnapshot | None:
        """The job at work on the process that is selected: one that runs before one that is held."""
        selected = self.processes.selected
        at_work = [
            job
            for job in jobs
            if selected is not None and not job.state.ended and job.plan.process.identity == selected.identity
        ]
        running = (job for job in at_work if job.state is JobState.RUNNING)
        return next(running, at_work[0] if at_work else None)

    def _too_small(self, job: JobSnapshot | None) -> str:
        times, dot = self.look.glyphs.times, f" {self.look.glyphs.dot} "
        words = [f"{_LEAST[0]}{times}{_LEAST[1]} needed, {self.size.width}{times}{self.size.height} here"]
        if job is not None:
            words += [f"job {job.number} {job.progress * 100:.0f}%", ". p x q"]
        return dot.join(words if job is not None else [*words, "q quits"])

    def _show_selected(self, now_s: float) -> None:
        selected = self.processes.selected
        if self.held is not None:
            self.held.follow(self.bridge.looker, selected.identity if selected is not None else None)
        looker = self.held or self.bridge.looker
        if looker.regions is not self._seen_regions[0] or selected is not self._seen_regions[1]:
            self._seen_regions = (looker.regions, selected)
            self.regions.show(selected, looker.regions)
        self.page_map.show(selected, looker.regions, (looker.map, looker.overview), now_s)
        self.page_map.show_lens(looker.flags, self.bridge.heat)
        self.bridge.watch(selected.identity if selected is not None else None, tuple(self.processes.shown))

    def _show_workings(self) -> None:
        seen, selected = (self.held or self.bridge.looker).nodes, self.processes.selected
        self.workings.show(seen.workings if seen is not None else None, selected.process.pid if selected else None)
        lines = self.workings.wanted_lines
        self.workings.display = bool(lines) and self._mode != "tiny" and not self.big
        self.workings.styles.height = lines

    def _show_strip(self, job: JobSnapshot | None, steps: Steps) -> None:
        self.strip.show(job, self.bridge.problems.get(job.number, "") if job is not None else "", steps)

    def say(self, said: Said) -> None:
        """What came of something; what went wrong also where there is no line for it."""
        if said.is_error:
            self.narrator.note = said.note
            self.notify(self.look.shown(said.note), severity="error", markup=False, timeout=10)
        else:
            self.narrator.say(said.command or self.narrator.command, said.note)

    def situation(self) -> Situation:
        """What decides which keys do something."""
        pane = self.panes[self.active]
        mark = self.regions.selected is not None if self.active == "regions" else self.processes.selected is not None
        if self.active == "map":
            mark = self.page_map.selected is not None
        filtered = isinstance(pane, ProcessTable | RegionTable) and bool(pane.filter)
        seen = self.bridge.looker.nodes
        return Situation(
            pane=self.active,
            process=self.processes.selected is not None,
            mark=mark,
            job=self.queue.acting,
            undo=self.queue.undoable,
            ledger=self.queue.latest,
            jobs=len(self.queue.jobs),
            nodes=tuple(node.id for node in seen.topology.nodes) if seen is not None else (),
            out=self.filter_bar.display or filtered or self.spot is not None or self.big or self.active != "processes",
            fits=self.page_map.window.fits,
            ranging=self.page_map.window.range is not None,
            only=self.page_map.only != Only(),
            front=self.page_map.front is not None,
            read_only=self.bridge.read_only,
            frozen=self.held is not None,
            big=self.big,
        )

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A key that does nothing just now is let through; the hints say the same."""
        known = find(action, parameters)
        if known is not None and known.types_ahead and isinstance(self.focused, Input):
            return False
        return known is None or known.applies(self.situation())

    @on(Pane.Changed)
    def _cursor_moved(self) -> None:
        self._show_selected(self.bridge.now_s())

    @on(PageMap.ViewChanged)
    def _view_changed(self, event: PageMap.ViewChanged) -> None:
        self.bridge.watch_map(event.grid, event.overview)

    @on(Tabs.Chosen)
    def _tab_chosen(self, event: Tabs.Chosen) -> None:
        self.go_to_pane(event.pane)
