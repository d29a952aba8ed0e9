"""Themes: measured for eyes that see colours otherwise, chosen as promised, and changed while all is drawn."""

from __future__ import annotations

from itertools import combinations

import pytest

from numamig.cli import cli
from numamig.errors import UsageError
from tests.tui.consoles import line_with, main, press, screen_lines, until, world
from tui.app import NumamigApp
from tui.style.look import Look
from tui.style.ramps import blend, contrast
from tui.style.terminal import Colours, Terminal
from tui.style.themes import SHADES, THEMES, choose, offered

_EYES = {
    "normal": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "protan": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deutan": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritan": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}
"""On linear RGB. Source: Machado, Oliveira and Fernandes 2009, severity 1."""

Three = tuple[float, ...]


def _linear(colour: str) -> Three:
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return tuple(part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)


def _times(matrix: tuple[Three, ...], vector: Three) -> Three:
    return tuple(sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix)


def _oklab(colour: str, eye: str) -> Three:
    """Source: Björn Ottosson, "A perceptual color space for image processing"."""
    seen = tuple(min(1.0, max(0.0, part)) for part in _times(_EYES[eye], _linear(colour)))
    cones = _times(
        (
            (0.4122214708, 0.5363325363, 0.0514459929),
            (0.2119034982, 0.6806995451, 0.1073969566),
            (0.0883024619, 0.2817188376, 0.6299787005),
        ),
        seen,
    )
    return _times(
        (
            (0.2104542553, 0.7936177850, -0.0040720468),
            (1.9779984951, -2.4285922050, 0.4505937099),
            (0.0259040371, 0.7827717662, -0.8086757660),
        ),
        tuple(cone ** (1 / 3) for cone in cones),
    )


def distance(a: str, b: str, eye: str) -> float:
    return float(sum((x - y) ** 2 for x, y in zip(_oklab(a, eye), _oklab(b, eye), strict=True)) ** 0.5)


def test_the_measure_itself() -> None:
    assert distance("#000000", "#ffffff", "normal") == pytest.approx(1.0, abs=1e-3)
    assert distance("#ff0000", "#00ff00", "normal") > 3 * distance("#c00000", "#607000", "protan")
    assert contrast("#ffffff", "#000000") == pytest.approx(21) and contrast("#777777", "#ffffff") < 4.5


@pytest.mark.parametrize("eye", _EYES)
@pytest.mark.parametrize("theme", SHADES)
def test_nodes_stay_apart_for_every_eye(theme: str, eye: str) -> None:
    nodes = SHADES[theme].nodes
    assert min(distance(a, b, eye) for a, b in combinations(nodes[:4], 2)) >= 0.15
    assert min(distance(a, b, eye) for a, b in combinations(nodes, 2)) >= 0.08


@pytest.mark.parametrize("eye", _EYES)
@pytest.mark.parametrize("theme", SHADES)
def test_home_and_strangers_stay_apart(theme: str, eye: str) -> None:
    shades = SHADES[theme]
    for colour in shades.nodes:
        home = blend(colour, shades.background, shades.home_tint)
        assert distance(colour, home, eye) >= 0.12


@pytest.mark.parametrize("theme", SHADES)
def test_all_text_is_legible(theme: str) -> None:
    shades, look = SHADES[theme], Look(Terminal(Colours.MANY, ascii=False), theme)
    least = 7.0 if theme == "contrast" else 4.5
    assert contrast(shades.foreground, shades.background) >= 7
    for ground in (
        (shades.background, shades.away)
        if theme == "dark"
        else (
            shades.background,
            shades.away,
            shades.raised,
        )
    ):
        assert contrast(shades.grey, ground) >= (4.0 if theme != "contrast" else 4.5), ground
    for node in range(8):
        for style in (look.ground(node), look.ground(node, home=True), look.base + look.ink(node)):
            assert style.color is not None and style.bgcolor is not None
            assert contrast(style.color.name, style.bgcolor.name) >= (3.0 if theme == "dark" else least - 0.1), node


def test_which_theme_it_begins_with() -> None:
    many, few, none = Colours.MANY, Colours.SIXTEEN, Colours.NONE
    assert choose(None, {}, many) == "dark"
    assert choose(None, {"NUMAMIG_THEME": "light"}, many) == "light"
    assert choose("contrast", {"NUMAMIG_THEME": "light"}, many) == "contrast"
    assert choose(None, {"NUMAMIG_THEME": "light", "NO_COLOR": ""}, many) == "mono"
    assert choose("light", {"NO_COLOR": "1"}, many) == "light"
    assert choose(None, {}, few) == "terminal" and choose("light", {}, few) == "terminal"
    assert choose("dark", {"NO_COLOR": "1"}, few) == "mono" == choose("dark", {}, none)
    assert offered(few) == ("terminal", "mono")
    with pytest.raises(UsageError, match="NUMAMIG_THEME: there is no theme 'pink'"):
        choose(None, {"NUMAMIG_THEME": "pink"}, many)


def test_the_command_offers_what_there_is() -> None:
    (option,) = [param for param in cli.params if param.name == "theme"]
    assert tuple(option.type.choices) == tuple(THEMES)  # type: ignore[attr-defined]


def _grounds(app: NumamigApp) -> set[str]:
    """Every ground that is on the screen."""
    strips = app.screen._compositor.render_strips()
    return {s.style.bgcolor.name for strip in strips for s in strip if s.style is not None and s.style.bgcolor}


async def test_another_theme_while_it_runs() -> None:
    app = NumamigApp(world().backend, speed=1000.0)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: line_with(app, "exact"))
        assert SHADES["dark"].background in _grounds(app)
        for theme in ("light", "contrast"):
            await press(pilot, "ctrl+p")
            await until(pilot, lambda: line_with(app, "Search"))
            await press(pilot, *f"theme {theme}")
            await until(pilot, lambda theme=theme: line_with(app, THEMES[theme]))
            await press(pilot, "enter")
            await until(pilot, lambda: app.screen is main(app))
            shades = SHADES[theme]
            others = {s.background for s in SHADES.values()} - {shades.background}
            await until(pilot, lambda s=shades, o=others: s.background in _grounds(app) and not o & _grounds(app))
            assert shades.nodes[0].lower() in {ground.lower() for ground in _grounds(app)}
        app.use_theme("mono")
        await until(pilot, lambda: _grounds(app) <= {"default"} and line_with(app, "░░░"))
        assert len(screen_lines(app)) == 40


async def test_dialogs_and_the_palette_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMAMIG_THEME", "light")
    app = NumamigApp(world().backend, speed=1000.0)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, lambda: line_with(app, " db "))
        dark = SHADES["dark"].background
        for key, said in (("question_mark", "keys"), ("m", "to move"), ("ctrl+p", "Search"), ("slash", "filter")):
            await press(pilot, key)
            await until(pilot, lambda said=said: line_with(app, said))
            assert dark not in _grounds(app), key
            await press(pilot, "escape")
        app.notify("hello", markup=False)
        await until(pilot, lambda: line_with(app, "hello"))
        assert dark not in _grounds(app)
