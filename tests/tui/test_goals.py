"""Where pages go, stepped and typed in the plan dialog; read back from the page tables."""

from __future__ import annotations

import numpy as np
import pytest

from numamig.migrate.destination import FollowCpus, Interleave, Node, NodeMap
from numamig.migrate.request import Retry, RetryMode
from tests.tui.consoles import World, line_with, main, press, until, world
from tui.app import NumamigApp
from tui.dialogs.plan import PlanDialog

SIZES = pytest.mark.parametrize("size", [(120, 40), (80, 24)])


def looked(app: NumamigApp) -> bool:
    census = app.bridge.looker.census
    return census is not None and census.complete


def form(app: NumamigApp) -> object:
    assert isinstance(app.screen, PlanDialog)
    return app.screen.form


def counts(made: World) -> dict[int, int]:
    nodes, pages = np.unique(np.concatenate((made.heap.node, made.anon.node)), return_counts=True)
    return dict(zip(nodes.tolist(), pages.tolist(), strict=True))


@SIZES
async def test_every_destination_is_a_step_away(size: tuple[int, int]) -> None:
    app = NumamigApp(world().backend, speed=1000.0)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: looked(app))
        await press(pilot, "m")
        await until(pilot, lambda: line_with(app, "To      < node  1  >"))
        await press(pilot, "l")
        await until(pilot, lambda: line_with(app, "To      < node  2  >"))
        for words in ("interleave 0-2", "weights 0:3,1:3,2:1", "map 0→1, 1→0"):
            await press(pilot, "l")
            await until(pilot, lambda words=words: line_with(app, f"To      < {words} >"))
        await press(pilot, "l", "l")
        await until(pilot, lambda: line_with(app, "To      < follow its CPUs   enter"))
        await until(pilot, lambda: line_with(app, "move 100 --follow-cpus"))
        await press(pilot, "h", "h", "h", "h", "h", "h", "h")
        await until(pilot, lambda: line_with(app, "To        node  0  >"))


@SIZES
async def test_pages_are_spread_as_it_was_typed(size: tuple[int, int]) -> None:
    made = world()
    app = NumamigApp(made.backend, speed=1000.0)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: looked(app))
        await press(pilot, "m", "enter", *"0:3,2:1", "enter")
        await until(pilot, lambda: line_with(app, "To      < weights 0:3,2:1 >"))
        command = "move 100 --weights 0:3,2:1"
        await until(pilot, lambda: line_with(app, "From to") and line_with(app, "$ ").rstrip(" │").endswith(command))
        await press(pilot, "y")
        await until(pilot, lambda: app.screen is main(app) and line_with(app, "= "))
        await until(pilot, lambda: app.bridge.jobs()[0].state.ended)
        assert counts(made) == {0: 2304, 2: 768}


async def test_two_nodes_change_places() -> None:
    made = world()
    app = NumamigApp(made.backend, speed=1000.0)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: looked(app))
        await press(pilot, "m", "enter", *"0>1,1>0", "enter", "y")
        await until(pilot, lambda: bool(app.bridge.jobs()) and app.bridge.jobs()[0].state.ended)
        assert made.nodes_of(made.heap) == {1: 1024}
        assert np.array_equal(made.anon.node, np.repeat(np.array([1, 0], np.uint8), 1024))


@SIZES
async def test_what_does_not_parse_is_said_beside_it_and_esc_leaves_the_typing_only(size: tuple[int, int]) -> None:
    app = NumamigApp(world().backend, speed=1000.0)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: looked(app))
        await press(pilot, "m", "enter", *"7", "enter")
        await until(pilot, lambda: "✗ node 7 does not exist" in line_with(app, "To "))
        assert line_with(app, "nodes with memory here: 0-2")
        await press(pilot, "backspace", *"0:1,1:2", "enter")  # as weights as well as a map
        await until(pilot, lambda: "✗ is that weights, or a map?" in line_with(app, "To "))
        await press(pilot, "escape")
        await until(pilot, lambda: line_with(app, "To      < node  1  >"))
        await press(pilot, "enter", *"map 0:1,1:2", "enter")
        await until(pilot, lambda: line_with(app, "To      < map 0→1, 1→2 >"))
        await press(pilot, "enter", *"0:2,2:0", "enter")  # it is a map that stands there
        await until(pilot, lambda: line_with(app, "To      < map 0→2, 2→0 >"))
        await press(pilot, "escape")
        assert app.screen is main(app) and app.bridge.jobs() == ()


@pytest.mark.parametrize(
    ("text", "goal"),
    [
        ("2", Node(2)),
        ("0-2", Interleave((0, 1, 2))),
        ("all", Interleave((0, 1, 2))),
        ("!1", Interleave((0, 2))),
        ("0:3,1:1", Interleave((0, 1), (3, 1))),
        ("map 0:2,1:2", NodeMap(((0, 2), (1, 2)))),
        ("follow", FollowCpus()),
    ],
)
async def test_what_is_typed_is_a_destination(text: str, goal: object) -> None:
    app = NumamigApp(world().backend, speed=1000.0)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: looked(app))
        await press(pilot, "m", "enter", *text, "enter")
        await until(pilot, lambda: form(app).to == goal)


@SIZES
async def test_other_fields_are_typed_too(size: tuple[int, int]) -> None:
    app = NumamigApp(world().backend, speed=1000.0)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: looked(app))
        await press(pilot, "m", "j", "enter", *"0", "tab", "enter", *"300", "tab", "enter", *"3ms", "down")
        await press(pilot, "enter", *"100MiB/s", "enter", "j", "enter", *"until 30s", "enter")
        await until(pilot, lambda: line_with(app, "300 pages = 1.2M") and line_with(app, "3.0 ms a call"))
        assert line_with(app, "100M/s at most") and line_with(app, "30 s after its first step")
        await press(pilot, "a", "j", "enter", *"0B", "enter", "j", "enter", *"none", "enter", "j", "j", "l")
        await press(pilot, "j", "enter", *"4M", "enter", "j", "l", "l", "j", "enter", *"cold 20%", "enter")
        await until(pilot, lambda: line_with(app, "at most 4M") and line_with(app, "touched in 20%"))
        await press(pilot, "k", "k", "k", "enter", *"random 7", "enter")
        await until(pilot, lambda: line_with(app, "random, seed 7"))
        now = form(app)
        assert (now.sources, now.batch_pages, now.budget_ns, now.rate) == ((0,), 300, 3_000_000, 100 << 20)
        assert (now.retry, now.deadline_ns) == (Retry(RetryMode.UNTIL), 30 * 10**9)
        assert (now.reserve_bytes, now.most_calls, now.most_pages) == (0, None, 1024)
        words = main(app).app.screen.form.requests()[0]
        assert (words.order.seed, words.heat.most, words.mapped.value) == (7, 0.2, "private")


async def test_a_limit_moves_so_much_and_no_more() -> None:
    made = world()
    app = NumamigApp(made.backend, speed=1000.0)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: looked(app))
        await press(pilot, "m", "a", "j", "j", "j", "j", "j", "enter", *"1MiB", "enter")
        await until(pilot, lambda: line_with(app, "256 pages = 1.0M to move") and line_with(app, "--most 1MiB"))
        await press(pilot, "y")
        await until(pilot, lambda: bool(app.bridge.jobs()) and app.bridge.jobs()[0].state.ended)
        assert counts(made) == {0: 1792, 1: 1280}


@SIZES
async def test_a_job_is_sent_to_any_destination(size: tuple[int, int]) -> None:
    made = world()
    app = NumamigApp(made.backend, speed=1000.0)
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: looked(app))
        await press(pilot, "m", "2", "s")
        await until(pilot, lambda: line_with(app, "1 held") or "held" in line_with(app, " 1 db"))
        await press(pilot, "full_stop")
        await until(pilot, lambda: line_with(app, "moved 512"))
        await press(pilot, "e", "enter", *"0,1", "enter")
        await until(pilot, lambda: line_with(app, "To      < interleave 0-1 >") and line_with(app, "Time "))
        await press(pilot, "y")
        await until(pilot, lambda: app.bridge.jobs()[0].request.to.nodes == (0, 1))
        await press(pilot, "p")
        await until(pilot, lambda: app.bridge.jobs()[0].state.ended)
        assert counts(made) == {0: 1280, 1: 1280, 2: 512}
