"""``numamig drain``: what is told before, where memory lies after, and why some remains; on a machine in a file."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from numamig.cli import main
from tests.cli.conftest import Numamig
from tests.forks import in_child, status

# Once, and not in every child.
for module in (
    "cli.drain",
    "cli.map",
    "cli.undo",
    "backends.simulator.machinefile",
    "backends.simulator.scenario.build",
):
    importlib.import_module(f"numamig.{module}")

MIB = 1 << 20
HEAD = """scenario: 1
title: to be emptied
nodes:
  - {id: 0, cpus: 0-1, memory: 64MiB}
  - {id: 1, cpus: 2-3, memory: 64MiB}
  - {id: 2, memory: 256MiB, used: 6MiB}
  - {id: 3, memory: 16MiB}
distances: [[10, 20, 30, 40], [20, 10, 25, 40], [30, 25, 10, 40], [40, 40, 40, 10]]
"""
THREE = """processes:
  - {name: kthreadd, pid: 2, kernel_thread: true}
  - {name: db, pid: 10, runs_on: [1], regions: [{kind: heap, size: 40MiB, nodes: {2: 1}}]}
  - {name: web, pid: 11, regions: [{kind: heap, size: 24MiB, nodes: {0: 1, 2: 2}, pattern: halves}]}
  - {name: idle, pid: 12, regions: [{kind: heap, size: 4MiB, nodes: {0: 1}}]}
"""
SHARERS = """processes:
  - name: one
    pid: 10
    regions:
      - {kind: heap, size: 8MiB, nodes: {2: 1}}
      - {kind: shmem, share: x, path: /dev/shm/x, permissions: rw-s, size: 4MiB, nodes: {2: 1}}
  - name: two
    pid: 11
    regions:
      - {kind: shmem, share: x, path: /dev/shm/x, permissions: rw-s, size: 4MiB}
"""
BIG = """processes:
  - {name: big, pid: 10, regions: [{kind: heap, size: 80MiB, nodes: {2: 1}}, {kind: anon, size: 16MiB, nodes: {2: 1}}]}
"""
MIXED = """caller: {user: ada, sys_nice: false, sys_ptrace: false, sys_admin: false}
processes:
  - {name: init, pid: 1, user: ada, regions: [{kind: heap, size: 4MiB, nodes: {2: 1}}]}
  - name: bound
    pid: 11
    user: ada
    regions:
      - {kind: heap, size: 2MiB, nodes: {2: 1}}
      - {kind: anon, size: 3MiB, nodes: {2: 1}, policy: "bind:2"}
  - {name: alone, pid: 12, user: ada, regions: [{kind: anon, size: 1MiB, nodes: {2: 1}, policy: "bind:2"}]}
  - {name: fenced, pid: 13, user: ada, mems: [1, 2], regions: [{kind: heap, size: 5MiB, nodes: {2: 1}}]}
  - {name: caged, pid: 14, user: ada, mems: [2], regions: [{kind: heap, size: 1MiB, nodes: {2: 1}}]}
  - {name: theirs, pid: 15, user: root, regions: [{kind: heap, size: 7MiB, nodes: {2: 1}}]}
"""


class Machine:
    """Each command is a process of its own, forked, and reads the machine from its file."""

    def __init__(self, numamig: Numamig, processes: str) -> None:
        self.folder = numamig.folder
        path = self.folder / "machine.yaml"
        path.write_text(HEAD + processes)
        self.options = ("--machine", str(self.folder / "m.numamig"), "--scenario", str(path))

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        out, err = self.folder / "out", self.folder / "err"

        def work() -> None:
            for number, path, mode in ((0, Path(os.devnull), "r"), (1, out, "w"), (2, err, "w")):
                with path.open(mode) as stream:
                    os.dup2(stream.fileno(), number)
            sys.stdin, sys.stdout, sys.stderr = (os.fdopen(n, "w" if n else "r") for n in range(3))
            try:
                main([*self.options, *arguments])
            except SystemExit as ended:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(int(ended.code or 0))

        code = status(in_child(work))
        return subprocess.CompletedProcess(arguments, code, out.read_text(), err.read_text())

    def json(self, *arguments: str, code: int = 0) -> Any:
        done = self(*arguments, "--json")
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    def placed(self, pid: int) -> dict[int, int]:
        """Pages of a process by node, as another command sees them."""
        regions = self.json("map", str(pid))["regions"]
        found: dict[int, int] = {}
        for region in regions:
            for node, count in region["bytes_by_node"].items():
                found[int(node)] = found.get(int(node), 0) + count // 4096
        return found


@pytest.fixture(autouse=True)
def own_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def three(numamig: Numamig) -> Machine:
    return Machine(numamig, THREE)


def test_an_emptied_node_holds_nothing_and_others_keep_what_they_had(three: Machine) -> None:
    assert three.placed(11) == {0: 2048, 2: 4096}
    drained = three.json("drain", "2", "--to", "0,1")
    assert [three.placed(pid) for pid in (10, 11, 12)] == [{1: 10240}, {0: 6144}, {0: 1024}]
    assert [(job["pid"], job["to"]["node"], job["outcomes"]["moved"]) for job in drained["jobs"]] == [
        (10, 1, 10240),
        (11, 0, 4096),
    ]
    assert all(job["verified"]["in_place_pages"] == job["outcomes"]["moved"] for job in drained["jobs"])
    assert (drained["moved_bytes"], drained["remains"], drained["interrupted"]) == (56 * MIB, [], False)
    again = three("drain", "2", "--to", "0,1")
    assert (again.returncode, again.stdout.splitlines()[0]) == (0, "node 2: no process has memory there any more")


def test_each_job_is_taken_back_by_its_number(three: Machine) -> None:
    before = [three.placed(pid) for pid in (10, 11)]
    drained = three("drain", "2", "--to", "0,1")
    assert "numamig undo JOB takes one back: 1-2" in drained.stderr
    for number in ("1", "2"):
        assert three("undo", number).returncode == 0
    assert [three.placed(pid) for pid in (10, 11)] == before


def test_a_dry_run_tells_who_is_there_and_moves_nothing(three: Machine) -> None:
    told = three("drain", "2", "--to", "0,1", "--dry-run")
    assert (told.returncode, told.stderr) == (0, "")
    first, head, *rest = told.stdout.splitlines()
    assert first == "node 2: 2 processes have 56.0M there; 2 jobs to nodes 0-1"
    assert head.split() == ["pid", "name", "user", "rss", "there", "shared", "goes", "to", "node"]
    assert rest[0].split() == ["10", "db", "root", "40.0M", "40.0M", "·", "1"]
    assert rest[1].split() == ["11", "web", "root", "24.0M", "16.0M", "·", "0"]
    assert any("6.0M  the kernel's own memory, and page cache" in line for line in rest)
    assert three.placed(10) == {2: 10240}
    planned = three.json("drain", "2", "--to", "0,1", "--dry-run")
    assert planned["fits"] is True
    assert [(each["pid"], each["bytes"], each["to"]) for each in planned["processes"]] == [
        (10, 40 * MIB, [{"node": 1, "bytes": 40 * MIB}]),
        (11, 16 * MIB, [{"node": 0, "bytes": 16 * MIB}]),
    ]


def test_without_to_the_nearest_nodes_with_room_are_filled(three: Machine) -> None:
    """Node 1 is nearer than node 0, and has no room for all; node 3 is farther than both."""
    assert three.json("drain", "2", "--dry-run", "--pid", "11")["to"] == [1]
    drained = three.json("drain", "2")
    assert drained["to"] == [1]
    assert Machine.placed(three, 10) == {1: 10240}
    assert three.json("drain", "1", "--to", "2")["remains"] == []
    assert three.json("drain", "0,2", "--dry-run")["to"] == [1, 3]


def test_a_process_that_fits_on_no_node_is_parted(numamig: Numamig) -> None:
    machine = Machine(numamig, BIG)
    drained = machine.json("drain", "2", "--to", "0-1")
    placed = machine.placed(10)
    assert set(placed) == {0, 1}
    assert sum(placed.values()) == 96 * MIB // 4096
    assert [job["pid"] for job in drained["jobs"]] == [10, 10]
    assert {job["to"]["node"]: job["outcomes"]["moved"] for job in drained["jobs"]} == placed


def test_what_has_no_room_remains_and_is_told(numamig: Numamig) -> None:
    machine = Machine(numamig, BIG)
    planned = machine.json("drain", "2", "--to", "3", "--dry-run")
    assert planned["fits"] is False
    assert [found["severity"] for found in planned["findings"] if found["check"] == "room"] == ["warning"]
    assert machine("drain", "2", "--to", "3", "--strict").returncode == 3
    assert machine.placed(10) == {2: 96 * 256}
    drained = machine.json("drain", "2", "--to", "3", code=1)
    placed = machine.placed(10)
    assert 0 < placed[3] < 16 * 256
    assert drained["moved_bytes"] == placed[3] * 4096
    (remains,) = drained["remains"]
    assert remains["bytes"] == placed[2] * 4096
    assert "no room: the target is full" in remains["why"]


def test_shared_pages_stay_unless_asked_for_and_are_moved_once(numamig: Numamig) -> None:
    machine = Machine(numamig, SHARERS)
    planned = machine.json("drain", "2", "--to", "1", "--dry-run")
    assert [(each["pid"], each["shared_bytes"]) for each in planned["processes"]] == [(10, 4 * MIB), (11, 4 * MIB)]
    assert planned["wanted_bytes"] == 8 * MIB
    assert machine.json("drain", "2", "--to", "1", "--pid", "11", code=1)["jobs"] == []
    first = machine.json("drain", "2", "--to", "1", code=1)
    assert (machine.placed(10), machine.placed(11)) == ({1: 2048, 2: 1024}, {2: 1024})
    assert ["--shared" in each["why"] for each in first["remains"]] == [True, True]
    assert [job["pid"] for job in first["jobs"]] == [10]
    second = machine.json("drain", "2", "--to", "1", "--shared")
    assert (machine.placed(10), machine.placed(11)) == ({1: 3072}, {1: 1024})
    assert [job["pid"] for job in second["jobs"]] == [10]
    assert second["moved_bytes"] == 4 * MIB


def test_where_most_is_shared_only_the_rest_is_tried(numamig: Numamig) -> None:
    machine = Machine(numamig, SHARERS.replace("size: 8MiB", "size: 1MiB"))
    assert "what is shared counted for each" in machine("drain", "2", "--to", "1", "--dry-run").stdout
    drained = machine.json("drain", "2", "--to", "1", code=1)
    (job,) = drained["jobs"]
    assert (job["chosen"], job["outcomes"]["moved"]) == (256, 256)
    assert machine.placed(10) == {1: 256, 2: 1024}
    why = {each["pid"]: each["why"] for each in drained["remains"]}
    assert why[10].startswith("4.0M shared: ") and "--shared" in why[10] and "meanwhile" not in why[10]


def test_who_cannot_be_moved_is_listed_with_the_reason_and_leaves_the_others(numamig: Numamig) -> None:
    machine = Machine(numamig, MIXED)
    drained = machine.json("drain", "2", "--to", "0,1", code=1)
    why = {each["pid"]: each["why"] for each in drained["remains"]}
    assert {pid: machine.placed(pid) for pid in (1, 11, 12, 13, 14)} == {
        1: {2: 1024},
        11: {0: 512, 2: 768},
        12: {2: 256},
        13: {1: 1280},
        14: {2: 256},
    }
    assert set(why) == {1, 11, 12, 14}
    assert "--critical moves it all the same" in why[1]
    assert "bound away from node 0 by their memory policy" in why[11]
    assert "came there meanwhile" not in why[11]
    assert "bound away" in why[12]
    assert "the cpuset of pid 14 allows nodes 2 only" in why[14]
    (locked,) = drained["locked"]
    assert locked["pid"] == 15 and "CAP_SYS_PTRACE" in locked["reason"]


def test_only_those_that_are_meant(numamig: Numamig) -> None:
    machine = Machine(numamig, MIXED)
    assert machine.json("drain", "2", "--to", "1", "--pid", "13", "--user", "ada")["moved_bytes"] == 5 * MIB
    refused = machine("drain", "2", "--to", "1", "--user", "root")
    assert refused.returncode == 3
    assert "locked: theirs (15) may have memory there too" in refused.stdout
    critical = machine.json("drain", "2", "--to", "1", "--name", "init", "--critical")
    assert critical["moved_bytes"] == 4 * MIB
    assert machine.placed(11) == {2: 1280}


def test_a_dry_run_of_what_nobody_may_move_is_refused(numamig: Numamig) -> None:
    machine = Machine(numamig, MIXED)
    assert machine("drain", "2", "--to", "0", "--pid", "14", "--dry-run").returncode == 3
    assert machine("drain", "2", "--to", "0", "--pid", "14").returncode == 3


def test_pacing_is_that_of_move(three: Machine) -> None:
    drained = three.json("drain", "2", "--to", "0,1", "--pages", "64", "--reserve", "20MiB", "--calls", "none")
    assert [job["steps"] for job in drained["jobs"]] == [160, 64]
    assert drained["remains"] == []
    assert three("drain", "2", "--pages", "0").returncode == 2


def test_ctrl_c_ends_between_two_steps_and_begins_no_further_job(three: Machine) -> None:
    command = [sys.executable, "-m", "numamig", *three.options, "drain", "2", "--to", "0,1", "--json"]
    command += ["--rate", "10MiB/s", "--speed", "1x"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        command, cwd=three.folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stderr is not None
        while not (line := child.stderr.readline()).startswith("job 1: db (10)"):
            assert line, "it ended before its first job"
        child.send_signal(signal.SIGINT)
        printed, said = child.communicate()
    drained = json.loads(printed)
    assert (child.returncode, drained["interrupted"]) == (130, True)
    (job,) = drained["jobs"]
    assert (job["pid"], job["state"]) == (10, "cancelled")
    assert three.placed(10) == {2: 10240 - job["outcomes"]["moved"]} | (
        {1: job["outcomes"]["moved"]} if job["outcomes"]["moved"] else {}
    )
    assert {each["pid"]: each["why"] for each in drained["remains"]}[11] == "not come to"
    assert "stopping when the kernel returns" in said


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["9"], 2, "node 9 does not exist"),
        (["zero"], 2, "does not parse"),
        (["all"], 2, "no node is left for what is there"),
        (["2", "--to", "1-2"], 2, "node 2 is to be emptied and filled"),
        (["2", "--to", "7"], 2, "node 7 does not exist"),
        (["2", "--name", "nobody"], 4, "no process has name nobody"),
        (["2", "--pid", "10", "--pid", "99"], 4, "process 99"),
        (["2", "--yes", "--strict"], 2, "leave one of the two out"),
        (["2", "--rate", "fast"], 2, "'fast' is not a rate"),
    ],
)
def test_bad_input_is_one_clear_line(three: Machine, arguments: list[str], code: int, words: str) -> None:
    done = three("drain", *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert three.placed(10) == {2: 10240}


def test_shared_without_the_right_is_refused(numamig: Numamig) -> None:
    machine = Machine(numamig, MIXED)
    done = machine("drain", "2", "--shared")
    assert done.returncode == 3
    assert "CAP_SYS_NICE" in done.stderr
    assert machine.placed(13) == {2: 1280}


def test_the_question_can_be_answered_with_no(numamig: Numamig) -> None:
    machine = Machine(numamig, SHARERS)
    answer = numamig.answered("n", *machine.options, "drain", "2", "--to", "1")
    assert (answer.returncode, answer.stdout) == (130, "")
    assert "Go on?" in answer.stderr
    assert machine.placed(10) == {2: 3072}


def test_the_same_drain_prints_the_same_bytes(numamig: Numamig) -> None:
    path = Path(numamig.folder) / "machine.yaml"
    path.write_text(HEAD + THREE)
    first, second = (numamig("--scenario", str(path), "drain", "2", "--json").stdout for _ in range(2))
    assert first == second
