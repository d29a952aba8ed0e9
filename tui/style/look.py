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
from tui.style.ramps import ASCII, HEAT_COLOURS, UNICODE, Glyphs, apportion, blend, contrast, digit
from tui.style.terminal import Terminal
from tui.style.themes import MONO, NODE_COLOURS_16, SHADES, offered
from tui.words.fitting import fit

__all__ = ["Look", "Span", "Spans", "width_of"]

Span = tuple[str, Style]
Spans = list[Span]


def width_of(spans: Iterable[Span]) -> int:
    """Cells that the spans take."""
    return sum(cell_len(text) for text, _ in spans)


class Look:
    """Styles and glyphs of one terminal, in one theme at a time.

    :param theme: one of ``themes.THEMES``; "" for what suits the terminal
    """

    def __init__(self, terminal: Terminal, theme: str = "") -> None:
        self.terminal = terminal
        self.ascii = terminal.ascii
        self.glyphs: Glyphs = ASCII if terminal.ascii else UNICODE
        self.motion = True
        """Whether what moves may be seen to move."""
        self.revision = 0
        """Counts the themes: whoever keeps styles of nodes makes them anew with each."""
        self.plain = Style()
        self.bold = Style(bold=True)
        self.reverse = Style(reverse=True)
        self.underline = Style(underline=True)
        self.use(theme or offered(terminal.colours)[0])

    def use(self, theme: str) -> None:
        """Another theme; everything that was drawn is to be drawn anew."""
        self.theme = theme
        self.revision += 1
        self.mono = theme == MONO
        self._shades = shades = SHADES.get(theme)
        self._many = shades is not None
        # Every cell has its ground, so that nothing depends on what is below it.
        self.base = Style(color=shades.foreground, bgcolor=shades.background) if shades else Style()
        self.dim = Style(color=shades.grey) if shades else Style(dim=True)
        self.label = self.dim
        self.cursor = Style(bgcolor=shades.raised) if shades else Style(reverse=True)
        self.cursor_away = Style(bgcolor=shades.away) if shades else Style(underline=True)
        self._inks: dict[int, Style] = {}
        self._faded: dict[Style, Style] = {}
        self._styles: dict[tuple[int, bool, bool], Style] = {}

    def colour(self, node: int) -> str:
        """What rich calls the colour of a node."""
        return (NODE_COLOURS_16 if self._shades is None else self._shades.nodes)[node % 8]

    def ink(self, node: int) -> Style:
        """Text in the colour of a node, on the ground of the screen."""
        if self.mono or node < 0:
            return self.plain
        style = self._inks.get(node % 8)
        if style is None:
            shades = self._shades
            colour = self.colour(node) if shades is None else self._legible(self.colour(node), shades.background)
            style = self._inks[node % 8] = Style(color=colour)
        return style

    def _legible(self, colour: str, ground: str) -> str:
        """The colour, with as much of the screen's ink in it as makes it legible there."""
        shades = self._shades
        if shades is None:
            return colour
        mixed = (blend(colour, shades.foreground, share / 10) for share in range(10, -1, -1))
        return next((ink for ink in mixed if contrast(ink, ground) >= shades.least_contrast), shades.foreground)

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
        colour, shades = self.colour(node), self._shades
        if shades is None:
            if aside:
                return Style(color="bright_black")
            return Style(color=colour) if home else Style(color="black", bgcolor=colour)
        if aside:
            return Style(color=shades.aside, bgcolor=shades.aside_ground)
        if home:
            ground = blend(colour, shades.background, shades.home_tint)
            return Style(color=self._legible(colour, ground), bgcolor=ground)
        return Style(color=shades.ink, bgcolor=colour)

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

    def marked(self, letter: str, node: int, *, home: bool, strong: bool, spot: int | None = None) -> Span:
        """A cell with a letter on the ground of its node. Without colours strangers are bold."""
        lit = spot == node
        style = self.ground(node, home=home and not lit, aside=spot is not None and not lit)
        if self.mono:
            style = self.reverse if lit else style
            strong = strong or not home
        return letter, style + self.bold if strong else style

    def aside(self, node: int, *, named: bool) -> Span:
        """A cell that is not what is looked for."""
        if node < 0:
            return self.glyphs.unread, self.dim
        return (digit(node) if named else " "), self.dim if self.mono else self.ground(node, aside=True)

    @property
    def heat_has_colours(self) -> bool:
        return self._many

    def warm(self, step: int, node: int, *, named: bool) -> Span:
        """A cell by its heat.

        :param step: from 1
        """
        if not self._many:
            return self.glyphs.heat[step - 1], self.plain
        ground, ink = HEAT_COLOURS[step - 1]
        return (digit(node) if named and node >= 0 else " "), Style(color=ink, bgcolor=ground)

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

    def far(self, share: float) -> Span:
        """What stands before a distance, and its style: greys, since colour means node; glyphs where there are none.

        :param share: 0 is here, 1 the farthest that there is; negative is not known
        """
        if share <= 0:
            return " ", self.dim
        shades, weight = self._shades, self.bold if share == 1 else self.plain
        if shades is None:
            return self.glyphs.far[min(len(self.glyphs.far), round(share * len(self.glyphs.far)) or 1) - 1], weight
        ground = blend(shades.foreground, shades.background, 0.08 + 0.72 * share)
        ink = max(shades.foreground, shades.background, key=lambda colour: contrast(colour, ground))
        return " ", weight + Style(color=ink, bgcolor=ground)

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

    def faded(self, strip: Strip) -> Strip:
        """The same, halfway to the ground of the screen: what is old."""
        return Strip([Segment(text, self._fade(style or self.plain)) for text, style, _ in strip], strip.cell_length)

    def _fade(self, style: Style) -> Style:
        shades = self._shades
        if shades is None:
            return style + Style(dim=True)
        known = self._faded.get(style)
        if known is None:
            inks = [
                blend(colour.get_truecolor().hex, shades.background, 0.5) if colour is not None else None
                for colour in (style.color, style.bgcolor)
            ]
            known = self._faded[style] = style + Style(color=inks[0], bgcolor=inks[1])
        return known

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
