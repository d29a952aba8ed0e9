"""A report of what is on the screen, as plain text: machine, processes, the one that is selected, jobs and ledgers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from numamig.backends.base import Capabilities
from numamig.model.nodeset import format_nodeset
from numamig.units import format_bytes
from tui.dialogs.ledgerlines import Account, ledger_lines
from tui.style.look import Look, Spans
from tui.style.terminal import Colours, Terminal
from tui.threads.snapshots import NodesSeen, ProcessSeen, RegionsSeen
from tui.words.present import command_line, region_label, remote_text

__all__ = ["Seen", "report"]

_WIDTH = 100


@dataclass(frozen=True, slots=True)
class Seen:
    """What a report is about."""

    when: str
    clock: str
    """Virtual time; "" where it is the wall's."""
    capabilities: Capabilities
    nodes: NodesSeen | None
    processes: Sequence[ProcessSeen]
    """As they are listed."""
    left_out: int
    """Processes that the filter hides."""
    selected: ProcessSeen | None
    regions: RegionsSeen | None
    accounts: Sequence[Account]
    """Of every job."""


def report(seen: Seen, *, only_ascii: bool) -> str:
    """All of it, in lines of text; nothing that a process calls itself can steer whoever prints it."""
    look = Look(Terminal(Colours.NONE, only_ascii))
    parts = [_machine(look, seen), _nodes(look, seen.nodes), _processes(look, seen), _regions(look, seen)]
    parts += [[_text(spans) for spans in ledger_lines(look, each, _WIDTH, None)[0]] for each in _headed(seen.accounts)]
    parts.append(_commands(seen))
    return "\n\n".join("\n".join(line.rstrip() for line in part) for part in parts if part) + "\n"


def _text(spans: Spans) -> str:
    return "".join(text for text, _ in spans)


def _headed(accounts: Sequence[Account]) -> Iterable[Account]:
    return sorted(accounts, key=lambda account: account[0].number)


def _machine(look: Look, seen: Seen) -> list[str]:
    has = seen.capabilities
    kind = "SIMULATED" if has.simulated else "LIVE"
    words = [look.shown(has.machine), look.shown(has.kernel), f"seen by {look.shown(has.user)}"]
    return [f"numamig report, {seen.when}", f"{kind} {', '.join(words)}" + (f", {seen.clock}" if seen.clock else "")]


def _nodes(look: Look, nodes: NodesSeen | None) -> list[str]:
    if nodes is None:
        return []
    ids = [node.id for node in nodes.topology.nodes]
    lines = ["Nodes", f"{'node':>6}  {'cpus':<16} {'tier':<8} {'used':>9} {'of':>9}  distance to {format_nodeset(ids)}"]
    for node in nodes.topology.nodes:
        free = nodes.counters.free_bytes.get(node.id, node.free_bytes)
        used = format_bytes(max(0, node.total_bytes - free))
        far = " ".join(str(nodes.topology.distances.get((node.id, other), "-")) for other in ids)
        cpus = look.fit(format_nodeset(node.cpus) or "none", 16)
        label = look.fit(look.shown(node.label), 8)
        lines.append(f"{node.id:>6}  {cpus} {label} {used:>9} {format_bytes(node.total_bytes):>9}  {far}")
    return lines


def _processes(look: Look, seen: Seen) -> list[str]:
    hidden = f", {seen.left_out} more are filtered out" if seen.left_out else ""
    lines = [f"Processes, {len(seen.processes)} as they are listed{hidden}"]
    lines.append(f"{'pid':>8} {'name':<20} {'user':<10} {'rss':>8} {'remote':>7}  runs on / bytes by node")
    for row in seen.processes:
        process, placement = row.process, row.placement
        total = placement.total_bytes if placement is not None else 0
        about = "~" if placement is not None and placement.estimated else ""
        share = about + remote_text(row.remote_bytes, total)
        home = "all" if row.runs_everywhere else format_nodeset(row.home) or "-"
        by_node = placement.bytes_by_node if placement is not None else {}
        held = "  ".join(
            f"{node if node >= 0 else '?'}: {format_bytes(size)}" for node, size in sorted(by_node.items())
        )
        name, user = look.fit(look.shown(process.name), 20), look.fit(look.shown(process.user), 10)
        rss = format_bytes(process.resident_bytes)
        lines.append(f"{process.pid:>8} {name} {user} {rss:>8} {share:>7}  {home:<4} {held or row.standing.value}")
    return lines


def _regions(look: Look, seen: Seen) -> list[str]:
    selected, regions = seen.selected, seen.regions
    if selected is None or regions is None or regions.identity != selected.identity:
        return []
    lines = [f"Regions of {look.shown(selected.process.name)} {selected.process.pid}"]
    for at, region in enumerate(regions.regions):
        placement = regions.placements[at] if regions.placements is not None else None
        by_node = placement.bytes_by_node if placement is not None else {}
        held = "  ".join(
            f"{node if node >= 0 else '?'}: {format_bytes(size)}" for node, size in sorted(by_node.items())
        )
        label = look.fit(region_label(region, only_ascii=look.ascii), 28)
        lines.append(f"{region.start:>14x} {label} {format_bytes(region.size_bytes):>8}  {held}")
    return lines


def _commands(seen: Seen) -> list[str]:
    if not seen.accounts:
        return ["No jobs"]
    simulated = seen.capabilities.simulated
    return [
        "Commands",
        *(f"  {command_line(job.request, simulated=simulated)}" for job, _, _ in _headed(seen.accounts)),
    ]
