"""Plain tables for people: columns as wide as they need to be, numbers to the right."""

from __future__ import annotations

from collections.abc import Sequence

import click

from numamig.observe.placement import Placement
from numamig.text import plain
from numamig.units import format_percent

__all__ = ["error_of", "print_table"]


def error_of(where: Placement) -> str:
    """For a column ``±``: half the width of the 95 % interval of any node's share; empty where it was counted."""
    return format_percent(where.error, 1.0) if where.estimated else ""


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], left: frozenset[str] = frozenset()) -> None:
    """Print rows under a header; the columns named in ``left`` are flush left. Text from strangers is made safe."""
    safe = [[plain(cell) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(header, *safe, strict=True)]
    for number, row in enumerate([list(header), *safe]):
        cells = [
            cell.ljust(width) if name in left else cell.rjust(width)
            for cell, width, name in zip(row, widths, header, strict=True)
        ]
        line = "  ".join(cells).rstrip()
        click.echo(click.style(line, bold=True) if number == 0 else line)
