"""Plain tables for people: columns as wide as they need to be, numbers to the right."""

from __future__ import annotations

from collections.abc import Sequence

import click

from numamig.text import plain

__all__ = ["print_table"]


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
