"""From the ledger on: to the pages that stayed, on the map, and to a plan that moves them with what would help."""

from __future__ import annotations

import pytest

from numamig.backends.simulator.process import SimProcess, SimRegion
from numamig.migrate.destination import Node
from numamig.migrate.plan import plan_request
from numamig.migrate.request import Request
from tests.tui.consoles import ANON, World, line_with, main, press, until, world
from tui.app import NumamigApp
from tui.dialogs.ledger import LedgerDialog
from tui.dialogs.plan import PlanDialog

SIZES = pytest.mark.parametrize("size", [(120, 40), (80, 24)])


def sharing() -> World:
    made = world()
    made.backend.machine.add(SimProcess(900, "other", user="dba", cpu_nodes=(1,), regions=[SimRegion(ANON, made.anon)]))
    return made


def looked(app: NumamigApp) -> bool:
    census = app.bridge.looker.census
    return census is not None and census.complete


@SIZES
async def test_a_row_of_the_queue_leads_to_the_ledger_and_that_to_the_map(size: tuple[int, int]) -> None:
    made = sharing()
    app = NumamigApp(made.backend, speed=1000.0)
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: looked(app))
        app.bridge.orders.add(plan_request(made.backend, Request(100, Node(2))), run=True)
        await until(pilot, lambda: bool(app.bridge.jobs()) and app.bridge.jobs()[0].state.ended)
        await press(pilot, "j", "shift+tab")  # the cursor is on another process
        await until(pilot, lambda: main(app).active == "queue" and line_with(app, "= 3,072 chosen"))
        await press(pilot, "enter")
        await until(pilot, lambda: isinstance(app.screen, LedgerDialog) and line_with(app, "enter on the map"))
        assert line_with(app, "shared") and line_with(app, "m again, with shared")
        await press(pilot, "enter")
        await until(pilot, lambda: app.screen is main(app) and main(app).active == "map")
        await until(pilot, lambda: line_with(app, "◆ 7f0000000000"))
        assert main(app).processes.cursor == (100, 1000)


@SIZES
async def test_what_stayed_is_planned_again_with_what_helps(size: tuple[int, int]) -> None:
    made = sharing()
    app = NumamigApp(made.backend, speed=1000.0)
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: looked(app))
        app.bridge.orders.add(plan_request(made.backend, Request(100, Node(2), batch_pages=256)), run=True)
        await until(pilot, lambda: bool(app.bridge.jobs()) and app.bridge.jobs()[0].state.ended)
        assert made.nodes_of(made.anon) == {0: 1024, 1: 1024}
        await until(pilot, lambda: line_with(app, "= 3,072 chosen"))
        await press(pilot, "L")
        await until(pilot, lambda: line_with(app, "m again, with shared"))
        await press(pilot, "m")
        await until(pilot, lambda: isinstance(app.screen, PlanDialog) and line_with(app, "2,048 pages = 8.0M to move"))
        assert line_with(app, "again: what stayed of job 1") and line_with(app, "move, with all who map them")
        assert line_with(app, "256 pages = 1M")
        assert line_with(app, "db 100 (yours) · 1 range of 8.0M"), line_with(app, "(yours)")
        await press(pilot, "y")
        await until(pilot, lambda: line_with(app, "Also moves ~2,048 pages that other processes map."))
        await press(pilot, "y")
        await until(pilot, lambda: len(app.bridge.jobs()) == 2 and app.bridge.jobs()[1].state.ended)
        assert made.nodes_of(made.anon) == {2: 2048}


async def test_the_queue_plots_throughput_under_the_calls() -> None:
    made = world()
    app = NumamigApp(made.backend, speed=1000.0)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, lambda: looked(app))
        number = app.bridge.orders.add(plan_request(made.backend, Request(100, Node(2), batch_pages=256)), run=False)
        for step in range(1, 4):
            app.bridge.orders.step(number)
            await until(pilot, lambda step=step: app.bridge.jobs()[0].steps == step)
        rates = app.bridge.jobs()[0].batch_rates
        assert len(rates) == 3 and min(rates) > 0
        bars = "".join("▁▂▃▄▅▆▇█"[max(0, round(rate / max(rates) * 8) - 1)] for rate in rates)
        await until(pilot, lambda: f" {bars} " in line_with(app, "/s, mean "))
