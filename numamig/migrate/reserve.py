"""What is left free on a node that receives pages: so that a migration is not what makes it reclaim."""

from __future__ import annotations

from typing import Final

from numamig.migrate.request import Request
from numamig.model.topology import NodeCounters, Topology, Watermarks

__all__ = ["reserve_bytes", "reserve_on"]

_MOST_BYTES: Final = 256 << 20
_PART: Final = 20


def reserve_bytes(request: Request, node_total: int, watermarks: Watermarks | None) -> int:
    """Bytes that every step leaves free on the receiving node.

    Below its high watermark the kernel reclaims page cache for what is moved there (docs/kernel.md); the rest is for
    whoever else allocates meanwhile.

    :param node_total: bytes of memory of that node
    :param watermarks: of that node; None where the machine does not tell
    """
    if request.reserve_bytes is not None:
        return request.reserve_bytes
    return (watermarks.high_bytes if watermarks else 0) + min(_MOST_BYTES, node_total // _PART)


def reserve_on(node_id: int, topology: Topology, counters: NodeCounters, request: Request) -> int:
    """The same, by what a machine says of the node."""
    node = topology.node(node_id)
    return reserve_bytes(request, node.total_bytes if node else 0, counters.watermarks.get(node_id))
