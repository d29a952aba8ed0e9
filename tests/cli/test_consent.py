"""``undo`` and ``resume`` are as careful as ``move``: gentler if asked to, and with the same questions."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Numamig
from tests.cli.test_jobs import PAGES, Kept, outcomes


@pytest.fixture
def kept(numamig: Numamig) -> Kept:
    return Kept(numamig)


def answered(kept: Kept, answer: str, *arguments: str) -> tuple[int, str]:
    """What a command on a terminal ends with, and says there, where somebody answers its question."""
    terminal, end = os.openpty()
    command = [sys.executable, "-m", "numamig", "--machine", str(kept.file), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **kept.state}
    with subprocess.Popen(command, stdin=end, stderr=end, stdout=subprocess.DEVNULL, env=environment) as child:
        os.close(end)
        os.write(terminal, answer.encode() + b"\n")
        said = b""
        try:
            while piece := os.read(terminal, 4096):
                said += piece
        except OSError:  # EIO: nobody has the other end any more
            pass
    os.close(terminal)
    return child.returncode, said.decode()


def test_undo_goes_as_gently_as_is_said(kept: Kept) -> None:
    kept.move()
    undone = kept.json("undo", "--pages", "256", "--rate", "12MiB/s", "--calls", "none", "--retry", "never")
    assert (outcomes(undone), undone["steps"]) == ({"moved": 3072}, 12)
    assert undone["seconds"] == pytest.approx(1.0, rel=0.1)


def test_undo_asks_about_warnings(kept: Kept) -> None:
    kept.move()
    kept.json("move", "10", "--from", "1", "--to", "0", "--kind", "heap")
    assert kept.heap() == {0: PAGES}
    done = kept("undo", "1", "--strict", code=3)
    assert "--strict: later job: job 2 moved pages of the same process since" in done.stderr
    code, said = answered(kept, "n", "undo", "1")
    assert (code, "warning" in said, "Go on? [Y/n]" in said) == (130, True, True)
    assert len(kept.json("jobs")["jobs"]) == 2
    code, said = answered(kept, "y", "undo", "2")
    assert (code, "Go on?" in said) == (0, False)  # nothing speaks against that
    code, said = answered(kept, "n", "undo", "1", "--yes")
    assert (code, "Go on?" in said) == (0, False)
    assert kept.heap() == {0: 3072, 1: 1024}


def test_resume_says_what_is_left_and_goes_on_more_gently(kept: Kept) -> None:
    number = str(kept.stopped_after(2))
    planned = kept.json("resume", number, "--dry-run", "--budget", "5ms")
    assert (planned["pages"], planned["to"]) == (2048, {"node": 1})
    assert kept.heap() == {0: 2048, 1: 2048}
    (job,) = kept.json("jobs")["jobs"]
    assert (job["state"], job["moved_pages"]) == ("interrupted", 1024)
    done = kept.json("resume", number, "--pages", "256", "--rate", "8MiB/s", "--calls", "100")
    assert (outcomes(done), done["steps"]) == ({"moved": 2048}, 8)
    assert done["seconds"] == pytest.approx(1.0, rel=0.1)


def test_resume_refuses_what_move_refuses(kept: Kept) -> None:
    number = str(kept.stopped_after(2))
    done = kept("resume", number, "--strict", "--reserve", "60MiB", code=3)
    assert "--strict: room: " in done.stderr
    assert kept.heap() == {0: 2048, 1: 2048}
    for command in ("resume", "undo"):
        done = kept(command, number, "--yes", "--strict", code=2)
        assert "leave one of the two out" in done.stderr
        done = kept(command, number, "--retry", "never", "--passes", "4", code=2)
        assert "--passes is for --retry bounded, not for --retry never" in done.stderr
