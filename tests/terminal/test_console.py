"""One story in a real terminal: tmux with 80×24 cells and 16 colours, real keys, and what is on the screen."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_LAUNCH = (
    "import sys; from numamig.backends.registry import open_backend; from tui.app import run_console;"
    "sys.exit(run_console(open_backend('simulator'), ascii={ascii}, speed=1.0, notice=''))"
)
_DEADLINE_S = 60.0
_NOT_INHERITED = ("COLORTERM", "NO_COLOR", "TMUX", "TERM", "COLUMNS", "LINES")


class Terminal:
    """A tmux server of its own with one window."""

    def __init__(
        self, folder: Path, environment: dict[str, str], *, only_ascii: bool, size: tuple[int, int], launch: str = ""
    ) -> None:
        """:param launch: the program; none: the console on the simulator"""
        self._socket = str(folder / f"tmux-{uuid.uuid4().hex[:8]}")
        script = folder / "launch.py"
        script.write_text(launch or _LAUNCH.format(ascii=only_ascii))
        inherited = {k: v for k, v in os.environ.items() if k not in _NOT_INHERITED}
        self._environment = {**inherited, "PYTHONPATH": str(_ROOT), "TERM": "xterm", "LC_ALL": "C.UTF-8"}
        settings = " ".join(f"{key}={value}" for key, value in environment.items())
        width, height = map(str, size)
        command = f"env -u COLORTERM {settings} {sys.executable} {script}; echo left with $?; sleep 600"
        self._tmux("-f", os.devnull, "new-session", "-d", "-x", width, "-y", height, "-s", "console", command)

    def _tmux(self, *arguments: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", self._socket, *arguments], env=self._environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    def press(self, *keys: str) -> None:
        for key in keys:
            self._tmux("send-keys", "-t", "console", key)

    def screen(self, *options: str) -> str:
        return self._tmux("capture-pane", "-p", *options, "-t", "console")

    def until(self, condition: Callable[[str], object]) -> str:
        """The first screen for which the condition holds."""
        end = time.monotonic() + _DEADLINE_S
        while time.monotonic() < end:
            shown = self.screen()
            if condition(shown):
                return shown
            time.sleep(0.05)
        raise AssertionError("never happened; the screen:\n" + self.screen())

    def close(self) -> None:
        self._tmux("kill-server")


@pytest.fixture
def sixteen(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path, {"TERM": "screen"}, only_ascii=False, size=(80, 24))
    yield terminal
    terminal.close()


@pytest.fixture
def mono(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path, {"TERM": "screen", "NO_COLOR": "1"}, only_ascii=True, size=(120, 40))
    yield terminal
    terminal.close()


def test_a_migration_in_a_real_terminal(sixteen: Terminal) -> None:
    sixteen.until(lambda s: "13 of 13" in s and "SIMULATED" in s and " 608.3M" in s and "~100±1%" in s)
    sixteen.press("/", "b", "a", "c", "k", "u", "p", "Enter")
    sixteen.until(lambda s: "/backup  1 of 13" in s)
    sixteen.press("m")
    sixteen.until(lambda s: "155,731 pages" in s and "to move" in s and "y run" in s)
    sixteen.press("j", "j", "l", "l", "l", "y")
    before = sixteen.until(lambda s: "chosen" in s)
    assert "backup 12044" in before
    after = sixteen.until(lambda s: "3→1" in s and "100%" in s and "done" in s)
    assert "moved 155.7k" in after
    # The pages are at home now: the row of the process says so, once it was looked at again.
    sixteen.until(
        lambda s: any("12044 backup" in line and (" 0% 1" in line or "~0±1% 1" in line) for line in s.splitlines())
    )
    sixteen.press("Tab", "Tab")
    sixteen.until(lambda s: "▌Map  backup 12044 · cell" in s and "exact" in s)
    assert "38;2;" not in sixteen.screen("-e") and "38;5;" not in sixteen.screen("-e")
    sixteen.press("q")
    sixteen.until(lambda s: "left with 0" in s)


def test_no_colour_and_ascii_only(mono: Terminal) -> None:
    mono.until(lambda s: "// SIMULATED //" in s and "train.py" in s and "cell 4M" in s and "13 of 13" in s)
    shown = mono.until(lambda s: "3=======3" in s or "3#######3" in s)
    assert shown.isascii()
    assert "\x1b[3" not in mono.screen("-e").replace("\x1b[39m", "") and "\x1b[4" not in mono.screen("-e").replace(
        "\x1b[49m", ""
    ).replace("\x1b[4m", "").replace("\x1b[4;", "")
    mono.press("q")
    mono.until(lambda s: "left with 0" in s)


def test_a_file_that_is_wrong_is_told_when_the_screen_is_back(tmp_path: Path) -> None:
    wrong = tmp_path / "red.yaml"
    wrong.write_text("nodez: []\n")
    launch = f"from numamig.cli import main; main(['--scenario', {str(wrong)!r}])"
    terminal = Terminal(tmp_path, {"TERM": "screen"}, only_ascii=False, size=(120, 40), launch=launch)
    try:
        shown = terminal.until(lambda s: "left with" in s)
        assert "left with 2" in shown and "red.yaml:1" in shown and "nodez" in shown
        assert "Traceback" not in shown and "opening" not in shown
    finally:
        terminal.close()
