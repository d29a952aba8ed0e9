"""What ``numamig map`` finds in a process, and how it is printed and drawn."""

from __future__ import annotations

from collections.abc import Sequence

import click
import numpy as np

from numamig.cli.options import Shared, print_json
from numamig.cli.table import bytes_as_dict, error_of, print_table
from numamig.migrate.preflight import demand_process
from numamig.model.pages import UNKNOWN_NODE, PageRuns
from numamig.model.process import Region
from numamig.observe.pagemap import Grid, PageMap, count_buckets, lay_out
from numamig.observe.placement import Placement, movable
from numamig.observe.sampling import estimate_regions, sample_page_map
from numamig.text import plain
from numamig.units import format_bytes

__all__ = ["tell_map"]

_CELLS = 64
_ROWS = 32
_LARGE_BYTES = 64 << 30


def tell_map(shared: Shared, pid: int, *, pages: bool, sample: bool, as_json: bool) -> None:
    """The regions of a process, or its page map, on stdout."""
    backend = shared.open()
    topology = backend.topology()
    process = demand_process(backend, pid)
    regions = backend.regions(pid)
    runs = PageRuns.empty()
    if sample:
        placements = estimate_regions(backend, pid, regions, topology.page_size)
    else:
        if process.resident_bytes >= _LARGE_BYTES:
            click.echo(f"counting {format_bytes(process.resident_bytes)}: --sample estimates at once", err=True)
        runs = PageRuns.concatenate(backend.page_runs(pid, movable(regions)))
        placements = [Placement(runs.between(region.start, region.end).bytes_by_node()) for region in regions]
    page_map: PageMap | None = None
    if pages and (sample or not as_json):
        grid = _grid(regions, topology.page_size)
        nodes = topology.memory_nodes
        if sample:
            page_map = sample_page_map(backend, pid, grid, regions, nodes, topology.page_size)
        else:
            page_map = count_buckets(runs, grid, nodes, topology.page_size)
    if as_json:
        document: dict[str, object] = {
            "pid": pid,
            "start_time": process.start_time,
            "name": process.name,
            "regions": [_region(*pair) for pair in zip(regions, placements, strict=True)],
        }
        if page_map is not None:
            document["buckets"] = _buckets(page_map)
        elif pages:
            columns = zip(runs.address, runs.page_size, runs.count, runs.node, strict=True)
            document["pages"] = [
                {"start": int(a), "page_size": int(s), "count": int(c), "node": None if n == UNKNOWN_NODE else int(n)}
                for a, s, c, n in columns
            ]
        print_json(document)
    elif page_map is not None:
        _draw(page_map, [region.label for region in regions])
    else:
        _print(regions, placements, topology.memory_nodes)


def _region(region: Region, where: Placement) -> dict[str, object]:
    return {
        "start": region.start,
        "end": region.end,
        "kind": region.kind.value,
        "permissions": region.permissions,
        "path": region.path,
        "page_size": region.page_size,
        **bytes_as_dict(where.bytes_by_node),
        "estimated": where.estimated,
        "error": round(where.error, 4),
    }


def _buckets(page_map: PageMap) -> list[dict[str, object]]:
    """Those that hold anything, or were not read."""
    grid = page_map.grid
    error = np.zeros(len(grid)) if page_map.error is None else page_map.error
    read = np.ones(len(grid), np.bool_) if page_map.read is None else page_map.read
    columns = [*map(str, page_map.nodes), "unknown"]
    return [
        {
            "start": int(grid.start[n]),
            "bytes": grid.bucket_bytes,
            "pages_by_node": {c: k for c, k in zip(columns, page_map.counts[n].tolist(), strict=True) if k},
            "error": round(float(error[n]), 4),
            "read": bool(read[n]),
        }
        for n in np.flatnonzero(page_map.counts.any(axis=1) | ~read).tolist()
    ]


def _print(regions: Sequence[Region], placements: Sequence[Placement], nodes: Sequence[int]) -> None:
    rows = []
    estimated = any(where.estimated for where in placements)
    for region, where in zip(regions, placements, strict=True):
        mark = "~" if where.estimated else ""
        by_node = [where.bytes_by_node.get(node, 0) for node in (*nodes, UNKNOWN_NODE)]
        rows.append(
            [
                f"{region.start:x}",
                format_bytes(region.size_bytes),
                region.kind.value,
                region.permissions,
                *(f"{mark}{format_bytes(count)}" if count else "·" for count in by_node),
                *[error_of(where)] * estimated,
                region.path,
            ]
        )
    names = [f"node {node}" for node in nodes]
    header = ["address", "size", "kind", "perm", *names, "node ?", *["±"] * estimated, "path"]
    print_table(header, rows, left=frozenset({"kind", "path"}))


def _grid(regions: Sequence[Region], page_size: int) -> Grid:
    bucket = _smallest_bucket(regions, page_size)
    while len(grid := lay_out(regions, bucket)) > _CELLS * _ROWS and bucket < 1 << 47:
        bucket *= 2
    return grid


def _smallest_bucket(regions: Sequence[Region], page_size: int) -> int:
    """Bytes of a bucket below which the map would surely be too large: processes reserve terabytes."""
    reserved = sum(end - start for start, end in movable(regions))
    return max(page_size, 1 << (reserved // (_CELLS * _ROWS)).bit_length() - 1) if reserved else page_size


def _draw(page_map: PageMap, labels: list[str]) -> None:
    """One character a bucket: the node that holds 95 % of it, ``+`` where none does, ``·`` for nothing."""
    grid = page_map.grid
    words = f"one cell is {format_bytes(grid.bucket_bytes)}; digit: node, +: mixed, ?: not known, ·: not present"
    if page_map.error is not None and page_map.estimated:
        words += f", ~: not read; ~ ±{100 * float(page_map.error.max()):.0f}%"
    click.echo(words)
    symbols = [str(n) if n < 10 else chr(ord("A") + n - 10) if n < 36 else "#" for n in page_map.nodes] + ["?"]
    total = page_map.counts.sum(axis=1)
    most = page_map.counts.argmax(axis=1)
    pure = page_map.counts.max(axis=1) * 100 >= total * 95
    cells = ["·" if not t else symbols[m] if p else "+" for t, m, p in zip(total, most, pure, strict=True)]
    if page_map.read is not None:
        cells = [cell if read else "~" for cell, read in zip(cells, page_map.read.tolist(), strict=True)]
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
