"""The console itself: a picture that is held, a pane that fills the screen, home by hand, read-only, kept files."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from textual.pilot import Pilot

from numamig.migrate.destination import Node
from numamig.migrate.plan import plan_request
from numamig.migrate.request import Request
from numamig.migrate.snapshot import JobState
from tests.tui.consoles import ANON, World, line_with, main, press, screen_lines, until, world
from tui.app import NumamigApp


async def command(pilot: Pilot[int], app: NumamigApp, typed: str, said: str) -> None:
    """Chosen from the palette by its name, once it is found."""
    await press(pilot, "ctrl+p")
    await until(pilot, lambda: app.screen is not main(app))
    palette = app.screen
    await press(pilot, *typed)
    await until(pilot, lambda: line_with(app, said))
    await press(pilot, "enter")
    await until(pilot, lambda: app.screen is not palette)


def held_job(app: NumamigApp, made: World, batch_pages: int = 512) -> int:
    return app.bridge.orders.add(plan_request(made.backend, Request(100, Node(1), batch_pages=batch_pages)), run=False)


async def test_a_frozen_picture_stays_while_jobs_go_on() -> None:
    made = world()
    app = NumamigApp(made.backend, speed=1000.0)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: line_with(app, "exact") and "67%" in line_with(app, "100 db "))
        await press(pilot, "z")
        await until(pilot, lambda: " FROZEN " in screen_lines(app)[0] and line_with(app, "z go on"))
        before = screen_lines(app)[5:25]
        number = held_job(app, made)
        app.bridge.orders.run(number)
        await until(pilot, lambda: line_with(app, "= 2,048 chosen"))
        seen = app.bridge.looker.census
        await until(pilot, lambda: app.bridge.looker.census is not seen)
        assert [line.replace("▌", " ") for line in screen_lines(app)[5:25]] == [ln.replace("▌", " ") for ln in before]
        await press(pilot, "j")
        await until(pilot, lambda: line_with(app, "Map  cache 200") and line_with(app, "exact"))
        await press(pilot, "k", "z")
        await until(pilot, lambda: "FROZEN" not in screen_lines(app)[0] and " 0%" in line_with(app, "100 db "))


async def test_a_pane_fills_the_screen_and_gives_it_back() -> None:
    app = NumamigApp(world().backend, speed=1000.0)
    async with app.run_test(size=(160, 40)) as pilot:
        await until(pilot, lambda: line_with(app, "exact"))
        before = screen_lines(app)[1:7]
        await press(pilot, "tab", "tab", "b")
        await until(pilot, lambda: "Map  db 100" in screen_lines(app)[1] and not line_with(app, "Processes"))
        assert main(app).page_map.size.width == 160 and main(app).page_map.window.rows > 25
        await press(pilot, "tab")
        await until(pilot, lambda: "Queue" in screen_lines(app)[1])
        await press(pilot, "tab")
        await until(pilot, lambda: "Processes" in screen_lines(app)[1])
        await press(pilot, "escape")
        await until(pilot, lambda: [line.rstrip() for line in screen_lines(app)[1:5]] == before[:4])
        assert line_with(app, "Map  db 100") and line_with(app, "Queue")


async def test_home_by_hand() -> None:
    app = NumamigApp(world().backend, speed=1000.0)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: line_with(app, "exact") and "67%" in line_with(app, "100 db "))
        await press(pilot, "H")
        await until(pilot, lambda: line_with(app, "at home on 1: where its threads ran of late"))
        await press(pilot, "0")
        await until(pilot, lambda: "33% H0" in line_with(app, "100 db "))
        await until(pilot, lambda: "33%" in line_with(app, "100 db ") and " 0%" in line_with(app, "600000000000 heap"))
        await press(pilot, "m")
        await until(pilot, lambda: line_with(app, "1,024 pages = 4.0M to move"))
        await press(pilot, "escape", "H")
        await until(pilot, lambda: line_with(app, "at home on 0: said by hand"))
        await press(pilot, "t")
        await until(pilot, lambda: "67% 1" in line_with(app, "100 db "))
        await press(pilot, "2", "H")
        await until(pilot, lambda: "100% H2" in line_with(app, "100 db "))
        await press(pilot, "H")
        await until(pilot, lambda: "67% 1" in line_with(app, "100 db "))


async def test_read_now() -> None:
    app = NumamigApp(world().backend, speed=1000.0)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: line_with(app, "exact"))
        nodes, regions = app.bridge.looker.nodes, app.bridge.looker.regions
        app.bridge.looker._due.update(dict.fromkeys(("nodes", "regions", "map"), float("inf")))
        await press(pilot, "r")
        await until(pilot, lambda: app.bridge.looker.nodes is not nodes and app.bridge.looker.regions is not regions)
        assert main(app).narrator.note == "everything is looked at anew"


async def test_read_only_moves_nothing_and_says_why() -> None:
    made = world()
    app = NumamigApp(made.backend, speed=1000.0, read_only=True)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, lambda: line_with(app, "exact") and " READ-ONLY " in screen_lines(app)[0])
        assert not line_with(app, "m move...")
        await press(pilot, "m")
        await until(pilot, lambda: line_with(app, "read-only: no move from here"))
        assert app.screen is main(app)
        await command(pilot, app, "read-only off", "whether memory can")
        await until(pilot, lambda: line_with(app, "was started with --read-only"))
        await press(pilot, "escape")
        assert app.bridge.orders.read_only
        await command(pilot, app, "read-only off", "whether memory can")
        await until(pilot, lambda: line_with(app, "was started with --read-only"))
        await press(pilot, "y")
        await until(pilot, lambda: line_with(app, "m move...") and "READ-ONLY" not in screen_lines(app)[0])


async def test_read_only_while_a_job_runs_can_only_pause_or_end_it() -> None:
    made = world()
    app = NumamigApp(made.backend, speed=0.02)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, lambda: line_with(app, "exact"))
        number = held_job(app, made, batch_pages=16)
        app.bridge.orders.run(number)
        await until(pilot, lambda: line_with(app, "p pause"))
        await command(pilot, app, "read-only on", "whether memory can")
        await until(pilot, lambda: "READ-ONLY" in screen_lines(app)[0] and line_with(app, "p pause"))
        await press(pilot, "p")
        await until(pilot, lambda: app.bridge.jobs()[0].state is JobState.HELD and not line_with(app, "p pause"))
        steps = app.bridge.jobs()[0].steps
        await press(pilot, "p", "full_stop")
        await until(pilot, lambda: line_with(app, "read-only: no step from here"))
        assert app.bridge.jobs()[0].state is JobState.HELD and app.bridge.jobs()[0].steps == steps
        await press(pilot, "x")
        await until(pilot, lambda: app.bridge.jobs()[0].state.ended)


async def test_the_palette_jumps_to_addresses() -> None:
    app = NumamigApp(world().backend, speed=1000.0)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, lambda: line_with(app, "exact"))
        await command(pilot, app, f"0x{ANON + 0x100000:x}", "in the map of the process")
        await until(pilot, lambda: line_with(app, f"◆ {ANON + 0x100000:x} +1.0M"))
        await command(pilot, app, "0x1000", "in the map of the process")
        await until(pilot, lambda: line_with(app, "no region of db 100 holds 0x1000"))


async def test_screenshots_and_reports_are_kept(tmp_path: Path) -> None:
    made = world()
    app = NumamigApp(made.backend, speed=1000.0, screenshots=tmp_path / "shots")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, lambda: line_with(app, "exact"))
        app.bridge.orders.step(held_job(app, made))
        await until(pilot, lambda: line_with(app, "moved 512"))
        await command(pilot, app, "screenshot", "an SVG of")
        await until(pilot, lambda: line_with(app, "screenshot:"))
        (picture,) = (tmp_path / "shots").glob("numamig-20*.svg")
        words = "".join(ElementTree.parse(picture).getroot().itertext()).replace("\u00a0", " ")
        assert "SIMULATED" in words and "moved 512" in words and "an SVG of the screen" not in words
        await command(pilot, app, "report", "as plain text")
        await until(pilot, lambda: line_with(app, "report:"))
        (file,) = (tmp_path / "shots").glob("numamig-20*.txt")
        text = file.read_text()
        assert "SIMULATED testbench, linux-6.12" in text
        assert any(line.split()[:4] == ["100", "db", "dba", "12.0M"] for line in text.splitlines())
        assert "numamig --backend simulator move 100 --to 1" in text and "moved" in text
        main(app).screenshots = picture
        await command(pilot, app, "report", "as plain text")
        await until(pilot, lambda: "is no directory" in main(app).narrator.note)


def test_no_file_is_written_over(tmp_path: Path) -> None:
    from tui.words.keeping import keep

    first, second = keep(tmp_path, "x", ".svg", "a"), keep(tmp_path, "x", ".svg", "b")
    assert (first.name, second.name) == ("numamig-x.svg", "numamig-x-2.svg")
    assert (first.read_text(), second.read_text()) == ("a", "b")
