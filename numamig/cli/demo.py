"""``numamig demo``: a guided tour of the console, which walks an audience through a migration."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from numamig.cli.narrate import narrate
from numamig.cli.options import Shared, print_json
from numamig.cli.options import command as numamig_command
from numamig.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from numamig.backends.base import Backend
    from numamig.lab.shown import ShownProcess

__all__ = ["command"]

_SCENARIO = "demo"
_PROFILE = "numamig-demo"
_IN_LAB = "NUMAMIG_LAB"
_PATIENCE_S, _PATIENCE_IN_LAB_S = 40.0, 300.0
"""For what the tour waits for; in emulation everything takes longer."""


@numamig_command("demo")
@click.option("--by-hand", is_flag=True, help="Wait for space after each chapter.")
@click.option(
    "--pace",
    type=click.FloatRange(0.1, 20),
    metavar="TIMES",
    default=1.0,
    show_default=True,
    help="2 tells it twice as fast, 0.5 half as fast.",
)
@click.option("--list", "lists", is_flag=True, help="Print the chapters, and how long each takes.")
@click.option("--check", "checks", is_flag=True, help="Go through all of it at once, without a terminal.")
@click.option("--ascii", "ascii_only", is_flag=True, help="No character beyond ASCII.")
def command(
    shared: Shared, by_hand: bool, pace: float, lists: bool, checks: bool, ascii_only: bool, as_json: bool
) -> int:
    """A guided tour: the console walks an audience through a migration in two minutes.

    \b
    Examples:
      numamig demo
      numamig demo --by-hand
      numamig demo --list
      sudo numamig demo --backend linux

    It finds the process with the most remote memory, looks at its map, plans, moves a step and then all of it, looks at
    the account, saves it as a profile, and takes it back. Nothing is faked: it presses the keys, and they are shown.
    space goes on, p holds, right skips to the next chapter, esc ends the tour and leaves the console, q quits; any
    other key is the console's, and F5 goes on with the tour.

    On a simulated machine, unless --backend linux says otherwise: then it starts a process of its own that has its
    memory on the wrong node, moves nothing else, and ends it when you leave. That takes two memory nodes; numamig lab
    --tour has them.
    """
    from tui.tour.run import check_tour, list_chapters, run_tour

    real = _is_real(shared)
    if lists:
        _list(list_chapters(real=real), pace, as_json=as_json)
        return ExitCode.DONE
    if as_json and not checks:
        raise UsageError("--json goes with --list or --check", hint="the tour itself is for people")
    if not checks:
        _demand_terminal()
    patience_s = _PATIENCE_IN_LAB_S if os.environ.get(_IN_LAB) else _PATIENCE_S
    with _machine(shared, real=real) as (backend, shown):
        pid, count = (None, None) if shown is None else (shown.pid, shown.accesses_per_s)
        if checks:
            with tempfile.TemporaryDirectory(prefix="numamig-demo-") as folder:
                told = check_tour(backend, Path(folder) / "demo.yaml", pid=pid, count=count, patience_s=patience_s)
            return _judge(*told, as_json=as_json)
        file = _free_name()
        code = run_tour(
            backend,
            file,
            pid=pid,
            count=count,
            pace=pace,
            by_hand=by_hand,
            patience_s=patience_s,
            ascii=ascii_only,
        )
    if file.exists():
        narrate(f"numamig: numamig replay {file} does it again" + (" to a demo-db that runs" if real else ""))
    return code


def _is_real(shared: Shared) -> bool:
    if shared.scenario or shared.machine:
        raise UsageError("the tour brings its own machine", hint="numamig --scenario NAME opens the console on another")
    if shared.backend not in (None, "simulator", "linux"):
        raise UsageError(f"the tour is for simulator and linux, not for {shared.backend}", hint="leave --backend out")
    return shared.backend == "linux" or (shared.backend is None and bool(os.environ.get(_IN_LAB)))


def _demand_terminal() -> None:
    import sys

    from tui.style.terminal import demand_terminal

    demand_terminal(sys.stdin, sys.stdout, sys.stderr, os.environ)


class _Stage(NamedTuple):
    backend: Backend
    shown: ShownProcess | None


@contextmanager
def _machine(shared: Shared, *, real: bool) -> Iterator[_Stage]:
    """The machine of the tour, and on a real one the process that is there for it."""
    from dataclasses import replace

    if not real:
        yield _Stage(replace(shared, backend="simulator", scenario=_SCENARIO).open(), None)
        return
    from numamig.lab.shown import ShownProcess, find_site

    backend = replace(shared, backend="linux").open()
    site = find_site(backend.topology())
    narrate(f"numamig: demo-db is to run on node {site.cpu_node}, with {site.mebibytes} MiB on node {site.memory_node}")
    with ShownProcess(site) as shown:
        yield _Stage(backend, shown)


def _free_name() -> Path:
    """Of a file that is not there yet, in the current directory."""
    number = 1
    while (file := Path(f"{_PROFILE}{f'-{number}' if number > 1 else ''}.yaml")).exists():
        number += 1
    return file


def _list(chapters: list[tuple[str, str, float]], pace: float, *, as_json: bool) -> None:
    rows = [(title, about, seconds / pace) for title, about, seconds in chapters]
    if as_json:
        print_json(
            {
                "chapters": [{"title": title, "about": about, "seconds": round(s, 1)} for title, about, s in rows],
                "seconds": round(math.fsum(s for *_, s in rows), 1),
            }
        )
        return
    began = 0.0
    for number, (title, about, seconds) in enumerate(rows, start=1):
        click.echo(f"{number}  {began // 60:.0f}:{began % 60:02.0f}  {title:<8} {about}")
        began += seconds
    click.echo(f"   {began // 60:.0f}:{began % 60:02.0f}  your turn")


def _judge(reached: list[str], missed: list[str], *, as_json: bool) -> ExitCode:
    if as_json:
        print_json({"chapters": reached, "missed": missed})
    else:
        for title in reached:
            click.echo(f"told  {title}")
        for words in missed:
            narrate(f"numamig: {words}")
    return ExitCode.PARTIAL if missed else ExitCode.DONE
