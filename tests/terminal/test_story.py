"""The whole story in a real terminal with 16 colours, by the keys that the line of hints names, and by nothing else."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.terminal.test_console import Terminal

_LAUNCH = (
    "import os; os.chdir({folder!r}); os.environ['XDG_STATE_HOME'] = {folder!r};"
    "from numamig.cli import main; main(['--backend', 'simulator'])"
)


class Newcomer:
    """Knows nothing but what the last line says."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal

    def press(self, word: str) -> None:
        """The key that the hints give for a word; in a dialog they stand in its last line."""
        shown = self.terminal.until(lambda s: self._key(s, word))
        self.terminal.press(self._key(shown, word))

    @staticmethod
    def _key(screen: str, word: str) -> str:
        lines = screen.splitlines()
        dialog = [line for line in lines if line.lstrip().startswith("│")]
        for line in reversed(dialog or lines):
            if found := re.search(rf"(?:^|\s)(\S+) {re.escape(word)}(?![\w])", line.strip(" │")):
                return {"space": "Space", "enter": "Enter", "esc": "Escape", "tab": "Tab"}.get(found[1], found[1])
        return ""


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    launch = _LAUNCH.format(folder=str(tmp_path))
    made = Terminal(tmp_path, {"TERM": "screen"}, only_ascii=False, size=(80, 24), launch=launch)
    yield made
    made.close()


def remote(screen: str) -> str:
    """Share of the memory of train.py that is not at home."""
    row = next((line for line in screen.splitlines() if re.search(r"6402 train\.py +ada", line)), "")
    share = re.search(r" ~?(\S+%) ", row)
    return share[1] if share else ""


def test_find_move_in_steps_pause_look_undo_and_save(terminal: Terminal, tmp_path: Path) -> None:
    newcomer = Newcomer(terminal)
    shown = terminal.until(lambda s: "most remote first" in s and "13 of 13" in s and remote(s) == "95%")
    first = next(line for line in shown.splitlines() if re.match(r" +\d{3,} \S+ ", line))
    assert "train.py" in first  # on top, and under the cursor
    newcomer.press("move")
    terminal.until(lambda s: "884,736 pages" in s and "0% remote" in s)
    newcomer.press("queue held")
    terminal.until(lambda s: "which is ada's" in s)
    newcomer.press("go on")
    terminal.until(lambda s: "left 884.7k" in s)
    for batch in (1, 2):
        newcomer.press("step 1")
        terminal.until(lambda s, moved=512 * batch: f"moved {moved:,} " in s)
    newcomer.press("run")
    terminal.until(lambda s: re.search(r"moved \d{2,3}\.\dk", s))
    newcomer.press("pause")
    terminal.until(lambda s: "held" in s and " run" in s)
    terminal.until(lambda s: remote(s) not in ("", "95%"))
    for pane in ("Regions", "Map"):
        newcomer.press("pane")
        terminal.until(lambda s, pane=pane: f"▌{pane} " in s)
    terminal.until(lambda s: re.search(r"anon 0 .* \d\d%\n", s))  # the front has come into what was all of node 3
    newcomer.press("undo")
    terminal.until(lambda s: "go back where they were" in s)
    newcomer.press("put them back")
    terminal.until(lambda s: re.search(r"anon 3 .* 100%\n", s) and "undo of 1" not in s)
    newcomer.press("save")
    terminal.until(lambda s: "save as a profile" in s)
    newcomer.press("save")
    terminal.until(lambda s: "save as a profile" not in s)
    terminal.press("q")
    terminal.until(lambda s: "y quit" in s or "left with" in s)
    terminal.press("y")
    terminal.until(lambda s: "left with 0" in s)
    (profile,) = tmp_path.glob("numamig-*.yaml")
    done = subprocess.run(
        [sys.executable, "-m", "numamig", "--backend", "simulator", "replay", str(profile), "--json", "--yes"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["command"] == "replay"
