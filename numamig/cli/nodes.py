"""``numamig nodes``: the machine."""

from __future__ import annotations

import click

from numamig.cli.options import Shared, print_json
from numamig.cli.options import command as numamig_command
from numamig.cli.table import print_table
from numamig.model.nodeset import format_nodeset
from numamig.units import format_bytes, format_percent

__all__ = ["command"]


@numamig_command("nodes")
def command(shared: Shared, as_json: bool) -> None:
    """Nodes of the machine: CPUs, memory, tiers, and the distances between them."""
    topology = shared.open().topology()
    ids = [node.id for node in topology.nodes]
    distance = topology.distances
    if as_json:
        print_json(
            {
                "page_size": topology.page_size,
                "huge_page_size": topology.huge_page_size,
                "nodes": [
                    {
                        "node": node.id,
                        "cpus": list(node.cpus),
                        "total_bytes": node.total_bytes,
                        "free_bytes": node.free_bytes,
                        "tier": node.tier,
                        "label": node.label,
                        "distances": {
                            str(other): distance[node.id, other] for other in ids if (node.id, other) in distance
                        },
                    }
                    for node in topology.nodes
                ],
            }
        )
        return
    rows = []
    for node in topology.nodes:
        used = node.total_bytes - node.free_bytes
        rows.append(
            [
                str(node.id),
                format_nodeset(node.cpus) if node.cpus else "no cpu",
                format_bytes(node.total_bytes) if node.has_memory else "no memory",
                format_bytes(used),
                format_percent(used, node.total_bytes),
                format_bytes(node.free_bytes),
                "-" if node.tier is None else str(node.tier),
                node.label or "-",
                *(str(distance.get((node.id, other), "-")) for other in ids),
            ]
        )
    header = ["node", "cpus", "total", "used", "used%", "free", "tier", "kind", *(f"→{other}" for other in ids)]
    print_table(header, rows, left=frozenset({"cpus", "kind"}))
    if len(topology.memory_nodes) == 1:
        click.echo("one memory node: there is nowhere to move pages to (try --backend simulator)", err=True)
