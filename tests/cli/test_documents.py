"""docs/commands.md against the commands: every field that is printed is in it with its type, and none else."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from typing import Any

import click
import pytest

from numamig.cli import _COMMANDS, cli
from numamig.cli.options import JSON_VERSION
from numamig.errors import ExitCode
from tests.cli.conftest import SCENARIO, Numamig
from tests.cli.manual import PAGE, Manual
from tests.cli.test_jobs import Kept
from tests.unit.linux.trees import cxl_machine

TEXT = PAGE.read_text(encoding="utf-8")
JOB, PLAN = ("Job",), ("Plan",)
ON_A_KEPT_MACHINE = [
    (("nodes", "--interval", "1s"), ("numamig nodes",), 0),
    (("ps",), ("numamig ps",), 0),
    (("show", "10", "--policies"), ("numamig show",), 0),
    (("show", "12"), ("numamig show",), 0),
    (("map", "10", "--pages"), ("numamig map",), 0),
    (("map", "10", "--pages", "--sample"), ("numamig map",), 0),
    (("move", "10", "0", "1", "--dry-run"), PLAN, 0),
    (("move", "10", "--map", "0:1,1:0", "--dry-run"), PLAN, 0),
    (("move", "10", "--weights", "0:1,1:2", "--kind", "heap", "--dry-run"), PLAN, 0),
    (("move", "10", "--interleave", "0,1", "--cold", "100%", "--kind", "heap"), JOB, 0),
    (("move", "10", "0", "1"), JOB, 1),
    (("jobs",), ("numamig jobs",), 0),
    (("jobs", "1", "--steps"), ("Journal entry", "numamig jobs/1"), 0),
    (("jobs", "2"), ("Journal entry", "numamig jobs/1"), 0),
    (("undo", "--dry-run"), PLAN, 0),
    (("watch", "2", "--for", "10s"), ("numamig watch",), 0),
    (("undo",), JOB, 0),
    (("doctor",), ("numamig doctor",), 0),
    (("completion", "zsh"), ("numamig completion",), 0),
]
NOT_MET = {
    ("Destination", "follow"),  # settled before it is printed
    ("numamig nodes", "rates.nodes{}"),  # counters of nodes are a real kernel's
}
"""Fields that no simulated machine prints."""


def documents_of(manual: Manual, text: str, command: str, *parts: str) -> None:
    document: dict[str, Any] = json.loads(text)
    assert list(document)[:2] == ["version", "command"]
    assert (document.pop("version"), document.pop("command")) == (JSON_VERSION, command)
    manual.check(document, *parts)


def test_every_field_is_in_the_manual(numamig: Numamig) -> None:
    manual, kept = Manual(), Kept(numamig, SCENARIO.replace("sys_admin: false", "sys_admin: true"))
    for arguments, parts, code in ON_A_KEPT_MACHINE:
        done = kept(*arguments, "--json", code=code)
        documents_of(manual, done.stdout, arguments[0], *parts)
    left_over = kept.stopped_after(2)
    documents_of(manual, kept("resume", str(left_over), "--json").stdout, "resume", *JOB)
    shapes = {heading for heading, tables in manual.tables.items() if tables}
    shapes -= {f"numamig {name}" for name in _COMMANDS} - {parts[0] for _, parts, _ in ON_A_KEPT_MACHINE}
    unmet = {(heading, path) for heading, path in manual.unmet() - NOT_MET if heading in shapes}
    assert not {at for at in unmet if not at[1].startswith(("nodes[].performance.", "nodes[].huge_pools[]."))}


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
