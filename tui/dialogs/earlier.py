"""The dialog with jobs of an earlier run: which can be taken back from here, and which can be gone on with."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType

from tui.actions.action import bindings
from tui.actions.dialogs import EARLIER_ACTIONS
from tui.dialogs.dialog import Dialog
from tui.dialogs.findinglines import key_line
from tui.style.look import Look, Spans
from tui.threads.bridge import Bridge
from tui.threads.earlier import EarlierJob
from tui.words.present import resume_command, size_text, undo_command

__all__ = ["EarlierDialog"]


class EarlierDialog(Dialog[tuple[EarlierJob, bool] | None]):
    """Answers which one, and whether it goes on; else it is to be taken back."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(EARLIER_ACTIONS)]

    def __init__(self, look: Look, bridge: Bridge) -> None:
        super().__init__(look, "jobs of earlier runs")
        self.bridge = bridge
        self._jobs: tuple[EarlierJob, ...] | None = None
        self._at = 0
        self._note = ""

    def on_mount(self) -> None:
        self.bridge.look_for_earlier()
        self.set_interval(1 / 20, self._poll)
        self.draw()

    def on_resize(self) -> None:
        self.draw()

    def action_field(self, way: int) -> None:
        self._at = max(0, min(len(self._jobs or ()) - 1, self._at + way))
        self._note = ""
        self.draw()

    def action_undo(self) -> None:
        job = self._job
        if job is not None and job.can_be_undone:
            self.dismiss((job, False))
        elif job is not None:
            self._note = f"job {job.number} moved no page that could go back"
            self.draw()

    def action_go_on(self) -> None:
        """It comes into the queue, held: its place is there, and so are its keys."""
        job = self._job
        if job is not None and job.can_go_on:
            self.dismiss((job, True))
        elif job is not None:
            self._note = f"there is nothing of job {job.number} to go on with"
            self.draw()

    def action_leave(self) -> None:
        self.dismiss(None)

    @property
    def _job(self) -> EarlierJob | None:
        return self._jobs[self._at] if self._jobs else None

    def _poll(self) -> None:
        if self.bridge.earlier is not self._jobs:
            self._jobs = self.bridge.earlier
            self.draw()

    def draw(self) -> None:
        if self.is_mounted:
            self.box.show(self._lines(min(78, self.size.width) - 4, self.size.height - 2))

    def _lines(self, width: int, most: int) -> list[Spans]:
        look, job, jobs = self.look, self._job, self._jobs
        keys = [("esc", "back"), ("j k", "job")]
        if job is None:
            words = "looking" if jobs is None else "no earlier job can be taken back or gone on with"
            return [[(f" {words}", look.label)], [], key_line(look, width, keys[:1], "")]
        room = max(1, most - 6)
        top = max(0, self._at - room + 1)
        lines: list[Spans] = [[(_row("job", "process", "", "moved", "state"), look.label)]]
        for each in (jobs or ())[top : top + room]:
            who = f"{look.fit(look.shown(each.name), 16).rstrip()} {each.pid}"
            state = look.shown(each.state)
            words = _row(str(each.number), look.fit(who, 24), each.way, size_text(each.moved_bytes), state)
            lines.append([(look.fit(words, width), look.bold + look.reverse if each is job else look.plain)])
        simulated = self.bridge.backend.capabilities.simulated
        lines.append([])
        if job.can_go_on:
            keys.insert(0, ("r", "go on, held"))
            command = resume_command(job.number, simulated=simulated)
            lines.append([(" to go on with it: ", look.label), (command, look.plain)])
        if job.can_be_undone:
            keys.insert(0, ("u", "undo..."))
            lines.append(
                [(" to take it back:  ", look.label), (undo_command(job.number, simulated=simulated), look.plain)]
            )
        return [*lines, key_line(look, width, keys, self._note)]


def _row(number: str, who: str, way: str, moved: str, state: str) -> str:
    return f" {number:>4} {who:<24} {way:<10} {moved:>7}  {state}"
