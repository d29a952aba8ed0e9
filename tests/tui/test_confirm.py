"""What is asked once more before it is done, in one sentence; and what is not."""

from __future__ import annotations

import pytest

from numamig.backends.simulator.process import SimProcess, SimRegion
from tests.tui.consoles import ANON, line_with, main, press, until, world
from tui.app import NumamigApp
from tui.dialogs.confirm import Confirm
from tui.dialogs.plan import PlanDialog

SIZES = pytest.mark.parametrize("size", [(120, 40), (80, 24)])


def looked(app: NumamigApp) -> bool:
    census = app.bridge.looker.census
    return census is not None and census.complete


@SIZES
async def test_whose_process_is_not_yours_is_asked_and_esc_moves_nothing(size: tuple[int, int]) -> None:
    made = world()
    app = NumamigApp(made.backend, speed=1000.0)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: looked(app))
        await press(pilot, "j", "m", "1")
        await until(pilot, lambda: line_with(app, "512 pages = 2.0M to move"))
        for key in ("y", "s"):
            await press(pilot, key)
            await until(pilot, lambda: line_with(app, "Moves pages of cache 200, which is web's."))
            await press(pilot, "escape")
            await until(pilot, lambda: isinstance(app.screen, PlanDialog))
        assert app.bridge.jobs() == ()
        await press(pilot, "s")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await press(pilot, "y")
        await until(pilot, lambda: app.screen is main(app) and len(app.bridge.jobs()) == 1)


async def test_shared_pages_are_asked_for_and_your_own_are_not() -> None:
    made = world()
    made.backend.machine.add(SimProcess(900, "other", user="dba", cpu_nodes=(1,), regions=[SimRegion(ANON, made.anon)]))
    app = NumamigApp(made.backend, speed=1000.0)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: looked(app))
        await press(pilot, "m", "2", "k", "l")
        await until(pilot, lambda: line_with(app, "3,072 pages = 12.0M to move"))
        await press(pilot, "y")
        await until(pilot, lambda: line_with(app, "Also moves ~2,048 pages that other processes map."))
        await press(pilot, "y")
        await until(pilot, lambda: app.screen is main(app) and line_with(app, "= 3,072 chosen"))
        assert made.nodes_of(made.anon) == {2: 2048}
