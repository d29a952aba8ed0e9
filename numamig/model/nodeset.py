"""Sets of nodes as numactl writes them: ``0``, ``0,2-5``, ``all``, ``!1``, ``+0``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from numamig.errors import UsageError

__all__ = ["format_nodeset", "parse_nodeset", "parse_ranges"]

_MOST = 1 << 16  # no kernel has more nodes; a typed 0-99999999999 must not fill memory


def parse_ranges(text: str) -> list[int]:
    """The numbers of a kernel list such as ``"0-3,8"``, sorted; ``ValueError`` where it is none.

    Source: Documentation/admin-guide/cputopology.rst, "cpulist" format. The empty list is an empty text.
    """
    numbers: set[int] = set()
    for part in filter(None, text.strip().split(",")):
        first, dash, last = part.partition("-")
        if not part.isascii() or not first.strip().isdecimal() or (dash and not last.strip().isdecimal()):
            raise ValueError(part)
        low, high = int(first), int(last if dash else first)
        if high < low or high >= _MOST:
            raise ValueError(part)
        numbers.update(range(low, high + 1))
    return sorted(numbers)


def parse_nodeset(text: str | int, available: Sequence[int]) -> tuple[int, ...]:
    """Node ids meant by ``text``, ascending, each of them in ``available``.

    Syntax of numactl(8) ``nodes``: a list of numbers and ranges, ``all``, and ``!`` for all but the rest. With ``+``
    before them, or between ``!`` and them, they count the available nodes from 0: ``+0`` is the first.
    :raises UsageError: it does not parse, names a node that is not available, or names none.
    """
    wanted = str(text).strip()
    if wanted == "all":
        return tuple(sorted(available))
    inverted = wanted.startswith("!")
    rest = wanted.removeprefix("!").strip()
    relative = rest.startswith("+")
    try:
        if not rest.removeprefix("+").strip():
            raise ValueError(wanted)
        nodes = parse_ranges(rest.removeprefix("+"))
    except ValueError:
        raise UsageError(f"node list {wanted!r} does not parse", hint="write it like 0, 0,2-5, all, !1 or +0") from None
    if relative:
        if nodes and nodes[-1] >= len(available):
            raise UsageError(
                f"there is no node +{nodes[-1]}",
                hint=f"+0 is the first of {len(available)} nodes with memory here: {format_nodeset(available)}",
            )
        nodes = [sorted(available)[nth] for nth in nodes]
    for node in nodes:
        if node not in available:
            raise UsageError(
                f"node {node} does not exist or has no memory",
                hint=f"nodes with memory here: {format_nodeset(available)}",
                node=node,
            )
    if inverted:
        nodes = [node for node in sorted(available) if node not in nodes]
    if not nodes:
        raise UsageError(
            f"node list {wanted!r} names no node", hint=f"nodes with memory here: {format_nodeset(available)}"
        )
    return tuple(nodes)


def format_nodeset(nodes: Iterable[int]) -> str:
    """``"0,2-5"`` of ``(0, 2, 3, 4, 5)``; ``"none"`` of nothing."""
    parts: list[list[int]] = []
    for node in sorted(set(nodes)):
        if parts and node == parts[-1][1] + 1:
            parts[-1][1] = node
        else:
            parts.append([node, node])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in parts) or "none"
