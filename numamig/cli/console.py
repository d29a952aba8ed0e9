"""The bare ``numamig``: the console on this machine, or on a simulated one."""

from __future__ import annotations

import os
import sys

from numamig.cli.options import Shared

__all__ = ["open_console"]


def open_console(shared: Shared, *, ascii_only: bool, speed: float) -> int:
    """Open the console and stay until it is closed.

    :raises UsageError: stdin or stdout is no terminal.
    """
    from tui.terminal import demand_terminal

    demand_terminal(sys.stdin, sys.stdout, sys.stderr, os.environ)
    backend = shared.open(otherwise="auto")
    notice = ""
    if shared.backend is None and shared.scenario is None and backend.capabilities.simulated:
        notice = "One memory node here: simulating."
    from tui.app import run_console

    return run_console(backend, ascii=ascii_only, speed=speed, notice=notice)
