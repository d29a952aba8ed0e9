"""The bare ``numamig``: the console on this machine, or on a simulated one."""

from __future__ import annotations

import gc
import math
import os
import sys
from typing import TYPE_CHECKING, Any

from numamig.cli.options import Shared

if TYPE_CHECKING:
    from numamig.backends.base import Backend

__all__ = ["open_console"]


def open_console(shared: Shared, **how: Any) -> int:
    """Open the console and stay until it is closed.

    :param how: as ``tui.app.run_console`` takes it

    Virtual time passes as it does on the wall, unless a speed was asked for: a machine that lives is what one sees.

    :raises UsageError: stdin or stdout is no terminal.
    """
    from tui.style.terminal import demand_terminal

    demand_terminal(sys.stdin, sys.stdout, sys.stderr, os.environ)
    gc.disable()  # nothing that is made from here to the first picture is garbage; run_console turns it on again
    # Textual waits so many ms behind an escape for the rest of a key's sequence, 100 of its own accord: esc would lag.
    # As long as tmux does; who is far away may wait longer.
    os.environ.setdefault("ESCDELAY", "10")
    # It paints so many times a second at most, 60 of its own accord: a key waits for its turn.
    os.environ.setdefault("TEXTUAL_FPS", "120")
    from tui.app import Opened, run_console

    def opened() -> Opened:
        backend = shared.open(otherwise="auto")
        nothing_said = shared.backend is None and shared.scenario is None and shared.machine is None
        simulating = nothing_said and backend.capabilities.simulated
        return Opened(backend, "One memory node here: simulating. numamig lab boots four" if simulating else "")

    speed = 1.0 if shared.speed is None else shared.speed
    pace = None if math.isinf(speed) else speed
    return run_console(opened, words=shared.words, speed=pace, twin_of=_twin_of, **how)


def _twin_of(backend: Backend) -> Backend:
    from numamig.backends.snapshot.backend import SnapshotBackend

    return SnapshotBackend(backend)
