"""The console itself."""

from __future__ import annotations

from tui.action import Action

__all__ = ["VIEWING"]


VIEWING: tuple[Action, ...] = (
    Action("help", "question_mark", "help", "help", "all keys", "view", rank=1),
    Action("palette", "ctrl+p", "command_palette", "commands", "find a command by its name", "view"),
    Action("quit", "q", "quit", "quit", "leave; asks while jobs run", "view", rank=90),
)
