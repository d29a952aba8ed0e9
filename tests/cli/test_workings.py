"""What simulated kernels count is told with the account of a job."""

from __future__ import annotations

import json

from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.machinefile import open_machine
from tests.cli.conftest import Numamig
from tests.cli.test_jobs import Kept

OF_2004 = ("--scenario", "ia64-2004-hold-lock", "move", "2004", "--from", "0", "--to", "1")


def test_the_kernel_of_2004_counts_ways_phases_and_its_lock(numamig: Numamig) -> None:
    first, again = (numamig(*OF_2004, "--json") for _ in range(2))
    assert first.stdout == again.stdout
    moved = json.loads(first.stdout)
    inside = moved["workings"]
    assert inside["calls"] == moved["steps"]
    assert inside["moved"] == [{"from": 0, "to": 1, "pages": moved["outcomes"]["moved"]}]
    assert inside["outcomes"]["moved"] == moved["outcomes"]["moved"]
    assert inside["phases_ns"]["copy"] > inside["phases_ns"]["scan"] > 0
    lock = inside["lock"]
    assert lock["holds"] >= inside["calls"]
    assert lock["held_ns"] >= lock["longest_hold_ns"] > 0


def test_phases_are_shown_with_the_largest_first(numamig: Numamig) -> None:
    lines = numamig(*OF_2004).stdout.splitlines()
    phases = lines[next(n for n, line in enumerate(lines) if line.startswith("  in the kernel")) :]
    assert phases[0].split()[3] == "copy"
    assert phases[0].endswith("%")
    assert {"scan", "flush"} <= {line.split()[0] for line in phases[1:]}


def test_what_others_had_done_before_is_not_counted(numamig: Numamig) -> None:
    kept = Kept(numamig)
    kept.move()
    with open_machine(kept.file) as machine:
        before = SimulatorBackend(machine).workings().moving
    undone = kept.json("undo")
    with open_machine(kept.file) as machine:
        after = SimulatorBackend(machine).workings().moving
    inside = undone["workings"]
    assert inside["moved"] == [{"from": 1, "to": 0, "pages": 3072}]
    assert inside["calls"] == undone["steps"] == after.calls - before.calls
