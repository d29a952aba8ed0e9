"""What was done in the console is saved as a profile, and replaying it gives the same placement, page for page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from numamig.replay.load import load_profile
from numamig.replay.run import run_profile
from tests.tui.consoles import line_with, main, press, until, world
from tui.app import NumamigApp


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
async def test_a_session_is_saved_and_done_again(size: tuple[int, int], tmp_path: Path) -> None:
    made, again = world(), world()
    out = tmp_path / "session.yaml"
    app = NumamigApp(made.backend, speed=1000.0)
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: line_with(app, " db "))
        await press(pilot, "w")
        assert app.screen is main(app)  # there is nothing to save yet
        await press(pilot, "m", "2")
        await until(pilot, lambda: line_with(app, "3,072 pages = 12.0M to move"))
        await press(pilot, "s")
        await until(pilot, lambda: line_with(app, "held"))
        await press(pilot, "full_stop")
        await until(pilot, lambda: line_with(app, "moved 512"))
        await press(pilot, "full_stop")
        await until(pilot, lambda: line_with(app, "moved 1,024"))
        await press(pilot, "x")
        await until(pilot, lambda: line_with(app, "cancelled"))
        await press(pilot, "w")
        await until(pilot, lambda: line_with(app, "save as a profile"))
        assert line_with(app, "numamig-") and line_with(app, "what the 1 job here moved")
        await press(pilot, "ctrl+u", "ctrl+k", *str(out), "enter")
        await until(pilot, out.exists)
        assert main(app) is app.screen
        await press(pilot, "w")
        await until(pilot, lambda: line_with(app, "save as a profile"))
        before = out.read_text()
        await press(pilot, "ctrl+u", "ctrl+k", *str(out), "enter")
        await until(pilot, lambda: line_with(app, "is there already"))
        assert out.read_text() == before
        await press(pilot, "w")
        await until(pilot, lambda: line_with(app, "save as a profile"))
        await press(pilot, "escape")
        assert main(app) is app.screen and list(tmp_path.iterdir()) == [out]
    assert sum(made.nodes_of(backing).get(2, 0) for backing in (made.anon, made.heap)) == 1024
    profile, document = load_profile(str(out))
    run_profile(again.backend, profile, document)
    for mine, theirs in ((made.anon, again.anon), (made.heap, again.heap)):
        assert np.array_equal(mine.node, theirs.node)
