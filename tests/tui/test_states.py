"""States of the screen: a look fails, a process ends, rights are missing, there is one node only."""

from __future__ import annotations

import numpy as np
import pytest
from rich.segment import Segment
from textual.pilot import Pilot

from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.machine import Machine
from numamig.backends.simulator.memory import Backing, SimNode
from numamig.backends.simulator.process import Caller, SimProcess, SimRegion
from numamig.errors import BackendError
from tests.tui.consoles import ANON, line_with, press, screen_lines, until, world
from tests.tui.failing import Failing
from tui.app import NumamigApp

SIZES = [(80, 24), (120, 40)]
FAULT = BackendError("numa_maps does not parse", hint="numamig doctor")


def inks(app: NumamigApp, text: str) -> set[str]:
    """Colours of the text, where it first stands on the screen."""
    for strip in app.screen._compositor.render_strips():
        at = "".join(segment.text for segment in strip).find(text)
        if at >= 0:
            return {_ink(segment) for segment in strip.crop(at, at + len(text)) if segment.text.strip()}
    return set()


def _ink(segment: Segment) -> str:
    colour = segment.style.color if segment.style is not None else None
    return colour.get_truecolor().hex if colour is not None else ""


async def at_map(pilot: Pilot[object], size: tuple[int, int]) -> None:
    await press(pilot, "tab", "tab")
    await until(pilot, lambda: line_with(pilot.app, "exact"))  # type: ignore[arg-type]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("call", "title", "row"),
    [
        ("processes", "Processes  most remote first", "300 tiny"),
        ("regions", "Regions  of db 100", "7f0000000000 anon"),
    ],
)
async def test_what_cannot_be_looked_at_stays_dimmed_with_its_age_cause_and_remedy(
    call: str, title: str, row: str, size: tuple[int, int]
) -> None:
    machine = Failing(world().backend)
    app = NumamigApp(machine, speed=1000.0)  # type: ignore[arg-type]
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: line_with(app, "100 db") and line_with(app, "300 tiny"))
        if call == "regions":
            await press(pilot, "tab")
            await until(pilot, lambda: line_with(app, "7f0000000000 anon"))
        before = inks(app, row)
        machine.broken[call] = FAULT
        await until(pilot, lambda: "1 s old" in line_with(app, title) or "2 s old" in line_with(app, title))
        assert "numa_maps does not parse (numamig doctor)" in screen_lines(app)[0], "why, and what would help"
        faded = inks(app, row)
        assert faded and not before & faded, "what was seen stays, and every ink has faded"
        machine.broken.clear()
        await until(pilot, lambda: "s old" not in line_with(app, title))
        await until(pilot, lambda: "testbench" in screen_lines(app)[0] and not faded & inks(app, row))


@pytest.mark.parametrize("size", SIZES)
async def test_the_map_and_the_nodes_stay_too(size: tuple[int, int]) -> None:
    machine = Failing(world().backend)
    app = NumamigApp(machine, speed=1000.0)  # type: ignore[arg-type]
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: line_with(app, "100 db"))
        await at_map(pilot, size)
        node = screen_lines(app)[1]
        machine.broken.update({"page_runs": OSError(5, "Input/output error"), "node_counters": FAULT})
        await until(pilot, lambda: "s old" in line_with(app, "Map  db 100"))
        await until(pilot, lambda: screen_lines(app)[0].partition("SIMULATED")[2])
        assert line_with(app, "  anon 0") and screen_lines(app)[1] == node
        await until(pilot, lambda: {t.kind for t in app.bridge.looker.troubles.values()} >= {"nodes", "map"})
        await press(pilot, "down")
        assert app.is_running and line_with(app, "+1.0M"), "the cursor goes on in what was seen"


@pytest.mark.parametrize("size", SIZES)
async def test_where_nothing_was_ever_seen_the_cause_is_said(size: tuple[int, int]) -> None:
    machine = Failing(world().backend)
    machine.broken["processes"] = FAULT
    app = NumamigApp(machine, speed=1000.0)  # type: ignore[arg-type]
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: line_with(app, "not seen: numa_maps does not parse"))
        machine.broken.clear()
        await until(pilot, lambda: line_with(app, "100 db"))


@pytest.mark.parametrize("size", SIZES)
async def test_a_process_that_has_ended_is_dim_and_its_map_frozen_with_its_time(size: tuple[int, int]) -> None:
    made = world()
    app = NumamigApp(made.backend, speed=1000.0)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: line_with(app, "100 db"))
        await at_map(pilot, size)
        row = line_with(app, "  anon 0")
        made.backend.machine.end(100)
        await until(pilot, lambda: line_with(app, "gone, seen 1 s ago") or line_with(app, "gone, seen 2 s ago"))
        assert line_with(app, "  anon 0") == row
        await press(pilot, "escape", "escape")
        await until(pilot, lambda: "gone" in line_with(app, "100 db"))
        grey = app.look.dim.color
        assert grey is not None and grey.get_truecolor().hex in inks(app, "100 db")
        await press(pilot, "j")
        await until(pilot, lambda: not line_with(app, "100 db"))  # after ten seconds, once nobody looks at it


@pytest.mark.parametrize("size", SIZES)
async def test_without_rights_the_foot_says_how_many_why_and_what_helps(size: tuple[int, int]) -> None:
    app = NumamigApp(
        world(caller=Caller(user="web", sys_nice=False, sys_ptrace=False, sys_admin=False)).backend, speed=1000.0
    )
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "locked" in line_with(app, "100 db"))
        assert line_with(app, "1 locked: no CAP_SYS_PTRACE") and line_with(app, "· numamig doctor")


@pytest.mark.parametrize("size", SIZES)
async def test_a_machine_with_one_node_says_why_it_is_simulated_and_nothing_is_remote(size: tuple[int, int]) -> None:
    machine = Machine([SimNode(0, (0, 1), 1 << 16, 1 << 16, label="DRAM")], title="laptop")
    memory = Backing.untouched(64)
    machine.place(memory, 0, np.zeros(64, np.uint8))
    machine.add(SimProcess(100, "db", user="dba", cpu_nodes=(0,), regions=[SimRegion(ANON, memory)]))
    notice = "One memory node here: simulating. numamig lab boots four"
    app = NumamigApp(SimulatorBackend(machine), speed=1000.0, notice=notice)
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: line_with(app, "100 db") and "lab boots four" in " ".join(screen_lines(app)))
        assert screen_lines(app)[1].startswith(" 0 ") and "0%" in line_with(app, "100 db")
        await press(pilot, "m")
        await until(
            pilot, lambda: line_with(app, "node  0") and line_with(app, "no page that is asked for is on a source node")
        )
