"""Help: examples first and true, commands by what they are for, and nothing heavy imported to show it."""

from __future__ import annotations

import importlib
import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import click
import pytest

from numamig.cli import _COMMANDS, _PURPOSES, cli
from numamig.cli.help import TeachingCommand, examples_of
from tests.cli.conftest import SCENARIO, Numamig
from tests.cli.test_jobs import Kept
from tests.cli.test_replay import GOOD

ROOT = Path(__file__).parents[2]
HEAVY = {"cffi", "numpy", "psutil", "pydantic", "rich", "simpy", "textual", "yaml"}
NEEDS_A_MACHINE = {"lab"}
"""Their examples build and boot one."""
NEEDS_A_TERMINAL = {"demo"}
"""Their examples open the console, unless they print something instead."""


def heavy_after(code: str, **environment: str) -> set[str]:
    """Heavy packages that a program has imported in its end."""
    code += f"\nimport sys; print(*({HEAVY!r} & set(sys.modules)), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, **environment},
    )
    return set(done.stderr.splitlines()[-1].split())


RUN = "import contextlib, numamig.cli\nwith contextlib.suppress(SystemExit): numamig.cli.main({})"


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["completion", "bash"], ["completion", "--help"]])
def test_what_needs_nothing_heavy_imports_nothing_heavy(arguments: list[str]) -> None:
    assert heavy_after(RUN.format(arguments)) == set()


@pytest.mark.parametrize("words", ["numamig ", "numamig --", "numamig ps --", "numamig undo --", "numamig --color "])
def test_commands_and_options_are_completed_without_anything_heavy(words: str) -> None:
    asked = {"_NUMAMIG_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    assert heavy_after(RUN.format([]), **asked) == set()


def test_no_help_imports_anything_heavy() -> None:
    """Nor does completion, which reads the same declarations."""
    assert heavy_after("\n".join(RUN.format([name, "--help"]) for name in _COMMANDS)) == set()


def test_help_names_every_command_once_under_what_it_is_for(numamig: Numamig) -> None:
    assert sorted(name for names in _PURPOSES.values() for name in names if name in _COMMANDS) == sorted(_COMMANDS)
    lines = numamig("--help").stdout.splitlines()
    headings = [line.removesuffix(":") for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert headings == ["Examples", *_PURPOSES, "Console", "Machine and output", "Exit codes"]
    listed = lines[lines.index("Look:") : lines.index("Console:")]
    for name, words in _COMMANDS.items():
        (line,) = [line for line in listed if line.startswith(f"  {name} ")]
        assert line.split(maxsplit=1)[1].split()[0] == words.split()[0]
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("name", list(_COMMANDS))
def test_what_it_is_for_comes_first_then_examples_then_the_rest(name: str) -> None:
    command: click.Command = importlib.import_module(f"numamig.cli.{name}").command
    assert isinstance(command, TeachingCommand)
    shown = command.get_help(click.Context(command, info_name=f"numamig {name}"))
    parts = shown.split("\n\n")
    assert parts[0].startswith(f"Usage: numamig {name} ")
    assert parts[1].startswith("  ") and parts[1].rstrip().endswith(".")
    assert parts[2].startswith(f"Examples:\n  {examples_of(command)[0]}")
    assert shown.count("Examples:") == 1
    assert parts[-1].startswith("Machine and output:") and "--help" in parts[-1]
    assert "--json" in parts[-1] or name in NEEDS_A_MACHINE
    for option in command.params:
        if isinstance(option, click.Option):
            assert (
                len(re.findall(rf"^  (?:-\w, )?{option.opts[-1]}(?: \S+)?(?: / \S+)?(?:  |$)", shown, re.MULTILINE))
                == 1
            )


EXAMPLES = [
    pytest.param(name, line, id=line)
    for name in _COMMANDS
    if name not in NEEDS_A_MACHINE
    for line in examples_of(importlib.import_module(f"numamig.cli.{name}").command)
]


@pytest.fixture
def shell(numamig: Numamig) -> Path:
    """A folder with a job to go on with, a profile, and numamig on a path."""
    scenario = SCENARIO.replace("  - {id: 3", "  - {id: 2, memory: 64MiB}\n  - {id: 3").replace(
        "sys_admin: false", "sys_admin: true"
    )
    kept = Kept(numamig, scenario.replace("sys_nice: false", "sys_nice: true"))
    assert kept.stopped_after(19, pages=128) == 1
    folder = numamig.folder
    profile = GOOD.replace("to: 1", "to: ${target:-1}").replace("pages: 256", "pages: 256, rate: '${rate:-1GiB/s}'")
    (folder / "night-shift.yaml").write_text(profile)
    for place in (".zfunc", ".config/fish/completions", ".local/share/bash-completion/completions"):
        (folder / place).mkdir(parents=True)
    command = folder / "bin" / "numamig"
    command.parent.mkdir()
    command.write_text(
        "#!/bin/sh\n"
        'case " $* " in\n'
        '*" demo "*) ;;\n'
        f'*" --scenario "*|*" --machine "*) set -- "$@";; *) set -- --machine {kept.file} "$@";; esac\n'
        f'exec {sys.executable} -m numamig "$@"\n'
    )
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    return folder


@pytest.mark.parametrize(("name", "line"), EXAMPLES)
def test_examples_do_what_they_say(shell: Path, name: str, line: str) -> None:
    words = (
        line.replace("4711", "10")
        .replace(" 17", " 1")
        .replace("3,5-7", "1")
        .replace("--user postgres", "--user ada")
        .removeprefix("sudo ")
    )
    words = words.replace(
        "pull-database-to-its-cpus", "pull-database-to-its-cpus --backend simulator --scenario four-node-db"
    )
    done = subprocess.run(
        ["bash", "-c", words],
        capture_output=True,
        text=True,
        check=False,
        cwd=shell,
        stdin=subprocess.DEVNULL,
        env={
            "PATH": f"{shell / 'bin'}:{os.environ['PATH']}",
            "HOME": str(shell),
            "SHELL": "/bin/bash",
            "XDG_STATE_HOME": str(shell / "state"),
            "PYTHONPATH": str(ROOT),
        },
    )
    if line.endswith(" --") or (name in NEEDS_A_TERMINAL and "--list" not in words):  # what opens the console
        assert done.returncode == 2 and "terminal" in done.stderr
        return
    allowed = (0, 1, 3) if "--strict" in line else (0, 1)
    assert done.returncode in allowed, done.stderr
    if "--json" in line.split():
        assert json.loads(done.stdout)["command"] == name
    if "--dry-run" in line:
        assert "numamig undo" not in done.stderr


@pytest.mark.parametrize("line", examples_of(cli))
def test_examples_of_the_whole_thing(shell: Path, line: str) -> None:
    words = line.split()[1:]
    if not set(words) & set(_COMMANDS):
        done = subprocess.run(
            [sys.executable, "-m", "numamig", *words], capture_output=True, text=True, check=False, cwd=ROOT
        )
        assert (done.returncode, "terminal" in done.stderr) == (2, True)  # the console, and here is none
        return
    test_examples_do_what_they_say(shell, words[0], line)
