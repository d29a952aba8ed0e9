"""Jobs steered by keys: taken back, sent elsewhere, put in order, refused, hanging, and several at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numamig.backends.simulator.memory import Backing
from numamig.backends.simulator.process import SimProcess, SimRegion
from numamig.migrate.destination import Node
from numamig.migrate.journal.store import Journal
from numamig.migrate.plan import plan_request
from numamig.migrate.request import Request
from numamig.migrate.snapshot import JobState
from numamig.model.outcome import Outcome
from tests.tui.consoles import ANON, World, line_with, main, press, screen_lines, until, world
from tests.tui.hanging import Hanging
from tui.app import NumamigApp
from tui.dialogs.edit import EditDialog
from tui.dialogs.undo import UndoDialog

WIDE, SMALL = (120, 40), (80, 24)
SECOND = 10**9


def console(backend: Any, **how: Any) -> NumamigApp:
    return NumamigApp(backend, **{"speed": 1000.0, **how})


def looked(app: NumamigApp) -> bool:
    census = app.bridge.looker.census
    return census is not None and census.complete


def add(app: NumamigApp, made: World, request: Request, *, run: bool = False) -> int:
    return app.bridge.orders.add(plan_request(app.bridge.backend, request), run=run)


@pytest.mark.parametrize("size", [WIDE, SMALL])
async def test_a_job_is_taken_back(size: tuple[int, int]) -> None:
    made = world()
    before = made.anon.node.copy(), made.heap.node.copy()
    app = console(made.backend)
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: looked(app))
        await press(pilot, "m", "2")
        await until(pilot, lambda: line_with(app, "3,072 pages = 12.0M to move"))
        await press(pilot, "y")
        await until(pilot, lambda: line_with(app, "= 3,072 chosen"))
        assert made.nodes_of(made.anon) == {2: 2048} and made.nodes_of(made.heap) == {2: 1024}
        await press(pilot, "u")
        await until(pilot, lambda: line_with(app, "3,072 pages = 12.0M go back where they were"))
        assert "2  →  0" in line_with(app, "2,048 pages = 8.0M") and "2  →  1" in line_with(app, "1,024 pages = 4.0M")
        assert line_with(app, "$ numamig --backend simulator undo 1") and line_with(app, "SIMULATED")
        await press(pilot, "s")
        await until(pilot, lambda: app.screen is main(app) and "held" in line_with(app, "undo of 1"))
        assert made.nodes_of(made.anon) == {2: 2048}
        await press(pilot, "full_stop")
        await until(pilot, lambda: line_with(app, "moved 512"))
        await press(pilot, "p")
        await until(pilot, lambda: "done" in line_with(app, "undo of 1"))
        assert np.array_equal(made.anon.node, before[0]) and np.array_equal(made.heap.node, before[1])


async def test_esc_takes_nothing_back_and_what_is_taken_back_is_not_twice() -> None:
    made = world()
    app = console(made.backend)
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await until(pilot, lambda: looked(app))
        add(app, made, Request(100, Node(2)), run=True)
        await until(pilot, lambda: line_with(app, "= 3,072 chosen"))
        await press(pilot, "u")
        await until(pilot, lambda: line_with(app, "go back where they were"))
        await press(pilot, "escape")
        assert app.screen is main(app) and len(app.bridge.jobs()) == 1
        await press(pilot, "u", "y")
        await until(pilot, lambda: "done" in line_with(app, "undo of 1"))
        await press(pilot, "shift+tab", "g", "u")
        await until(pilot, lambda: line_with(app, "✗ job 1 was taken back by job 2"))
        assert line_with(app, "nothing goes back") and not line_with(app, "y put them back")
        await press(pilot, "y")
        await until(pilot, lambda: line_with(app, "it cannot work"))
        await press(pilot, "escape")
        assert app.screen is main(app) and len(app.bridge.jobs()) == 2


async def test_a_running_job_is_not_taken_back_and_it_says_why() -> None:
    made = world()
    app = console(made.backend, speed=1e-5)
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await until(pilot, lambda: looked(app))
        add(app, made, Request(100, Node(1)), run=True)
        await until(pilot, lambda: line_with(app, "moved 512"))
        await press(pilot, "u")
        await until(pilot, lambda: line_with(app, "job 1 runs: pause it with p"))
        assert not isinstance(app.screen, UndoDialog)
        await press(pilot, "p", "u")
        await until(pilot, lambda: line_with(app, "512 pages = 2.0M go back where they were"))


async def test_an_undo_of_a_process_that_ended_says_so() -> None:
    made = world()
    app = console(made.backend)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await until(pilot, lambda: looked(app))
        add(app, made, Request(100, Node(2)), run=True)
        await until(pilot, lambda: line_with(app, "= 3,072 chosen"))
        made.backend.machine.end(100)
        await press(pilot, "u")
        await until(
            pilot, lambda: line_with(app, "✗ no process with pid 100") and line_with(app, "nothing to take back")
        )
        await press(pilot, "y", "escape")
        assert app.screen is main(app) and len(app.bridge.jobs()) == 1


async def test_the_rest_of_a_job_goes_to_another_node() -> None:
    made = world()
    app = console(made.backend)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await until(pilot, lambda: looked(app))
        add(app, made, Request(100, Node(1), batch_pages=1024))
        await until(pilot, lambda: line_with(app, "1 held"))
        await press(pilot, "full_stop")
        await until(pilot, lambda: line_with(app, "moved 1,024"))
        assert made.nodes_of(made.heap) == {1: 1024}
        await press(pilot, "e")
        await until(
            pilot, lambda: isinstance(app.screen, EditDialog) and line_with(app, "1,024 pages have had no turn")
        )
        await press(pilot, "2")
        await until(pilot, lambda: line_with(app, "Time ") and line_with(app, "✓ "))
        await press(pilot, "y")
        await until(pilot, lambda: line_with(app, "the rest of job 1 goes to node 2"))
        await until(pilot, lambda: "→2" in line_with(app, " 1 db 100"))
        await press(pilot, "p")
        await until(pilot, lambda: "done" in line_with(app, " 1 db 100"))
        assert made.nodes_of(made.heap) == {1: 1024}
        assert made.nodes_of(made.anon).get(0, 0) == 0 and made.nodes_of(made.anon)[2] >= 1024


async def test_batch_budget_and_rate_are_changed_while_it_runs() -> None:
    made = world()
    app = console(made.backend, speed=1e-5)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await until(pilot, lambda: looked(app))
        add(app, made, Request(100, Node(1), batch_pages=256), run=True)
        await until(pilot, lambda: line_with(app, "{ } budget none   rate none"))
        await press(pilot, "left_curly_bracket", "left_curly_bracket")
        await until(pilot, lambda: line_with(app, "{ } budget 50 ms"))
        await press(pilot, "right_curly_bracket")
        await until(pilot, lambda: line_with(app, "{ } budget 100 ms"))
        await press(pilot, "e", "j", "l", "j", "l", "j", "h", "h")
        await until(pilot, lambda: line_with(app, "2G/s at most") and line_with(app, "Budget    none"))
        await press(pilot, "y")
        await until(pilot, lambda: line_with(app, "[ ] batch 512   { } budget none   rate 2.0G/s"))
        assert app.bridge.jobs()[0].state is JobState.RUNNING


async def test_the_order_of_jobs_is_changed() -> None:
    made = world()
    app = console(made.backend)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await until(pilot, lambda: looked(app))
        add(app, made, Request(100, Node(1)))
        add(app, made, Request(200, Node(0)))
        await until(pilot, lambda: line_with(app, "2 held"))
        await press(pilot, "shift+tab", "K")
        await until(pilot, lambda: _rows(app) == ["2 cache", "1 db"])
        await press(pilot, "p", "j", "p")
        await until(pilot, lambda: line_with(app, "2 ended"))
        assert [job.number for job in app.bridge.jobs()] == [2, 1]
        await press(pilot, "k", "J")
        await until(pilot, lambda: _rows(app) == ["2 cache", "1 db"])  # it has ended: there is no order any more


def _rows(app: NumamigApp) -> list[str]:
    lines = [line[3:] for line in screen_lines(app) if " cache 200 " in line[:30] or " db 100 " in line[:30]]
    return [" ".join(line.split()[:2]) for line in lines if line.split()[0] in "12"]


@pytest.mark.parametrize("size", [WIDE, SMALL])
async def test_without_a_journal_the_console_looks_and_says_why_it_does_not_move(
    size: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_the_way = tmp_path / "state"
    in_the_way.write_text("a file")
    monkeypatch.setenv("XDG_STATE_HOME", str(in_the_way))
    made = world()
    app = console(Hanging(made.backend, set(), lasting=True))
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: looked(app) and line_with(app, " db "))
        await press(pilot, "m")
        await until(pilot, lambda: line_with(app, "to move"))
        await press(pilot, "y")
        await until(pilot, lambda: line_with(app, "no journal can be kept in") and line_with(app, "XDG_STATE_HOME"))
        assert app.screen is main(app) and app.bridge.jobs() == ()
        await press(pilot, "j")
        assert main(app).processes.cursor == (200, 1000)
        assert made.nodes_of(made.heap) == {0: 1024}
        in_the_way.unlink()
        await press(pilot, "k", "m", "y")
        await until(pilot, lambda: app.bridge.jobs() and app.bridge.jobs()[0].state is JobState.DONE)
        assert made.nodes_of(made.heap) == {1: 1024}
        assert (in_the_way / "numamig" / "journal.sqlite").exists()


@pytest.mark.parametrize("size", [WIDE, SMALL])
async def test_a_call_that_hangs_leaves_the_rest_live(size: tuple[int, int]) -> None:
    made = world()
    backend = Hanging(made.backend, {100})
    app = console(backend)
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: looked(app))
        first = add(app, made, Request(100, Node(1)), run=True)
        await until(pilot, lambda: backend.inside == {100})
        backend.clock.ahead_ns = 2 * SECOND
        await until(pilot, lambda: "in the kernel for" in line_with(app, " 1 db"))
        assert not line_with(app, "does not return")
        backend.clock.ahead_ns = 20 * SECOND
        await until(pilot, lambda: "in the kernel for 2" in line_with(app, " 1 db"))
        await until(pilot, lambda: line_with(app, "waiting for a call that does not return"))
        # Everything else goes on: looking, planning, new jobs in the queue.
        await press(pilot, "j", "m")
        await until(pilot, lambda: line_with(app, "512 pages = 2.0M to move"))
        await press(pilot, "y")
        await until(pilot, lambda: line_with(app, "Moves pages of cache 200, which is web's."))
        await press(pilot, "y")
        await until(pilot, lambda: "waits" in line_with(app, " 2 cache"))
        await press(pilot, "full_stop")
        await until(pilot, lambda: line_with(app, "a call of job 1 does not return"))
        assert [job.steps for job in app.bridge.jobs()] == [0, 0] and backend.moved == []
        # Its end is asked for, and comes with the answer.
        await press(pilot, "shift+tab", "g", "x")
        await until(pilot, lambda: "cancels when its call returns" in line_with(app, " 1 db"))
        await press(pilot, "e", "2", "y")
        await until(pilot, lambda: app.screen is main(app))
        assert app.bridge.jobs()[0].request.to == Node(1)
        backend.let_go.set()
        await until(pilot, lambda: "cancelled" in line_with(app, " 1 db"))
        await until(pilot, lambda: "done" in line_with(app, " 2 cache"))
        done = {job.number: job for job in app.bridge.jobs()}
        assert done[first].steps == 1 and not line_with(app, "cancels when")


async def test_several_jobs_are_stepped_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numamig.migrate.queue.jobs_at_once", lambda _: 2)
    made = world()
    backend = Hanging(made.backend)
    app = console(backend)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await until(pilot, lambda: looked(app))
        for pid in (100, 200, 300):
            add(app, made, Request(pid, Node(1)), run=True)
        await until(pilot, lambda: backend.inside == {100, 200})
        await until(pilot, lambda: "waits its turn" in line_with(app, " 3 tiny"))
        for job in (" 1 db", " 2 cache"):
            await until(pilot, lambda job=job: "pass 1 of 3" in line_with(app, job))  # type: ignore[misc]
        backend.let_go.set()
        await until(pilot, lambda: line_with(app, "3 ended"))
        assert set(backend.moved) == {100, 200, 300}


async def test_a_job_that_waits_leaves_its_turn_to_others() -> None:
    made = world()
    backend = Hanging(made.backend, set())
    app = console(backend)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await until(pilot, lambda: looked(app))
        # A page at a time, and at a rate at which the second comes after an hour.
        add(app, made, Request(100, Node(1), batch_pages=1, rate=1), run=True)
        await until(pilot, lambda: app.bridge.jobs()[0].steps == 1)
        add(app, made, Request(200, Node(1)), run=True)
        await until(pilot, lambda: "done" in line_with(app, " 2 cache"))
        assert app.bridge.jobs()[0].steps == 1 and "pass 1 of 3" in line_with(app, " 1 db")
        await press(pilot, "x")
        await until(pilot, lambda: "cancelled" in line_with(app, " 1 db"))


async def test_what_stopped_a_job_and_what_helps_is_said() -> None:
    made = world()
    app = console(made.backend)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await until(pilot, lambda: looked(app))
        number = add(app, made, Request(100, Node(2)))
        # Somebody else takes what was free there.
        hog = Backing.untouched(1 << 16)
        free = made.backend.node_counters().free_bytes[2] // 4096
        made.backend.machine.place(hog, 0, np.full(free - 64, 2, np.uint8))
        made.backend.machine.add(SimProcess(900, "hog", regions=[SimRegion(ANON, hog)]))
        app.bridge.orders.run(number)
        await until(pilot, lambda: line_with(app, "▲ node 2 is down to its reserve: free memory there"))
        assert "node 2 is down to its reserve" in line_with(app, " 1 db")


async def test_a_plan_shows_all_that_was_found() -> None:
    made = world()
    app = console(made.backend)
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await until(pilot, lambda: looked(app))
        await press(pilot, "m")
        await until(pilot, lambda: line_with(app, "to move"))
        assert "a thread waits up to" in line_with(app, "Time ")
        (plan,) = app.bridge.plans.results
        assert not isinstance(plan, Exception)
        assert line_with(app, "✓ rights, cpuset")
        await press(pilot, "f", "enter")
        seen: list[str] = []
        for _ in range(12):
            seen += screen_lines(app)
            await press(pilot, "ctrl+d")
        text = " ".join(" ".join(line.strip(" │╭╮╰╯") for line in seen).split())
        for finding in plan.findings:
            for words in (finding.reason, finding.remedy):
                assert words[:40].strip() in text, finding


async def test_a_warning_is_read_and_accepted_with_y() -> None:
    made = world()
    app = console(made.backend)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: looked(app))
        await press(pilot, "G", "m")
        await until(pilot, lambda: line_with(app, "▲ no page that is asked for is on a source node"))
        assert line_with(app, "numamig map PID shows where it is")
        await press(pilot, "y")
        await until(pilot, lambda: line_with(app, "Moves pages of tiny 300, which is web's."))
        await press(pilot, "y")
        await until(pilot, lambda: app.screen is main(app) and "done" in line_with(app, " 1 tiny"))


async def test_who_leaves_leaves_nothing_unsaid_in_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    made = world()
    app = console(Hanging(made.backend, set(), lasting=True))
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: looked(app))
        number = add(app, made, Request(100, Node(1), batch_pages=256, rate=1), run=True)
        await until(pilot, lambda: app.bridge.jobs()[0].steps == 1)
        await press(pilot, "q")
        await until(pilot, lambda: line_with(app, "numamig resume goes on"))
        await press(pilot, "y")
    journal = Journal(tmp_path / "numamig" / "journal.sqlite")
    entry, batch = journal.job(number), journal.batch(number, 0)
    assert entry.state == "held" and entry.outcomes[Outcome.MOVED] == 1
    assert batch is not None and batch.left is not None
    journal.close()
