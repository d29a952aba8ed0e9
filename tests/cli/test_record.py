"""``numamig record``: a command is written down while it runs, and the journal afterwards; replay does it again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.conftest import Numamig


@pytest.fixture(autouse=True)
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of its own, so that jobs count from 1."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def placement(numamig: Numamig, machine: Path) -> Any:
    """Bytes by node of every region of some processes, as a command of its own sees them."""
    told = [numamig("--machine", str(machine), "map", pid, "--json") for pid in ("10", "13")]
    return [json.loads(each.stdout)["regions"] for each in told]


def test_a_command_is_written_down_while_it_runs(numamig: Numamig, tmp_path: Path) -> None:
    out, one, two = tmp_path / "home.yaml", tmp_path / "one", tmp_path / "two"
    done = numamig(
        "--machine",
        str(one),
        "--scenario",
        str(numamig.scenario),
        "record",
        "-o",
        str(out),
        "--",
        "move",
        "10",
        "0",
        "1",
    )
    assert done.returncode == 1, done.stderr  # as of move: what is shared stayed
    assert "db (10) to node 1" in done.stdout and f"numamig replay {out} does it again" in done.stderr
    said = yaml.safe_load(out.read_text())
    assert said["scenario"] == str(numamig.scenario) and len(said["steps"]) == 1
    assert numamig("--machine", str(two), "--scenario", str(numamig.scenario), "replay", str(out)).returncode == 1
    assert placement(numamig, one) == placement(numamig, two)


def test_what_earlier_jobs_did(numamig: Numamig, tmp_path: Path) -> None:
    one, two, out = tmp_path / "one", tmp_path / "two", tmp_path / "again.yaml"
    for command in (
        ("move", "10", "--interleave", "0,1", "--kind", "heap"),
        ("move", "13", "--to", "1"),
        ("undo", "1", "--yes"),
    ):
        assert numamig("--machine", str(one), "--scenario", str(numamig.scenario), *command).returncode == 0
    printed = numamig("--machine", str(one), "record", "--jobs", "all")
    assert printed.returncode == 0 and yaml.safe_load(printed.stdout)["steps"][-1] == {"undo": {"step": 1}}
    assert numamig("--machine", str(one), "record", "--jobs", "1-3", "-o", str(out)).returncode == 0
    assert out.read_text() == printed.stdout
    assert numamig("--machine", str(two), "--scenario", str(numamig.scenario), "replay", str(out)).returncode == 0
    assert placement(numamig, one) == placement(numamig, two)
    (one_only,) = yaml.safe_load(numamig("--machine", str(one), "record", "--jobs", "2").stdout)["steps"]
    assert one_only["migrate"]["process"]["pid"] == 13


def test_without_a_file_stdout_is_the_profile_alone(numamig: Numamig) -> None:
    done = numamig(
        "--backend",
        "simulator",
        "--scenario",
        str(numamig.scenario),
        "record",
        "--",
        "move",
        "10",
        "0",
        "1",
        "--kind",
        "heap",
    )
    assert yaml.safe_load(done.stdout)["steps"][0]["migrate"]["to"] == 1
    assert "3,072 pages" in done.stderr


def test_what_moves_nothing_is_no_profile(numamig: Numamig, tmp_path: Path) -> None:
    out = tmp_path / "none.yaml"
    done = numamig("--backend", "simulator", "record", "-o", str(out), "--", "ps")
    assert done.returncode == 1 and "nothing was moved" in done.stderr and not out.exists()
    refused = numamig("--backend", "simulator", "record", "-o", str(out), "--", "move", "99999", "0", "1")
    assert refused.returncode == 4 and not out.exists()


def test_bad_words(numamig: Numamig, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("mine")
    there = numamig("--backend", "simulator", "record", "-o", str(mine), "--", "move", "10", "0", "1", "--kind", "heap")
    assert there.returncode == 2 and "is there already" in there.stderr and mine.read_text() == "mine"
    for words, error in (
        (("--jobs", "x"), "names no jobs"),
        (("--jobs", "1", "--", "ps"), "leave out one of both"),
        (("--jobs", "77"), "77"),
    ):
        done = numamig("--backend", "simulator", "record", *words)
        assert done.returncode == 2 and error in done.stderr and "Traceback" not in done.stderr
