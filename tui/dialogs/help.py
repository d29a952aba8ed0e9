"""All keys, made from the registry that the bindings are made from: those of what has the focus first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input

from tui.actions import ACTIONS
from tui.actions.action import MAP, MOST_NODES, PROCESSES, QUEUE, REGIONS, Action, Situation, keys_text
from tui.actions.dialogs import DIALOGS
from tui.dialogs.dialog import Dialog
from tui.style.look import Look, Spans
from tui.style.outcomes import OUTCOME_GLYPHS

__all__ = ["Help", "Lines", "glyph_lines", "keys_here", "keys_of"]

Lines = list[tuple[str, str, str]]
"""Heading or "", keys, and what they do."""

_PANES = {PROCESSES: "processes", REGIONS: "regions", MAP: "the map", QUEUE: "the queue"}


def keys_here(situation: Situation) -> Lines:
    """Those of the pane, then all others of the main screen, then those of dialogs."""
    here = [action for action in ACTIONS if action.applies(situation) and not _everywhere(action, situation)]
    lines = _listed(f"in {_PANES[situation.pane]}", here)
    groups = dict.fromkeys(action.group for action in ACTIONS)
    for group in groups:
        lines += _listed(group, [a for a in ACTIONS if a.group == group and a not in here])
    for name, actions in DIALOGS.items():
        lines += _listed(name, actions)
    return lines


def keys_of(dialog: type[object], title: str) -> Lines:
    """Those of a dialog."""
    known = {action.id: action for actions in DIALOGS.values() for action in actions}
    bound = [b for kind in dialog.__mro__ for b in kind.__dict__.get("BINDINGS", ()) if isinstance(b, Binding)]
    lines = _listed(title, [known[b.id] for b in bound if b.id in known])
    others = [b for b in bound if b.id not in known and b.id and not b.id.startswith("dialog-")]
    return lines + [
        ("" if lines else title, b.key.replace("escape", "esc").replace(",", " "), b.description) for b in others
    ]


def _everywhere(action: Action, situation: Situation) -> bool:
    return all(action.applies(replace(situation, pane=pane)) for pane in _PANES)


def _listed(heading: str, actions: Iterable[Action]) -> Lines:
    """The ten digits are one line."""
    lines: Lines = []
    for action in actions:
        if action.argument in range(1, MOST_NODES) and action.method in ("spotlight", "node"):
            continue
        keys, text = keys_text(action), action.help
        if action.method in ("spotlight", "node"):
            keys, text = "0 to 9", text.replace("node 0", "that node")
        lines.append(("" if lines else heading, keys, text))
    return lines


def glyph_lines(look: Look) -> Lines:
    """What stands for what."""
    glyphs = look.glyphs
    meanings = [
        (glyphs.mixed, "in the map: a second node holds less, or more, than a quarter of a cell"),
        (glyphs.absent, "not present; of a job's pages: not tried"),
        (glyphs.unread, "an estimate; in the map: not looked at yet"),
        (glyphs.point, "the cursor of the map"),
        (glyphs.mark, "marked"),
        (f"{glyphs.pressure} {glyphs.pressure * 2}", "of a node: little is free; the kernel has begun to reclaim"),
        ("* - H", "runs on: every node; nowhere of late; home said by hand"),
        (
            f"{glyphs.running} {glyphs.held} {glyphs.ended} {glyphs.cancelled}",
            "a job runs; is held; is done; was ended",
        ),
        (glyphs.full, "of a job's pages: moved"),
        *((glyph, f"of a job's pages: {outcome.words}") for outcome, glyph in OUTCOME_GLYPHS.items()),
    ]
    return [("" if at else "glyphs", glyph, text) for at, (glyph, text) in enumerate(meanings)]


class Help(Dialog[None]):
    """Scrolls where it is longer than the screen; ``/`` leaves only what matches."""

    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark", "leave", "back", id="help-leave", show=False),
        Binding("j,down", "scroll(1)", "down", id="help-down", show=False),
        Binding("k,up", "scroll(-1)", "up", id="help-up", show=False),
        Binding("ctrl+d,pagedown", "scroll(10)", "page down", id="help-page-down", show=False),
        Binding("ctrl+u,pageup", "scroll(-10)", "page up", id="help-page-up", show=False),
        Binding("slash", "filter", "filter", id="help-filter", show=False, priority=True),
    ]

    def __init__(self, look: Look, lines: Sequence[tuple[str, str, str]]) -> None:
        super().__init__(look, "keys")
        self._all = [*lines, *glyph_lines(look)]
        self._kept: list[Spans] = []
        self._top = 0
        self.field = Input(id="help-filter", placeholder="filter", compact=True)
        self.field.display = False

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog", classes="ascii" if self.look.ascii else "") as frame:
            frame.border_title = "keys"
            yield self.box
            yield self.field

    def on_mount(self) -> None:
        self._keep("")

    def on_resize(self) -> None:
        self.action_scroll(0)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What is typed into the filter stays there."""
        return not (action == "filter" and self.field.display)

    def action_filter(self) -> None:
        self.field.display = True
        self.set_focus(self.field)
        self.action_scroll(0)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        self._keep(event.value)

    def _keep(self, typed: str) -> None:
        """Lines that have all the words in them, each group under its heading."""
        look, words = self.look, typed.lower().split()
        self._kept, self._top = [], 0
        heading = said = ""
        for group, keys, text in self._all:
            heading = group or heading
            if not all(word in f"{heading} {keys} {text}".lower() for word in words):
                continue
            if heading != said:
                self._kept.append([(f" {heading}", look.label)])
                said = heading
            self._kept.append([(f"   {look.fit(keys, 12)} ", look.bold), (text, look.plain)])
        self.action_scroll(0)

    @on(Input.Submitted)
    def _settled(self) -> None:
        self.set_focus(None)

    def action_scroll(self, lines: int) -> None:
        room = max(3, self.size.height - 6 - self.field.display)
        self._top = max(0, min(len(self._kept) - room, self._top + lines))
        shown = self._kept[self._top : self._top + room]
        look = self.look
        below = len(self._kept) - self._top - len(shown)
        foot: Spans = [(" esc", look.bold), (" back   ", look.label), ("/", look.bold), (" filter", look.label)]
        if below or self._top:
            foot += [("   j k", look.bold), (f" scroll, {below} more", look.label)]
        self.box.show([*(shown or [[(" nothing matches", look.label)]]), [], foot])

    def action_leave(self) -> None:
        if self.field.display:
            self.field.value = ""
            self.field.display = False
            self.set_focus(None)
            self.action_scroll(0)
        else:
            self.dismiss(None)
