"""``numamig lab`` as far as it comes without a machine: what it refuses before anything is installed or booted."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cli.conftest import Numamig


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "there is no terminal here for the console (numamig lab -- COMMAND needs none)"),
        (["-t", "--", "true"], 2, "there is no terminal here"),
        (["--nodes", "0", "--", "true"], 2, "0 is not in the range"),
        (["--nodes", "70", "--", "true"], 2, "70 nodes cannot be booted"),
        (["--node", "1GiB/x", "--", "true"], 2, "node '1GiB/x' does not parse"),
        (["--node", "1GiB/1", "--cpus", "2", "--", "true"], 2, "--node says all about a node"),
        (["--distance", "0,9=20", "--", "true"], 2, "distance '0,9=20' cannot be"),
        (["--memory", "lots", "--", "true"], 2, "'lots' is not a size"),
        (["--kernel", "newest", "--", "true"], 70, "no kernel series 'newest'"),
        (["--timeout", "0", "--", "true"], 2, "0.0 is not in the range"),
    ],
)
def test_bad_input_is_one_clear_line(numamig: Numamig, arguments: list[str], code: int, words: str) -> None:
    done = numamig("lab", *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_terminal_on_one_side_only_is_none(numamig: Numamig) -> None:
    """stdin is one here, stdout is not."""
    done = numamig.answered("", "lab")
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no terminal here" in done.stderr


def test_a_machine_in_the_machine_is_refused(numamig: Numamig) -> None:
    done = numamig("lab", "--", "true", NUMAMIG_LAB="1")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "is a virtual machine of the laboratory already" in done.stderr


def test_help_has_examples_and_loads_no_console() -> None:
    code = (
        "import sys\nfrom numamig.cli import main\n"
        "try:\n    main(['lab', '--help'])\nexcept SystemExit as ended:\n    print(ended.code)\n"
        "print([name for name in ('textual', 'numpy', 'pydantic') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *_, ended, loaded = done.stdout.splitlines()
    assert "numamig lab -- numactl --hardware" in done.stdout
    assert (ended, loaded) == ("0", "[]")
