"""What is shown of the console of a machine that died."""

from __future__ import annotations

from pathlib import Path

import pytest

from numamig.errors import LabError
from numamig.lab.boot import console_end, find_vng


def test_console_end_shows_the_reason_and_the_last_lines(tmp_path: Path) -> None:
    console = tmp_path / "console.log"
    noise = [f"[    1.{number:06}] line {number}\r" for number in range(40)]
    noise[3] = "[    1.000003] Kernel panic - not syncing: out of luck"
    console.write_bytes("\n".join(["\x1b[2J\x1bc\x1b[0mSeaBIOS", "", *noise]).encode())
    expected = ["[    1.000003] Kernel panic - not syncing: out of luck"]
    expected += [f"[    1.{number:06}] line {number}" for number in range(25, 40)]
    assert console_end(console) == "\n".join(f"  {line}" for line in expected)


def test_console_end_of_a_silent_machine(tmp_path: Path) -> None:
    console = tmp_path / "console.log"
    console.touch()
    assert console_end(console) == "  (empty)"


def test_vng_beside_this_python_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "vng"
    program.touch(mode=0o755)
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    assert find_vng() == program


def test_missing_vng_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError, match=r"virtme-ng is not installed \(run: pip install 'numamig\[lab\]'\)"):
        find_vng()
