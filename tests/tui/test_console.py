"""Stories at the console, told with real keys: what a user sees, and what the machine holds afterwards."""

from __future__ import annotations

import re

import pytest
from textual import events

from numamig.backends.simulator.memory import Backing
from numamig.backends.simulator.process import Caller, SimProcess, SimRegion
from numamig.migrate.destination import Node
from numamig.migrate.snapshot import JobState
from numamig.model.outcome import Outcome
from tests.tui.consoles import ANON, World, line_with, main, press, screen_lines, until, world
from tui.app import NumamigApp
from tui.dialogs.plan import PlanDialog

WIDE, SMALL = (120, 40), (80, 24)


def console(made: World, **how: object) -> NumamigApp:
    return NumamigApp(made.backend, **{"speed": 1000.0, **how})  # type: ignore[arg-type]


def looked(app: NumamigApp) -> bool:
    """Every process was looked at, and the selected one's map is drawn."""
    census = app.bridge.looker.census
    return census is not None and census.complete and bool(line_with(app, "exact"))


async def test_the_overview(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = console(world())
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: looked(app) and "100" in (line_with(app, "rem on") and line_with(app, " db ")))
        lines = screen_lines(app)
        assert lines[0].startswith(" numamig  ╱╱ SIMULATED ╱╱ testbench · linux-6.12")
        assert lines[1].startswith(" 0  cpu 0-1  DRAM") and "2  no cpu  DRAM" in lines[1]
        assert lines[1].endswith("distance 0  10▒20▒20")
        assert line_with(app, "     100 db")[:45].rstrip() == "     100 db          12.0M 0░░░░1     67% 1"
        assert line_with(app, "     200 ")[:45].rstrip() == "     200 cache        2.0M 2▒▒▒▒▒▒      - *"
        assert line_with(app, "     300 ")[:45].rstrip() == "     300 tiny          64K 0           0% 0"
        assert line_with(app, " 7f0000000000 anon")[:45].rstrip() == " 7f0000000000 anon        8.0M  0░░1      50%"
        assert line_with(app, "Map  db 100 · cell 16K = 4 pages")
        assert line_with(app, " heap ")[46:] == "    heap ◆░░░░░░░" + "0░░░░░░░" * 7
        assert line_with(app, " +4M ")[46:] == "     +4M " + "1       " * 7 + "1"


async def test_filter_mark_plan_and_move() -> None:
    made = world()
    app = console(made)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: looked(app))
        await press(pilot, "slash", *"dba", "enter")
        await until(pilot, lambda: line_with(app, "1 of 3") and not line_with(app, " cache "))
        await press(pilot, "enter", "j", "space")
        await until(pilot, lambda: line_with(app, "1 marked  8.0M"))
        await press(pilot, "m", "2")
        await until(pilot, lambda: line_with(app, "2,048 pages = 8.0M to move"))
        await until(pilot, lambda: line_with(app, "db 100 (yours) · 1 region"))
        await until(pilot, lambda: line_with(app, "SIMULATED"))
        await press(pilot, "y")
        await until(pilot, lambda: line_with(app, "$ numamig --backend simulator move 100 --to 2 --addr"))
        assert " --address 0x7f0000000000-" in main(app).narrator.command
        await until(pilot, lambda: line_with(app, "moved 2,048"))
        assert made.nodes_of(made.anon) == {2: 2048}
        assert made.nodes_of(made.heap) == {0: 1024}
        await until(pilot, lambda: line_with(app, "= 2,048 chosen"))
        await until(pilot, lambda: "100%" in line_with(app, f"{ANON:012x}"))


async def test_the_preset_target_is_home() -> None:
    made = world()
    app = console(made)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: looked(app))
        await press(pilot, "m")
        await until(pilot, lambda: line_with(app, "2,048 pages = 8.0M to move"))
        assert isinstance(app.screen, PlanDialog) and app.screen.form.to == Node(1)
        await press(pilot, "y")
        await until(pilot, lambda: line_with(app, "= 2,048 chosen"))
        assert made.nodes_of(made.anon) == {1: 2048} and made.nodes_of(made.heap) == {1: 1024}


async def test_a_step_moves_one_batch() -> None:
    made = world()
    app = console(made)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: app.bridge.looker.census is not None and app.bridge.looker.census.complete)
        await press(pilot, "m")
        await until(pilot, lambda: line_with(app, "to move"))
        await press(pilot, "j", "j", "h", "s")
        await until(pilot, lambda: line_with(app, "batch 256"))
        assert app.bridge.jobs()[0].state is JobState.HELD
        assert made.nodes_of(made.heap) == {0: 1024}
        await press(pilot, "full_stop")
        await until(pilot, lambda: line_with(app, "moved 256"))
        assert made.nodes_of(made.heap) == {0: 768, 1: 256}
        await press(pilot, "right_square_bracket", "full_stop")
        await until(pilot, lambda: line_with(app, "moved 768"))
        assert made.nodes_of(made.heap) == {0: 256, 1: 768}
        assert app.bridge.jobs()[0].state is JobState.HELD


async def test_run_pause_and_cancel() -> None:
    made = world()
    app = console(made, speed=0.02)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: looked(app))
        await press(pilot, "m")
        await until(pilot, lambda: line_with(app, "to move"))
        await press(pilot, "j", "j", "h", "h", "h", "y")
        await until(pilot, lambda: app.bridge.jobs() and app.bridge.jobs()[0].steps >= 2)
        await until(pilot, lambda: line_with(app, "p pause"))
        await press(pilot, "p")
        await until(pilot, lambda: line_with(app, "p run"))
        job = app.bridge.jobs()[0]
        assert job.state is JobState.HELD and 0 < job.outcomes[Outcome.MOVED] < 2048
        await press(pilot, "p")
        await until(pilot, lambda: app.bridge.jobs()[0].steps > job.steps + 1)
        await press(pilot, "x")
        await until(pilot, lambda: line_with(app, "cancelled"))
        job = app.bridge.jobs()[0]
        moved = job.outcomes[Outcome.MOVED]
        assert moved + job.outcomes[Outcome.NOT_TRIED] == job.outcomes.total == 2048
        await until(pilot, lambda: line_with(app, f"not tried {2048 - moved:,}") and line_with(app, "= 2,048 chosen"))
        assert made.nodes_of(made.heap).get(1, 0) + made.nodes_of(made.anon)[1] == 1024 + moved


async def test_errors_block_the_plan() -> None:
    made = world(caller=Caller(user="web", sys_nice=False, sys_ptrace=True, sys_admin=True))
    app = console(made)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: app.bridge.looker.census is not None and app.bridge.looker.census.complete)
        await press(pilot, "m")
        await until(pilot, lambda: line_with(app, "to move"))
        await press(pilot, "k", "l")
        await until(pilot, lambda: line_with(app, "✗ no right to move pages that other processes share"))
        assert not line_with(app, "y run")
        await press(pilot, "y")
        await until(pilot, lambda: line_with(app, "it cannot work"))
        await press(pilot, "escape")
        assert not isinstance(app.screen, PlanDialog) and app.bridge.jobs() == ()


async def test_several_processes_go_home() -> None:
    made = world()
    app = console(made)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: looked(app))
        await press(pilot, "a")
        await until(pilot, lambda: line_with(app, "3 marked of 3"))
        await press(pilot, "m")
        await until(pilot, lambda: line_with(app, "home of each"))
        await until(pilot, lambda: line_with(app, "to move"))
        await press(pilot, "y")
        await until(pilot, lambda: line_with(app, "Moves pages of 2 processes of web."))
        await press(pilot, "y")
        await until(pilot, lambda: len(app.bridge.jobs()) and all(job.state.ended for job in app.bridge.jobs()))
        assert made.nodes_of(made.heap) == {1: 1024}
        # The row of the process under the cursor is as fresh as its map.
        await until(pilot, lambda: re.search(r" 0% ", line_with(app, "100 db")))


async def test_a_filter_typed_in_one_go_loses_no_letter() -> None:
    made = world()
    app = console(made)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: looked(app))
        # As a terminal delivers them: all at once, nobody waits for the first to have acted.
        for key in ["slash", *"cache"]:
            app.post_message(events.Key(key, "/" if key == "slash" else key))
        await until(pilot, lambda: line_with(app, "/cache  1 of 3"))
        assert not line_with(app, "marked")
        await press(pilot, "slash")
        await until(pilot, lambda: line_with(app, "/cache/  0 of 3"))


async def test_small_terminal_shows_one_pane_at_a_time() -> None:
    app = console(world())
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: line_with(app, " db "))
        assert len(screen_lines(app)) == 24
        await until(pilot, lambda: line_with(app, "▌Processes   Regions   Map   Queue"))
        await press(pilot, "tab")
        await until(pilot, lambda: line_with(app, "Regions  of db 100"))
        assert not line_with(app, "most remote first")
        await press(pilot, "tab")
        await until(pilot, lambda: line_with(app, "▌Map  db 100 · cell"))
        await press(pilot, "tab")
        await until(pilot, lambda: line_with(app, "▌Queue") and line_with(app, "no jobs"))
        assert screen_lines(app)[-1].endswith("? help")
        await press(pilot, "shift+tab", "escape", "escape")
        await until(pilot, lambda: line_with(app, "most remote first"))


async def test_too_small_says_what_it_needs() -> None:
    app = console(world())
    async with app.run_test(size=(52, 18)) as pilot:
        await until(pilot, lambda: line_with(app, "60×20 needed, 52×18 here"))
        await pilot.resize_terminal(60, 20)
        await until(pilot, lambda: line_with(app, "most remote first"))


async def test_hostile_names_stay_in_their_place() -> None:
    made = world()
    evil = Backing.untouched(8)
    process = SimProcess(
        666, "\x1b[2Jx\n[red]", user="\u202etoor", regions=[SimRegion(ANON, evil, path="/srv/\x1b]0;pwned\x07")]
    )
    made.backend.machine.add(process)
    app = console(made, ascii=True)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: line_with(app, "666"))
        assert "\\x1b[2Jx\\x0a[red]" in line_with(app, "666")
        assert "\\u202etoor" in line_with(app, "666")
        await press(pilot, "slash", *"666", "enter", "enter")
        await until(pilot, lambda: line_with(app, "\\x1b]0;pwned"))
        everything = "".join(screen_lines(app))
        assert everything.isascii() and everything.isprintable()


async def test_a_process_that_ends_is_gone_and_not_a_traceback() -> None:
    made = world()
    app = console(made, speed=0.02)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: looked(app))
        await press(pilot, "m")
        await until(pilot, lambda: line_with(app, "to move"))
        await press(pilot, "y")
        await until(pilot, lambda: app.bridge.jobs() and app.bridge.jobs()[0].steps >= 1)
        made.backend.machine.end(100)
        await until(pilot, lambda: app.bridge.jobs()[0].state.ended)
        job = app.bridge.jobs()[0]
        assert job.outcomes[Outcome.GONE] > 0 and job.outcomes.total == 2048
        await until(pilot, lambda: line_with(app, "gone, seen"))
        await until(pilot, lambda: "gone" in line_with(app, " db "))
        assert not app.bridge.looker.troubles


async def test_locked_processes_are_named_as_such() -> None:
    app = console(world(caller=Caller(user="web", sys_nice=False, sys_ptrace=False, sys_admin=False)))
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: line_with(app, "1 locked: no CAP_SYS_PTRACE"))
        assert "locked" in line_with(app, " db ")
        await press(pilot, "slash", "d", "b", "enter", "enter")
        await until(pilot, lambda: line_with(app, "locked: no right to look at pid 100"))
        await press(pilot, "m")
        await until(pilot, lambda: line_with(app, "✗ no right to move pages of pid 100"))
        await press(pilot, "escape")


async def test_the_cursor_stays_with_its_process() -> None:
    made = world()
    app = console(made)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: looked(app))
        await press(pilot, "j")
        chosen = main(app).processes.cursor
        await press(pilot, "s", "s", "S")
        assert main(app).processes.cursor == chosen
        made.backend.machine.add(SimProcess(50, "early", regions=[]))
        await until(pilot, lambda: line_with(app, " early"))
        assert main(app).processes.cursor == chosen


async def test_spotlight_zoom_and_readout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = console(world())
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: looked(app))
        await press(pilot, "tab", "tab", "G")
        await until(pilot, lambda: line_with(app, "◆ 7f00007fc000 +8.0M  1  4 pages · anon"))
        await press(pilot, "plus")
        await until(pilot, lambda: line_with(app, "cell 4K = 1 page"))
        await until(pilot, lambda: line_with(app, "1  1 page · anon"))
        await until(pilot, lambda: line_with(app, " view 42% "))  # of the process, in the row above the map
        await press(pilot, "minus", "f")
        await until(pilot, lambda: line_with(app, "cell 16K = 4 pages"))
        assert main(app).spot is None
        await press(pilot, "0")
        assert main(app).spot == 0
        await press(pilot, "escape")
        assert main(app).spot is None and main(app).active == "map"


async def test_moved_cells_flash() -> None:
    made = world()
    app = console(made, speed=0.0005)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: looked(app))
        flashed = False

        def seen() -> bool:
            nonlocal flashed
            strips = app.screen._compositor.render_strips()
            cells = [segment for strip in strips[6:25] for segment in strip if segment.style and segment.style.reverse]
            flashed = flashed or any(len(segment.text) > 4 for segment in cells)
            return flashed

        await press(pilot, "m")
        await until(pilot, lambda: line_with(app, "to move"))
        await press(pilot, "y")
        await until(pilot, seen)


async def test_quit_asks_while_jobs_run() -> None:
    app = console(world(), speed=0.02)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: app.bridge.looker.census is not None and app.bridge.looker.census.complete)
        await press(pilot, "m")
        await until(pilot, lambda: line_with(app, "to move"))
        await press(pilot, "y")
        await until(pilot, lambda: app.bridge.unended)
        await press(pilot, "q")
        await until(pilot, lambda: line_with(app, "1 job has not ended"))
        await press(pilot, "escape")
        assert app.is_running and not line_with(app, "1 job has not ended")
        await press(pilot, "q", "y")
    assert app.return_value == 0
