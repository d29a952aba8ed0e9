"""``--machine FILE``: one command after another acts on the same simulated machine."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Numamig
from tests.cli.test_replay import GOOD

SCENARIO = """scenario: 1
title: two
nodes:
  - {id: 0, cpus: 0-1, memory: 256MiB}
  - {id: 1, cpus: 2-3, memory: 256MiB}
processes:
  - name: db
    pid: 10
    runs_on: [1]
    workload: {compute: 50ns}
    regions:
      - {kind: heap, size: 64MiB, nodes: {0: 1}}
      - {kind: anon, size: 32MiB, nodes: {0: 1}}
"""
MIB = 1 << 20


@pytest.fixture
def two(numamig: Numamig) -> Path:
    path = numamig.folder / "two.yaml"
    path.write_text(SCENARIO)
    return path


def printed(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)


def held(numamig: Numamig) -> dict[str, int]:
    """MiB of the database by node, as the next command sees them."""
    found = printed(numamig("--machine", "m.numamig", "map", "10", "--json"))
    regions = [region["bytes_by_node"] for region in found["regions"]]
    nodes = sorted({node for region in regions for node in region})
    return {node: sum(region.get(node, 0) for region in regions) // MIB for node in nodes}


def test_a_second_command_finds_what_the_first_one_left(numamig: Numamig, two: Path) -> None:
    assert numamig("--machine", "m.numamig", "--scenario", str(two), "ps").returncode == 0
    assert held(numamig) == {"0": 96}
    nodes = printed(numamig("--machine", "m.numamig", "nodes", "--json"))
    done = numamig("move", "10", "--from", "0", "--to", "1", "--kind", "heap", "--machine", "m.numamig")
    assert done.returncode == 0, done.stderr
    assert held(numamig) == {"0": 32, "1": 64}
    later = printed(numamig("--machine", "m.numamig", "nodes", "--json"))
    free = [[node["free_bytes"] // MIB for node in each["nodes"]] for each in (nodes, later)]
    assert free == [[160, 256], [224, 192]]
    assert later["vmstat"]["pgmigrate_success"] == 64 * MIB // 4096
    assert numamig("--scenario", str(two), "map", "10").returncode == 0  # without it, the machine is as it was made
    assert held(numamig) == {"0": 32, "1": 64}


def test_without_a_scenario_it_is_the_default_one(numamig: Numamig) -> None:
    first = numamig("--machine", "m.numamig", "ps", "--json")
    assert printed(first) == printed(numamig("--backend", "simulator", "ps", "--json"))
    assert first.stdout == numamig("ps", "--json", "--machine", "m.numamig").stdout


def test_another_scenario_is_refused(numamig: Numamig, two: Path) -> None:
    assert numamig("--machine", "m.numamig", "--scenario", str(two), "ps").returncode == 0
    done = numamig.small("--machine", "m.numamig", "ps")
    assert (done.returncode, done.stdout) == (2, "")
    assert "m.numamig was made from another scenario" in done.stderr
    assert "needs a file of its own" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert held(numamig) == {"0": 96}


def test_a_machine_in_a_file_is_the_simulators(numamig: Numamig) -> None:
    done = numamig("--backend", "linux", "--machine", "m.numamig", "ps")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--machine is for the simulator" in done.stderr
    assert not (numamig.folder / "m.numamig").exists()


def test_a_file_that_is_none_is_refused(numamig: Numamig, two: Path) -> None:
    done = numamig("--machine", str(two), "ps")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"numamig: {two}: is no machine file of numamig\n"
    assert two.read_text() == SCENARIO


def test_while_another_process_has_it_its_pid_is_told(numamig: Numamig, two: Path) -> None:
    holds = (
        "import signal, sys; from numamig.backends.simulator.machinefile import open_machine;"
        "machine = open_machine(*sys.argv[1:]); print('open', flush=True); signal.pause()"
    )
    command = [sys.executable, "-c", holds, str(numamig.folder / "m.numamig"), str(two)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        done = numamig("--machine", "m.numamig", "ps")
        holder.send_signal(signal.SIGKILL)
    assert (done.returncode, done.stdout) == (3, "")
    assert f"m.numamig is in use by process {holder.pid}" in done.stderr
    assert held(numamig) == {"0": 96}


def test_a_profile_runs_on_the_machine_of_its_scenario(numamig: Numamig) -> None:
    (numamig.folder / "profile.yaml").write_text(GOOD)
    first = printed(numamig("replay", "profile.yaml", "--machine", "m.numamig", "--json"))
    assert first["outcomes"]["moved"] == 3072
    assert numamig.small("--machine", "m.numamig", "ps").returncode == 0  # it is of the scenario that the profile names
    expected = "".join(line + "\n" for line in GOOD.splitlines() if "expect" not in line)
    (numamig.folder / "again.yaml").write_text(expected)
    again = printed(numamig("replay", "again.yaml", "--machine", "m.numamig", "--json"))
    assert again["chosen"] == 0


def test_a_profile_of_another_scenario_is_refused(numamig: Numamig, two: Path) -> None:
    assert numamig("--machine", "m.numamig", "--scenario", str(two), "ps").returncode == 0
    (numamig.folder / "profile.yaml").write_text(GOOD)
    done = numamig("replay", "profile.yaml", "--machine", "m.numamig")
    assert (done.returncode, done.stdout) == (2, "")
    assert "m.numamig was made from another scenario" in done.stderr
    assert held(numamig) == {"0": 96}


def test_a_profile_for_linux_runs_on_the_machine_that_is_given(numamig: Numamig, two: Path) -> None:
    assert numamig("--machine", "m.numamig", "--scenario", str(two), "ps").returncode == 0
    profile = GOOD.replace("backend: simulator\nscenario: small.yaml", "backend: linux")
    (numamig.folder / "profile.yaml").write_text(profile.replace("kind: heap", "at_least: 32MiB"))
    done = numamig("replay", "profile.yaml", "--machine", "m.numamig")
    assert done.returncode == 0, done.stderr
    assert held(numamig) == {"1": 96}
