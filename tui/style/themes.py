"""Themes: the colours of nodes and of everything else, and which of them a terminal can show.

Every set of node colours keeps nodes 0 to 3 at least 0.15 apart in OKLab, for normal, protan, deutan and tritan eyes,
and 0 to 7 at least 0.08; the digit carries the rest (``tests/tui/test_themes.py`` measures it).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from textual.theme import Theme

from numamig.errors import UsageError
from tui.style.ramps import DARK_INK
from tui.style.terminal import Colours

__all__ = ["MONO", "NODE_COLOURS_16", "SHADES", "TERMINAL", "THEMES", "Shades", "choose", "offered", "textual_theme"]

NODE_COLOURS_16 = ("blue", "yellow", "cyan", "magenta", "green", "red", "white", "bright_black")


@dataclass(frozen=True, slots=True)
class Shades:
    """The colours of a theme, each as ``#rrggbb``."""

    name: str
    says: str
    dark: bool
    background: str
    foreground: str
    grey: str
    """Labels, and what is old."""
    raised: str
    """Ground of the cursor's row, and of what lies on top."""
    away: str
    """The same where the pane has not the focus."""
    aside: str
    """Ink of what is out of the spotlight."""
    aside_ground: str
    ink: str
    """On the full colour of a node."""
    nodes: tuple[str, ...]
    """Of nodes 0 to 7."""
    home_tint: float
    """How much of a node's colour is left in the ground of pages that are at home."""
    least_contrast: float
    """Of text in a node's colour (WCAG 2.2): it is made darker or lighter until it has as much."""


SHADES: Mapping[str, Shades] = {
    shades.name: shades
    for shades in (
        Shades(
            name="dark",
            says="strangers glow on dark",
            dark=True,
            background="#0d0f18",
            foreground="#c9ced8",
            grey="#767d8c",
            raised="#232a3d",
            away="#171b28",
            aside="#5c6474",
            aside_ground="#171b26",
            ink=DARK_INK,
            nodes=("#5AA5FF", "#E5A935", "#86EBD5", "#C25A7C", "#F7EB7D", "#8C67CF", "#EB5B36", "#9AA7B0"),
            home_tint=0.28,
            least_contrast=3.0,
        ),
        Shades(
            name="light",
            says="dark ink on light",
            dark=False,
            background="#fcfcfa",
            foreground="#22252c",
            grey="#646a77",
            raised="#d7deeb",
            away="#e9ecf2",
            aside="#8b909b",
            aside_ground="#eeeff1",
            ink=DARK_INK,
            nodes=("#5E6AFF", "#E97F0B", "#81CFB9", "#9C6E88", "#F2B302", "#BEA2FF", "#C1603D", "#56AEB4"),
            home_tint=0.2,
            least_contrast=4.5,
        ),
        Shades(
            name="contrast",
            says="high contrast: black, white, and bright colours",
            dark=True,
            background="#000000",
            foreground="#ffffff",
            grey="#b9bec8",
            raised="#34456b",
            away="#23293a",
            aside="#9aa0ab",
            aside_ground="#15171c",
            ink="#000000",
            nodes=("#758EFF", "#DCD203", "#8CF1D4", "#C3877F", "#FFF973", "#9C92C1", "#EC7729", "#A0C59D"),
            home_tint=0.18,
            least_contrast=7.0,
        ),
    )
}
TERMINAL, MONO = "terminal", "mono"
THEMES: Mapping[str, str] = {
    **{name: shades.says for name, shades in SHADES.items()},
    TERMINAL: "the terminal's own 16 colours",
    MONO: "no colours: digits and hatching",
}
"""Name, and what it is like."""


def offered(colours: Colours) -> tuple[str, ...]:
    """Themes that so many colours are enough for, the default first."""
    if colours is Colours.NONE:
        return (MONO,)
    return (TERMINAL, MONO) if colours is Colours.SIXTEEN else tuple(THEMES)


def choose(asked: str | None, environ: Mapping[str, str], colours: Colours) -> str:
    """The theme to begin with: asked for, else NO_COLOR, else ``NUMAMIG_THEME``, else what suits the terminal.

    :param colours: what the terminal could show, whatever NO_COLOR says
    :raises UsageError: there is no such theme.
    """
    wished = asked or ("" if "NO_COLOR" in environ else environ.get("NUMAMIG_THEME", ""))
    if wished and wished not in THEMES:
        said = "--theme" if asked else "NUMAMIG_THEME"
        raise UsageError(f"{said}: there is no theme {wished!r}", hint=f"there are {', '.join(THEMES)}")
    if wished in offered(colours):
        return wished
    return MONO if "NO_COLOR" in environ else offered(colours)[0]


def textual_theme(shades: Shades) -> Theme:
    """The same for Textual's own widgets, which get no colours beyond ink and ground: colour means node."""
    return Theme(
        name=f"numamig-{shades.name}",
        primary=shades.foreground,
        secondary=shades.grey,
        foreground=shades.foreground,
        background=shades.background,
        surface=shades.background,
        panel=shades.away,
        boost=shades.away,
        warning=shades.foreground,
        error=shades.foreground,
        success=shades.foreground,
        accent=shades.foreground,
        dark=shades.dark,
        variables={
            "block-cursor-background": shades.raised,
            "block-cursor-foreground": shades.foreground,
            "input-cursor-background": shades.foreground,
            "input-cursor-foreground": shades.background,
            "input-selection-background": shades.raised,
        },
    )
