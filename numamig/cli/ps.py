"""``numamig ps``: who has memory where."""

from __future__ import annotations

import click

from numamig.cli.options import Shared, print_json
from numamig.cli.options import command as numamig_command
from numamig.cli.table import error_of, print_table
from numamig.errors import RefusedError, TargetGone
from numamig.model.nodeset import format_nodeset
from numamig.model.pages import UNKNOWN_NODE
from numamig.model.process import Process
from numamig.observe.placement import Placement, placement_of_process
from numamig.units import format_bytes, format_percent

__all__ = ["command"]


@numamig_command("ps")
@click.option("--filter", "text", default="", help="Only processes whose pid, name, user or arguments contain this.")
@click.option("--all", "everyone", is_flag=True, help="Also those with less than 1 MiB resident.")
def command(shared: Shared, text: str, everyone: bool, as_json: bool) -> None:
    """Processes with their memory by node; most remote memory first.

    Remote is memory on nodes other than those its threads last ran on. Large processes are estimated (~), each part of
    one to within ± of its memory, with 95 % certainty. What is resident is counted by the kernel, and exact.
    """
    backend = shared.open()
    topology = backend.topology()
    seen: list[tuple[Process, Placement | None]] = []
    locked = 0
    for process in backend.processes():
        if process.zombie or not _wanted(process, text, everyone):
            continue
        try:
            seen.append((process, placement_of_process(backend, process, topology.page_size)))
        except RefusedError:
            locked += 1
            seen.append((process, None))
        except TargetGone:
            continue  # it ended while we looked: it is not there to be listed
    seen.sort(key=lambda pair: (-(_remote(*pair) or 0), -pair[0].resident_bytes, pair[0].pid))
    if as_json:
        print_json({"processes": [_as_dict(process, placement) for process, placement in seen]})
    else:
        _print(seen, topology.memory_nodes)
    if locked:
        click.echo(f"{locked} locked: seeing their placement takes CAP_SYS_PTRACE, or more (numamig doctor)", err=True)


def _wanted(process: Process, text: str, everyone: bool) -> bool:
    if not everyone and process.resident_bytes < 1 << 20:
        return False
    words = f"{process.pid} {process.name} {process.user} {' '.join(process.cmdline)}"
    return text.lower() in words.lower()


def _remote(process: Process, placement: Placement | None) -> int | None:
    return None if placement is None else placement.remote_bytes(process.cpu_nodes)


def _as_dict(process: Process, placement: Placement | None) -> dict[str, object]:
    by_node = None if placement is None else placement.bytes_by_node
    return {
        "pid": process.pid,
        "start_time": process.start_time,
        "name": process.name,
        "user": process.user,
        "cmdline": list(process.cmdline),
        "threads": process.threads,
        "resident_bytes": process.resident_bytes,
        "runs_on": list(process.cpu_nodes),
        "bytes_by_node": None
        if by_node is None
        else {str(n): b for n, b in sorted(by_node.items()) if n != UNKNOWN_NODE},
        "unknown_bytes": 0 if by_node is None else by_node.get(UNKNOWN_NODE, 0),
        "remote_bytes": _remote(process, placement),
        "estimated": placement is not None and placement.estimated,
        "error": 0.0 if placement is None else round(placement.error, 4),
        "locked": placement is None,
    }


def _print(seen: list[tuple[Process, Placement | None]], nodes: tuple[int, ...]) -> None:
    rows = []
    estimated = any(placement is not None and placement.estimated for _, placement in seen)
    unknown = any(p is not None and p.bytes_by_node.get(UNKNOWN_NODE) for _, p in seen)
    columns = [*nodes, UNKNOWN_NODE] if unknown else list(nodes)
    for process, placement in seen:
        row = [str(process.pid), process.name, process.user, format_bytes(process.resident_bytes)]
        if placement is None:
            row += ["?"] * len(columns) + ["locked"]
            row += [""] * estimated
        else:
            mark = "~" if placement.estimated else ""
            for node in columns:
                held = placement.bytes_by_node.get(node, 0)
                row.append(f"{mark}{format_bytes(held)}" if held else "·")
            remote = placement.remote_bytes(process.cpu_nodes)
            row.append("-" if remote is None else f"{mark}{format_percent(remote, placement.total_bytes)}")
            row += [error_of(placement)] * estimated
        rows.append([*row, format_nodeset(process.cpu_nodes) if process.cpu_nodes else "?"])
    names = ["node ?" if node == UNKNOWN_NODE else f"node {node}" for node in columns]
    print_table(
        ["pid", "name", "user", "rss", *names, "remote", *["±"] * estimated, "runs on"],
        rows,
        left=frozenset({"name", "user", "runs on"}),
    )
