"""A plan is rehearsed on a twin and saved as a profile, and nothing has moved yet."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from numamig.backends.base import Backend
from numamig.backends.snapshot.backend import SnapshotBackend
from numamig.replay.load import load_profile
from numamig.replay.run import run_profile
from tests.tui.consoles import line_with, main, press, until, world
from tui.app import NumamigApp
from tui.dialogs.plan import PlanDialog

SIZES = pytest.mark.parametrize("size", [(120, 40), (80, 24)])


def looked(app: NumamigApp) -> bool:
    census = app.bridge.looker.census
    return census is not None and census.complete


@SIZES
async def test_what_a_twin_does_is_shown_and_done_on_no_other_machine(size: tuple[int, int]) -> None:
    made = world()
    before = made.heap.node.copy(), made.anon.node.copy()
    app = NumamigApp(made.backend, speed=1000.0, twin_of=SnapshotBackend)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: looked(app))
        await press(pilot, "m")
        await until(pilot, lambda: line_with(app, "2,048 pages = 8.0M to move"))
        await press(pilot, "r")
        await until(pilot, lambda: "moved 2,048 = 8.0M" in line_with(app, "Twin "))
        assert "in 4 steps" in line_with(app, "took ") and "a thread waits up to" in line_with(app, "took ")
        assert np.array_equal(made.heap.node, before[0]) and np.array_equal(made.anon.node, before[1])
        assert app.bridge.jobs() == ()
        await press(pilot, "2")  # it was a rehearsal of something else
        await until(pilot, lambda: line_with(app, "3,072 pages = 12.0M to move") and not line_with(app, "Twin "))


async def test_esc_leaves_the_rehearsal_and_then_the_dialog() -> None:
    go_on = threading.Event()

    def twin_of(backend: Backend) -> Backend:
        go_on.wait(30)
        return SnapshotBackend(backend)

    app = NumamigApp(world().backend, twin_of=twin_of)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: looked(app))
        await press(pilot, "m")
        await until(pilot, lambda: line_with(app, "to move"))
        await press(pilot, "r")
        await until(pilot, lambda: "rehearsing 0%" in line_with(app, "Twin "))
        await press(pilot, "escape")
        await until(pilot, lambda: not line_with(app, "Twin "))
        assert isinstance(app.screen, PlanDialog)
        go_on.set()
        await press(pilot, "escape")
        assert app.screen is main(app)


@SIZES
async def test_a_plan_is_saved_and_done_later(size: tuple[int, int], tmp_path: Path) -> None:
    made, again = world(), world()
    out = tmp_path / "plan.yaml"
    app = NumamigApp(made.backend, speed=1000.0)
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: looked(app))
        await press(pilot, "m", "enter", *"0:3,2:1", "enter")
        await until(pilot, lambda: line_with(app, "From to"))
        await press(pilot, "w")
        await until(pilot, lambda: line_with(app, "what is planned here, written down"))
        await press(pilot, "ctrl+u", "ctrl+k", *str(out), "enter")
        await until(pilot, lambda: line_with(app, "saved: numamig replay"))
        assert isinstance(app.screen, PlanDialog) and app.bridge.jobs() == ()
        await press(pilot, "y")
        await until(pilot, lambda: bool(app.bridge.jobs()) and app.bridge.jobs()[0].state.ended)
    profile, document = load_profile(str(out))
    run_profile(again.backend, profile, document)
    for mine, theirs in ((made.anon, again.anon), (made.heap, again.heap)):
        assert np.array_equal(mine.node, theirs.node) and 2 in mine.node
