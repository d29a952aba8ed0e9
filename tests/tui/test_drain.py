"""A node is emptied from the console: what is there is seen first, and the page tables tell what became of it."""

from __future__ import annotations

import pytest

from numamig.backends.simulator.process import SimProcess, SimRegion
from tests.tui.consoles import ANON, line_with, main, press, screen_lines, until, world
from tui.app import NumamigApp
from tui.dialogs.drain import DrainDialog

SIZES = pytest.mark.parametrize("size", [(120, 40), (80, 24)])


def looked(app: NumamigApp) -> bool:
    census = app.bridge.looker.census
    return census is not None and census.complete


@SIZES
async def test_the_node_is_asked_for_and_emptied(size: tuple[int, int]) -> None:
    made = world()
    app = NumamigApp(made.backend, speed=1000.0)
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: looked(app))
        await press(pilot, "d")
        await until(pilot, lambda: line_with(app, "which node is to be emptied?"))
        await press(pilot, "y")  # nothing is named yet
        await until(pilot, lambda: isinstance(app.screen, DrainDialog))
        await press(pilot, "0")
        await until(pilot, lambda: line_with(app, "2 processes have 8.1M there; 2 jobs to node 1"))
        row = next(line.split("│")[1] for line in screen_lines(app) if "  8.0M  " in line and "100 db" in line)
        assert row.split() == ["100", "db", "8.0M", "1"]
        assert line_with(app, "$ numamig --backend simulator drain 0") and line_with(app, "SIMULATED")
        assert app.bridge.jobs() == ()
        await press(pilot, "y")
        await until(pilot, lambda: app.screen is main(app) and len(app.bridge.jobs()) == 2)
        await until(pilot, lambda: all(job.state.ended for job in app.bridge.jobs()))
        assert made.nodes_of(made.heap) == {1: 1024} and made.nodes_of(made.anon) == {1: 2048}


@SIZES
async def test_what_is_in_the_spotlight_is_meant_and_shared_pages_stay_unless_asked(size: tuple[int, int]) -> None:
    made = world()
    made.backend.machine.add(SimProcess(900, "other", user="dba", cpu_nodes=(1,), regions=[SimRegion(ANON, made.anon)]))
    app = NumamigApp(made.backend, speed=1000.0)
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: looked(app))
        await press(pilot, "1", "d")
        await until(pilot, lambda: line_with(app, "2 processes have 8.0M there"))
        assert line_with(app, "stays: other processes map them")
        await press(pilot, "y")
        await until(pilot, lambda: line_with(app, "there is nothing that could be moved"))
        await press(pilot, "a")
        await until(pilot, lambda: line_with(app, "drain 1 --shared") and line_with(app, "jobs to node"))
        await press(pilot, "escape")
        assert app.screen is main(app) and app.bridge.jobs() == ()
        assert made.nodes_of(made.anon) == {0: 1024, 1: 1024}
