"""Jobs of an earlier run: found in the journal while their process lives, and taken back from the console."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numamig.migrate.choose import choose_by_plan
from numamig.migrate.destination import Node
from numamig.migrate.job import Job
from numamig.migrate.journal.record import Recorder
from numamig.migrate.plan import plan_request
from numamig.migrate.request import Request
from tests.tui.consoles import line_with, main, press, until, world
from tests.tui.hanging import Hanging
from tui.app import NumamigApp


def one_step(backend: Any, request: Request) -> int:
    """A numamig that is killed after one step: nobody writes what became of it, and its lock ends with it."""
    recorder = Recorder.open(backend)
    plan = plan_request(backend, request)
    record = recorder.begin(plan)
    Job(record.number, backend, plan, record, chooses=choose_by_plan).step()
    record.unlock()
    recorder.close()
    return record.number


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
async def test_a_job_of_an_earlier_run_is_taken_back(
    size: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    made = world()
    backend = Hanging(made.backend, set(), lasting=True)
    before = made.heap.node.copy(), made.anon.node.copy()
    one_step(backend, Request(300, Node(1)))
    number = one_step(backend, Request(100, Node(2), batch_pages=256))
    assert made.nodes_of(made.heap) == {0: 768, 2: 256}
    made.backend.machine.end(300)  # with it went what job 1 moved

    app = NumamigApp(backend)
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: line_with(app, " db ") and line_with(app, "E lists those of earlier runs"))
        await press(pilot, "E")
        await until(pilot, lambda: "interrupted" in line_with(app, f" {number} db 100"))
        assert "to node 2" in line_with(app, f" {number} db 100") and not line_with(app, "tiny 300")
        assert line_with(app, f"numamig --backend simulator resume {number}")
        await press(pilot, "u")
        await until(pilot, lambda: line_with(app, "256 pages = 1.0M go back where they were"))
        await press(pilot, "y")
        await until(pilot, lambda: app.screen is main(app) and "done" in line_with(app, f"undo of {number}"))
        assert np.array_equal(made.heap.node, before[0]) and np.array_equal(made.anon.node, before[1])
        await press(pilot, "q")


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
async def test_a_job_of_an_earlier_run_goes_on(
    size: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    made = world()
    backend = Hanging(made.backend, set(), lasting=True)
    number = one_step(backend, Request(100, Node(2), batch_pages=256))
    app = NumamigApp(backend)
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: line_with(app, " db ") and line_with(app, "E lists those of earlier runs"))
        await press(pilot, "E")
        await until(pilot, lambda: "interrupted" in line_with(app, f" {number} db 100"))
        await press(pilot, "r")
        await until(pilot, lambda: app.screen is main(app) and "held" in line_with(app, f" {number} db 100"))
        assert made.nodes_of(made.heap) == {0: 768, 2: 256}  # it waits to be run
        await press(pilot, "E")
        await until(pilot, lambda: line_with(app, "no earlier job can be taken back or gone on with"))
        await press(pilot, "escape", "p")
        await until(pilot, lambda: "done" in line_with(app, f" {number} db 100"))
        assert made.nodes_of(made.heap) == {2: 1024} and made.nodes_of(made.anon) == {2: 2048}


async def test_where_there_are_none_it_says_so() -> None:
    app = NumamigApp(world().backend)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: line_with(app, " db "))
        await press(pilot, "E")
        await until(pilot, lambda: line_with(app, "no earlier job can be taken back or gone on with"))
        await press(pilot, "escape")
        assert app.screen is main(app)
