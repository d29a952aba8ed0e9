"""Where a process is at home: said by hand, or by where its threads run."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType

from numamig.model.nodeset import format_nodeset
from numamig.model.topology import Node
from tui.actions.action import bindings
from tui.actions.dialogs import HOME_ACTIONS
from tui.dialogs.dialog import Dialog
from tui.style.look import Look, Spans

__all__ = ["HomeDialog"]


class HomeDialog(Dialog[tuple[int, ...] | None]):
    """Answers with nodes, with none for "where its threads run", or with None.

    :param now: home as it is
    :param by_hand: whether somebody said so
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(HOME_ACTIONS)]

    def __init__(
        self, look: Look, nodes: tuple[Node, ...], who: tuple[str, int], now: tuple[int, ...], *, by_hand: bool
    ) -> None:
        super().__init__(look, "home")
        self._choices = nodes
        self._who = who
        self._now = now
        self._by_hand = by_hand
        self._at = next((at for at, node in enumerate(nodes) if node.id in now), 0)
        self._top = 0

    def on_mount(self) -> None:
        self.draw()

    def on_resize(self) -> None:
        self.draw()

    def draw(self) -> None:
        if not self.is_mounted:
            return
        look, (name, pid) = self.look, self._who
        how = "said by hand" if self._by_hand else "where its threads ran of late"
        now = format_nodeset(self._now) or "nowhere"
        room = max(3, self.size.height - 8)
        self._top = max(self._at - room + 1, min(self._top, self._at))
        lines: list[Spans] = [
            [(f" {look.shown(name)} {pid}", look.bold), (f"  at home on {now}: {how}", look.label)],
            [],
        ]
        for at, node in enumerate(self._choices[self._top : self._top + room], self._top):
            cpus = f"cpu {format_nodeset(node.cpus)}" if node.cpus else "no cpu"
            lines.append(
                [
                    (look.glyphs.running if at == self._at else " ", look.bold),
                    look.chip(node.id),
                    (f" node {node.id}  {cpus}  {look.shown(node.label)}", look.plain),
                ]
            )
        lines.append([])
        lines.append(
            [
                (" 0-9", look.bold),
                (" or ", look.label),
                ("enter", look.bold),
                (" at home there   ", look.label),
                ("t", look.bold),
                (" where its threads run   ", look.label),
                ("esc", look.bold),
                (" back", look.label),
            ]
        )
        self.box.show(lines)

    def action_field(self, way: int) -> None:
        self._at = (self._at + way) % len(self._choices)
        self.draw()

    def action_node(self, node: int) -> None:
        if any(each.id == node for each in self._choices):
            self.dismiss((node,))

    def action_accept(self) -> None:
        self.dismiss((self._choices[self._at].id,))

    def action_threads(self) -> None:
        self.dismiss(())

    def action_leave(self) -> None:
        self.dismiss(None)
