"""The look: rich styles for nodes and words, made once for what the terminal can show.

Colour means node and nothing else; the state of things is glyph, weight and words. Home is dark, strangers glow.
"""

from __future__ import annotations

from collections.abc import Iterable

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from numamig.text import plain
from tui.present import fit
from tui.ramps import (
    ASCII,
    BACKGROUND,
    DARK_INK,
    FOREGROUND,
    GREY,
    HOME_TINT,
    NODE_COLOURS,
    NODE_COLOURS_16,
    UNICODE,
    Glyphs,
    apportion,
    blend,
    digit,
)
from tui.terminal import Colours, Terminal

__all__ = ["Look", "Span", "Spans", "width_of"]

Span = tuple[str, Style]
Spans = list[Span]


def width_of(spans: Iterable[Span]) -> int:
    """Cells that the spans take."""
    return sum(cell_len(text) for text, _ in spans)


class Look:
    """Styles and glyphs of one terminal."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self.ascii = terminal.ascii
        self.glyphs: Glyphs = ASCII if terminal.ascii else UNICODE
        self.mono = terminal.colours is Colours.NONE
        many = terminal.colours is Colours.MANY
        # Every cell has its ground, so that nothing depends on what is below it.
        self.base = Style(color=FOREGROUND, bgcolor=BACKGROUND) if many else Style()
        self.plain = Style()
        self.bold = Style(bold=True)
        self.dim = Style(color=GREY) if many else Style(dim=True)
        self.label = self.dim
        self.reverse = Style(reverse=True)
        self.underline = Style(underline=True)
        self.cursor = Style(bgcolor="#232a3d") if many else Style(reverse=True)
        self.cursor_away = Style(bgcolor="#171b28") if many else Style(underline=True)
        self._many = many
        self._styles: dict[tuple[int, bool, bool], Style] = {}
        self._mixed: dict[tuple[int, int, bool, bool, bool], Style] = {}

    def colour(self, node: int) -> str:
        """What rich calls the colour of a node."""
        return (NODE_COLOURS if self._many else NODE_COLOURS_16)[node % 8]

    def ink(self, node: int) -> Style:
        """Text in the colour of a node."""
        return self.plain if self.mono or node < 0 else Style(color=self.colour(node))

    def chip(self, node: int) -> Span:
        """A node named: its digit on its colour."""
        text = f" {digit(node)} "
        return (text, Style(bold=True, reverse=True)) if self.mono else (text, self.ground(node) + self.bold)

    def ground(self, node: int, *, home: bool = False, aside: bool = False) -> Style:
        """The ground of a cell whose pages are on ``node``.

        :param home: tinted only
        :param aside: another node is in the spotlight
        """
        key = (node, home, aside)
        style = self._styles.get(key)
        if style is None:
            style = self._styles[key] = self._make_ground(node, home, aside)
        return style

    def _make_ground(self, node: int, home: bool, aside: bool) -> Style:
        if self.mono or node < 0:
            return self.plain
        colour = self.colour(node)
        if not self._many:
            if aside:
                return Style(color="bright_black")
            return Style(color=colour) if home else Style(color="black", bgcolor=colour)
        if aside:
            return Style(color="#5c6474", bgcolor="#171b26")
        if home:
            return Style(color=colour, bgcolor=blend(colour, BACKGROUND, HOME_TINT))
        return Style(color=DARK_INK, bgcolor=colour)

    def pure(self, node: int, *, home: bool, named: bool, spot: int | None = None) -> Span:
        """A cell whose pages are all (or nearly all) on one node; ``named`` writes the digit."""
        if node < 0:
            return self.glyphs.unread, self.dim
        lit = spot == node
        style = self.ground(node, home=home and not lit, aside=spot is not None and not lit)
        if not self.mono:
            return digit(node) if named else " ", style
        blank = " " if home else self.glyphs.hatch[node % 8]
        return digit(node) if named else blank, self.reverse if lit else style

    def mixed(self, first: int, second: int, *, much: bool, home: tuple[bool, bool], spot: int | None = None) -> Span:
        """A cell with pages on several nodes: the second's ink on the first's ground."""
        if first < 0 or self.mono:
            lit = spot is not None and spot in (first, second)
            return (digit(first) if first >= 0 else self.glyphs.unread), self.reverse if lit else self.plain
        glyph = self.glyphs.mixed[1 if much else 0]
        lit = spot in (first, second)
        ground = self.ground(first, home=home[0] and spot != first, aside=spot is not None and not lit)
        if second < 0 or (spot is not None and not lit):
            return glyph, ground
        if not self._many:
            return glyph, Style(color=self.colour(second), bgcolor=ground.bgcolor)
        ink = self.ground(second, home=home[1] and spot != second).bgcolor
        return glyph, Style(color=ink, bgcolor=ground.bgcolor)

    def bar(self, parts: dict[int, int], width: int, home: Iterable[int], spot: int | None = None) -> Spans:
        """A stacked bar of bytes by node, each node's stretch begun with its digit."""
        at_home = set(home)
        spans: Spans = []
        last: int | None = None
        for node in apportion(parts, width):
            spans.append(self.pure(node, home=node in at_home, named=node != last, spot=spot))
            last = node
        return spans or [(self.glyphs.absent * max(0, width), self.dim)]

    def shown(self, text: str) -> str:
        """Hostile text, harmless."""
        return plain(text, only_ascii=self.ascii)

    def fit(self, text: str, width: int, *, right: bool = False, keep_end: bool = False) -> str:
        return fit(text, width, right=right, ellipsis=self.glyphs.ellipsis, keep_end=keep_end)

    def cut(self, spans: Iterable[Span], width: int) -> Spans:
        """Spans of exactly ``width`` cells, the last one cut or padded."""
        kept: Spans = []
        left = width
        for text, style in spans:
            if left <= 0:
                break
            length = min(left, cell_len(text))
            kept.append((text if cell_len(text) <= left else self.fit(text, left), style))
            left -= length
        return [*kept, (" " * left, self.plain)] if left > 0 else kept

    def strip(self, spans: Iterable[Span], width: int, base: Style | None = None) -> Strip:
        """A line of exactly ``width`` cells; runs of equal style are joined.

        Padding has a style too: Textual's filters fail on a segment without one.
        """
        under = self.base if base is None else self.base + base
        segments: list[Segment] = []
        used = 0
        text, style = "", under
        for piece, own in spans:
            length = cell_len(piece)
            if used + length > width:
                piece, length = self.fit(piece, width - used), width - used
            if length <= 0:
                continue
            used += length
            whole = under + own
            if whole == style:
                text += piece
                continue
            if text:
                segments.append(Segment(text, style))
            text, style = piece, whole
        if text:
            segments.append(Segment(text, style))
        if used < width:
            segments.append(Segment(" " * (width - used), under))
        return Strip(segments, width)
