"""The guided tour on a real kernel: its own process is moved and brought back, and nothing is left of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from numamig.cli import main


def numamig(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """A command within this process, since to start another takes emulated seconds."""
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--json"])
    captured = capsys.readouterr()
    assert ended.value.code == 0, captured.out + captured.err
    printed: dict[str, Any] = json.loads(captured.out)
    return printed


def test_the_tour_moves_its_own_process_and_brings_it_back(capsys: pytest.CaptureFixture[str]) -> None:
    known = {job["job"] for job in numamig(capsys, "jobs")["jobs"]}
    told = numamig(capsys, "demo", "--backend", "linux", "--check")
    assert told["missed"] == []
    assert told["chapters"] == ["Find", "Look", "Mark", "Plan", "Step", "Run", "Account", "Save", "Undo"]
    there, back = sorted(
        (job for job in numamig(capsys, "jobs")["jobs"] if job["job"] not in known), key=lambda job: job["job"]
    )
    assert (there["name"], back["name"], back["undoes"]) == ("demo-db", "demo-db", there["job"])
    assert there["outcomes"]["moved"] > 10_000 and back["outcomes"]["moved"] == there["outcomes"]["moved"]
    assert there["outcomes"]["busy"] == 8  # what its pipe holds
    assert not any(comm.read_text() == "demo-db\n" for comm in Path("/proc").glob("[0-9]*/comm"))
