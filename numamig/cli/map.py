"""``numamig map``: the address space of one process, by node."""

from __future__ import annotations

from collections.abc import Sequence

import click

from numamig.cli.options import Shared, print_json
from numamig.cli.options import command as numamig_command
from numamig.cli.table import print_table
from numamig.migrate.preflight import demand_process
from numamig.model.pages import UNKNOWN_NODE, PageRuns
from numamig.model.process import Region
from numamig.observe.pagemap import PageMap, count_buckets, lay_out
from numamig.observe.placement import Placement, movable
from numamig.text import plain
from numamig.units import format_bytes

__all__ = ["command"]

_CELLS = 64
_ROWS = 32


@numamig_command("map")
@click.argument("pid", type=click.IntRange(min=1))
@click.option("--pages", is_flag=True, help="The page map itself; in JSON, every run of pages.")
def command(shared: Shared, pid: int, pages: bool, as_json: bool) -> None:
    """Regions of a process and the nodes that their pages are on."""
    backend = shared.open()
    topology = backend.topology()
    process = demand_process(backend, pid)
    regions = backend.regions(pid)
    runs = PageRuns.concatenate(backend.page_runs(pid, movable(regions)))
    placements = [Placement(runs.between(region.start, region.end).bytes_by_node()) for region in regions]
    if as_json:
        document: dict[str, object] = {
            "pid": pid,
            "start_time": process.start_time,
            "name": process.name,
            "regions": [
                {
                    "start": region.start,
                    "end": region.end,
                    "kind": region.kind.value,
                    "permissions": region.permissions,
                    "path": region.path,
                    "page_size": region.page_size,
                    "bytes_by_node": {str(n): b for n, b in sorted(where.bytes_by_node.items()) if n != UNKNOWN_NODE},
                    "unknown_bytes": where.bytes_by_node.get(UNKNOWN_NODE, 0),
                }
                for region, where in zip(regions, placements, strict=True)
            ],
        }
        if pages:
            columns = zip(runs.address, runs.page_size, runs.count, runs.node, strict=True)
            document["pages"] = [
                {"start": int(a), "page_size": int(s), "count": int(c), "node": None if n == UNKNOWN_NODE else int(n)}
                for a, s, c, n in columns
            ]
        print_json(document)
        return
    if pages:
        bucket = _smallest_bucket(regions, topology.page_size)
        while len(grid := lay_out(regions, bucket)) > _CELLS * _ROWS and bucket < 1 << 47:
            bucket *= 2
        _draw(count_buckets(runs, grid, topology.memory_nodes, topology.page_size), [r.label for r in regions])
        return
    rows = []
    for region, where in zip(regions, placements, strict=True):
        by_node = [where.bytes_by_node.get(node, 0) for node in (*topology.memory_nodes, UNKNOWN_NODE)]
        rows.append(
            [
                f"{region.start:x}",
                format_bytes(region.size_bytes),
                region.kind.value,
                region.permissions,
                *(format_bytes(count) if count else "·" for count in by_node),
                region.path,
            ]
        )
    names = [f"node {node}" for node in topology.memory_nodes]
    print_table(["address", "size", "kind", "perm", *names, "node ?", "path"], rows, left=frozenset({"kind", "path"}))


def _smallest_bucket(regions: Sequence[Region], page_size: int) -> int:
    """Bytes of a bucket below which the map would surely be too large: processes reserve terabytes."""
    reserved = sum(end - start for start, end in movable(regions))
    return max(page_size, 1 << (reserved // (_CELLS * _ROWS)).bit_length() - 1) if reserved else page_size


def _draw(page_map: PageMap, labels: list[str]) -> None:
    """One character a bucket: the node that holds 95 % of it, ``+`` where none does, ``·`` for nothing."""
    grid = page_map.grid
    click.echo(f"one cell is {format_bytes(grid.bucket_bytes)}; digit: node, +: mixed, ?: not known, ·: not present")
    symbols = [str(n) if n < 10 else chr(ord("A") + n - 10) if n < 36 else "#" for n in page_map.nodes] + ["?"]
    total = page_map.counts.sum(axis=1)
    most = page_map.counts.argmax(axis=1)
    pure = page_map.counts.max(axis=1) * 100 >= total * 95
    cells = ["·" if not t else symbols[m] if p else "+" for t, m, p in zip(total, most, pure, strict=True)]
    first = 0
    while first < len(grid):
        region = int(grid.region[first])
        last = first
        while last < len(grid) and grid.region[last] == region and last - first < _CELLS:
            last += 1
        begins = first == 0 or grid.region[first - 1] != region
        label = labels[region].rsplit("/", 1)[-1] if begins else ""
        click.echo(f"{int(grid.start[first]):>14x} {plain(label)[:16]:<16} {''.join(cells[first:last])}")
        first = last
