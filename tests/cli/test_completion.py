"""Completion: what real shells get when they ask, and what they are told."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Numamig
from tests.cli.test_jobs import Kept

ROOT = Path(__file__).parents[2]
BASH = r"""
source <(numamig completion bash)
complete -p numamig
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
compopt() { printf 'compopt %s %s\n' "$1" "$2"; }
_numamig_completion numamig "${COMP_WORDS[COMP_CWORD]}" ""
printf '%s\n' "${COMPREPLY[@]}"
"""


class Shells:
    """numamig on a path, for shells to ask."""

    def __init__(self, numamig: Numamig) -> None:
        self.folder = numamig.folder
        self.scenario = str(numamig.scenario)
        command = self.folder / "bin" / "numamig"
        command.parent.mkdir()
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m numamig "$@"\n')
        command.chmod(0o755)
        self.environment = {
            "PATH": f"{command.parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "HOME": str(self.folder),
            "XDG_STATE_HOME": str(self.folder / "state"),
        }

    def run(self, *command: str, **more: str) -> str:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            env={**self.environment, **more},
            stdin=subprocess.DEVNULL,
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout

    def bash(self, *words: str) -> list[str]:
        """What a real bash is offered for the last of these words."""
        defined, *offered = self.run("bash", "--norc", "-c", BASH, "bash", "numamig", *words).splitlines()
        assert defined == "complete -o nosort -F _numamig_completion numamig"
        return [word for word in offered if word]

    def asked(self, shell: str, *words: str) -> list[str]:
        """What the script of a shell is told, line by line."""
        line = " ".join(("numamig", *words))
        asked = {"COMP_WORDS": line, "COMP_CWORD": str(len(words)), "_NUMAMIG_COMPLETE": f"{shell}_complete"}
        return self.run("numamig", **asked).splitlines()


@pytest.fixture
def shells(numamig: Numamig) -> Shells:
    return Shells(numamig)


def test_bash_completes_commands_options_and_choices(shells: Shells) -> None:
    assert shells.bash("n") == ["nodes"]
    assert {"ps", "move", "undo", "replay", "completion"} <= set(shells.bash(""))
    assert shells.bash("ps", "--so") == ["--sort"]
    assert shells.bash("move", "1", "--retry", "") == ["never", "bounded", "until"]
    assert shells.bash("--color", "=", "a") == ["auto", "always"]  # bash breaks words at "="
    assert shells.bash("--backend", "sim") == ["simulator"]
    assert shells.bash("nodes", "--interval", "") == shells.bash("nodes", "") == []


def test_bash_completes_what_is_on_the_machine(shells: Shells) -> None:
    here = ("--scenario", shells.scenario)
    assert shells.bash(*here, "show", "") == ["10", "11", "12", "13"]  # no kernel threads
    assert shells.bash(*here, "move", "10", "--to", "") == ["all", "0", "1", "3"]
    assert shells.bash("move", "10", *here, "--from", "0,") == ["0,1", "0,3"]
    assert shells.bash("move", "10", *here, "--from", "!") == ["!0", "!1", "!3"]
    assert shells.bash("move", "10", *here, "--to", "=", "3") == ["3"]
    assert shells.bash("move", "10", "--kind", "anon,h") == ["anon,heap", "anon,hugetlb"]
    assert shells.bash("--machine", "none.yet", "--scenario", "no-such-thing", "show", "") == []
    assert not (shells.folder / "none.yet").exists()


def test_bash_completes_processes_and_nodes_of_this_machine(shells: Shells) -> None:
    assert str(os.getpid()) in shells.bash("show", "")
    assert "0" in shells.bash("move", str(os.getpid()), "--to", "")


def test_bash_completes_profiles_scenarios_and_files(shells: Shells) -> None:
    (shells.folder / "some where").mkdir()
    (shells.folder / "notes.txt").touch()
    offered = shells.bash("replay", "")
    assert "pull-database-to-its-cpus" in offered
    assert offered[:1] == ["compopt -o filenames"]  # which adds the slash, and quotes
    assert {"small.yaml", "some where", "bin"} <= set(offered)
    assert "notes.txt" not in offered
    assert shells.bash("--scenario", "four") == ["four-node-db"]
    assert "notes.txt" in shells.bash("--machine", "n")
    assert shells.bash("plan", str(shells.folder / "sm")) == ["compopt -o filenames", shells.scenario]


def test_jobs_are_those_of_the_machine(numamig: Numamig) -> None:
    kept = Kept(numamig)
    shells = Shells(numamig)
    kept.move()
    assert shells.bash("undo", "") == []
    assert shells.bash("--machine", str(kept.file), "undo", "") == ["1"]
    kept("undo")
    offered = shells.asked("fish", "--machine", str(kept.file), "jobs", "")
    assert offered == ["2\tundo of db (10), done", "1\tmove of db (10), done"]


def test_zsh_and_fish_are_told_what_things_are(shells: Shells) -> None:
    here = ("--scenario", shells.scenario)
    told = shells.asked("zsh", *here, "show", "1")
    assert told[:6] == ["plain", "10", "db (ada)", "plain", "11", "helper (ada)"]
    assert told[-3:] == ["plain", "13", "e␛[31mvil (ada)"]
    assert shells.asked("zsh", "move", "1", "--order=r") == ["plain", "--order=random", "_"]
    assert shells.asked("fish", *here, "show", "10") == ["10\tdb (ada)"]
    assert shells.asked("fish", *here, "move", "10", "--to=3") == ["--to=3\tno CPU: memory only"]
    assert "nodes\tNodes: CPUs, memory, tiers, distances." in shells.asked("fish", "n")
    assert shells.asked("fish", "plan", "pull") == [
        "pull-database-to-its-cpus\tPull the database to the CPUs it runs on"
    ]
    assert shells.asked("zsh", "plan", "b") == ["path", "bin/", "_"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_are_printed_for_shells_that_are_not_here(shells: Shells, shell: str) -> None:
    script = shells.run("numamig", "completion", shell)
    assert f"_NUMAMIG_COMPLETE={shell}_complete" in script and script.endswith("\n")
    assert script == shells.run("numamig", "completion", SHELL=f"/opt/bin/{shell}")
    assert json.loads(shells.run("numamig", "completion", shell, "--json"))["script"] == script
    if shutil.which(shell):
        subprocess.run([shell, "-n", "/dev/stdin"], input=script, text=True, check=True)


def test_a_real_fish_completes(shells: Shells) -> None:
    if not shutil.which("fish"):
        pytest.skip("fish is not installed")
    asked = f'numamig completion fish | source; complete -C "numamig --scenario {shells.scenario} show 1"'
    assert shells.run("fish", "--no-config", "-c", asked).splitlines()[0] == "10\tdb (ada)"


def test_a_shell_that_is_not_known(shells: Shells, numamig: Numamig) -> None:
    done = numamig("completion", SHELL="/bin/tcsh")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "numamig: there is no completion for tcsh (name one of bash, zsh, fish)\n"
