"""An app whose theme can be changed while it runs: its own widgets and Textual's follow."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import App
from textual.filter import LineFilter, Monochrome, NoColor

from tui.style.look import Look
from tui.style.themes import SHADES, offered, textual_theme

__all__ = ["ThemedApp"]

_COLOURLESS = NoColor()


class ThemedApp(App[int]):
    """Holds the look that all widgets draw with."""

    def __init__(self, look: Look) -> None:
        super().__init__(ansi_color=False)
        self.look = look
        for shades in SHADES.values():
            self.register_theme(textual_theme(shades))
        self.use_theme(look.theme)

    @property
    def themes(self) -> tuple[str, ...]:
        """Those that this terminal can show."""
        return offered(self.look.terminal.colours)

    def use_theme(self, name: str) -> None:
        """Draw everything in another theme."""
        self.look.use(name)
        shades = SHADES.get(name)
        # With few colours or none the terminal's own are used: Textual's themes would come out as greys.
        self.ansi_color = shades is None
        self.theme = "ansi-dark" if shades is None else textual_theme(shades).name
        self.no_color = self.look.mono
        for screen in self.screen_stack if self.is_running else ():
            for widget in screen.walk_children(with_self=True):
                widget.refresh()

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Whether there are colours is the theme's to say: Textual asks NO_COLOR once, at the start."""
        kept = [each for each in super().get_line_filters() if not isinstance(each, NoColor | Monochrome)]
        return [*kept, _COLOURLESS] if self.look.mono else kept
