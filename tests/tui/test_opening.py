"""What is seen while a machine is being opened: a first picture at once, keys that work, and why it could not be."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from numamig.errors import RefusedError
from tests.tui.consoles import line_with, press, screen_lines, until, world
from tui.app import NumamigApp, Opened

SIZES = pytest.mark.parametrize("size", [(120, 40), (80, 24)])


class Slow:
    """A machine that is opened when it is told to be."""

    def __init__(self) -> None:
        self.told = threading.Event()
        self.asked = threading.Event()

    def __call__(self) -> Opened:
        self.asked.set()
        self.told.wait(60)
        return Opened(world().backend, "One memory node here: simulating")


@pytest.fixture
def slow() -> Iterator[Slow]:
    made = Slow()
    yield made
    made.told.set()


@SIZES
async def test_the_frame_is_there_before_the_machine(size: tuple[int, int], slow: Slow) -> None:
    app = NumamigApp(slow, words="the simulated machine of \x1b[31mred.yaml")
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, slow.asked.is_set)
        shown = screen_lines(app)
        assert shown[0] == " numamig  opening the simulated machine of ␛[31mred.yaml"
        assert "Processes" in "".join(shown) and shown[-1] == " q quit"
        slow.told.set()
        await until(pilot, lambda: line_with(app, " db ") and line_with(app, "SIMULATED"))
        assert "opening" not in "".join(screen_lines(app))
        await until(pilot, lambda: line_with(app, "One memory node here"))
        await press(pilot, "m")
        await until(pilot, lambda: line_with(app, "2,048 pages"))


@pytest.mark.parametrize("key", ["q", "ctrl+q"])
async def test_who_does_not_want_to_wait_leaves(key: str, slow: Slow) -> None:
    app = NumamigApp(slow)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, slow.asked.is_set)
        await press(pilot, key)
        await until(pilot, lambda: not app.is_running)
    assert app.return_value == 0 and app.failure is None


async def test_a_machine_that_cannot_be_opened_is_left_with_the_reason() -> None:
    def fails() -> Opened:
        raise RefusedError("node 1 cannot be read")

    app = NumamigApp(fails)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: not app.is_running)
    assert isinstance(app.failure, RefusedError)


async def test_no_other_key_does_anything_before_there_is_a_machine(slow: Slow) -> None:
    app = NumamigApp(slow)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, slow.asked.is_set)
        await press(pilot, "ctrl+p", "question_mark", "m", "f1", "slash")
        assert screen_lines(app)[0] == " numamig  opening a machine"
        slow.told.set()
        await until(pilot, lambda: line_with(app, " db "))
        await press(pilot, "ctrl+p", *"theme")
        await until(pilot, lambda: line_with(app, "strangers glow on dark"))


async def test_a_journal_that_cannot_be_opened_is_told_of_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, slow: Slow
) -> None:
    def refuses(*_: object, **__: object) -> None:
        raise RefusedError("the journal cannot be opened")

    monkeypatch.setattr("tui.threads.bridge.JobQueue", refuses)
    slow.told.set()
    app = NumamigApp(slow)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: not app.is_running)
    assert isinstance(app.failure, RefusedError)


def test_the_first_picture_waits_for_nothing_of_the_engine() -> None:
    script = (
        "import sys, tui.app, numamig.cli.console;"
        "heavy = {'numpy', 'pydantic', 'yaml', 'psutil', 'cffi', 'tui.screens.main', 'numamig.migrate'};"
        "print(heavy & set(sys.modules))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "set()"
