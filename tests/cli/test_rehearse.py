"""``numamig rehearse``: it predicts what ``replay`` then does, and nothing moves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from numamig.cli.options import JSON_VERSION
from tests.cli.conftest import Numamig
from tests.cli.manual import Manual
from tests.cli.test_machine_file import SCENARIO as TWO
from tests.cli.test_replay import GOOD, write

ADDED = {"predicted", "elapsed_seconds", "longest_stall_seconds", "ledgers", "notes", "command"}
MIB = 1 << 20
HOME = GOOD.replace("scenario: small.yaml\n", "").replace("kind: heap", "kind: [heap, anon]")


def as_json(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode in (0, 1), done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


def without(document: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in {*ADDED, *keys}}


def test_a_scenario_comes_to_what_its_replay_comes_to(numamig: Numamig) -> None:
    path = write(numamig, GOOD.replace(", kind: heap", ""))
    rehearsed, replayed = numamig("rehearse", path, "--json"), numamig("replay", path, "--json")
    predicted, real = as_json(rehearsed), as_json(replayed)
    assert without(predicted) == without(real)
    assert rehearsed.returncode == replayed.returncode == 1
    assert predicted["predicted"] is True
    assert predicted["outcomes"]["shared"] == 256
    assert predicted["elapsed_seconds"] > 2 > predicted["longest_stall_seconds"] > 0
    (ledger,) = predicted["ledgers"]
    assert [(row["outcome"], row["pages"]) for row in ledger["rows"]] == [("moved", 3072), ("shared", 256)]


def test_a_machine_in_a_file_is_left_as_it_is_and_then_does_what_was_predicted(numamig: Numamig) -> None:
    (numamig.folder / "two.yaml").write_text(TWO)
    path, state = write(numamig, HOME), numamig.folder / "state"

    def run(*arguments: str) -> dict[str, Any]:
        return as_json(numamig("--machine", "m.numamig", *arguments, "--json", XDG_STATE_HOME=str(state)))

    assert numamig("--machine", "m.numamig", "--scenario", "two.yaml", "ps").returncode == 0
    before = run("map", "10")
    kept = (numamig.folder / "m.numamig").read_bytes()
    predicted = run("rehearse", path)
    assert predicted["outcomes"]["moved"] == 96 * MIB // 4096
    assert predicted["placement"] == {"10": {"1": 96 * MIB}}
    assert (numamig.folder / "m.numamig").read_bytes() == kept
    assert run("map", "10") == before
    assert run("jobs")["jobs"] == []
    real = run("replay", path)
    assert without(predicted) == without(real)
    assert run("map", "10") != before


def test_its_fields_are_in_the_manual(numamig: Numamig) -> None:
    manual = Manual()
    document = as_json(numamig("rehearse", write(numamig, GOOD), "--json"))
    assert (document.pop("version"), document.pop("command")) == (JSON_VERSION, "rehearse")
    manual.check(document, "numamig rehearse")
    assert not [path for heading, path in manual.unmet() if heading == "numamig rehearse"]


def test_people_are_told_that_it_is_a_prediction(numamig: Numamig) -> None:
    done = numamig("rehearse", write(numamig, GOOD.replace(", kind: heap", "")))
    lines = done.stdout.splitlines()
    assert lines[0] == "Bring db home · small · linux-6.12 · rehearsed on a simulated twin"
    assert "  moved                 3,072 pages    12.0M   92%" in lines
    assert "  node 0 → 1            3,072 pages    12.0M" in lines
    assert "  FAILED moved >= 95%: 92.31%" in lines
    assert lines[-1].startswith("predicted: 2.")
    assert lines[-1].endswith(". Nothing was moved.")
    assert "longest stall" in lines[-1]
    assert any("shared" in line and "/dev/shm/x" in line for line in lines)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: db", "name: mysql"),
        ("name: db", "user: ada"),
        ("{name: db}", "{pid: 99}"),
        ("{name: db}", "{pid: 2}"),
        ("{name: db}", "{pid: 12}"),
        ("to: 1", "too: 1"),
        ("to: 1", "to: 2"),
    ],
)
def test_what_replay_refuses_is_refused_with_the_same_words(numamig: Numamig, old: str, new: str) -> None:
    path = write(numamig, GOOD.replace(old, new, 1))
    rehearsed, replayed = numamig("rehearse", path), numamig("replay", path)
    assert rehearsed.returncode == replayed.returncode != 0
    assert (rehearsed.stdout, rehearsed.stderr) == ("", replayed.stderr)


def test_variables_blocks_and_undo_are_rehearsed_too(numamig: Numamig) -> None:
    path = write(
        numamig,
        """numamig: 1
title: There and back
backend: simulator
scenario: small.yaml
variables: {target: 1}
steps:
  - for_each:
      process: {name: db}
      steps:
        - migrate: {to: "${target}", pages: {kind: heap}}
        - expect: {moved: ">= 99%"}
  - undo: all
""",
    )
    predicted = as_json(numamig("rehearse", path, "--json"))
    assert (predicted["passed"], predicted["outcomes"]["moved"]) == (True, 3072)
    assert predicted["placement"] == {"10": {"0": 13 * MIB, "1": 4 * MIB}}  # as it was
    assert without(predicted) == without(as_json(numamig("replay", path, "--json")))
    told = numamig("rehearse", path).stdout.splitlines()
    assert "  holds  moved >= 99%: 100.00%" in told
    assert "  undo           of job 1" in told
    narrow = as_json(numamig("rehearse", path, "--json", "--set", "target=3"))
    assert narrow["outcomes"]["no_room"] > 0
    wrong = numamig("rehearse", path, "--set", "tarot=3")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "did you mean 'target'" in wrong.stderr


def test_pages_that_will_remain_end_with_1(numamig: Numamig) -> None:
    lines = [line for line in GOOD.replace(", kind: heap", "").splitlines() if "expect" not in line]
    assert numamig("rehearse", write(numamig, "\n".join(lines))).returncode == 1


def test_strict_predicts_that_strict_is_refused(numamig: Numamig) -> None:
    path = write(numamig, GOOD.replace(", kind: heap", ""))
    rehearsed, replayed = numamig("rehearse", path, "--strict"), numamig("replay", path, "--strict")
    assert rehearsed.returncode == replayed.returncode == 3
    assert "--strict: shared" in rehearsed.stderr
    both = numamig("rehearse", path, "--strict", "--yes")
    assert (both.returncode, both.stdout) == (2, "")


def test_it_asks_nobody_and_writes_no_journal(numamig: Numamig) -> None:
    path, state = write(numamig, GOOD.replace(", kind: heap", "")), numamig.folder / "state"
    done = numamig.answered("n", "rehearse", path, "--json")
    assert "Go on?" not in done.stderr
    assert as_json(done)["outcomes"]["moved"] == 3072
    assert numamig("rehearse", path, XDG_STATE_HOME=str(state)).returncode == 1
    assert not state.exists()


HOLD = "import sys; print(len(bytes(range(256)) * 65536), flush=True); sys.stdin.read()"


def test_this_machine_is_only_looked_at(numamig: Numamig, tmp_path: Path) -> None:
    """Also on a machine with a single node, where nothing can be gained: all is there already."""
    with subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stdin is not None
        child.stdout.readline()
        path = write(
            numamig,
            f"numamig: 1\nbackend: linux\nsteps:\n  - migrate: {{process: {{pid: {child.pid}}}, to: 0}}\n",
        )
        state = tmp_path / "state"
        done = numamig("rehearse", path, "--json", XDG_STATE_HOME=str(state))
        predicted = as_json(done)
        child.stdin.close()
    assert (predicted["backend"], predicted["kernel"]) == ("snapshot", os.uname().release)
    assert predicted["placement"][str(child.pid)].keys() == {"0"}
    assert any("pinned" in note for note in predicted["notes"])
    assert not state.exists()
