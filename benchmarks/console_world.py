"""What the console is measured with: machines with many processes, and Textual apps that hardly do anything."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

__all__ = ["CONSOLE", "COUNTING_APP", "EMPTY_APP", "LIVE_CONSOLE", "console_on", "scenario", "surroundings"]

_ROOT = Path(__file__).parents[1]
_NODES = 4
_MOVED = 2
"""Processes large enough for jobs that last as long as anybody presses keys."""
_MOVED_BYTES = 96 << 30

CONSOLE: Sequence[str] = (sys.executable, "-m", "numamig", "--backend", "simulator")
LIVE_CONSOLE: Sequence[str] = (*CONSOLE[:-1], "linux")
"""The same on the machine that this is: no scenario has to be read, and no machine built."""
EMPTY_APP: Sequence[str] = (sys.executable, "-c", "from textual.app import App; App().run()")
"""The least that Textual can be started for."""
COUNTING_APP: Sequence[str] = (
    sys.executable,
    "-c",
    """
from textual.app import App
from textual.widgets import Static

class Counting(App):
    count = 0
    def compose(self):
        yield Static("0 pressed")
    def on_key(self, event):
        self.count += 1
        self.query_one(Static).update(f"{self.count} pressed")

Counting().run()
""",
)
"""The least that Textual can do for a key: one line of text is another one."""


def scenario(processes: int, moved_bytes: int = _MOVED_BYTES) -> dict[str, object]:
    """A machine with four nodes: two large processes, mostly on other nodes than their threads, and small ones."""
    small = [
        {
            "name": f"worker-{n}",
            "pid": 2000 + n,
            "runs_on": [n % 3],
            # Little is said of each: a scenario may have 20,000 keys and values.
            "regions": [{"size": f"{3 + n % 29}MiB", "nodes": {n % 3: 4, (n + 1 + n % 2) % 4: 1 + n % 5}}],
        }
        for n in range(processes - _MOVED)
    ]
    large: list[dict[str, object]] = [
        {
            "name": f"database-{n}",
            "pid": 1000 + n,
            "threads": 8,
            "runs_on": [n],
            "workload": {"compute": "60ns"},
            "regions": [{"kind": "anon", "size": moved_bytes, "nodes": {n: 1, 2: 5, 3: 3}, "pattern": "random"}],
        }
        for n in range(_MOVED)
    ]
    return {
        "scenario": 1,
        "title": f"{processes} processes",
        "kernel": "linux-6.12",
        "nodes": [
            {"id": node, "cpus": f"{16 * node}-{16 * node + 15}", "memory": 2 * moved_bytes + (64 << 30)}
            for node in range(_NODES)
        ],
        "processes": [*large, *small],
    }


def console_on(folder: Path, processes: int, moved_bytes: int = _MOVED_BYTES) -> list[str]:
    """The command that opens the console on such a machine."""
    file = folder / f"{processes}-processes.yaml"
    file.write_text(yaml.safe_dump(scenario(processes, moved_bytes), sort_keys=False))
    return [*CONSOLE, "--scenario", str(file)]


def surroundings(folder: Path) -> dict[str, str]:
    """The environment of a program, with journals and compiled modules of its own there, as if it was installed."""
    return {"XDG_STATE_HOME": str(folder), "PYTHONPYCACHEPREFIX": str(folder / "compiled"), "PYTHONPATH": str(_ROOT)}
