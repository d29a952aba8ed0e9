"""What a plan comes to, drawn: where memory is before and after, which ways it goes, and how full its targets get."""

from __future__ import annotations

from collections.abc import Sequence

from numamig.migrate.plan import Plan
from numamig.model.pages import UNKNOWN_NODE
from numamig.model.topology import Topology
from tui.plans.form import Form
from tui.style.look import Look, Spans
from tui.words.present import remote_text, short_size, size_text

__all__ = ["bar_lines", "room_lines", "way_lines"]

_COLUMN = 8
_LEAST_BAR = 10


def home_of(form: Form, plan: Plan) -> tuple[int, ...]:
    """Where its memory is not remote: where the process runs, else, of one that runs everywhere, where it is to go."""
    seen = next((t.seen for t in form.targets if t.seen.process.pid == plan.process.pid), None)
    return (seen.home if seen is not None else ()) or plan.request.to.nodes


def _ways(plan: Plan) -> dict[tuple[int, int], int]:
    """(from, to) → bytes; where there is a limit, that part of each."""
    wanted = sum(plan.ways.values())
    share = min(1.0, plan.bytes / wanted) if wanted else 0.0
    return {way: round(count * share) for way, count in plan.ways.items()}


def bar_lines(look: Look, form: Form, plans: Sequence[Plan], width: int) -> list[Spans]:
    """Bytes by node, before and after, and how much of it is remote; with a limit, at most so much moves."""
    before: dict[int, int] = {}
    after: dict[int, int] = {}
    away = [0, 0]
    homes = {home_of(form, plan) for plan in plans}
    for plan in plans:
        then = dict(plan.bytes_by_node)
        for (source, target), count in _ways(plan).items():
            if source != UNKNOWN_NODE:  # of which nobody knows where they are, or whether they will move
                then[source] -= count
                then[target] = then.get(target, 0) + count
        for at, parts, sums in ((0, plan.bytes_by_node, before), (1, then, after)):
            for node, count in parts.items():
                sums[node] = sums.get(node, 0) + count
                away[at] += count if node not in home_of(form, plan) else 0
    home = next(iter(homes)) if len(homes) == 1 else ()
    room = max(_LEAST_BAR, width - 26)
    lines: list[Spans] = []
    for label, parts, remote in (("Before", before, away[0]), ("At best", after, away[1])):
        total = sum(parts.values())
        words = f"  {remote_text(remote, total)} remote" if total else ""
        lines.append([(f" {label:<10}", look.label), *look.bar(parts, room, home), (words, look.plain)])
    return lines


def way_lines(look: Look, plans: Sequence[Plan], width: int) -> list[Spans]:
    """From where to where, sources down and targets across; nothing where there is one way only."""
    ways: dict[tuple[int, int], int] = {}
    for plan in plans:
        for way, count in _ways(plan).items():
            ways[way] = ways.get(way, 0) + count
    if len([count for count in ways.values() if count]) < 2:
        return []
    sources, targets = (sorted({way[end] for way, count in ways.items() if count}) for end in (0, 1))
    targets = targets[: max(1, (width - 11) // _COLUMN)]
    head: Spans = [(f" {'From to':<10}", look.label)]
    for target in targets:
        head += [(" " * (_COLUMN - 3), look.plain), look.chip(target)]
    lines = [head]
    for source in sources:
        line: Spans = [(" ", look.plain), look.chip(source), (" " * 7, look.plain)]
        for target in targets:
            count = ways.get((source, target), 0)
            line.append((f"{short_size(count) if count else look.glyphs.dot:>{_COLUMN - 1}} ", look.plain))
        lines.append(line)
    return lines


def room_lines(look: Look, plans: Sequence[Plan], topology: Topology, width: int) -> list[Spans]:
    """How full the targets get: a line, or where there are many as few as hold them."""
    wanted: dict[int, int] = {}
    for plan in plans:
        for (_, node), count in _ways(plan).items():
            wanted[node] = wanted.get(node, 0) + count
    pieces: list[Spans] = []
    for number, more in sorted(wanted.items()):
        receiving = topology.node(number)
        if receiving is not None:
            used = receiving.total_bytes - receiving.free_bytes
            words = f" {size_text(used)} + {size_text(more)} of {short_size(receiving.total_bytes)}   "
            pieces.append([look.chip(number), (words, look.plain)])
    lines: list[Spans] = []
    for piece in pieces:
        if lines and sum(len(text) for text, _ in (*lines[-1], *piece)) <= width:
            lines[-1] += piece
        else:
            lines.append([(f" {'' if lines else 'Room':<10}", look.label), *piece])
    return lines or [[]]
