"""What a plan comes to, and what enter does about what speaks against it."""

from __future__ import annotations

import numpy as np
import pytest

from numamig.backends.simulator.memory import Backing
from numamig.backends.simulator.process import SimProcess, SimRegion
from tests.tui.consoles import ANON, line_with, main, press, until, world
from tui.app import NumamigApp

SIZES = pytest.mark.parametrize("size", [(120, 40), (80, 24)])


def looked(app: NumamigApp) -> bool:
    census = app.bridge.looker.census
    return census is not None and census.complete


@SIZES
async def test_shared_pages_are_moved_too(size: tuple[int, int]) -> None:
    made = world()
    made.backend.machine.add(SimProcess(900, "other", user="dba", cpu_nodes=(1,), regions=[SimRegion(ANON, made.anon)]))
    app = NumamigApp(made.backend, speed=1000.0)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: looked(app))
        await press(pilot, "m", "2")
        await until(pilot, lambda: line_with(app, "enter moves them too"))
        await press(pilot, "j", "j", "j", "j", "j", "j", "j")  # behind the last field
        await until(pilot, lambda: line_with(app, "▌▲ 67 % of what is to move is mapped by other processes too"))
        await press(pilot, "enter")
        await until(pilot, lambda: line_with(app, "Shared  < move, with all who map them"))
        await until(pilot, lambda: line_with(app, "to move") and not line_with(app, "enter moves them too"))


@SIZES
async def test_what_does_not_fit_is_left(size: tuple[int, int]) -> None:
    made = world()
    hog = Backing.untouched(1 << 16)
    kept = 12 << 20  # what a node of 256 MiB keeps free, and a little
    free = made.backend.node_counters().free_bytes[2] - kept >> 12
    made.backend.machine.place(hog, 0, np.full(free - 1000, 2, np.uint8))
    made.backend.machine.add(SimProcess(900, "hog", regions=[SimRegion(ANON, hog)]))
    app = NumamigApp(made.backend, speed=1000.0)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: looked(app))
        await press(pilot, "m", "2")
        await until(pilot, lambda: line_with(app, "▲ node 2 has") and line_with(app, " that fit"))
        await press(pilot, "f")
        await until(pilot, lambda: line_with(app, "▌▲ node 2 has"))
        await press(pilot, "enter")
        await until(pilot, lambda: line_with(app, "a more (1 set)") and line_with(app, "to move"))
        assert not line_with(app, "▲ node 2")
        limit = main(app).app.screen.form.most_pages
        assert limit is not None and 0 < limit < 3072
        await press(pilot, "y")
        await until(pilot, lambda: bool(app.bridge.jobs()) and app.bridge.jobs()[0].state.ended)
        assert sum(made.nodes_of(b).get(2, 0) for b in (made.heap, made.anon)) == limit


@SIZES
async def test_what_nothing_here_mends_is_said(size: tuple[int, int]) -> None:
    app = NumamigApp(world().backend, speed=1000.0)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: looked(app))
        await press(pilot, "G", "m")
        await until(pilot, lambda: line_with(app, "▲ no page that is asked for"))
        await press(pilot, "f", "enter")
        await until(pilot, lambda: line_with(app, "nothing here can mend that"))
        assert line_with(app, "numamig map PID shows where it is")
        await press(pilot, "k")
        await until(pilot, lambda: line_with(app, "▌Shared"))


@SIZES
async def test_who_runs_everywhere_is_at_home_where_its_pages_are_to_go(size: tuple[int, int]) -> None:
    app = NumamigApp(world().backend, speed=1000.0)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: looked(app))
        await press(pilot, "j", "m", "enter", *"0,1", "enter")
        await until(pilot, lambda: "100% remote" in line_with(app, "Before "))
        assert "0% remote" in line_with(app, "At best ") and "100%" not in line_with(app, "At best ")
        row = line_with(app, "From to")
        assert row.split("From to")[1].split()[:2] == ["0", "1"]
        assert line_with(app, "   1M      1M")
        assert line_with(app, "Room ").count(" of 256M") == 2
