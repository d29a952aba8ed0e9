"""Lenses of the page map by keys: what each shows of a simulated machine, and what it says that it cannot tell."""

from __future__ import annotations

import numpy as np
import pytest

from numamig.backends.simulator.memory import Flag
from numamig.backends.simulator.process import Caller
from numamig.migrate.destination import Node
from numamig.migrate.plan import plan_request
from numamig.migrate.request import Request, Retry, RetryMode
from tests.tui.consoles import World, line_with, main, press, screen_lines, until, world
from tui.app import NumamigApp
from tui.threads.lenses import Lens

WIDE = (120, 40)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> World:
    """``db``: of its heap the first half is shared; of its other memory a page is pinned, and the last quarter hot."""
    monkeypatch.setenv("NO_COLOR", "1")
    made = world()
    spoil(made)
    return made


def spoil(made: World) -> None:
    made.heap.sharers[:512] = 3
    made.anon.flags[1040] |= np.uint8(Flag.PINNED)
    made.anon.flags[8:12] |= np.uint8(Flag.WRITEBACK)
    made.anon.heat = np.repeat(np.array([0, 60, 130, 255], np.uint8), 512)


def row_of(app: NumamigApp, label: str) -> str:
    """The cells of the row that begins so."""
    return next((line.ljust(119)[55:119] for line in screen_lines(app) if line[46:54].strip() == label), "")


async def test_each_lens_by_its_key_and_back(made: World) -> None:
    app = NumamigApp(made.backend, speed=1000.0)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: line_with(app, "lens home") and line_with(app, "exact"))
        await press(pilot, "tab", "tab")
        await until(pilot, lambda: line_with(app, "p pinned b busy s shared"))
        assert row_of(app, "heap") == "◆░░░s░░░" + "0░░░s░░░" * 7
        assert row_of(app, "anon") == "0░b░░░░░" + "0░░░░░░░" * 7
        assert row_of(app, "+4M") == "1   p   " + "1       " * 7

        await press(pilot, "o")
        await until(pilot, lambda: line_with(app, "lens node") and row_of(app, "+4M") == "1╱╱╱╱╱╱╱" * 8)
        assert not line_with(app, "pinned")

        await press(pilot, "o")
        await until(pilot, lambda: line_with(app, "lens kind") and row_of(app, "heap") == "◆" + "s" * 63)
        assert row_of(app, "+4M") == "1   p   " + "1       " * 7

        await press(pilot, "o")
        await until(pilot, lambda: line_with(app, "lens stay") and line_with(app, "would stay"))
        assert row_of(app, "anon") == "0 b     " + "0       " * 7

        await press(pilot, "o")
        await until(pilot, lambda: line_with(app, "lens heat") and row_of(app, "anon") == "·" * 64)
        assert line_with(app, "touched in ·· no ░░ <1/4 ▒▒ <1/2 ▓▓ <3/4 ██ most samples")
        assert [row_of(app, label) for label in ("+4M", "+6M")] == ["▓" * 64, "█" * 64]

        await press(pilot, "o")
        await until(pilot, lambda: line_with(app, "lens home"))
        await press(pilot, "O", "O")
        await until(pilot, lambda: line_with(app, "lens stay"))


async def test_the_stay_lens_shows_what_a_job_left_behind_and_why(made: World) -> None:
    app = NumamigApp(made.backend, speed=1000.0)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: line_with(app, "exact"))
        request = Request(100, Node(2), retry=Retry(RetryMode.NEVER))
        app.bridge.orders.add(plan_request(made.backend, request), run=True)
        await until(pilot, lambda: app.bridge.jobs() and app.bridge.jobs()[0].state.ended)
        await press(pilot, "tab", "tab", "O", "O")
        await until(pilot, lambda: line_with(app, "left by job 1"))
        assert line_with(app, "B busy") and line_with(app, "S shared")
        assert row_of(app, "heap") == "◆" + "S" * 63
        assert row_of(app, "+2M") == "2       " * 8
        assert row_of(app, "+4M") == "2   B2  " + "2       " * 7
        await until(pilot, lambda: line_with(app, "4 stayed: shared (other processes map them: "))
        main(app).page_map.go_to(0x7F0000000000 + 1040 * 4096)
        await until(pilot, lambda: line_with(app, "3 pages · 1 stayed: busy (held or locked"))


async def test_all_that_is_known_of_a_single_page(made: World) -> None:
    made.anon.flags[1040] |= np.uint8(Flag.MLOCKED)
    app = NumamigApp(made.backend, speed=1000.0)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: line_with(app, "exact"))
        await press(pilot, "tab", "tab", "o", "o")
        main(app).page_map.go_to(0x7F0000000000 + 1040 * 4096)
        await until(pilot, lambda: line_with(app, "7f0000410000 +4.1M  1  4 pages · pinned 25% · mlocked 25% · anon"))
        await press(pilot, "plus")
        await until(pilot, lambda: line_with(app, "cell 4K = 1 page "))
        main(app).page_map.go_to(0x7F0000000000 + 1040 * 4096)
        await until(pilot, lambda: line_with(app, "7f0000410000 +4.1M  1  1 page · pinned mlocked · anon"))
        await press(pilot, "o", "o")
        await until(pilot, lambda: line_with(app, "1  1 page · heat ~3/4 · anon"))


async def test_what_cannot_be_told_is_said_and_not_drawn_as_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    made = world(caller=Caller(sys_admin=False))
    app = NumamigApp(made.backend, speed=1000.0)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: line_with(app, "exact"))
        await press(pilot, "tab", "tab", "O")
        await until(pilot, lambda: line_with(app, "no CAP_SYS_ADMIN: which pages are in use is not told"))
        assert row_of(app, "+4M") == "~" * 64


async def test_heat_is_looked_at_through_its_lens_only(made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Lens] = []
    heat = made.backend.heat
    app = NumamigApp(made.backend, speed=1000.0)

    def noted(*about: object) -> object:
        asked.append(main(app).page_map.lens)
        return heat(*about)  # type: ignore[arg-type]

    monkeypatch.setattr(made.backend, "heat", noted)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: line_with(app, "exact"))
        await press(pilot, "tab", "tab")
        for lens in list(Lens)[1:]:
            assert not asked
            await press(pilot, "o")
            await until(pilot, lambda lens=lens: line_with(app, f"lens {lens}"))  # type: ignore[misc]
        await until(pilot, lambda: asked == [Lens.HEAT])


async def test_pages_flash_as_they_move_and_not_where_motion_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    for motion in (True, False):
        made = world()
        app = NumamigApp(made.backend, speed=1000.0)
        app.look.motion = motion
        flashed: list[bool] = []
        async with app.run_test(size=WIDE) as pilot:
            await until(pilot, lambda: line_with(app, "exact"))  # noqa: B023
            await press(pilot, "tab", "tab", "o")
            app.bridge.orders.step(app.bridge.orders.add(plan_request(made.backend, Request(100, Node(2))), run=False))

            def seen() -> bool:
                strip = main(app).page_map.render_line(1)  # noqa: B023
                flashed.append(any(s.style is not None and s.style.reverse and s.text != "◆" for s in strip))  # noqa: B023
                return row_of(app, "heap").startswith("◆       2")  # noqa: B023

            await until(pilot, seen)
            for _ in range(5):
                await pilot.pause(0.02)
                seen()
        assert any(flashed) is motion


async def test_only_rows_that_look_different_are_drawn_again() -> None:
    app = NumamigApp(world().backend, speed=1000.0)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: line_with(app, "exact"))
        await press(pilot, "tab", "tab")
        page_map = main(app).page_map

        def strips() -> list[object]:
            return [page_map.render_line(y) for y in range(1, 13)]

        await until(pilot, lambda: row_of(app, "heap").startswith("◆"))
        before = strips()
        await press(pilot, "j")
        await until(pilot, lambda: row_of(app, "+1M").startswith("◆") and row_of(app, "heap").startswith("0"))
        assert [a is b for a, b in zip(before, strips(), strict=True)] == [False, False, *[True] * 10]
        app.bridge.orders.step(
            app.bridge.orders.add(plan_request(app.bridge.backend, Request(100, Node(2))), run=False)
        )
        await until(pilot, lambda: row_of(app, "heap").startswith("2"))
