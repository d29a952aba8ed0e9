"""What the terminal can show: colours, glyphs, and whether it is a terminal at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import IO

from rich.console import Console

from numamig.errors import UsageError

__all__ = ["Colours", "Terminal", "demand_terminal", "detect"]


class Colours(Enum):
    """How many."""

    NONE = 0
    SIXTEEN = 16
    MANY = 256
    """256 or more: rich finds the nearest to a colour that is asked for."""


@dataclass(frozen=True, slots=True)
class Terminal:
    """What to draw with."""

    colours: Colours
    ascii: bool


def detect(environ: Mapping[str, str], *, only_ascii: bool = False) -> Terminal:
    """Read it from the environment as Textual does: what could be shown, whether it is wanted (NO_COLOR) or not."""
    system = environ.get("TEXTUAL_COLOR_SYSTEM", "auto")
    if system == "auto":
        able = {name: value for name, value in environ.items() if name != "NO_COLOR"}
        system = Console(force_terminal=True, _environ=able).color_system or ""
    if system in ("256", "truecolor"):
        return Terminal(Colours.MANY, only_ascii)
    return Terminal(Colours.SIXTEEN if system else Colours.NONE, only_ascii)


def demand_terminal(stdin: IO[str], stdout: IO[str], stderr: IO[str], environ: Mapping[str, str]) -> None:
    """
    :raises UsageError: keys cannot be read from there, or nothing can be drawn there.
    """
    hint = "numamig ps prints placement, numamig replay runs a profile, both without a terminal"
    # Textual draws on stderr, so that has to be one as well.
    if not (stdin.isatty() and stdout.isatty() and stderr.isatty()):
        raise UsageError("the console needs a terminal on stdin, stdout and stderr", hint=hint)
    if environ.get("TERM", "dumb") in ("dumb", "unknown", ""):
        raise UsageError(f"the console cannot draw on TERM={environ.get('TERM', '')!s}", hint=hint)
