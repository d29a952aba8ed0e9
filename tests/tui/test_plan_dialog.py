"""The plan dialog: every setting, the command that asks for the same, and how often the machine is asked for it."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from numamig.cli.move import command
from numamig.migrate.destination import Node
from numamig.migrate.request import Request, Retry, RetryMode
from numamig.model.process import RegionKind
from numamig.units import parse_duration, parse_rate, parse_size
from tests.tui.consoles import line_with, main, press, screen_lines, until, world
from tui.app import NumamigApp
from tui.dialogs import asking
from tui.words.present import command_line, retry_text

WIDE, SMALL = (120, 40), (80, 24)


def console(backend: Any) -> NumamigApp:
    return NumamigApp(backend, speed=1000.0)


def looked(app: NumamigApp) -> bool:
    census = app.bridge.looker.census
    return census is not None and census.complete


def typed(request: Request) -> dict[str, Any]:
    """What the command makes of its line."""
    words = shlex.split(command_line(request, simulated=False))
    assert words[:2] == ["numamig", "move"]
    return command.make_context("move", words[2:]).params


async def test_busy_pages_are_tried_until_a_deadline() -> None:
    made = world()
    app = console(made.backend)
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await until(pilot, lambda: looked(app))
        await press(pilot, "m")
        await until(pilot, lambda: line_with(app, "Retry     3 passes"))
        assert not line_with(app, "Deadline")
        await press(pilot, "k", "k", "l", "l")
        await until(pilot, lambda: line_with(app, "Retry   < until none is busy") and line_with(app, "Deadline"))
        await press(pilot, "j", "h", "s")
        await until(pilot, lambda: app.screen is main(app) and bool(app.bridge.jobs()))
        retry = app.bridge.jobs()[0].request.retry
        assert (retry.mode, retry.deadline_ns) == (RetryMode.UNTIL, 30 * 10**9)
        assert retry_text(retry) == "until 30 s"


@pytest.mark.parametrize("size", [WIDE, SMALL])
async def test_what_is_seldom_needed_is_behind_a_key(size: tuple[int, int]) -> None:
    made = world()
    app = console(made.backend)
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: looked(app))
        await press(pilot, "m", "a")
        await until(pilot, lambda: line_with(app, "Critical") and not line_with(app, "Budget"))
        await press(pilot, "l", "j", "l", "j", "h", "j", "l")
        await until(pilot, lambda: line_with(app, "Time ") and line_with(app, "a less"))
        shown = "\n".join(screen_lines(app))
        for words in ("also init", "nothing: fill the target", "100 a second at most", "2 calls at the same time"):
            assert words in shown, words
        assert len([line for line in screen_lines(app) if "│" in line]) <= size[1] - 2
        await press(pilot, "a")
        await until(pilot, lambda: line_with(app, "a more (4 set)") and line_with(app, "Budget"))
        await press(pilot, "s")
        await until(pilot, lambda: bool(app.bridge.jobs()))
        request = app.bridge.jobs()[0].request
        assert (request.critical, request.reserve_bytes, request.most_calls, request.threads) == (True, 0, 100, 2)


async def test_how_gently_it_goes_is_no_reason_to_look_at_the_machine_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made = world()
    asked: list[int] = []
    policies = made.backend.policies

    def counting(pid: int) -> Any:
        asked.append(pid)
        return policies(pid)

    monkeypatch.setattr(made.backend, "policies", counting)
    app = console(made.backend)
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await until(pilot, lambda: looked(app))
        await press(pilot, "m")
        await until(pilot, lambda: line_with(app, "2,048 pages = 8.0M to move"))
        assert asked == [100]
        for key in ("j", "j", "l", "j", "h", "h", "j", "h", "j", "h"):
            await press(pilot, key)
            await until(pilot, lambda: line_with(app, "2,048 pages = 8.0M to move"))
        assert asked == [100]
        await press(pilot, "s")  # but what is begun is looked at as it is now
        await until(pilot, lambda: app.screen is main(app) and bool(app.bridge.jobs()))
        assert asked == [100, 100]


async def test_keys_in_a_run_are_one_question(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_REST_S", 1e6)
    made = world()
    app = console(made.backend)
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await until(pilot, lambda: looked(app))
        await press(pilot, "m")
        await until(pilot, lambda: line_with(app, "2,048 pages = 8.0M to move"))
        before = app.bridge.plans.serial
        await press(pilot, "0", "2", "0", "2")
        await until(pilot, lambda: line_with(app, "counting"))
        assert app.bridge.plans.serial == before
        await press(pilot, "s")
        await until(pilot, lambda: app.screen is main(app) and bool(app.bridge.jobs()))
        assert app.bridge.plans.serial == before + 1 and app.bridge.jobs()[0].request.to == Node(2)


def test_the_command_asks_for_exactly_the_same() -> None:
    gentle = Request(
        7,
        Node(1),
        rate=768 << 10,
        budget_ns=1_500_000,
        kinds=frozenset({RegionKind.ANON, RegionKind.SHMEM}),
        most_calls=None,
        reserve_bytes=1 << 30,
        critical=True,
        threads=4,
        retry=Retry(RetryMode.UNTIL, deadline_ns=90 * 10**9),
    )
    said = typed(gentle)
    assert (parse_rate(said["rate"]), parse_size(said["reserve"])) == (gentle.rate, gentle.reserve_bytes)
    assert (parse_duration(said["budget"]), parse_duration(said["deadline"])) == (1_500_000, 90 * 10**9)
    assert (said["kind"], said["calls"], said["critical"], said["threads"]) == ("anon,shmem", "none", True, 4)
    assert said["retry"] == "until"
    for rate in (1, 1000, 4096, 1 << 20, (1 << 20) + 1, 3 << 30):
        assert parse_rate(typed(Request(7, Node(1), rate=rate))["rate"]) == rate


def test_several_regions_are_each_an_address() -> None:
    line = command_line(Request(7, Node(1), within=((0x1000, 0x3000), (0x8000, 0x9000))), simulated=False)
    assert line == "numamig move 7 --to 1 --address 0x1000-0x3000 --address 0x8000-0x9000"
