"""The ledger of a job in the console: what stayed, why, what would help, by region; and what happened to the job."""

from __future__ import annotations

import re

import pytest

from numamig.backends.simulator.process import SimProcess, SimRegion
from numamig.migrate.destination import Node
from numamig.migrate.plan import plan_request
from numamig.migrate.request import Request
from numamig.model.outcome import Outcome
from numamig.observe import placement
from tests.tui.consoles import ANON, line_with, main, press, screen_lines, until, world
from tui.app import NumamigApp
from tui.threads import looking


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
async def test_why_pages_stayed_and_what_would_help(size: tuple[int, int]) -> None:
    made = world()
    made.backend.machine.add(SimProcess(900, "other", user="dba", cpu_nodes=(1,), regions=[SimRegion(ANON, made.anon)]))
    app = NumamigApp(made.backend, speed=1000.0)
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: line_with(app, " db "))
        await press(pilot, "L")
        assert app.screen is main(app)  # there is no job yet
        number = app.bridge.orders.add(plan_request(made.backend, Request(100, Node(2))), run=False)
        await until(pilot, lambda: line_with(app, "held"))
        await press(pilot, "full_stop")
        await until(pilot, lambda: line_with(app, "moved 512"))
        await press(pilot, "p")
        await until(pilot, lambda: line_with(app, "= 3,072 chosen"))
        await press(pilot, "L")
        await until(pilot, lambda: line_with(app, f"ledger of job {number}"))
        seen = []
        for _ in range(20):
            seen += [line.strip(" │") for line in screen_lines(app)]
            await press(pilot, "j")
        text = " ".join(" ".join(seen).split())
        assert "moved 1,024 4.0M 33%" in text and "shared 2,048 8.0M 67%" in text
        stayed = text[text.index("What stayed, by region") :]
        assert f"{ANON:012x}" in stayed[:60] and "600000000000 heap shared" not in stayed
        assert Outcome.SHARED.why in stayed and Outcome.SHARED.help in stayed
        happened = text[text.index("What happened") :]
        assert "added: 3,072 pages" in happened and "began: 3,072 pages planned" in happened
        assert "asked: run" in happened and "done: 1,024 of 3,072 moved" in happened
        await press(pilot, "escape")
        assert app.screen is main(app)


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
async def test_an_estimate_says_how_far_off_it_may_be(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (looking, placement):
        monkeypatch.setattr(module, "counts_quickly", lambda *_: False)
    monkeypatch.setattr(looking, "_COUNTED_BYTES", 1 << 20)
    app = NumamigApp(world().backend, speed=1000.0)
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: re.search(r"~6\d±\d+% 1", line_with(app, " 100 db ")))
        row = line_with(app, " 100 db ")
        assert " 12.0M " in row and "~12.0M" not in row  # the kernel counts what is resident
        await press(pilot, "enter")
        await until(pilot, lambda: re.search(r"~\d+±\d+%", line_with(app, f"{ANON:012x}")))
