"""The screen below a dialog, shaded: a style is shaded once, not in every cell of every paint."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.renderables.background_screen import BackgroundScreen

__all__ = ["Shade"]


class Shade(BackgroundScreen):
    """What Textual shows below a dialog, at a fraction of the time."""

    @classmethod
    def process_segments(cls, segments: Iterable[Segment], color: Color) -> Iterable[Segment]:
        for segment in segments:
            text, style, control = segment
            yield segment if control else Segment(text, _shaded(style or Style(), color))


@lru_cache(maxsize=2048)
def _shaded(style: Style, shade: Color) -> Style:
    """As Textual shades it."""
    [segment] = BackgroundScreen.process_segments([Segment(" ", style)], shade)
    return segment.style or Style()
