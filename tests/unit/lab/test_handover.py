"""The guest's script, run here by a plain shell: output and exit code arrive in the shared directory."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from numamig.errors import LabError
from numamig.lab.handover import CANNOT_ENTER, Handover, OutputTail, prepare_handover

SHELLS = [shell for shell in ("bash", "dash", "sh") if shutil.which(shell)]


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    directory = tmp_path / "shared directory"
    directory.mkdir()
    return directory


def prepare(shared: Path, command: Sequence[str], working_directory: Path | None = None) -> Handover:
    return prepare_handover(
        shared,
        command,
        working_directory or shared.parent,
        search_path=["/opt/first place"],
        environment={"EXTRA": "it's"},
        own=str(shared.parent / "own directory"),
    )


def run_script(handover: Handover, shell: str = "bash") -> None:
    subprocess.run([shell, handover.script, handover.directory], check=True, timeout=60)


@pytest.mark.parametrize("shell", SHELLS)
def test_exit_code_and_both_streams_arrive(shared: Path, shell: str) -> None:
    handover = prepare(shared, ["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert handover.exit_code() is None
    assert not handover.started
    run_script(handover, shell)
    assert handover.started
    assert handover.exit_code() == 3
    assert handover.output.read_text() == "out\nerr\n"
    assert not (shared / "exit-code.partial").exists()


def test_arguments_arrive_as_they_were(shared: Path) -> None:
    awkward = ["a b", "it's", '"$HOME"', "*", "", "new\nline", "`id`", "{braces}"]
    handover = prepare(shared, ["printf", "<%s>", *awkward])
    run_script(handover)
    assert handover.output.read_text() == "".join(f"<{argument}>" for argument in awkward)


def test_environment_points_into_the_guests_memory(shared: Path) -> None:
    own = shared.parent / "own directory"
    names = ["HOME", "TMPDIR", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"]
    words = " ".join(f'"${name}"' for name in names)
    handover = prepare(
        shared,
        [
            "sh",
            "-c",
            f'for d in {words}; do test -d "$d" && echo "$d"; done; echo "$NUMAMIG_LAB$EXTRA"; echo "$PATH"',
        ],
    )
    run_script(handover)
    *directories, marks, path = handover.output.read_text().splitlines()
    assert directories == [str(own / name) for name in ("home", "temporary", "state", "cache", "config")]
    assert marks == "1it's"
    assert path.startswith("/opt/first place:")


def test_working_directory_is_entered(shared: Path, tmp_path: Path) -> None:
    place = tmp_path / "some place"
    place.mkdir()
    handover = prepare(shared, ["pwd"], place)
    run_script(handover)
    assert handover.output.read_text() == f"{place}\n"


def test_unseen_working_directory_is_reported(shared: Path, tmp_path: Path) -> None:
    handover = prepare(shared, ["true"], tmp_path / "not there")
    run_script(handover)
    assert handover.exit_code() == CANNOT_ENTER
    assert "not there" in handover.output.read_text()


def test_reopening_standard_output_loses_nothing(shared: Path) -> None:
    handover = prepare(shared, ["sh", "-c", "echo one; echo two >/dev/stdout; echo three"])
    run_script(handover)
    assert handover.output.read_text() == "one\ntwo\nthree\n"


def test_something_left_in_the_background_does_not_hold_up_the_exit_code(shared: Path) -> None:
    handover = prepare(shared, ["sh", "-c", "sleep 20 & echo $!; exit 4"])
    run_script(handover)
    assert handover.exit_code() == 4
    os.kill(int(handover.output.read_text()), signal.SIGKILL)  # would fail had the script waited for its end


def test_command_that_does_not_exist(shared: Path) -> None:
    handover = prepare(shared, ["no-such-command"])
    run_script(handover)
    assert handover.exit_code() == 127


def test_death_by_signal_is_told_the_shells_way(shared: Path) -> None:
    handover = prepare(shared, ["sh", "-c", "kill -9 $$"])
    run_script(handover)
    assert handover.exit_code() == 128 + 9


def test_empty_command_is_refused(shared: Path) -> None:
    with pytest.raises(LabError, match="no command"):
        prepare(shared, [])


def test_exit_code_that_is_no_number_is_an_error(shared: Path) -> None:
    handover = prepare(shared, ["true"])
    (shared / "exit-code").write_text("\n")
    with pytest.raises(LabError, match="exit code"):
        handover.exit_code()


def test_tail_copies_only_what_is_new(tmp_path: Path) -> None:
    path = tmp_path / "output"
    path.touch()
    stream = io.BytesIO()
    with closing(OutputTail(path, stream)) as tail, path.open("ab", buffering=0) as writer:
        assert tail.copy_new() == 0
        writer.write(b"first ")
        assert tail.copy_new() == 6
        writer.write(b"\xff second")
        assert tail.copy_new() == 8
    assert stream.getvalue() == b"first \xff second"
