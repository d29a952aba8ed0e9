"""Plain tables for people: columns as wide as they need to be, numbers to the right, no wider than the terminal."""

from __future__ import annotations

import shutil
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from numamig.text import plain
from numamig.units import format_percent

if TYPE_CHECKING:
    from numamig.observe.placement import Placement

__all__ = ["bytes_as_dict", "error_of", "print_table"]

_GAP = 2
_NARROWEST = 8
"""Cells that text may be cut to where a terminal is too narrow for all of it."""


def error_of(where: Placement) -> str:
    """For a column ``±``: half the width of the 95 % interval of any node's share; empty where it was counted."""
    return format_percent(where.error, 1.0) if where.estimated else ""


def bytes_as_dict(by_node: Mapping[int, int] | None) -> dict[str, object]:
    """``bytes_by_node`` and ``unknown_bytes``, for ``--json``; null and 0 where they may not be seen."""
    if by_node is None:
        return {"bytes_by_node": None, "unknown_bytes": 0}
    known = {str(node): held for node, held in sorted(by_node.items()) if node >= 0}
    return {"bytes_by_node": known, "unknown_bytes": sum(held for node, held in by_node.items() if node < 0)}


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], left: frozenset[str] = frozenset()) -> None:
    """Print rows under a header; the columns named in ``left`` are flush left. Text from strangers is made safe.

    On a terminal that is too narrow, columns of text are cut, the widest first, and marked ``…``; a pipe gets it all.
    """
    safe = [list(header), *([plain(cell) for cell in row] for row in rows)]
    widths = [max(map(_cells, column)) for column in zip(*safe, strict=True)]
    _narrow(widths, [name in left for name in header])
    for number, row in enumerate(safe):
        cells = [
            _padded(_cut(cell, width), width, to_the_left=name in left)
            for cell, width, name in zip(row, widths, header, strict=True)
        ]
        line = (" " * _GAP).join(cells).rstrip()
        click.echo(click.style(line, bold=True) if number == 0 else line)


def _narrow(widths: list[int], may_give: Sequence[bool]) -> None:
    """Take from columns of text what the terminal has no room for."""
    if not sys.stdout.isatty():
        return
    over = sum(widths) + _GAP * (len(widths) - 1) - shutil.get_terminal_size().columns
    while over > 0:
        widest = max((width, n) for n, width in enumerate(widths) if may_give[n]) if any(may_give) else (0, 0)
        if widest[0] <= _NARROWEST:
            return
        widths[widest[1]] -= 1
        over -= 1


def _cells(text: str) -> int:
    """Cells of a terminal that it takes. Source: Unicode Standard Annex 11."""
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _cut(text: str, width: int) -> str:
    if _cells(text) <= width:
        return text
    while _cells(text) >= width:
        text = text[:-1]
    return f"{text}…"


def _padded(text: str, width: int, *, to_the_left: bool) -> str:
    spaces = " " * (width - _cells(text))
    return text + spaces if to_the_left else spaces + text
