"""The tour before an audience, and without one: to see that all of it works."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable
from pathlib import Path

from numamig.backends.base import Backend
from tui.style.terminal import demand_terminal
from tui.tour.app import TourApp
from tui.tour.guide import PATIENCE_S
from tui.tour.story import story

__all__ = ["check_tour", "list_chapters", "run_tour"]

_CHECK_SIZE = (120, 40)


def run_tour(
    backend: Backend,
    file: Path,
    *,
    pid: int | None = None,
    count: Callable[[], float | None] | None = None,
    pace: float = 1.0,
    by_hand: bool = False,
    patience_s: float = PATIENCE_S,
    ascii: bool = False,  # noqa: A002 - called like the option
) -> int:
    """Run the tour, and then the console, until the operator leaves; the exit code.

    :raises UsageError: there is no terminal here that a console could be drawn on.
    """
    demand_terminal(sys.stdin, sys.stdout, sys.stderr, os.environ)
    app = TourApp(backend, file, pid=pid, count=count, pace=pace, by_hand=by_hand, patience_s=patience_s, ascii=ascii)
    return app.run() or 0


def check_tour(
    backend: Backend,
    file: Path,
    *,
    pid: int | None = None,
    count: Callable[[], float | None] | None = None,
    patience_s: float = PATIENCE_S,
) -> tuple[list[str], list[str]]:
    """All of the tour without a terminal, as fast as it goes: the chapters that were told, and what did not come."""
    app = TourApp(backend, file, pid=pid, count=count, pace=math.inf, patience_s=patience_s, leaves=True, speed=None)
    app.run(headless=True, size=_CHECK_SIZE)
    return app.guide.reached, app.guide.missed


def list_chapters(*, real: bool) -> list[tuple[str, str, float]]:
    """Of each its title, what it is about, and how long it usually takes, in seconds."""
    return [(each.title, each.about, each.usual_s) for each in story(Path("numamig-demo.yaml"), real=real)]
