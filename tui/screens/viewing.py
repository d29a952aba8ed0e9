"""What keys do to the console itself."""

from __future__ import annotations

from tui.screens.finding import FindingScreen
from tui.screens.help import Help

__all__ = ["ViewingScreen"]


class ViewingScreen(FindingScreen):
    """Help, palette, leaving."""

    def action_help(self) -> None:
        self.app.push_screen(Help(self.look))

    def action_command_palette(self) -> None:
        self.app.action_command_palette()

    async def action_quit(self) -> None:
        await self.app.action_quit()
