"""The screen below a dialog, shaded as Textual does it, without the way over rich that took most of the time."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from rich.segment import Segment
from rich.style import Style
from textual._context import visible_screen_stack
from textual.color import Color
from textual.geometry import Region
from textual.renderables.background_screen import BackgroundScreen
from textual.screen import Screen
from textual.strip import Strip

__all__ = ["shaded_lines"]


def shaded_lines(screen: Screen[Any], crop: Region) -> list[Strip] | None:
    """Lines of what is below a screen; None where nothing is to be seen there."""
    shade, below = screen.styles.background, visible_screen_stack.get([])
    if shade.a == 1 or not below or below[-1] is screen:
        return None
    strips = below.pop()._compositor.render_strips()  # noqa: SLF001 - as Textual's own BackgroundScreen
    return [_shaded(strip, shade).crop(crop.x, crop.right) for strip in strips[crop.y : crop.bottom]]


def _shaded(strip: Strip, shade: Color) -> Strip:
    segments = [
        segment if segment.control else Segment(segment.text, _shaded_style(segment.style or Style(), shade))
        for segment in strip
    ]
    return Strip(segments, strip.cell_length)


@lru_cache(maxsize=2048)
def _shaded_style(style: Style, shade: Color) -> Style:
    [segment] = BackgroundScreen.process_segments([Segment(" ", style)], shade)
    return segment.style or Style()
