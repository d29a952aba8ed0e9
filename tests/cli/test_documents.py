"""docs/commands.md against the commands: every field that is printed is in it with its type, and none else."""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from numamig.cli import _COMMANDS, cli, main
from numamig.cli.options import JSON_VERSION
from numamig.errors import ExitCode
from tests.cli.conftest import SCENARIO, Numamig
from tests.cli.manual import PAGE, Manual
from tests.cli.test_jobs import Kept
from tests.forks import in_child, status
from tests.unit.linux.trees import cxl_machine

TEXT = PAGE.read_text(encoding="utf-8")
JOB, PLAN = ("Job",), ("Plan",)
ON_A_KEPT_MACHINE = [
    (("nodes", "--interval", "1s"), ("numamig nodes",)),
    (("ps",), ("numamig ps",)),
    (("show", "10", "--policies"), ("numamig show",)),
    (("show", "12"), ("numamig show",)),
    (("map", "10", "--pages"), ("numamig map",)),
    (("map", "10", "--pages", "--sample"), ("numamig map",)),
    (("move", "10", "0", "1", "--dry-run"), PLAN),
    (("move", "10", "--map", "0:1,1:0", "--dry-run"), PLAN),
    (("move", "10", "--weights", "0:1,1:2", "--kind", "heap", "--dry-run"), PLAN),
    (("move", "10", "--interleave", "0,1", "--cold", "100%", "--kind", "heap"), JOB),
    (("move", "10", "0", "1"), JOB),
    (("jobs",), ("numamig jobs",)),
    (("jobs", "1", "--steps"), ("Journal entry", "numamig jobs/1")),
    (("jobs", "2"), ("Journal entry", "numamig jobs/1")),
    (("undo", "--dry-run"), PLAN),
    (("watch", "2", "--for", "10s"), ("numamig watch",)),
    (("undo",), JOB),
    (("doctor",), ("numamig doctor",)),
    (("completion", "zsh"), ("numamig completion",)),
    (("drain", "0", "--dry-run"), ("numamig drain",)),
    (("drain", "0", "--to", "1", "--yes"), ("numamig drain/1",)),
    (("plan", "profile.yaml"), ("numamig plan",)),
    (("rehearse", "profile.yaml"), ("numamig rehearse",)),
    (("replay", "profile.yaml", "--yes"), ("numamig replay",)),
    (("record", "--", "move", "10", "1", "0"), ("numamig record",)),
]
PROFILE = """numamig: 1
backend: simulator
scenario: small.yaml
steps:
  - migrate: {process: {name: db}, pages: {kind: heap}, to: 0}
  - undo: last
  - wait: 1s
  - for_each: {process: {user: ada}, steps: [{migrate: {to: 0}}]}
  - repeat: {times: 2, steps: [{migrate: {process: {user: ada, which: all}, to: 1}}]}
  - migrate: {process: {user: root, which: all}, to: 1}
  - include: inner.yaml
  - expect: {moved: ">= 1%"}
"""
SOME = """numamig: 1
backend: simulator
scenario: locked.yaml
steps:
  - migrate: {process: {cmdline: "^(db|other)$", which: all}, to: 1}
"""
INNER = "numamig: 1\nsteps:\n  - wait: 1s\n"
NOT_MET = {
    ("Step", "error"),  # what ends a run: nothing does here
    ("Step", "for_each[].error"),
    ("Replayed job", "journal"),  # only of a real machine, as is what no process has
    *(("Unmovable", name) for name in ("kind", "what", "bytes", "remedy")),
    ("Replayed job", "nothing"),
    ("Destination", "follow"),  # settled before it is printed
    ("numamig nodes", "rates.nodes{}"),  # counters of nodes are a real kernel's
}
"""Fields that no simulated machine prints."""


def documents_of(manual: Manual, text: str, command: str, *parts: str) -> None:
    document: dict[str, Any] = json.loads(text)
    assert list(document)[:2] == ["version", "command"]
    assert (document.pop("version"), document.pop("command")) == (JSON_VERSION, command)
    manual.check(document, *parts)


@pytest.fixture
def printed(numamig: Numamig, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """What commands print as JSON; in forks of this process, since there are many and to start is what takes long."""
    monkeypatch.chdir(numamig.folder)
    monkeypatch.setenv("XDG_STATE_HOME", str(numamig.folder / "state"))
    out, err = numamig.folder / "out", numamig.folder / "err"

    def run(*arguments: str) -> str:
        def work() -> None:
            for path, number in ((out, 1), (err, 2)):
                os.dup2(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY), number)
            sys.stdout, sys.stderr = (open(number, "w", encoding="utf-8") for number in (1, 2))  # noqa: SIM115
            try:
                main([*arguments, "--json"] if "--" not in arguments else _before_the_dashes(arguments))
            except SystemExit as end:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(int(end.code or 0))

        code = status(in_child(work))
        assert code in (0, 1), err.read_text()
        return out.read_text()

    return run


def _before_the_dashes(arguments: tuple[str, ...]) -> list[str]:
    at = arguments.index("--")
    return [*arguments[:at], "--json", *arguments[at:]]


def test_every_field_is_in_the_manual(numamig: Numamig, printed: Callable[..., str]) -> None:
    manual, kept = Manual(), Kept(numamig, SCENARIO.replace("sys_admin: false", "sys_admin: true"))
    (numamig.folder / "profile.yaml").write_text(PROFILE)
    (numamig.folder / "inner.yaml").write_text(INNER)
    for arguments, parts in ON_A_KEPT_MACHINE:
        documents_of(manual, printed("--machine", str(kept.file), *arguments), arguments[0], *parts)
    (numamig.folder / "locked.yaml").write_text(SCENARIO)
    locked = printed("--scenario", "locked.yaml", "drain", "0", "--dry-run")
    documents_of(manual, locked, "drain", "numamig drain")
    (numamig.folder / "some.yaml").write_text(SOME)
    documents_of(manual, printed("replay", "some.yaml"), "replay", "numamig replay")
    documents_of(manual, printed("demo", "--list"), "demo", "numamig demo")
    documents_of(manual, printed("demo", "--check"), "demo", "numamig demo/1")
    left_over = kept.stopped_after(2)
    documents_of(manual, printed("--machine", str(kept.file), "resume", str(left_over)), "resume", *JOB)
    of_real_machines = ("nodes[].performance.", "nodes[].huge_pools[].")
    assert not {at for at in manual.unmet() - NOT_MET if not at[1].startswith(of_real_machines)}


def test_what_a_real_machine_tells_of_its_nodes_is_in_the_manual(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from click.testing import CliRunner

    from numamig.backends.linux.backend import LinuxBackend
    from numamig.cli.options import Shared
    from numamig.clock import VirtualClock
    from tests.cli.test_nodes import write_everything

    roots = cxl_machine(tmp_path)
    write_everything(roots)
    backend = LinuxBackend(roots[1], roots[0], clock=VirtualClock())
    monkeypatch.setattr(Shared, "open", lambda self: backend)
    nodes = importlib.import_module("numamig.cli.nodes").command
    manual = Manual()
    documents_of(manual, CliRunner().invoke(nodes, ["--json"]).stdout, "nodes", "numamig nodes")
    met = {path for _, path in manual.met}
    assert {"nodes[].performance.read_latency_ns", "nodes[].huge_pools[].surplus"} <= met


def section(name: str) -> str:
    """What the page has under ``## numamig NAME``."""
    match = re.search(rf"^## numamig {name}\n(.*?)(?=^#|\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert match is not None, f"docs/commands.md has nothing about {name}"
    return match[1]


def shared_part(heading: str) -> str:
    match = re.search(rf"^## {heading}\n(.*?)(?=^#)", TEXT, re.MULTILINE | re.DOTALL)
    assert match is not None
    return match[1]


@pytest.mark.parametrize("name", list(_COMMANDS))
def test_every_option_is_in_the_manual(name: str) -> None:
    command: click.Command = importlib.import_module(f"numamig.cli.{name}").command
    options = {text for param in command.params for text in (*param.opts, *param.secondary_opts) if text[:2] == "--"}
    of_all = words(shared_part("Options of every command"))
    here = section(name)
    for heading in ("How gently", "Before anything moves"):
        if f"[{heading}]" in here:
            of_all |= words(shared_part(heading))
            assert words(shared_part(heading)) <= options
    told = words("\n".join(line for line in here.splitlines() if not line.startswith("|")))
    assert options - of_all <= told
    assert told <= options | {"--help"}


def words(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z]+(?:-[a-z]+)*", text))


def test_exit_codes_are_those_of_the_enum_and_of_help() -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| (.*) \|$", TEXT, re.MULTILINE)
    assert [(int(code), name, means) for code, name, means in rows] == [
        (code.value, code.name, code.meaning) for code in ExitCode
    ]
    shown = " ".join(cli.get_help(click.Context(cli, info_name="numamig")).partition("Exit codes:")[2].split())
    assert shown == " ".join(f"{code.value} {code.meaning}" for code in ExitCode)
