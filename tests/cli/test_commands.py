"""The commands on a simulated machine: what they print, and with which code they end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from numamig.model.outcome import Outcome
from tests.cli.conftest import Numamig

MIB = 1 << 20


def test_nodes(numamig: Numamig) -> None:
    nodes = numamig.json("nodes")["nodes"]
    assert [(n["node"], n["cpus"], n["total_bytes"] // MIB) for n in nodes] == [
        (0, [0, 1], 64),
        (1, [2, 3], 64),
        (3, [], 8),
    ]
    assert nodes[2]["distances"] == {"0": 20, "1": 20, "3": 10}
    text = numamig.small("nodes").stdout.splitlines()
    assert text[0].split() == ["node", "cpus", "total", "used", "used%", "free", "tier", "kind", "→0", "→1", "→3"]
    assert text[3].split() == ["3", "no", "cpu", "8.0M", "0", "0%", "8.0M", "-", "-", "20", "20", "10"]


def test_ps_sorts_by_remote_memory_and_says_who_is_locked(numamig: Numamig) -> None:
    seen = numamig.json("ps")["processes"]
    assert [process["pid"] for process in seen] == [10, 12, 13, 11]
    db = seen[0]
    assert db["bytes_by_node"] == {"0": 13 * MIB, "1": 4 * MIB}
    assert (db["remote_bytes"], db["estimated"], db["locked"]) == (13 * MIB, False, False)
    (other,) = [process for process in seen if process["pid"] == 12]
    assert (other["locked"], other["bytes_by_node"]) == (True, None)
    done = numamig.small("ps")
    assert "1 locked: seeing their placement takes CAP_SYS_PTRACE" in done.stderr
    assert "\x1b" not in done.stdout
    assert "e␛[31mvil" in done.stdout


def test_map(numamig: Numamig) -> None:
    document = numamig.json("map", "10", "--pages")
    assert [(r["kind"], r["bytes_by_node"]) for r in document["regions"]] == [
        ("heap", {"0": 12 * MIB, "1": 4 * MIB}),
        ("shmem", {"0": MIB}),
    ]
    assert [(p["node"], p["count"]) for p in document["pages"]] == [(0, 3072), (1, 1024), (0, 256)]
    rows = numamig.small("map", "10", "--pages").stdout.splitlines()
    assert rows[0].startswith("one cell is 16K")
    assert rows[1].endswith("0" * 64)
    assert rows[-1].endswith("0" * 64)
    assert "\x1b" not in numamig.small("map", "13").stdout


def test_move_accounts_for_every_page(numamig: Numamig) -> None:
    moved = numamig.json("move", "10", "--from", "0", "--to", "1")
    assert set(moved) >= {"job", "pid", "chosen", "outcomes", "steps", "passes", "seconds", "pages_per_second"}
    assert set(moved["outcomes"]) == {outcome.key for outcome in Outcome}
    assert {k: v for k, v in moved["outcomes"].items() if v} == {"moved": 3072, "shared": 256}
    assert moved["chosen"] == sum(moved["outcomes"].values()) == 3328
    assert (moved["pid"], moved["steps"]) == (10, 7)
    assert moved["moved"] == [{"from": 0, "to": 1, "pages": 3072, "bytes": 12 * MIB}]


def test_move_ends_with_0_only_when_every_chosen_page_is_there(numamig: Numamig) -> None:
    assert numamig.small("move", "10", "--from", "0", "--to", "1").returncode == 1
    done = numamig.small("move", "10", "--from", "0", "--to", "1", "--kind", "heap")
    assert done.returncode == 0
    assert "moved" in done.stdout
    assert "3,072 pages" in done.stdout


def test_move_meets_a_full_target(numamig: Numamig) -> None:
    done = numamig.small("move", "10", "--to", "3", "--kind", "heap", "--json")
    assert done.returncode == 1
    outcomes = json.loads(done.stdout)["outcomes"]
    assert outcomes["moved"] == 8 * 256 - 133  # a twentieth is kept free, and the high watermark of 30 pages
    assert outcomes["moved"] + outcomes["no_room"] + outcomes["not_tried"] == 4096
    assert "warning" in done.stderr
    assert "node 3 has 8 MiB free, 16 MiB are to move there" in done.stderr


def test_options_narrow_what_is_moved(numamig: Numamig) -> None:
    start = numamig.json("map", "10")["regions"][0]["start"]
    span = f"0x{start:x}-0x{start + 100 * 4096:x}"
    moved = numamig.json("move", "10", "--to", "1", "--address", span, "--pages", "30", "--retry", "never")
    assert (moved["chosen"], moved["steps"], moved["passes"]) == (100, 4, 1)
    slow = numamig.json("move", "10", "--to", "1", "--kind", "heap", "--rate", "12MiB/s")
    assert slow["seconds"] == pytest.approx(1.0, rel=0.1)


def test_a_dry_run_moves_nothing(numamig: Numamig) -> None:
    planned = numamig.json("move", "10", "--from", "0", "--to", "1", "--dry-run")
    assert (planned["pages"], planned["bytes_by_node"]) == (3328, {"0": 13 * MIB, "1": 4 * MIB})
    assert "outcomes" not in planned


def test_doctor(numamig: Numamig) -> None:
    findings = numamig.json("doctor")["findings"]
    assert {f["check"]: f["severity"] for f in findings}["machine"] == "ok"
    assert "CAP_SYS_NICE" in str(findings)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["move", "99", "--to", "1"], 4, "no process with pid 99"),
        (["move", "2", "--to", "1"], 3, "kernel thread"),
        (["move", "12", "--to", "1"], 3, "CAP_SYS_PTRACE"),
        (["move", "10", "--to", "1", "--shared"], 3, "CAP_SYS_NICE"),
        (["move", "10", "--to", "2"], 2, "node 2 does not exist or has no memory (nodes with memory here: 0-1,3)"),
        (["move", "10", "--to", "x"], 2, "'x' does not parse"),
        (["move", "10", "--to", "0,1"], 2, "names 2 nodes"),
        (["move", "10", "--from", "0-", "--to", "1"], 2, "'0-' does not parse"),
        (["move", "10", "--from", "1", "--to", "1"], 2, "same node"),
        (["move", "10", "--to", "1", "--kind", "heep"], 2, "there is no kind 'heep'"),
        (["move", "10", "--to", "1", "--rate", "fast"], 2, "'fast' is not a rate"),
        (["move", "10", "--to", "1", "--budget", "5"], 2, "'5' is not a duration"),
        (["move", "10", "--to", "1", "--budget", "0ms"], 2, "more than nothing"),
        (["move", "10", "--to", "1", "--rate", "9" * 400], 2, "too large"),
        (["move", "10", "--to", "1", "--address", "5"], 2, "address range"),
        (["move", "10"], 2, "where to is missing"),
        (["move", "ten", "--to", "1"], 2, "'ten' is not a valid integer"),
        (["map", "99"], 4, "no process with pid 99"),
        (["fly"], 2, "No such command 'fly'"),
        (["--backend", "vms", "nodes"], 2, "there is no backend 'vms' (there are auto, linux, simulator"),
        (["--scenario", "none.yaml", "nodes"], 2, "none.yaml: there is no such file"),
        (["--backend", "linux", "nodes"], 2, "--scenario is for the simulator"),
        ([], 2, "terminal"),
    ],
)
def test_bad_input_is_one_clear_line(numamig: Numamig, arguments: list[str], code: int, words: str) -> None:
    done = numamig.small(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
    assert done.stderr.startswith("numamig: ")
    assert done.stderr.count("\n") == 1


def test_machine_options_may_come_before_or_after_the_command(numamig: Numamig) -> None:
    before = numamig("--scenario", str(numamig.scenario), "nodes", "--json")
    after = numamig("nodes", "--json", "--backend", "simulator", "--scenario", str(numamig.scenario))
    assert before.returncode == after.returncode == 0
    assert before.stdout == after.stdout


def test_help_is_quick_and_needs_no_heavy_package() -> None:
    code = (
        "import sys, numamig.cli\n"
        "try: numamig.cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'textual', 'numpy', 'pydantic', 'psutil', 'cffi', 'yaml'} & set(sys.modules)\n"
        "print('heavy', sorted(heavy), file=sys.stderr)"
    )
    root = str(Path(__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert "heavy []" in done.stderr
    assert "move" in done.stdout


@pytest.mark.parametrize("command", ["nodes", "ps", "map", "move", "replay", "doctor"])
def test_every_command_explains_itself(numamig: Numamig, command: str) -> None:
    done = numamig(command, "--help")
    assert done.returncode == 0
    assert "--json" in done.stdout
    assert "--backend" in done.stdout


def test_a_scenario_is_the_file_that_was_named(numamig: Numamig) -> None:
    (numamig.folder / "scenarios").mkdir()
    numamig.scenario.rename(numamig.folder / "scenarios" / "four-node-db.yaml")
    done = numamig("--scenario", "scenarios/four-node-db.yaml", "nodes", "--json")
    assert len(json.loads(done.stdout)["nodes"]) == 3
    assert len(json.loads(numamig("--scenario", "four-node-db", "nodes", "--json").stdout)["nodes"]) == 4


def test_a_poor_locale_loses_no_account(numamig: Numamig) -> None:
    arguments = ("--scenario", str(numamig.scenario), "move", "10", "--to", "1", "--kind", "heap")
    done = numamig(*arguments, PYTHONIOENCODING="latin1")
    assert done.returncode == 0
    assert "3,072 pages" in done.stdout


@pytest.mark.parametrize("closed", ["2>&-", "<&-", "2>/dev/full", "2> >(exec true)"])
def test_nobody_has_to_listen_to_the_narration(numamig: Numamig, closed: str) -> None:
    words = f"{sys.executable} -m numamig --scenario {numamig.scenario} move 10 --to 1 --kind heap --json {closed}"
    root = str(Path(__file__).parents[2])
    done = subprocess.run(["bash", "-c", words], stdout=subprocess.PIPE, text=True, check=False, cwd=root)
    assert done.returncode == 0
    assert json.loads(done.stdout)["outcomes"]["moved"] == 3072
