"""The lines about workloads and the lock of page tables, as text."""

from __future__ import annotations

from numamig.backends.simulator.workload import Workload, WorkloadPlan
from numamig.model.workings import LockFigures, Workings, WorkloadFigures
from tests.tui.consoles import line_with, main, until, world
from tui.app import NumamigApp
from tui.style.look import Look
from tui.style.terminal import Colours, Terminal
from tui.widgets.workings import WorkingsLines

SECOND = 10**9


def figures(
    pid: int, speed: float, *, done: float | None = None, stalled_ns: int = 0, finished_ns: int | None = None
) -> WorkloadFigures:
    return WorkloadFigures("openmp", pid, 16, done, 1e9, speed, 0.25, 387.5, stalled_ns, stalled_ns, finished_ns)


def lines(*seen: Workings, width: int = 120, selected: int | None = None, only_ascii: bool = False) -> list[str]:
    made = WorkingsLines(Look(Terminal(Colours.NONE, ascii=only_ascii)))
    for workings in seen:
        made.show(workings, selected)
    return ["".join(text for text, _ in made.line(y, width)).rstrip() for y in range(made.wanted_lines)]


def test_a_workload_has_its_speed_its_trend_and_what_it_lost() -> None:
    shown = [Workings(n * SECOND, workloads=(figures(7, speed),)) for n, speed in enumerate((0.25, 0.5, 1.0))]
    assert lines(*shown) == [" ▶ openmp 7             ████████ 100% speed           ▂▄█  local  25%  388 ns an access"]
    slow = Workings(3 * SECOND, workloads=(figures(7, 0.5, done=0.4, stalled_ns=118_000_000),))
    assert lines(slow) == [
        " ▶ openmp 7             ████····  50% speed             ▄  local  25%  work 40% done  388 ns an access"
    ]
    assert lines(slow, width=150)[0].endswith("388 ns an access  stalled 118 ms, longest 118 ms")
    assert lines(Workings(1, workloads=(figures(7, 0.0, done=1.0, finished_ns=86 * SECOND),))) == [
        " ✓ openmp 7             done in 86 s"
    ]


def test_the_selected_process_comes_first_and_no_more_than_two_are_shown() -> None:
    three = Workings(SECOND, workloads=tuple(figures(pid, 1.0) for pid in (1, 2, 3)))
    assert [line.split()[2] for line in lines(three, selected=3)] == ["3", "1"]


def test_the_lock_shows_how_long_it_was_held_of_late_and_how_many_waited() -> None:
    before = Workings(10 * SECOND, lock=LockFigures(5, 2 * SECOND, 118_000_000))
    now = Workings(12 * SECOND, lock=LockFigures(9, 3 * SECOND, 118_000_000, 1200, 30 * SECOND, 117_000_000))
    assert lines(before, now) == [
        " ‖ page_table_lock      ████····  50% held  15.0 wait  longest hold 118 ms  longest wait 117 ms"
    ]
    assert lines(before, now, width=140)[0].endswith("longest wait 117 ms  1,200 waits in all, 30 s")
    assert lines(before, now, width=60, only_ascii=True) == [" | page_table_lock  ####....  50% held  15.0 wait"]


def test_a_machine_that_tells_nothing_takes_no_line() -> None:
    assert lines() == lines(Workings(1)) == []


async def test_moving_pages_to_their_cpus_is_seen_to_pay_off() -> None:
    made = world()
    machine = made.backend.machine
    process = machine.processes[100]
    machine.work(Workload(machine, process, WorkloadPlan(compute_ns=0.0)))
    app = NumamigApp(made.backend, speed=None)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "local  33%" in line_with(app, "▶ db 100"))
        assert main(app).workings.display
        await pilot.press("m", "y")
        await until(pilot, lambda: "100% speed" in line_with(app, "▶ db 100"))
        assert "local 100%" in line_with(app, "▶ db 100")
    assert made.nodes_of(made.heap) == {1: 1024}


async def test_without_workloads_there_is_no_such_line() -> None:
    app = NumamigApp(world().backend)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: main(app).processes.keys)
        assert not main(app).workings.display
