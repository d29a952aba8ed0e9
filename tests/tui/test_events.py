"""Nothing that happens to a job is lost on its way to the console; and whose turn it is, by priority."""

from __future__ import annotations

import pytest

from numamig.migrate.destination import Node
from numamig.migrate.plan import plan_request
from numamig.migrate.request import Request
from numamig.migrate.snapshot import JobState
from numamig.model.events import BatchMoved, JobAdded, JobAsked, JobChecked, JobEnded, JobStarted, JobVerified
from numamig.model.finding import Finding, Severity
from tests.tui.consoles import line_with, press, until, world
from tests.tui.test_bridge import wait_for
from tui.app import NumamigApp
from tui.threads.bridge import Bridge
from tui.words.narrate import Narrator


def test_a_thousand_steps_between_two_looks_are_all_told() -> None:
    made = world()
    bridge = Bridge(made.backend, speed=None)
    bridge.start()
    try:
        plan = plan_request(made.backend, Request(100, Node(2), batch_pages=2, most_calls=None))
        bridge.orders.add(plan, run=True)
        wait_for(lambda: bridge.jobs()[0].state is JobState.DONE)
        wait_for(lambda: bridge.steps(bridge.jobs()).at_hand == frozenset())
        events = bridge.events()
    finally:
        bridge.stop()
    assert [event.step for event in events if isinstance(event, BatchMoved)] == list(range(1, 1537))
    others = [type(event) for event in events if not isinstance(event, BatchMoved)]
    assert others[:3] == [JobAdded, JobAsked, JobStarted]
    assert JobEnded in others and bridge.missed == 0


def test_what_comes_too_fast_is_counted_and_what_is_not_known_is_passed_over() -> None:
    narrator = Narrator()
    assert narrator.hear([object()], missed=0) == [] and narrator.note == ""  # type: ignore[list-item]
    narrator.hear([], missed=1_200)
    assert narrator.note == "1,200 events came too fast to be told"
    narrator.hear([JobAsked(7, 0, "hold")], missed=1_200)
    assert narrator.note == "job 7 asked: hold" and narrator.told_of(7) == ["asked: hold"]
    narrator.hear([JobChecked(7, 0, (Finding("balancing", Severity.WARNING, "pages may move back"),))])
    assert narrator.note == "job 7 looked at again: pages may move back"
    assert narrator.hear([JobVerified(7, 0, 512, 512, {})]) == []
    assert narrator.hear([JobVerified(7, 0, 512, 400, {0: 112})]) == [narrator.note]
    assert narrator.note == "job 7 verified: 400 of 512 pages are where they were moved to"


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
async def test_a_step_that_fails_is_announced(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    made = world()
    app = NumamigApp(made.backend, speed=1000.0)

    def broken(*_: object) -> None:
        raise OSError(5, "it broke")

    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: line_with(app, " db "))
        app.bridge.orders.add(plan_request(made.backend, Request(100, Node(1))), run=False)
        await until(pilot, lambda: line_with(app, "held"))
        monkeypatch.setattr(made.backend, "move_pages", broken)
        await press(pilot, "full_stop")
        await until(pilot, lambda: line_with(app, "job 1 failed, and is held"))


async def test_a_higher_priority_has_its_turn_first() -> None:
    made = world()
    app = NumamigApp(made.backend, speed=1e-5)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, lambda: line_with(app, " db "))
        for pid in (100, 200):
            app.bridge.orders.add(
                plan_request(made.backend, Request(pid, Node(1 if pid == 100 else 0), batch_pages=64)), run=False
            )
        await until(pilot, lambda: line_with(app, "2 held"))
        await press(pilot, "shift+tab", "greater_than_sign")
        await until(pilot, lambda: line_with(app, "< > priority 1") and line_with(app, "job 2 has priority 1"))
        await press(pilot, "k", "p", "j", "p")
        await until(
            pilot, lambda: "waits its turn" in line_with(app, " 1 db") and "pass 1" in line_with(app, " 2 cache")
        )
        await press(pilot, "less_than_sign", "less_than_sign")
        await until(
            pilot, lambda: "pass 1" in line_with(app, " 1 db") and "waits its turn" in line_with(app, " 2 cache")
        )
        assert line_with(app, "< > priority -1")
