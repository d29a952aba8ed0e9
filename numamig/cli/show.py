"""``numamig show``: one process, and what may be done to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from numamig.cli.options import Shared, print_json
from numamig.cli.options import command as numamig_command
from numamig.cli.table import bytes_as_dict, print_table
from numamig.errors import RefusedError
from numamig.model.nodeset import format_nodeset
from numamig.model.process import Process, ProcessFacts, Region, RegionPolicy
from numamig.text import plain
from numamig.units import format_bytes, format_duration

if TYPE_CHECKING:
    from numamig.backends.base import Backend
    from numamig.observe.placement import Placement

__all__ = ["command", "policy_of"]

_TICK_NS = 10_000_000  # USER_HZ is 100 on every Linux that anybody runs


@numamig_command("show")
@click.argument("pid", type=click.IntRange(min=1))
@click.option("--policies", is_flag=True, help="Also the NUMA policy of each region: the kernel walks all page tables.")
def command(shared: Shared, pid: int, policies: bool, as_json: bool) -> None:
    """One process: who it is, where it runs, where its memory is, and what you may do to it.

    \b
    Examples:
      numamig show 4711
      numamig show 4711 --policies
      numamig show 4711 --json

    Where you may not move its pages, it says what that takes.
    """
    from numamig.backends.base import TellsProcessFacts

    backend = shared.open()
    if not isinstance(backend, TellsProcessFacts):
        raise RefusedError(f"the backend {backend.name} knows no more of a process", hint="numamig ps lists them all")
    facts = backend.process_facts(pid)
    table = _policies(backend, pid) if policies else None
    placement = _placement(backend, facts)
    if as_json:
        print_json(_as_dict(facts, placement, table))
        return
    _print(facts, placement, backend.topology().memory_nodes)
    if table is not None:
        click.echo()
        _print_policies(table)


def policy_of(region: Region, policies: Sequence[RegionPolicy]) -> str | None:
    """The policy of a region; None where it is not known.

    Regions and policies are read one after the other: a stack may have grown between, mappings may have merged. What
    is within the region then has to agree.
    """
    within = {told.policy for told in policies if region.start <= told.start < region.end}
    return within.pop() if len(within) == 1 else None


def _policies(backend: Backend, pid: int) -> list[tuple[Region, str | None]]:
    from numamig.backends.base import TellsPolicies

    if not isinstance(backend, TellsPolicies):
        raise RefusedError(f"the backend {backend.name} knows no policies", hint="leave out --policies")
    told = backend.policies(pid)
    return [(region, policy_of(region, told)) for region in backend.regions(pid)]


def _placement(backend: Backend, facts: ProcessFacts) -> Placement | None:
    """None where there is nothing to see, or we may not."""
    if not facts.may_look:
        return None
    from numamig.observe.placement import placement_of_process

    try:
        return placement_of_process(backend, facts.process, backend.topology().page_size)
    except RefusedError:
        return None


def _as_dict(
    facts: ProcessFacts, placement: Placement | None, table: list[tuple[Region, str | None]] | None
) -> dict[str, object]:
    process = facts.process
    by_node = None if placement is None else placement.bytes_by_node
    document: dict[str, object] = {
        "pid": process.pid,
        "start_time": process.start_time,
        "name": process.name,
        "user": process.user,
        "cmdline": list(process.cmdline),
        "kernel_thread": process.kernel_thread,
        "zombie": process.zombie,
        "threads": process.threads,
        "threads_by_node": {str(node): count for node, count in sorted(facts.threads_by_node.items())},
        "resident_bytes": process.resident_bytes,
        **bytes_as_dict(by_node),
        "estimated": placement is not None and placement.estimated,
        "error": 0.0 if placement is None else round(placement.error, 4),
        "mems_allowed": None if facts.mems_allowed is None else list(facts.mems_allowed),
        "cgroup": facts.cgroup,
        "may_look": facts.may_look,
        "may_move": facts.may_move,
        "may_move_shared": facts.may_move_shared,
        "obstacle": facts.obstacle,
    }
    if table is not None:
        document["policies"] = [
            {"start": region.start, "end": region.end, "kind": region.kind.value, "path": region.path, "policy": policy}
            for region, policy in table
        ]
    return document


def _print(facts: ProcessFacts, placement: Placement | None, memory_nodes: tuple[int, ...]) -> None:
    process = facts.process
    allowed = facts.mems_allowed
    lines = [
        ("user", process.user),
        ("command", " ".join(process.cmdline) or "-"),
        ("started", f"{format_duration(process.start_time * _TICK_NS)} after boot (tick {process.start_time})"),
        ("threads", _threads(facts)),
        ("memory", _memory(process, placement)),
        ("cpuset", f"all memory nodes: {format_nodeset(memory_nodes)}" if allowed is None else _only(allowed)),
        ("cgroup", facts.cgroup or "?"),
        ("you may", _abilities(facts)),
    ]
    if facts.obstacle:
        lines.append(("but", facts.obstacle))
    click.echo(click.style(f"{plain(process.name)} ({process.pid})", bold=True))
    for label, text in lines:
        click.echo(f"  {label:<9}{plain(text)}")


def _only(nodes: tuple[int, ...]) -> str:
    return f"only memory nodes {format_nodeset(nodes)}"


def _threads(facts: ProcessFacts) -> str:
    seen = sum(facts.threads_by_node.values())
    where = ", ".join(f"{count:,} on node {node}" for node, count in sorted(facts.threads_by_node.items()))
    sampled = f" (of {seen:,} that were looked at)" if 0 < seen < facts.process.threads else ""
    return f"{facts.process.threads:,}: {where}{sampled}" if where else f"{facts.process.threads:,}"


def _memory(process: Process, placement: Placement | None) -> str:
    resident = f"{format_bytes(process.resident_bytes)} resident"
    if placement is None:
        return f"{resident}, on nodes that you may not see" if process.resident_bytes else "none"
    mark = "~" if placement.estimated else ""
    where = ", ".join(
        f"{mark}{format_bytes(count)} on {'a node not known' if node < 0 else f'node {node}'}"
        for node, count in sorted(placement.bytes_by_node.items())
    )
    how = f"estimated, ±{placement.error:.0%}" if placement.estimated else "counted"
    return f"{resident}: {where} ({how})" if where else f"{resident}, no page of it present"


def _abilities(facts: ProcessFacts) -> str:
    may = (
        (facts.may_look, "see its pages"),
        (facts.may_move, "move them"),
        (facts.may_move_shared, "also shared ones"),
    )
    return ", ".join(words for allowed, words in may if allowed) or "nothing"


def _print_policies(table: list[tuple[Region, str | None]]) -> None:
    rows = [
        [f"{region.start:x}", format_bytes(region.size_bytes), region.kind.value, policy or "?", region.path]
        for region, policy in table
    ]
    print_table(["address", "size", "kind", "policy", "path"], rows, left=frozenset({"kind", "policy", "path"}))
