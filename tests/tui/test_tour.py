"""The guided tour, all of it, on a smaller machine of the same kind: what it tells is what has happened."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from textual.pilot import Pilot

from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.scenario import load_machine
from numamig.migrate.snapshot import JobState
from numamig.replay.load import load_profile
from numamig.replay.run import run_profile
from numamig.resources import find_scenario
from tests.tui.consoles import line_with, main, screen_lines
from tui.dialogs.plan import PlanDialog
from tui.tour.app import TourApp
from tui.tour.bar import State
from tui.tour.run import check_tour, list_chapters

PID = 4711
TITLES = ["Find", "Look", "Mark", "Plan", "Step", "Run", "Account", "Save", "Undo"]
_DEADLINE_S = 60.0


@pytest.fixture
def backend(tmp_path: Path) -> Callable[[], SimulatorBackend]:
    """Makes the machine of the tour with less memory: the same each time."""
    text = find_scenario("demo").read_text()
    for size, less in (("1536MiB", "96MiB"), ("384MiB", "32MiB"), ("768MiB", "24MiB"), ("1GiB", "64MiB")):
        assert size in text
        text = text.replace(size, less)
    path = tmp_path / "small.yaml"
    path.write_text(text.replace("extent: 32MiB", "extent: 8MiB").replace("pinned: 0.00003", "pinned: 0.0003"))
    return lambda: SimulatorBackend(load_machine(path))


def placement(backend: SimulatorBackend) -> list[np.ndarray]:
    """The node of every page of the process, past the console."""
    return [region.backing.node.copy() for region in backend.machine.processes[PID].regions]


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


async def until(pilot: Pilot[Any], condition: Callable[[], object]) -> None:
    """As in the console's other tests, but a tour takes its time."""
    end = asyncio.get_running_loop().time() + _DEADLINE_S
    while not condition():
        if asyncio.get_running_loop().time() > end:
            raise AssertionError("never happened; the screen:\n" + "\n".join(screen_lines(pilot.app)))
        await asyncio.sleep(0.02)


async def told(pilot: Pilot[Any], app: TourApp, text: str) -> None:
    """A caption, or a head, with these words is on the screen."""
    await until(pilot, lambda: any(text in line for line in screen_lines(app)[-2:]))


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
async def test_the_whole_tour(size: tuple[int, int], backend: Callable[[], SimulatorBackend], tmp_path: Path) -> None:
    machine, file = backend(), tmp_path / "tour.yaml"
    before = placement(machine)
    app = TourApp(machine, file, pace=math.inf, speed=None)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "Run" in app.guide.reached)
        moved = placement(machine)
        await until(pilot, lambda: app.guide.state is State.OVER)
        await told(pilot, app, "your turn")
        assert (app.guide.reached, app.guide.missed) == (TITLES, [])
        there, back = app.bridge.jobs()
        assert (there.state, back.state, back.plan.undoes) == (JobState.DONE, JobState.DONE, there.number)
        assert app.screen is main(app)
        await pilot.press("tab")
        assert not line_with(app, "your turn")  # whoever has the keys has the room as well
        assert len(screen_lines(app)) == size[1] and "help" in screen_lines(app)[-1]
    away = sum(int((node == 0).sum()) for node in before)
    stayed = sum(int((node == 0).sum()) for node in moved)
    assert away > 20_000 and 0 < stayed < 2_500  # what is pinned, and the program's file, which was not marked
    assert same(placement(machine), before)
    again = backend()
    profile, document = load_profile(str(file))
    assert profile.scenario is not None
    run_profile(again, profile, document)
    assert same(placement(again), moved)


async def test_captions_name_the_keys_and_say_what_is_there(
    backend: Callable[[], SimulatorBackend], tmp_path: Path
) -> None:
    app = TourApp(backend(), tmp_path / "tour.yaml", pace=10, speed=20.0)
    async with app.run_test(size=(80, 24)) as pilot:
        for text in (
            "1/9 Find",
            "shop-db runs on node 1, and ",
            "enter  into its regions",
            "Home is dark, strangers glow.",
            "0  only node 0 in colour",
            "/anon enter  filter",
            "Marked: 2 regions, 128.0M.",
            "m  plan a move",
            "pages are queued, and held: the job",
            ".  one step",
            "p  run",
            "% of its full speed before, ",
            "L  ledger",
            "numamig replay ",
            "u  take the job back",
            "y  put them back",
            "As it was: ",
            "your turn",
        ):
            await told(pilot, app, text)
        assert app.guide.missed == []


async def test_the_operator_takes_the_keys_and_gives_them_back(
    backend: Callable[[], SimulatorBackend], tmp_path: Path
) -> None:
    app = TourApp(backend(), tmp_path / "tour.yaml", pace=10, speed=None, by_hand=True)
    async with app.run_test(size=(120, 40)) as pilot:
        await told(pilot, app, "space goes on")
        assert app.guide.reached == ["Find"]
        await pilot.press("space")
        await until(pilot, lambda: app.guide.reached == ["Find", "Look"] and app.guide.state is State.WAITING)
        await pilot.press("g")  # no key of the tour's
        await told(pilot, app, "you have the keys")
        await pilot.press("escape", "escape", "escape", "j", "m")
        await until(pilot, lambda: isinstance(app.screen, PlanDialog))
        await told(pilot, app, "F5 or ctrl+t goes on")
        assert main(app).processes.cursor != app.scene.identity
        await pilot.press("f5")  # out of the dialog, back to the process, and into its regions again
        await until(pilot, lambda: app.guide.state is State.WAITING)
        assert main(app).processes.cursor == app.scene.identity and app.screen is main(app)
        await pilot.press("right")
        await until(pilot, lambda: app.guide.reached[-1] == "Mark" and app.guide.state is State.WAITING)
        assert len(main(app).regions.marked) == 2
        await pilot.press("space")
        await until(pilot, lambda: app.guide.reached[-1] == "Plan" and app.guide.state is State.WAITING)
        await pilot.press("f1")
        await pilot.press("p")  # the operator runs the job: the tour takes it as done
        await until(pilot, lambda: app.bridge.jobs()[0].state is JobState.DONE)
        await pilot.press("ctrl+t", "space")
        await told(pilot, app, "7/9 Account")
        assert "Step" not in app.guide.reached and "Run" not in app.guide.reached


async def test_holding_and_leaving(backend: Callable[[], SimulatorBackend], tmp_path: Path) -> None:
    machine = backend()
    before = placement(machine)
    app = TourApp(machine, tmp_path / "tour.yaml", pace=10, speed=None)
    async with app.run_test(size=(80, 24)) as pilot:
        await told(pilot, app, "2/9 Look")
        await pilot.press("p")
        await told(pilot, app, "p goes on")
        held = screen_lines(app)[-2:]
        await pilot.press("left")
        await told(pilot, app, "no way back")
        await pilot.press("p")
        await until(pilot, lambda: screen_lines(app)[-2:] != held)
        await pilot.press("escape")
        await told(pilot, app, "your turn")
        await pilot.press("m")  # a live console
        await until(pilot, lambda: isinstance(app.screen, PlanDialog) and line_with(app, "to move"))
        assert not line_with(app, "your turn")
        assert (app.bridge.jobs(), same(placement(machine), before)) == ((), True)
        await pilot.press("escape", "q")
        await until(pilot, lambda: not app.is_running)


async def test_q_asks_where_a_job_runs(backend: Callable[[], SimulatorBackend], tmp_path: Path) -> None:
    app = TourApp(backend(), tmp_path / "tour.yaml", pace=20, speed=0.001)
    async with app.run_test(size=(80, 24)) as pilot:
        await told(pilot, app, "works on while its pages move")
        await until(pilot, lambda: any(job.state is JobState.RUNNING for job in app.bridge.jobs()))
        await pilot.press("q")
        await until(pilot, lambda: line_with(app, "1 job has not ended"))
        assert app.guide.state is State.TAKEN
        await pilot.press("y")
        await until(pilot, lambda: not app.is_running)


async def test_what_does_not_come_is_said_and_left_out(backend: Callable[[], SimulatorBackend], tmp_path: Path) -> None:
    app = TourApp(backend(), tmp_path / "not-there" / "tour.yaml", pace=math.inf, speed=None, patience_s=20)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, lambda: app.guide.state is State.OVER)
    assert "Save: the file has been written: not seen within 20 s" in app.guide.missed
    assert app.guide.reached == TITLES


def test_it_is_checked_without_a_terminal(backend: Callable[[], SimulatorBackend], tmp_path: Path) -> None:
    assert check_tour(backend(), tmp_path / "tour.yaml") == (TITLES, [])


def test_the_story_of_a_real_machine_is_about_its_own_process_only(
    backend: Callable[[], SimulatorBackend], tmp_path: Path
) -> None:
    """Here on a simulated one, where another has more remote memory; tests/lab has the real one."""
    text = (tmp_path / "small.yaml").read_text()
    (tmp_path / "small.yaml").write_text(text.replace("shop-db", "demo-db").replace("size: 24MiB", "size: 2GiB"))
    machine, rates = backend(), iter(range(10**6, 10**9))
    before = machine.machine.processes[3201].regions[1].backing.node.copy()
    told = check_tour(machine, tmp_path / "tour.yaml", pid=PID, count=lambda: float(next(rates)))
    assert told == (TITLES, [])
    assert "pid: 4711" in (tmp_path / "tour.yaml").read_text()
    assert np.array_equal(machine.machine.processes[3201].regions[1].backing.node, before)


@pytest.mark.parametrize("real", [False, True])
def test_two_minutes(real: bool) -> None:
    chapters = list_chapters(real=real)
    assert [title for title, _, _ in chapters] == TITLES
    assert 110 <= sum(seconds for *_, seconds in chapters) <= 130
