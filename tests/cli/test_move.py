"""What ``numamig move`` says before it moves, what it refuses, and how gently it goes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Numamig

SHELL = """scenario: 1
title: with an init
nodes:
  - {id: 0, cpus: 0-1, memory: 64MiB}
  - {id: 1, cpus: 2-3, memory: 64MiB}
processes:
  - {name: init, pid: 1, regions: [{kind: heap, size: 4MiB, nodes: {0: 1}}]}
"""
HEAP = ("move", "10", "--from", "0", "--to", "1", "--kind", "heap")


@pytest.fixture
def init(numamig: Numamig) -> str:
    path = Path(numamig.folder) / "init.yaml"
    path.write_text(SHELL)
    return str(path)


def test_a_dry_run_prints_everything_that_was_looked_at(numamig: Numamig) -> None:
    done = numamig.small("move", "10", "--to", "3", "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    first, *rest = done.stdout.splitlines()
    assert first == "db (10): 2 regions, 13.0M on node 0, 4.0M on node 1; 4,352 pages (17.0M) to node 3"
    signs = [line.split()[0] for line in rest]
    assert signs == sorted(signs, key=["error", "warning", "ok"].index)
    assert {line.split()[1] for line in rest} == {
        "room:", "shared:", "rights:", "cpuset:", "critical:", "policy:", "estimate:",
    }  # fmt: skip
    (room,) = [line for line in rest if " room: " in line]
    assert "node 3 has 8 MiB free, 17 MiB are to move there" in room
    assert "; what fits is moved" in room


def test_a_dry_run_as_json_has_findings_and_estimate(numamig: Numamig) -> None:
    planned = numamig.json("move", "10", "--from", "0", "--to", "1", "--dry-run")
    shared = {finding["check"]: finding for finding in planned["findings"]}["shared"]
    assert (shared["severity"], shared["reason"].split(" of ")[0]) == ("warning", "7.7 %")  # 1 of 13 MiB
    assert "--shared" in shared["remedy"]
    assert planned["estimate_seconds"] > 0
    assert 0 < planned["estimated_stall_seconds"] < planned["estimate_seconds"]


def test_a_real_move_says_what_speaks_against_it_and_how_long_it_takes(numamig: Numamig) -> None:
    done = numamig.small("move", "10", "--from", "0", "--to", "1")
    assert "warning  shared: " in done.stderr
    assert "ok       estimate: about " in done.stderr
    assert "cpuset" not in done.stderr


def test_strict_refuses_warnings_and_moves_nothing(numamig: Numamig) -> None:
    done = numamig.small("move", "10", "--to", "3", "--strict", "--json")
    assert (done.returncode, done.stdout) == (3, "")
    last = done.stderr.splitlines()[-1]
    assert last.startswith("numamig: --strict: room: node 3 has 8 MiB free")
    assert ", and 1 more warning (" in last
    alone = numamig.small("move", "10", "--to", "3", "--strict", "--kind", "heap")
    assert "more warning" not in alone.stderr
    assert numamig.small("move", "10", "--to", "3", "--strict", "--dry-run").returncode == 3


def test_strict_lets_pass_what_nothing_speaks_against(numamig: Numamig) -> None:
    assert numamig.small(*HEAP, "--strict").returncode == 0


def test_yes_accepts_warnings_but_no_error(numamig: Numamig, init: str) -> None:
    assert numamig.small("move", "10", "--to", "1", "--yes").returncode == 1
    done = numamig("--scenario", init, "move", "1", "--to", "1", "--yes", "--json")
    assert (done.returncode, done.stdout) == (3, "")
    assert "--critical moves it all the same" in done.stderr.splitlines()[-1]


def test_critical_turns_the_error_into_a_warning(numamig: Numamig, init: str) -> None:
    moved = numamig("--scenario", init, "move", "1", "--to", "1", "--critical", "--json")
    assert moved.returncode == 0
    assert json.loads(moved.stdout)["outcomes"]["moved"] == 1024
    assert "warning  critical: pid 1 " in moved.stderr
    assert numamig("--scenario", init, "move", "1", "--to", "1", "--critical", "--strict").returncode == 3


def test_a_reserve_is_what_room_is_measured_against(numamig: Numamig) -> None:
    severity = {}
    for reserve in ("4MiB", "60MiB"):
        planned = numamig.json(*HEAP, "--reserve", reserve, "--dry-run")
        (room,) = [finding for finding in planned["findings"] if finding["check"] == "room"]
        severity[reserve] = room["severity"]
    assert severity == {"4MiB": "ok", "60MiB": "warning"}


def test_calls_a_second(numamig: Numamig) -> None:
    """3,072 pages are 48 calls of 64."""
    seconds = [
        numamig.json(*HEAP, "--pages", "64", "--calls", calls, "--dry-run")["estimate_seconds"]
        for calls in ("10", "0", "none")
    ]
    assert seconds[0] == pytest.approx(4.7)
    assert seconds[1] == seconds[2] < 0.1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--yes", "--strict"], "leave one of the two out"),
        (["--calls", "many"], "'many' is no number of calls"),
        (["--calls", "-5"], "'-5' is no number of calls"),
        (["--calls", "²"], "is no number of calls"),
        (["--reserve", "lots"], "'lots' is not a size"),
        (["--deadline", "30s"], "--deadline is for --retry until, not for --retry bounded"),
        (["--retry", "until", "--deadline", "30"], "'30' is not a duration"),
        (["--retry", "never", "--passes", "3"], "--passes is for --retry bounded, not for --retry never"),
        (["--retry", "until", "--passes", "3"], "--passes is for --retry bounded, not for --retry until"),
        (["--retry", "never", "--backoff", "1s"], "--backoff is for --retry bounded or until, not for --retry never"),
        (["--backoff", "soon"], "'soon' is not a duration"),
        (["--max-busy", "half"], "'half' is not a share"),
        (["--max-busy", "0.5"], "'0.5' is not a share"),
        (["--max-busy", "120%"], "'120%' is not a share"),
    ],
)
def test_bad_input_is_one_clear_line(numamig: Numamig, arguments: list[str], words: str) -> None:
    done = numamig.small(*HEAP, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_until_a_deadline(numamig: Numamig) -> None:
    moved = numamig.json(*HEAP, "--retry", "until", "--deadline", "30s")
    assert moved["outcomes"]["moved"] == 3072


def test_several_ranges_are_one_choice(numamig: Numamig) -> None:
    start = numamig.json("map", "10")["regions"][0]["start"]

    def pages(*bounds: tuple[int, int]) -> int:
        spans = [f"{start + first * 4096:#x}-{start + end * 4096:#x}" for first, end in bounds]
        words = [word for span in spans for word in ("--address", span)]
        chosen: int = numamig.json("move", "10", "--to", "3", *words, "--dry-run")["pages"]
        return chosen

    assert pages((100, 150), (0, 10)) == 60
    assert pages((0, 100), (50, 120), (120, 130), (10, 20)) == 130


def busy_machine(numamig: Numamig, pages: int) -> str:
    """Somebody holds six of ten pages of a heap."""
    path = numamig.folder / "busy.yaml"
    path.write_text(
        "scenario: 1\ntitle: busy\nnodes:\n"
        "  - {id: 0, cpus: 0-1, memory: 512MiB}\n  - {id: 1, cpus: 2-3, memory: 512MiB}\n"
        "processes:\n  - name: db\n    pid: 10\n    regions:\n"
        f"      - {{kind: heap, size: {pages * 4}KiB, nodes: {{0: 1}}, pinned: 60%}}\n"
    )
    return str(path)


def test_who_cannot_wait_for_busy_pages_lowers_the_limit(numamig: Numamig) -> None:
    move = (
        "--scenario",
        busy_machine(numamig, 40_000),
        "move",
        "10",
        "--to",
        "1",
        "--calls",
        "none",
        "--retry",
        "never",
    )
    patient = numamig(*move, "--json")
    assert json.loads(patient.stdout)["outcomes"]["not_tried"] == 0
    stopped = json.loads(numamig(*move, "--max-busy", "50%", "--json").stdout)
    assert stopped["state"] == "stopped"
    assert stopped["reason"].endswith(" pages were busy")
    assert stopped["outcomes"]["not_tried"] > 20_000
    assert stopped["remedy"].startswith("somebody holds them: ")
    text = numamig(*move, "--max-busy", "50%").stdout.splitlines()
    assert text[0].endswith(stopped["reason"])
    assert text[1] == f"  {stopped['remedy']}"


def test_the_first_pause_between_passes(numamig: Numamig) -> None:
    move = ("--scenario", busy_machine(numamig, 64), "move", "10", "--to", "1", "--passes", "3", "--json")
    seconds = [json.loads(numamig(*move, *more).stdout)["seconds"] for more in ((), ("--backoff", "5s"))]
    # 50 and 100 ms; 5 s and 5 s, since further pauses are 2 s at most, and never shorter than the first.
    assert seconds[1] - seconds[0] == pytest.approx(10.0 - 0.15, rel=0.01)


def test_a_budget_that_cannot_be_held_is_told_with_the_account(numamig: Numamig) -> None:
    moved = numamig.json(*HEAP, "--budget", "1us")
    assert "the budget of 1.0 µs cannot be held" in moved["budget_note"]
    assert moved["remedy"] == ""
    assert f"  budget: {moved['budget_note']}" in numamig.small(*HEAP, "--budget", "1us").stdout.splitlines()
    assert numamig.json(*HEAP)["budget_note"] == ""


def test_from_and_to_as_of_migratepages(numamig: Numamig) -> None:
    typed = numamig.json("move", "10", "0", "1", "--dry-run")
    same = numamig.json("move", "10", "--from", "0", "--to", "1", "--dry-run")
    assert (typed["to"], typed["from"], typed["pages"]) == (same["to"], same["from"], same["pages"])
    swapped = numamig.json("move", "10", "0,1", "1,3", "--dry-run")
    assert swapped["to"] == {"map": {"0": 1, "1": 3}}
    assert {(way["from"], way["to"]) for way in swapped["ways"]} == {(0, 1), (1, 3)}


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (("--interleave", "1,3"), "over nodes 1,3 in turn"),
        (("--weights", "1:3,3:1"), "over nodes 1 ×3, 3 ×1 in turn"),
        (("--map", "0:3"), "from node 0→3"),
        (("--follow-cpus",), "from node "),
        (("--to", "3"), "to node 3"),
    ],
)
def test_each_way_to_say_where(numamig: Numamig, typed: tuple[str, ...], words: str) -> None:
    told = numamig.small("move", "10", *typed, "--dry-run")
    assert words in told.stdout.splitlines()[0], told.stdout + told.stderr


@pytest.mark.parametrize(
    ("typed", "error"),
    [
        ((), "where to is missing"),
        (("--to", "1", "--interleave", "1,3"), "both say where to"),
        (("0", "1", "--to", "1"), "both say where to"),
        (("0", "1", "--from", "1"), "both name nodes to empty"),
        (("0",), "where to is missing"),
        (("--to", "1,3"), "--interleave 1,3"),
        (("--weights", "1:0"), "weight 0 of node 1"),
        (("--map", "1"), "does not parse"),
        (("--interleave", "1,9"), "node 9 does not exist"),
        (("--to", "1", "--seed", "3"), "--seed is for --order random"),
        (("--to", "1", "--hot", "90%", "--cold", "10%"), "both --hot 90% and --cold 10%"),
        (("--to", "1", "--hot", "90"), "is not a share"),
        (("--to", "1", "--at-least", "big"), "is not a size"),
    ],
)
def test_what_does_not_say_where_or_what(numamig: Numamig, typed: tuple[str, ...], error: str) -> None:
    done = numamig.small("move", "10", *typed)
    assert done.returncode == 2 and done.stdout == ""
    assert error in done.stderr and "Traceback" not in done.stderr


def test_only_files_of_that_name(numamig: Numamig) -> None:
    none = numamig.json("move", "10", "--to", "1", "--path", "/no/such/*", "--dry-run")
    assert none["pages"] == 0
