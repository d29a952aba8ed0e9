"""The pace of virtual time in the console: shown, changed while it runs, and nobody has to wait for it."""

from __future__ import annotations

import re
import time

import pytest

from numamig.backends.simulator.workload import Workload, WorkloadPlan
from numamig.migrate.destination import Node
from numamig.migrate.plan import plan_request
from numamig.migrate.request import Request
from numamig.migrate.snapshot import JobState
from tests.tui.consoles import line_with, main, press, until, world
from tests.tui.hanging import Hanging
from tests.tui.test_bridge import wait_for
from tui.app import NumamigApp
from tui.threads.bridge import Bridge
from tui.words.present import pace_text


def test_the_pace_is_said_where_it_is_not_the_walls() -> None:
    assert [pace_text(s) for s in (1.0, 10.0, 0.5, None)] == ["", " ×10", " ×0.5", " max"]
    assert pace_text(2.0, "x") == " x2"


async def test_time_passes_in_the_console_and_the_palette_changes_its_pace() -> None:
    made = world()
    machine = made.backend.machine
    workload = machine.work(Workload(machine, machine.processes[100], WorkloadPlan(100.0)))
    app = NumamigApp(made.backend)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: line_with(app, "exact"))
        await until(pilot, lambda: re.search(r"t\+0:0[1-9]\.\d ·", line_with(app, "t+")))
        assert workload.accesses().min() > 0
        await press(pilot, "ctrl+p")
        await until(pilot, lambda: line_with(app, "Search"))
        await press(pilot, *"speed 100x")
        await until(pilot, lambda: line_with(app, "speed 100x") and not line_with(app, "speed 2x"))
        await press(pilot, "enter")
        await until(pilot, lambda: app.screen is main(app) and line_with(app, "×100"))
        assert made.backend.clock.speed == 100.0
        await until(pilot, lambda: made.backend.clock.now_ns() > 60e9)
        app.bridge.set_speed(None)
        await until(pilot, lambda: line_with(app, " max "))
        at = made.backend.clock.now_ns()
        await pilot.pause(0.5)
        assert made.backend.clock.now_ns() == at  # nothing waits, and so nothing passes by itself


async def test_a_machine_in_real_time_has_no_pace_to_choose() -> None:
    app = NumamigApp(Hanging(world().backend))  # type: ignore[arg-type]
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: line_with(app, "exact"))
        await press(pilot, "ctrl+p")
        await until(pilot, lambda: line_with(app, "Search"))
        await press(pilot, *"speed 100x")
        await until(pilot, lambda: line_with(app, "No matches"))
        assert not app.bridge.paced and not line_with(app, "t+")
        await press(pilot, "escape")


def running(speed: float | None, request: Request) -> tuple[Bridge, int]:
    made = world()
    bridge = Bridge(made.backend, speed=speed)
    bridge.start()
    return bridge, bridge.orders.add(plan_request(made.backend, request), run=True)


@pytest.mark.parametrize(
    "request_", [Request(100, Node(1), batch_pages=256), Request(100, Node(1), batch_pages=64, rate=1 << 20)]
)
def test_a_slow_step_or_gap_keeps_nobody_waiting(request_: Request) -> None:
    # A step takes some 0.3 ms of the machine's time: minutes of the wall's. With a rate, so does the gap behind it.
    bridge, number = running(1e-6, request_)
    try:
        wait_for(lambda: bridge.jobs()[0].steps == 1)
        time.sleep(0.1)
        assert bridge.jobs()[0].steps == 1
        began = time.monotonic()
        assert bridge.backend.clock.now_ns() > 0
        bridge.backend.node_counters()
        bridge.orders.hold(number)
        wait_for(lambda: bridge.jobs()[0].state is JobState.HELD)
        bridge.orders.step(number)
        wait_for(lambda: bridge.jobs()[0].steps == 2)
        bridge.orders.cancel(number)
        wait_for(lambda: bridge.jobs()[0].state is JobState.CANCELLED)
        assert time.monotonic() - began < 1
    finally:
        began = time.monotonic()
        bridge.stop()
        assert time.monotonic() - began < 1


def test_another_pace_is_heard_in_the_middle_of_a_wait() -> None:
    bridge, _ = running(1e-6, Request(100, Node(1), batch_pages=256))
    try:
        wait_for(lambda: bridge.jobs()[0].steps == 1)
        bridge.set_speed(None)
        wait_for(lambda: bridge.jobs()[0].state is JobState.DONE)
    finally:
        bridge.stop()


def test_a_gap_of_virtual_time_lasts_as_long_before_an_audience() -> None:
    # 2,048 pages, 8 MiB, at 32 MiB/s: a quarter of a second of virtual time; at twice the pace an eighth.
    bridge, _ = running(2.0, Request(100, Node(1), batch_pages=128, rate=32 << 20))
    began = time.monotonic()
    try:
        wait_for(lambda: bridge.jobs()[0].state is JobState.DONE)
        took = time.monotonic() - began
        done = bridge.jobs()[0]
        virtual_s = done.busy_ns / 1e9
        assert 0.2 < virtual_s < 0.5
        assert took >= 0.8 * 0.2 / 2
    finally:
        bridge.stop()
