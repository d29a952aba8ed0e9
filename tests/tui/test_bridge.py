"""The threads: a call that hangs leaves the console live, and on leaving they end."""

from __future__ import annotations

import io
import threading
import time
from typing import Any

import pytest

from numamig.errors import UsageError
from numamig.migrate.destination import Node
from numamig.migrate.plan import plan_request
from numamig.migrate.request import Request
from numamig.migrate.snapshot import JobState
from tests.tui.consoles import line_with, press, until, world
from tui.app import NumamigApp
from tui.style.terminal import demand_terminal
from tui.threads.bridge import Bridge


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("numamig-")]


def wait_for(condition: Any) -> None:
    until_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until_s, "never happened"
        time.sleep(0.005)


async def test_on_leaving_the_threads_end() -> None:
    before = threads()
    app = NumamigApp(world().backend)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: line_with(app, " db "))
        assert len(threads()) == len(before) + 5
        await press(pilot, "q")
    wait_for(lambda: threads() == before)


def test_virtual_time_passes_before_an_audience() -> None:
    made = world()
    bridge = Bridge(made.backend, speed=0.02)
    bridge.start()
    try:
        plan = plan_request(made.backend, Request(100, Node(1), batch_pages=256))
        began = time.monotonic()
        bridge.orders.add(plan, run=True)
        wait_for(lambda: bridge.jobs()[0].state is JobState.DONE)
        virtual_s = sum(bridge.jobs()[0].call_ns) / 1e9
        assert time.monotonic() - began >= 0.8 * virtual_s / 0.02
    finally:
        bridge.stop()


def test_an_error_in_a_step_holds_the_job_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    made = world()
    plan = plan_request(made.backend, Request(100, Node(1)))
    bridge = Bridge(made.backend)

    def broken(*_: object) -> None:
        raise OSError(5, "it broke")

    monkeypatch.setattr(made.backend, "move_pages", broken)
    bridge.start()
    try:
        number = bridge.orders.add(plan, run=True)
        wait_for(lambda: number in bridge.problems)
        assert "it broke" in bridge.problems[number]
        assert bridge.jobs()[0].state is JobState.HELD
    finally:
        bridge.stop()


def test_only_the_latest_plan_is_worked_out() -> None:
    made = world()
    bridge = Bridge(made.backend)
    serials = [bridge.ask_plans((Request(100, Node(node)),)) for node in (0, 1, 2)]
    bridge.start()
    try:
        wait_for(lambda: bridge.plans.serial == serials[-1])
        (plan,) = bridge.plans.results
        assert not isinstance(plan, Exception) and plan.request.to == Node(2)
    finally:
        bridge.stop()


class _Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_no_terminal_is_one_clear_line() -> None:
    with pytest.raises(UsageError, match="needs a terminal") as caught:
        demand_terminal(io.StringIO(), _Tty(), _Tty(), {"TERM": "xterm"})
    assert "numamig ps" in str(caught.value)
    for term in ("dumb", "", "unknown"):
        with pytest.raises(UsageError, match=f"TERM={term}"):
            demand_terminal(_Tty(), _Tty(), _Tty(), {"TERM": term})
    demand_terminal(_Tty(), _Tty(), _Tty(), {"TERM": "screen"})
    with pytest.raises(UsageError, match="needs a terminal"):
        demand_terminal(_Tty(), _Tty(), io.StringIO(), {"TERM": "screen"})
