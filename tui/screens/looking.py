"""Showing what was seen: the latest snapshots, handed to the widgets on a timer."""

from __future__ import annotations

from pathlib import Path

from textual import on
from textual.message import Message
from textual.widgets import Input

from numamig.migrate.snapshot import JobSnapshot, JobState
from tui.actions import find
from tui.actions.action import Situation
from tui.pages.pagemap import PageMap
from tui.plans.choice import Only
from tui.screens.arranging import ArrangedScreen
from tui.style.look import Look
from tui.threads.acts import Said
from tui.threads.bridge import Bridge
from tui.threads.held import Held
from tui.threads.snapshots import Census, MapSeen, NodesSeen, RegionsSeen, Steps
from tui.widgets.bars import Tabs
from tui.widgets.pane import Lines, Pane
from tui.widgets.processes import ProcessTable
from tui.widgets.regions import RegionTable
from tui.words.narrate import Narrator

__all__ = ["LookingScreen"]

_LOOK_HZ = 8


class LookingScreen(ArrangedScreen):
    """Reads the latest snapshots on a timer and hands them to the widgets."""

    class Acted(Message):
        """Something was done that was asked for."""

    def __init__(self, look: Look, bridge: Bridge, notice: str = "", screenshots: Path = Path()) -> None:
        """
        :param screenshots: where screenshots and reports go
        """
        super().__init__(look, bridge.backend.capabilities, notice)
        self.screenshots = screenshots
        self.bridge = bridge
        self.simulated = bridge.backend.capabilities.simulated
        self.narrator = Narrator(notice)
        self.held: Held | None = None
        """The picture that is held, while it is."""
        self._census: Census | None = None
        self._seen_regions: tuple[RegionsSeen | None, object] = (None, None)
        self._told: frozenset[str] = frozenset()
        """Kinds of looks that failed, and were told of."""

    def on_mount(self) -> None:
        self.processes.focus()
        self.set_interval(1 / _LOOK_HZ, self.look_again)
        self.bridge.acted = lambda: self.post_message(self.Acted())

    def on_screen_suspend(self) -> None:
        """Below a dialog no key of this screen does anything: none is named."""
        self.hints.say_nothing(True)

    def on_screen_resume(self) -> None:
        self.hints.say_nothing(False)

    @on(Acted)
    def _acted(self) -> None:
        self.look_again()

    # Looking

    def look_again(self) -> None:
        """Hand the latest snapshots to the widgets; each draws only what is new to it."""
        bridge, looker = self.bridge, self.held or self.bridge.looker
        now_s, jobs = bridge.now_s(), bridge.jobs()
        at_rest = not any(job.state is JobState.RUNNING for job in jobs)
        if not at_rest:
            bridge.courtesy.ask(key=False)
        states = ("FROZEN",) * bool(self.held) + ("READ-ONLY",) * bridge.orders.read_only
        trouble = self._show_troubles(now_s)
        self.title_bar.show(bridge.backend.clock.now_ns(), bridge.speed, trouble, states, at_rest=at_rest)
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

    def _show_troubles(self, now_s: float) -> str:
        """What could not be looked at stays as it was, dimmed; the first cause in one line, "" where all went well."""
        looker, troubles = self.held or self.bridge.looker, self.bridge.looker.troubles
        pictures: tuple[tuple[str, Lines, NodesSeen | Census | RegionsSeen | MapSeen | None], ...] = (
            ("nodes", self.nodes, looker.nodes),
            ("census", self.processes, looker.census),
            ("regions", self.regions, looker.regions),
            ("map", self.page_map, looker.map),
        )
        for kind, widget, seen in pictures:
            trouble = troubles.get(kind) if self.held is None else None  # what is held is old by intention
            widget.show_trouble(trouble, None if seen is None else now_s - seen.taken_s)
        for kind in troubles.keys() - self._told:  # in full: there may not be room for it elsewhere
            self.notify(self.look.shown(troubles[kind].words), severity="error", markup=False, timeout=10)
        self._told = frozenset(troubles)
        return next((trouble.words for trouble in troubles.values()), "")

    def _show_selected(self, now_s: float) -> None:
        selected = self.processes.selected
        if self.held is not None:
            self.held.follow(self.bridge.looker, selected.identity if selected is not None else None)
        looker = self.held or self.bridge.looker
        if looker.regions is not self._seen_regions[0] or selected is not self._seen_regions[1]:
            self._seen_regions = (looker.regions, selected)
            self.regions.show(selected, looker.regions)
        self.page_map.show(selected, looker.regions, (looker.map, looker.overview), now_s)
        self.page_map.show_lens(looker.flags, self.bridge.watcher.heat)
        self.bridge.watcher.watch(selected.identity if selected is not None else None, tuple(self.processes.shown))

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
            read_only=self.bridge.orders.read_only,
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
        self.bridge.watcher.watch_map(event.grid, event.overview)

    @on(Tabs.Chosen)
    def _tab_chosen(self, event: Tabs.Chosen) -> None:
        self.go_to_pane(event.pane)
