"""Names that strangers choose: every cell of every pane, dialog, palette, toast and help holds a harmless character."""

from __future__ import annotations

import unicodedata

import pytest
from rich.cells import cell_len

from numamig.backends.simulator.memory import Backing
from numamig.backends.simulator.process import SimProcess, SimRegion
from tests.tui.consoles import ANON, line_with, main, press, until, world
from tui.app import NumamigApp

_NAMES = {
    "escapes": "\x1b[2J\x1b]0;pwned\x07\x9b31m",
    "markup": "[bold red]x[/] [@click=app.quit]y[/]",
    "lines": "a\nb\r\tc\x0b\x85d\u2028e",
    "directions": "\u202eabc\u2066x\u200f",
    "no width": "a\u200bb\ufeffc\u2060d\u00ade",
    "wide": "数据库サーバ한글",
    "combining": "e" + "\u0301\u0327" * 20,
    "long": "n" * 1000,
    "bytes": "\udcff\udc80x",
}


def _harmless(app: NumamigApp) -> None:
    """Every line is as wide as the screen, and made of what simply takes its place."""
    for strip in app.screen._compositor.render_strips():
        text = "".join(segment.text for segment in strip)
        assert cell_len(text) == app.size.width, text
        for character in text:
            assert character == " " or unicodedata.category(character)[0] in "LNPS", (hex(ord(character)), text)


@pytest.mark.parametrize("kind", _NAMES)
async def test_a_name_cannot_change_the_screen(kind: str) -> None:
    name = _NAMES[kind]
    made = world()
    memory = Backing.untouched(4096)
    made.backend.machine.place(memory, 0, [0] * 4096)
    regions = [SimRegion(ANON, memory, path=f"/srv/{name}")]
    made.backend.machine.add(SimProcess(666, name, user=name, cpu_nodes=(1,), regions=regions))
    app = NumamigApp(made.backend, speed=1000.0)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, lambda: line_with(app, "666 ") and app.bridge.looker.census.complete)  # type: ignore[union-attr]
        main(app).processes.go_to(next(key for key in main(app).processes.keys if key[0] == 666))
        for key in ("tab", "tab", "tab", "tab", "m", "escape", "H", "escape", "question_mark", "escape", "ctrl+p"):
            await press(pilot, key)
            await pilot.pause()
            _harmless(app)
        await press(pilot, *"666")
        await until(pilot, lambda: line_with(app, "go to"))
        _harmless(app)
        await press(pilot, "escape")
        main(app).narrate(f"about {name}")
        await until(pilot, lambda: line_with(app, "about"))
        _harmless(app)
        await press(pilot, "slash", *"zz")
        main(app).processes.set_filter(name)
        await pilot.pause()
        _harmless(app)
        assert app.is_running
