"""When a key does something, and what it is called then."""

from __future__ import annotations

from collections.abc import Callable

from numamig.migrate.snapshot import JobState
from tui.action import Situation

__all__ = ["has_job", "has_order", "in_panes", "on_job", "run_or_pause"]


def in_panes(*panes: str) -> Callable[[Situation], bool]:
    return lambda s: s.pane in panes


def has_job(s: Situation) -> bool:
    return s.job is not None and not s.job.state.ended


def has_order(s: Situation) -> bool:
    return has_job(s) and s.jobs > 1


def on_job(word: str) -> Callable[[Situation], str]:
    return lambda s: f"{word} {s.job.number}" if s.job is not None else word


def run_or_pause(s: Situation) -> str:
    running = s.job is not None and s.job.state is JobState.RUNNING
    return on_job("pause" if running else "run")(s)
