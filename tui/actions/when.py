"""When a key does something, and what it is called then."""

from __future__ import annotations

from collections.abc import Callable

from numamig.migrate.snapshot import JobState
from tui.actions.action import Situation

__all__ = ["has_job", "has_order", "in_panes", "on_job", "run_or_pause", "starts"]


def in_panes(*panes: str) -> Callable[[Situation], bool]:
    return lambda s: s.pane in panes


def has_job(s: Situation) -> bool:
    return s.job is not None and not s.job.state.ended


def has_order(s: Situation) -> bool:
    return has_job(s) and s.jobs > 1


def on_job(word: str) -> Callable[[Situation], str]:
    return lambda s: f"{word} {s.job.number}" if s.job is not None else word


def starts(s: Situation) -> bool:
    """Running or pausing would be running."""
    return s.job is None or s.job.state is not JobState.RUNNING


def run_or_pause(s: Situation) -> str:
    return on_job("run" if starts(s) else "pause")(s)
