"""The dialog before a node is emptied: who has memory there and where it would go, what stays, and why."""

from __future__ import annotations

from textwrap import wrap
from typing import ClassVar

from textual.binding import BindingType

from numamig.errors import NumamigError
from numamig.migrate.drain.holders import Held
from numamig.migrate.drain.prospect import Prospect
from numamig.migrate.plan import Plan
from numamig.model.finding import Severity
from numamig.model.nodeset import format_nodeset
from tui.actions.action import bindings
from tui.actions.dialogs import DRAIN_ACTIONS
from tui.dialogs.dialog import Dialog
from tui.dialogs.findinglines import fitted, key_line, time_line
from tui.style.look import Look, Spans
from tui.threads.bridge import Bridge
from tui.threads.draining import Draining
from tui.widgets.bars import machine_spans
from tui.words.present import drain_command, size_text

__all__ = ["DrainDialog", "Drained"]

Drained = tuple[int, tuple[Plan, ...]]
"""The node, and the plans that empty it."""


class DrainDialog(Dialog[Drained | None]):
    """A digit names the node; what it comes to is looked at beside everything else."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(DRAIN_ACTIONS)]

    def __init__(self, look: Look, bridge: Bridge, nodes: tuple[int, ...], node: int | None) -> None:
        """
        :param nodes: that have memory
        :param node: None: it is asked for
        """
        super().__init__(look, "empty a node" if node is None else f"empty node {node}")
        self.bridge = bridge
        self.nodes = nodes
        self.node = node
        self.shared = False
        self.top = 0
        self.note = ""
        self._seen: Draining | None = None

    def on_mount(self) -> None:
        self._ask()
        self.set_interval(1 / 20, self._poll)

    def on_resize(self) -> None:
        self.draw()

    def action_node(self, node: int) -> None:
        if node in self.nodes:
            self.node = node
            self._ask()

    def action_shared(self) -> None:
        self.shared = not self.shared
        self._ask()

    def action_scroll(self, way: int) -> None:
        self.top = max(0, self.top + way)
        self.draw()

    def action_accept(self) -> None:
        prospect = self._prospect
        if prospect is not None and prospect.jobs and self.node is not None:
            self.dismiss((self.node, tuple(plan for _, plan in prospect.jobs)))
        else:
            self.note = "there is nothing that could be moved" if self._seen is not None else "not looked at yet"
            self.draw()

    def action_leave(self) -> None:
        self.dismiss(None)

    @property
    def _prospect(self) -> Prospect | None:
        seen = self._seen.prospect if self._seen is not None else None
        return seen if isinstance(seen, Prospect) else None

    def _ask(self) -> None:
        self._seen, self.note, self.top = None, "", 0
        if self.node is not None:
            self.bridge.look_at_drain(self.node, shared=self.shared)
        self.draw()

    def _poll(self) -> None:
        seen = self.bridge.draining
        if seen is not self._seen and seen is not None and (seen.node, seen.shared) == (self.node, self.shared):
            self._seen = seen
            self.draw()

    def draw(self) -> None:
        if self.is_mounted:
            self.box.show(self._lines(min(78, self.size.width) - 4, self.size.height - 2))

    def _lines(self, width: int, most: int) -> list[Spans]:
        look, simulated = self.look, self.bridge.backend.capabilities.simulated
        head: list[Spans] = [[*machine_spans(look, self.bridge.backend.capabilities), ("  ", look.plain)]]
        keys = [("esc", "back"), (f"{self.nodes[0]}-{self.nodes[-1]}", "node")]
        if self.node is None:
            head[0].append(("which node is to be emptied?", look.bold))
            return [*head, [], key_line(look, width, reversed(keys), "")]
        head[0] += [("empty node ", look.bold), look.chip(self.node)]
        prospect, body = self._prospect, list[Spans]()
        if self._seen is None:
            body = [[(" looking at every process", look.label)]]
        elif prospect is None:
            body = _error_lines(look, self._seen.prospect, width)
        else:
            head += [
                [(f" {_headline(prospect)}", look.plain)],
                time_line(look, [plan for _, plan in prospect.jobs]),
                [],
            ]
            body = _body(look, prospect, width)
            if prospect.jobs:
                keys.insert(0, ("y", f"queue {_jobs(len(prospect.jobs))}"))
            keys += [("a", "leave shared" if self.shared else "shared too"), ("j k", "scroll")]
        command = drain_command(self.node, shared=self.shared, simulated=simulated)
        foot: list[Spans] = [[], [(" $ ", look.bold), (command, look.label)], key_line(look, width, keys, self.note)]
        lines, self.top = fitted(look, head, body, foot, most, self.top)
        return lines


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"


def _headline(prospect: Prospect) -> str:
    held = prospect.seen.held
    if not held:
        return "no process has memory there, as far as one may look"
    who = "1 process has" if len(held) == 1 else f"{len(held)} processes have"
    where = f"; {_jobs(len(prospect.jobs))} to node {format_nodeset(prospect.to)}" if prospect.jobs else ""
    return f"{who} {size_text(prospect.seen.bytes)} there{where}"


def _error_lines(look: Look, error: Prospect | NumamigError, width: int) -> list[Spans]:
    return [[(f" {look.glyphs.error} {line}", look.bold)] for line in wrap(look.shown(str(error)), width - 4)]


def _body(look: Look, prospect: Prospect, width: int) -> list[Spans]:
    """What speaks against it, who holds what, and what no job can move."""
    lines: list[Spans] = []
    for process, finding in prospect.warnings:
        who = f"{process.name} {process.pid}: " if process is not None else ""
        lines += _marked(look, look.glyphs.warning, f"{who}{finding.reason}", finding.remedy, width)
    for found in prospect.findings:
        if found.severity is Severity.OK and found.check == "room":
            lines += _marked(look, look.glyphs.ok, found.reason, "", width)
    lines += [[(_row("pid", "name", "there", "shared", "goes to"), look.label)]]
    goes: dict[int, list[int]] = {}
    for share, _ in prospect.jobs:
        goes.setdefault(share.held.process.pid, []).append(share.node)
    for held in prospect.seen.held:
        lines.append(_holder(look, held, goes.get(held.process.pid, ())))
    for refused in prospect.refused:
        who = f"{refused.held.process.name} {refused.held.process.pid} stays"
        lines += _marked(look, look.glyphs.error, f"{who}: {refused.reason}", "", width)
    if locked := prospect.seen.locked:
        words = f"{len(locked)} processes may not be looked at: {locked[0].reason}"
        lines += _marked(look, look.glyphs.error, words, "", width)
    if prospect.unmovable:
        lines += [[], [(" Cannot be moved: nobody maps it", look.label)]]
    for each in prospect.unmovable:
        lines.append([(f" {size_text(each.bytes):>7}  {each.words}", look.plain)])
        lines += [[(f"          {line}", look.label)] for line in wrap(each.remedy, width - 12)]
    return lines


def _row(*columns: str) -> str:
    pid, name, there, shared, goes = columns
    return f" {pid:>8} {name:<24} {there:>8} {shared:>8}  {goes}"


def _holder(look: Look, held: Held, goes: tuple[int, ...] | list[int]) -> Spans:
    process, shared = held.process, held.shared_bytes
    name = look.fit(look.shown(process.name), 24)
    told = "-" if shared is None else size_text(shared, estimated=held.estimated) if shared else ""
    line: Spans = [(_row(str(process.pid), name, size_text(held.bytes), told, ""), look.plain)]
    for number, node in enumerate(goes):
        line += [(" ", look.plain)] * bool(number) + [look.chip(node)]
    return line if goes else [*line, ("stays", look.bold)]


def _marked(look: Look, glyph: str, words: str, remedy: str, width: int) -> list[Spans]:
    first, *more = wrap(look.shown(words), width - 4) or [""]
    lines: list[Spans] = [[(f" {glyph} {first}", look.bold)], *([(f"   {line}", look.bold)] for line in more)]
    return [*lines, *([(f"   {line}", look.label)] for line in wrap(look.shown(remedy), width - 4))]
