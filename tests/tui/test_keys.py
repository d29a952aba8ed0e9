"""Every default key fires the action that the help names, and no hint names a key that does nothing."""

from __future__ import annotations

import pytest

from numamig.migrate.destination import Node
from numamig.migrate.plan import plan_request
from numamig.migrate.request import Request
from tests.tui.consoles import line_with, main, press, screen_lines, until, world
from tui.actions import ACTIONS
from tui.actions.action import Action, Situation
from tui.actions.dialogs import (
    DRAIN_ACTIONS,
    EARLIER_ACTIONS,
    EDIT_ACTIONS,
    LEDGER_ACTIONS,
    PLAN_ACTIONS,
    UNDO_ACTIONS,
)
from tui.actions.hints import hints
from tui.app import NumamigApp
from tui.dialogs.dialog import Dialog
from tui.dialogs.drain import DrainDialog
from tui.dialogs.earlier import EarlierDialog
from tui.dialogs.edit import EditDialog
from tui.dialogs.help import Help
from tui.dialogs.ledger import LedgerDialog
from tui.dialogs.plan import PlanDialog
from tui.dialogs.undo import UndoDialog
from tui.screens.main import MainScreen

_PANES = ("processes", "regions", "map", "queue")


async def test_every_default_key_fires(monkeypatch: pytest.MonkeyPatch) -> None:
    fired: list[tuple[str, tuple[object, ...]]] = []
    for method in {action.method for action in ACTIONS}:
        assert callable(getattr(MainScreen, f"action_{method}"))

        def record(self: MainScreen, *arguments: object, method: str = method) -> None:
            fired.append((method, arguments))

        monkeypatch.setattr(MainScreen, f"action_{method}", record)
    made = world(nodes=11)
    app = NumamigApp(made.backend, speed=1000.0)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = main(app)
        await until(pilot, lambda: line_with(app, "exact") and line_with(app, "7f0000000000"))
        first = app.bridge.orders.add(plan_request(made.backend, Request(100, Node(1))), run=False)
        app.bridge.orders.step(first)
        app.bridge.orders.add(plan_request(made.backend, Request(100, Node(1))), run=False)
        await until(pilot, lambda: line_with(app, "2 held"))
        await until(pilot, lambda: "25%" in line_with(app, " 1 db 100"))
        screen.page_map.zoom(1)
        await pilot.pause()
        for action in ACTIONS:
            if action.id == "palette":
                continue  # Textual's own binding, which has priority: pressed in a test of its own
            for pane in _PANES:
                screen.go_to_pane(pane)
                if action.applies(screen.situation()):
                    break
            else:
                raise AssertionError(f"{action.id} applies nowhere")
            for key in action.keys.split(","):
                fired.clear()
                await pilot.press(key)
                arguments = () if action.argument is None else (action.argument,)
                assert fired == [(action.method, arguments)], (action.id, key)
        bound = {binding.id for _, binding in screen._bindings if binding.id in {a.id for a in ACTIONS}}
        assert bound == {action.id for action in ACTIONS}


@pytest.mark.parametrize(
    ("actions", "dialog", "key"),
    [
        (PLAN_ACTIONS, PlanDialog, "m"),
        (UNDO_ACTIONS, UndoDialog, "u"),
        (EDIT_ACTIONS, EditDialog, "e"),
        (DRAIN_ACTIONS, DrainDialog, "d"),
        (EARLIER_ACTIONS, EarlierDialog, "E"),
        (LEDGER_ACTIONS, LedgerDialog, "L"),
    ],
)
async def test_every_default_key_of_a_dialog_fires(
    monkeypatch: pytest.MonkeyPatch, actions: tuple[Action, ...], dialog: type[Dialog[object]], key: str
) -> None:
    fired: list[tuple[str, tuple[object, ...]]] = []
    for method in {action.method for action in actions}:

        def record(self: object, *arguments: object, method: str = method) -> None:
            fired.append((method, arguments))

        monkeypatch.setattr(dialog, f"action_{method}", record)
    made = world()
    app = NumamigApp(made.backend, speed=1000.0)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: line_with(app, " db "))
        app.bridge.orders.step(app.bridge.orders.add(plan_request(made.backend, Request(100, Node(1))), run=False))
        await until(pilot, lambda: line_with(app, "moved 512"))
        await press(pilot, key)
        await until(pilot, lambda: isinstance(app.screen, dialog))
        for action in actions:
            for default in action.keys.split(","):
                fired.clear()
                await pilot.press(default)
                arguments = () if action.argument is None else (action.argument,)
                assert fired == [(action.method, arguments)], (action.id, default)


def test_ids_and_keys_are_their_own() -> None:
    for actions in (ACTIONS, PLAN_ACTIONS, UNDO_ACTIONS, EDIT_ACTIONS, DRAIN_ACTIONS, EARLIER_ACTIONS, LEDGER_ACTIONS):
        ids = [action.id for action in actions]
        keys = [key for action in actions for key in action.keys.split(",")]
        assert len(set(ids)) == len(ids) and len(set(keys)) == len(keys)


@pytest.mark.parametrize("width", [60, 80, 120, 200])
@pytest.mark.parametrize("pane", _PANES)
def test_hints_are_never_cut_and_never_empty_words(width: int, pane: str) -> None:
    situation = Situation(pane=pane, process=True, mark=True, nodes=(0, 1, 2, 3), out=True, fits=False)
    found = hints(situation, width)
    assert found[-1][:2] == ("?", "help")
    assert len("  ".join(f"{keys} {label}" for keys, label, _ in found)) <= width
    for _keys, label, call in found:
        applying = [a for a in ACTIONS if a.call == call and a.applies(situation)]
        assert applying or label == "spot"


async def test_help_lists_every_action_and_scrolls() -> None:
    app = NumamigApp(world().backend, speed=1000.0)
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "question_mark")
        await until(pilot, lambda: isinstance(app.screen, Help) and line_with(app, "more"))
        seen: set[str] = set()
        for _ in range(20):
            seen |= set(screen_lines(app))
            await press(pilot, "ctrl+d")
        assert line_with(app, "scroll, 0 more")
        text = "\n".join(seen | set(screen_lines(app)))
        for action in (*ACTIONS, *PLAN_ACTIONS, *UNDO_ACTIONS, *EDIT_ACTIONS):
            assert action.method in ("spotlight", "node") or action.help[:56] in text, action.id
        assert "a second node holds less" in text
        await press(pilot, "escape")
        assert app.screen is main(app)


async def test_help_begins_with_the_keys_of_what_has_the_focus_and_can_be_filtered() -> None:
    app = NumamigApp(world().backend, speed=1000.0)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: line_with(app, "100 db "))
        await press(pilot, "tab", "tab", "question_mark")
        await until(pilot, lambda: line_with(app, "in the map"))
        assert line_with(app, "in the map") == next(ln for ln in screen_lines(app) if "  " in ln and "│" in ln)
        assert line_with(app, "four times closer") and not line_with(app, "sort by the next column")
        await press(pilot, "slash", *"latency bud")
        await until(pilot, lambda: line_with(app, "a smaller latency budget") and not line_with(app, "four times"))
        # its heading stays above it
        assert line_with(app, " job ")
        await press(pilot, *"zzq")
        await until(pilot, lambda: line_with(app, "nothing matches"))
        await press(pilot, "escape")
        await until(pilot, lambda: line_with(app, "four times closer"))
        await press(pilot, "escape")
        assert app.screen is main(app)


async def test_help_in_a_dialog_is_about_the_dialog() -> None:
    app = NumamigApp(world().backend, speed=1000.0)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: line_with(app, "100 db "))
        await press(pilot, "m")
        await until(pilot, lambda: isinstance(app.screen, PlanDialog))
        await press(pilot, "question_mark")
        await until(pilot, lambda: isinstance(app.screen, Help))
        for action in PLAN_ACTIONS:
            assert action.method == "node" or line_with(app, action.help[:56]), action.id
        assert not line_with(app, "sort by the next column")
        await press(pilot, "question_mark", "escape")
        assert app.screen is main(app)


async def test_the_palette_runs_actions() -> None:
    app = NumamigApp(world().backend, speed=1000.0)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: line_with(app, "exact"))
        await press(pilot, "ctrl+p")
        await until(pilot, lambda: app.screen is not main(app))
        await press(pilot, *"go to cache")
        await until(pilot, lambda: line_with(app, "go to cache 200") and not line_with(app, "go to db"))
        await press(pilot, "enter")
        await until(pilot, lambda: app.screen is main(app) and main(app).processes.cursor == (200, 1000))


async def test_typing_a_filter_fires_nothing() -> None:
    app = NumamigApp(world().backend, speed=1000.0)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: line_with(app, " db "))
        await press(pilot, "slash", *"qmx.p0a")
        assert app.screen is main(app) and main(app).spot is None and app.is_running
        await until(pilot, lambda: line_with(app, "nothing matches 'qmx.p0a'"))
        await press(pilot, "escape")
        await until(pilot, lambda: line_with(app, " db "))
