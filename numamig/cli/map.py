"""``numamig map``: the address space of one process, by node."""

from __future__ import annotations

import click

from numamig.cli.options import Shared
from numamig.cli.options import command as numamig_command

__all__ = ["command"]


@numamig_command("map")
@click.argument("pid", type=click.IntRange(min=1))
@click.option("--pages", is_flag=True, help="The page map itself; in JSON, every run of pages.")
@click.option(
    "--sample", is_flag=True, help="Estimate from probes (~), at once whatever the size; in JSON with errors."
)
def command(shared: Shared, pid: int, pages: bool, sample: bool, as_json: bool) -> None:
    """Regions of a process and the nodes that their pages are on.

    \b
    Examples:
      numamig map 4711
      numamig map 4711 --pages
      numamig map 4711 --sample
      numamig map 4711 --pages --json

    What is estimated (~) is within ± of what the region holds, with 95 % certainty.
    """
    from numamig.cli.mapped import tell_map

    tell_map(shared, pid, pages=pages, sample=sample, as_json=as_json)
