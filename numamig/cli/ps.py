"""``numamig ps``: who has memory where."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import click

from numamig.cli.options import Shared, print_json
from numamig.cli.options import command as numamig_command
from numamig.cli.table import bytes_as_dict, error_of, print_table
from numamig.errors import RefusedError, TargetGone, UsageError
from numamig.model.nodeset import format_nodeset
from numamig.model.process import Process
from numamig.units import format_bytes, format_percent, parse_size

if TYPE_CHECKING:
    from numamig.backends.base import Backend
    from numamig.observe.placement import Placement

__all__ = ["command"]

_SMALL_BYTES = 1 << 20
_WITHOUT_LOOKING = ("rss", "name", "user", "pid")
_Order = Callable[["_Row"], tuple[int | str, ...]]


@dataclass(frozen=True, slots=True)
class _Row:
    """A process, and where its memory is; None where that may not be seen."""

    process: Process
    placement: Placement | None

    @property
    def remote_bytes(self) -> int | None:
        return None if self.placement is None else self.placement.remote_bytes(self.process.cpu_nodes)

    def on(self, node: int) -> int:
        return 0 if self.placement is None else self.placement.bytes_by_node.get(node, 0)


@numamig_command("ps")
@click.option("--name", "names", metavar="GLOB", multiple=True, help="Only processes called so: postgres, 'java*'.")
@click.option("--user", "users", metavar="USER", multiple=True, help="Only processes of this user; may be repeated.")
@click.option("--filter", "text", default="", help="Only processes whose pid, name, user or arguments contain this.")
@click.option("--at-least", metavar="SIZE", help="Only processes with so much resident.  [default: 1MiB]")
@click.option("--all", "everyone", is_flag=True, help="Small ones too: with anything resident or nothing.")
@click.option(
    "--sort",
    default="remote",
    metavar="KEY",
    show_default=True,
    help="Largest first by remote, rss or a node (node1); ascending by name, user or pid.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Only so many, the first ones.")
def command(
    shared: Shared,
    names: tuple[str, ...],
    users: tuple[str, ...],
    text: str,
    at_least: str | None,
    everyone: bool,
    sort: str,
    limit: int | None,
    as_json: bool,
) -> None:
    """Processes with their memory by node; most remote memory first.

    \b
    Examples:
      numamig ps
      numamig ps --user postgres --sort rss
      numamig ps --name 'java*' --at-least 4GiB
      numamig ps --sort node1 --limit 10
      numamig ps --filter kafka --json

    Remote is memory on nodes other than those its threads last ran on. Large processes are estimated (~), each part of
    one to within ± of its memory, with 95 % certainty. What is resident is counted by the kernel, and exact.
    """
    if everyone and at_least is not None:
        raise UsageError("--all and --at-least say different things", hint="leave one of the two out")
    least_bytes = 0 if everyone else _SMALL_BYTES if at_least is None else parse_size(at_least)
    backend = shared.open()
    topology = backend.topology()
    order = _order(sort, topology.memory_nodes)
    wanted = [
        process
        for process in backend.processes()
        if not process.zombie
        and process.resident_bytes >= least_bytes
        and _is_meant(process, names, users, text.lower())
    ]
    if sort in _WITHOUT_LOOKING:
        wanted = sorted(wanted, key=lambda process: order(_Row(process, None)))[:limit]
    rows = sorted(_look(backend, wanted, topology.page_size), key=order)[:limit]
    if as_json:
        print_json({"processes": [_as_dict(row) for row in rows]})
    else:
        _print(rows, topology.memory_nodes)
    if locked := sum(row.placement is None for row in rows):
        click.echo(f"{locked} locked: seeing their placement takes CAP_SYS_PTRACE, or more (numamig doctor)", err=True)


def _is_meant(process: Process, names: Sequence[str], users: Sequence[str], text: str) -> bool:
    words = f"{process.pid} {process.name} {process.user} {' '.join(process.cmdline)}"
    return (
        (not names or any(fnmatchcase(process.name, name) for name in names))
        and (not users or process.user in users)
        and text in words.lower()
    )


def _order(sort: str, nodes: Sequence[int]) -> _Order:
    """
    :raises UsageError: there is no such key.
    """
    node = sort.removeprefix("node").strip()
    if sort.startswith("node") and node.isdecimal() and node.isascii():
        if int(node) not in nodes:
            raise UsageError(
                f"node {node} does not exist or has no memory", hint=f"nodes with memory here: {format_nodeset(nodes)}"
            )
        return lambda row: (-row.on(int(node)), -row.process.resident_bytes, row.process.pid)
    orders: dict[str, _Order] = {
        "remote": lambda row: (-(row.remote_bytes or 0), -row.process.resident_bytes, row.process.pid),
        "rss": lambda row: (-row.process.resident_bytes, row.process.pid),
        "name": lambda row: (row.process.name, row.process.pid),
        "user": lambda row: (row.process.user, row.process.pid),
        "pid": lambda row: (row.process.pid,),
    }
    if sort not in orders:
        raise UsageError(f"there is no order {sort!r}", hint=f"{', '.join(orders)}, or a node like node{nodes[0]}")
    return orders[sort]


def _look(backend: Backend, processes: Sequence[Process], page_size: int) -> Iterator[_Row]:
    from numamig.observe.placement import placement_of_process

    for process in processes:
        try:
            yield _Row(process, placement_of_process(backend, process, page_size))
        except RefusedError:
            yield _Row(process, None)
        except TargetGone:
            continue  # it ended while we looked: it is not there to be listed


def _as_dict(row: _Row) -> dict[str, object]:
    process, placement = row.process, row.placement
    return {
        "pid": process.pid,
        "start_time": process.start_time,
        "name": process.name,
        "user": process.user,
        "cmdline": list(process.cmdline),
        "threads": process.threads,
        "resident_bytes": process.resident_bytes,
        "runs_on": list(process.cpu_nodes),
        **bytes_as_dict(None if placement is None else placement.bytes_by_node),
        "remote_bytes": row.remote_bytes,
        "estimated": placement is not None and placement.estimated,
        "error": 0.0 if placement is None else round(placement.error, 4),
        "locked": placement is None,
    }


def _print(rows: Sequence[_Row], nodes: Sequence[int]) -> None:
    from numamig.model.pages import UNKNOWN_NODE

    estimated = any(row.placement is not None and row.placement.estimated for row in rows)
    unknown = any(row.on(UNKNOWN_NODE) for row in rows)
    columns = [*nodes, UNKNOWN_NODE] if unknown else list(nodes)
    names = ["node ?" if node == UNKNOWN_NODE else f"node {node}" for node in columns]
    print_table(
        ["pid", "name", "user", "rss", *names, "remote", *["±"] * estimated, "runs on"],
        [_cells(row, columns, with_error=estimated) for row in rows],
        left=frozenset({"name", "user", "runs on"}),
    )


def _cells(row: _Row, columns: Sequence[int], *, with_error: bool) -> list[str]:
    process, placement = row.process, row.placement
    cells = [str(process.pid), process.name, process.user, format_bytes(process.resident_bytes)]
    if placement is None:
        cells += ["?"] * len(columns) + ["locked"]
    else:
        mark, remote = "~" if placement.estimated else "", row.remote_bytes
        cells += [f"{mark}{format_bytes(held)}" if (held := row.on(node)) else "·" for node in columns]
        cells.append("-" if remote is None else f"{mark}{format_percent(remote, placement.total_bytes)}")
    if with_error:
        cells.append("" if placement is None else error_of(placement))
    return [*cells, format_nodeset(process.cpu_nodes) if process.cpu_nodes else "?"]
