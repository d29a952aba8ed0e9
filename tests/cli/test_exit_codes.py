"""Each exit code, from a command that a user would type."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from numamig.errors import ExitCode
from tests.cli.conftest import Numamig
from tests.cli.test_hanging import MOVE, command, read_until
from tests.cli.test_jobs import Kept

HEAP = ("move", "10", "--from", "0", "--to", "1", "--kind", "heap")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (HEAP, ExitCode.DONE),
        (("move", "10", "0", "1"), ExitCode.PARTIAL),  # shared pages stay
        (("move", "10", "--to", "3", "--kind", "heap"), ExitCode.PARTIAL),  # it is full
        ((*HEAP, "--rate", "fast"), ExitCode.USAGE),
        (("ps", "--sort", "beauty"), ExitCode.USAGE),
        (("replay", "no-such-profile"), ExitCode.USAGE),
        (("move", "12", "--to", "1"), ExitCode.REFUSED),  # another user's
        (("move", "10", "--to", "3", "--kind", "heap", "--strict"), ExitCode.REFUSED),
        (("move", "99", "--to", "1"), ExitCode.TARGET_GONE),
        (("show", "99"), ExitCode.TARGET_GONE),
    ],
)
def test_codes(numamig: Numamig, arguments: tuple[str, ...], code: ExitCode) -> None:
    done = numamig.small(*arguments)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr


def test_an_expectation_that_fails(numamig: Numamig) -> None:
    profile = numamig.folder / "profile.yaml"
    profile.write_text(
        "numamig: 1\nbackend: simulator\nscenario: small.yaml\nsteps:\n"
        "  - migrate: {process: {name: db}, pages: {kind: heap}, to: 1}\n  - expect: {moved: '<= 10%'}\n"
    )
    assert numamig("replay", str(profile)).returncode == ExitCode.PARTIAL
    assert numamig("plan", str(profile)).returncode == ExitCode.DONE


def test_a_defect(numamig: Numamig) -> None:
    with command(Kept(numamig), "raise") as child:
        _, said = child.communicate()
    assert child.returncode == ExitCode.INTERNAL
    assert "numamig: internal error: ValueError" in said and "Traceback" not in said


def test_ctrl_c(numamig: Numamig) -> None:
    with command(Kept(numamig), "hang") as child:
        read_until(child.stdout, "hangs")
        child.send_signal(signal.SIGINT)
        read_until(child.stderr, "stopping")
        assert child.stdin is not None
        print(file=child.stdin, flush=True)
        child.communicate()
    assert child.returncode == ExitCode.INTERRUPTED
    assert MOVE[0] == "move"


def test_nobody_reads_what_is_printed(numamig: Numamig) -> None:
    """As for other tools: who has seen enough is no error."""
    words = f"{sys.executable} -m numamig --scenario {numamig.scenario} ps --all | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", words], capture_output=True, check=False, cwd=Path(__file__).parents[2])
    assert (done.returncode, done.stderr.count(b"Traceback")) == (0, 0)
