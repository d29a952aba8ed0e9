"""The console: a terminal interface to one NUMA machine. Only this package knows Textual, and loads it when run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numamig.backends.base import Backend

__all__ = ["run_console"]


def run_console(
    backend: Backend,
    *,
    ascii: bool = False,  # noqa: A002 - called like the option
    speed: float = 1.0,
    notice: str = "",
) -> int:
    """Run the console until the operator leaves; the exit code.

    :param ascii: draw with ASCII only
    :param speed: how fast the virtual time of a simulated machine passes
    :param notice: a line to show at the start
    :raises UsageError: there is no terminal here that a console could be drawn on.
    """
    from tui.app import run_console as run

    return run(backend, ascii=ascii, speed=speed, notice=notice)
