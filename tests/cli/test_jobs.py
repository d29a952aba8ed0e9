"""``jobs``, ``undo`` and ``resume``: what one command moved, the next one finds in the journal."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.machinefile import open_machine
from numamig.migrate.destination import Node
from numamig.migrate.job import Job
from numamig.migrate.journal.record import Recorder
from numamig.migrate.plan import plan_request
from numamig.migrate.request import Request
from numamig.migrate.snapshot import JobState
from numamig.model.process import RegionKind
from tests.cli.conftest import SCENARIO, Numamig

HEAP = frozenset({RegionKind.HEAP})
PAGES = 4096  # of the heap: 3,072 on node 0 and 1,024 on node 1


class Kept:
    """A machine in a file, and a directory of state; where pages are is read from the file."""

    def __init__(self, numamig: Numamig, scenario: str = SCENARIO) -> None:
        self.numamig = numamig
        self.file = numamig.folder / "m.numamig"
        self.state = {"XDG_STATE_HOME": str(numamig.folder / "state")}
        numamig.scenario.write_text(scenario.replace("sys_ptrace: false", "sys_ptrace: true"))
        open_machine(self.file, numamig.scenario).close()

    def __call__(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = self.numamig("--machine", str(self.file), *arguments, **self.state)
        assert done.returncode == code, done.stderr
        return done

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self(*arguments, "--json", code=code).stdout)

    def move(self, *more: str) -> Any:
        arguments = ("move", "10", "--from", "0", "--to", "1", "--kind", "heap", "--pages", "512", *more)
        return self.json(*arguments)

    def heap(self) -> dict[int, int]:
        with open_machine(self.file) as machine:
            node = machine.process(10).regions[0].backing.node.tolist()
        return {n: node.count(n) for n in sorted(set(node))}

    def stopped_after(self, steps: int, pages: int = 512) -> int:
        """A job of so many pages a step that nobody lived to end."""
        with open_machine(self.file) as machine:
            backend = SimulatorBackend(machine)
            recorder = Recorder.open(backend, self.state)
            plan = plan_request(backend, Request(10, Node(1), sources=(0,), kinds=HEAP, batch_pages=pages))
            record = recorder.begin(plan)
            job = Job(record.number, backend, plan, record)
            job.run()
            while job.snapshot().steps < steps:
                job.step()
            assert job.state is JobState.RUNNING
            recorder.locks.give_back(record.image)
            recorder.close()
        return record.number


@pytest.fixture
def kept(numamig: Numamig) -> Kept:
    return Kept(numamig)


def outcomes(document: dict[str, Any]) -> dict[str, int]:
    return {name: pages for name, pages in document["outcomes"].items() if pages}


def test_a_job_is_listed_and_taken_back(kept: Kept) -> None:
    assert kept("jobs").stderr == "nothing was moved here since it was started\n"
    assert outcomes(kept.move()) == {"moved": 3072}
    assert kept.heap() == {1: PAGES}
    (job,) = kept.json("jobs")["jobs"]
    expected = {
        "job": 1,
        "kind": "move",
        "state": "done",
        "pid": 10,
        "name": "db",
        "to": {"node": 1},
        "moved_pages": 3072,
    }
    assert {key: job[key] for key in expected} == expected
    assert (outcomes(job), job["uid"], job["host"]) == ({"moved": 3072}, os.getuid(), os.uname().nodename)
    lines = kept("jobs").stdout.splitlines()
    assert len(lines) == 2
    assert lines[0].split() == ["job", "when", "who", "process", "pid", "what", "moved", "state"]
    assert lines[1].split()[4:] == ["db", "10", "to", "node", "1", "12.0M", "done"]
    assert outcomes(kept.json("undo")) == {"moved": 3072}
    assert kept.heap() == {0: 3072, 1: 1024}
    assert [job["kind"] for job in kept.json("jobs")["jobs"]] == ["move", "undo"]
    assert "undo of 1" in kept("jobs").stdout
    again = kept("undo", code=2)
    assert again.stderr.startswith("numamig: there is no job to take back")
    assert "job 1 was taken back by job 2" in kept("undo", "1", code=2).stderr


def test_everything_about_one_job(kept: Kept) -> None:
    kept.move()
    said = kept.json("jobs", "1")
    assert said["request"]["to"] == {"node": 1}
    assert said["journal_bytes"] < 1024
    assert "moved" in kept("jobs", "1").stdout
    missing = kept("jobs", "7", code=2)
    assert missing.stderr == "numamig: there is no job 7 in the journal (numamig jobs lists them)\n"


def test_the_account_of_a_job_outlives_its_command(kept: Kept) -> None:
    moved = kept.json("move", "10", "--from", "0", "--to", "1", "--pages", "512", code=1)
    told = kept.json("jobs", "1")
    for key in ("outcomes", "moved"):
        assert told[key] == moved[key]
    assert sum(row["pages"] for row in told["ledger"]) == sum(told["outcomes"].values()) == moved["chosen"]
    assert {row["outcome"] for row in told["ledger"]} == {"moved", "shared"}
    (shared,) = (row for row in told["ledger"] if row["outcome"] == "shared")
    (before,) = (row for row in moved["ledger"] if row["outcome"] == "shared")
    assert shared == before
    assert (shared["why"], shared["help"]) == ("other processes map them", "--shared moves them too")
    said = kept("jobs", "1").stdout
    assert "other processes map them: --shared moves them too" in said
    assert "node 0 → 1" in said
    assert f"in {shared['start']:x} /dev/shm/x" in said.split("what stayed, by region:")[1]


def test_the_steps_of_a_job_are_those_that_undo_takes(kept: Kept) -> None:
    kept.move()
    told = kept.json("jobs", "1", "--steps")["steps"]
    assert [(step["step"], step["pages"], step["moved"], step["stayed"]) for step in told] == [
        (number, 512, 512, {}) for number in range(1, 7)
    ]
    assert all(step["end"] - step["start"] == 512 * 4096 for step in told)
    assert [step["start"] for step in told] == sorted(step["start"] for step in told)
    lines = kept("jobs", "1", "--steps").stdout.splitlines()
    assert lines[0].split() == ["step", "address", "pages", "moved", "stayed"]
    assert lines[2].split() == ["2", f"{told[1]['start']:x}-{told[1]['end']:x}", "512", "512"]
    assert "--steps is of one job" in kept("jobs", "--steps", code=2).stderr


def test_undo_says_what_it_would_do(kept: Kept) -> None:
    kept.move()
    said = kept("undo", "--dry-run").stdout
    assert "3,072" in said or "12 MiB" in said
    plan = kept.json("undo", "1", "--dry-run")
    assert plan["pages"] == 3072
    assert kept.heap() == {1: PAGES}
    assert len(kept.json("jobs")["jobs"]) == 1


def test_where_there_was_no_room_to_spare_only_a_flag_puts_pages_back(numamig: Numamig) -> None:
    tight = SCENARIO.replace("id: 0, cpus: 0-1, memory: 64MiB", "id: 0, cpus: 0-1, memory: 18MiB")
    kept = Kept(numamig, tight)
    assert outcomes(kept.move()) == {"moved": 3072}
    stopped = json.loads(kept("undo", "--json", code=1).stdout)
    assert stopped["reason"] == "node 0 is down to its reserve"
    assert stopped["outcomes"]["no_room"] > 0
    assert kept.heap()[0] < 3072
    kept("undo", "--reserve", "0")
    assert kept.heap() == {0: 3072, 1: 1024}


def test_some_steps_of_a_job(kept: Kept) -> None:
    kept.move()
    assert outcomes(kept.json("undo", "1", "--steps", "5-6")) == {"moved": 1024}
    assert kept.heap() == {0: 1024, 1: 3072}
    assert outcomes(kept.json("undo", "1", "--steps", "2")) == {"moved": 512}
    assert kept.heap() == {0: 1536, 1: 2560}
    with open_machine(kept.file) as machine:
        node = machine.process(10).regions[0].backing.node.tolist()
    assert {index for index in range(PAGES) if node[index] == 0} == {*range(512, 1024), *range(2048, 3072)}
    assert outcomes(kept.json("undo")) == {"moved": 1536, "already_there": 1536}
    assert kept.heap() == {0: 3072, 1: 1024}
    assert "there is no job to take back" in kept("undo", code=2).stderr
    for wrong in ("0-1", "3-2", "a", "-"):
        assert "names no steps" in kept("undo", "1", f"--steps={wrong}", code=2).stderr
    assert "moved no page" in kept("undo", "1", "--steps", "100-", code=2).stderr


def test_a_job_that_was_interrupted_goes_on(kept: Kept) -> None:
    number = str(kept.stopped_after(2))
    assert kept.heap() == {0: 2048, 1: 2048}
    (job,) = kept.json("jobs")["jobs"]
    assert job["state"] == "interrupted"
    done = kept.json("resume", number)
    assert outcomes(done) == {"moved": 2048}
    assert kept.heap() == {1: PAGES}
    (job,) = kept.json("jobs")["jobs"]
    assert job["state"] == "done"
    assert f"job {number} is done" in kept("resume", number, code=2).stderr
    kept("undo", number)
    assert kept.heap() == {0: 3072, 1: 1024}
    assert "took back job 1" in kept("resume", "2", code=2).stderr


def test_a_job_that_was_interrupted_is_taken_back(kept: Kept) -> None:
    kept.stopped_after(3)
    assert outcomes(kept.json("undo")) == {"moved": 1536}
    assert kept.heap() == {0: 3072, 1: 1024}


@pytest.fixture
def holder(kept: Kept) -> Iterator[int]:
    """The pid of a program that moves pages of the database, as far as anybody can tell."""
    code = (
        "import os, signal, sys\n"
        "from numamig.backends.simulator.backend import SimulatorBackend\n"
        "from numamig.backends.simulator.machinefile import open_machine\n"
        "from numamig.migrate.journal.record import Recorder\n"
        "with open_machine(sys.argv[1]) as machine:\n"
        "    backend = SimulatorBackend(machine)\n"
        "    recorder = Recorder.open(backend)\n"
        "    recorder.locks.take(backend.memory_image(10))\n"
        "print('held', flush=True)\n"
        "signal.pause()\n"
    )
    environment = {**os.environ, **kept.state}
    command = [sys.executable, "-c", code, str(kept.file)]
    folder = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder, env=environment) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        yield child.pid
        child.send_signal(signal.SIGKILL)


def test_two_at_once_are_refused(kept: Kept, holder: int) -> None:
    done = kept("move", "10", "--from", "0", "--to", "1", "--json", code=3)
    assert f"another numamig (pid {holder}) is moving pages of pid 10" in done.stderr + done.stdout
    assert kept.heap() == {0: 3072, 1: 1024}
    other = kept("move", "12", "--to", "1")
    assert other.returncode == 0
    os.kill(holder, signal.SIGKILL)
    while Path(f"/proc/{holder}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z":
        os.sched_yield()
    assert outcomes(kept.move()) == {"moved": 3072}


def test_resume_is_refused_while_somebody_is_at_it(kept: Kept, holder: int) -> None:
    number = str(kept_by_another(kept))
    done = kept("resume", number, code=3)
    assert done.stderr.startswith(f"numamig: another numamig (pid {holder}) is moving pages of pid 10")
    (job,) = kept.json("jobs")["jobs"]
    assert job["state"] == f"running (numamig {holder})"


def kept_by_another(kept: Kept) -> int:
    """A job that says that it runs, of a process that somebody has the lock of."""
    with open_machine(kept.file) as machine:
        backend = SimulatorBackend(machine)
        recorder = Recorder.open(backend, kept.state)
        plan = plan_request(backend, Request(10, Node(1), sources=(0,)))
        record = recorder.begin(plan)
        record.flush("running", "", Job(1, backend, plan).snapshot().outcomes)
        recorder.close()
    return record.number


def test_a_process_that_ended_is_told(kept: Kept) -> None:
    kept.move()
    with open_machine(kept.file) as machine:
        machine.end(10)
    for arguments in (("undo",), ("undo", "1", "--dry-run")):
        done = kept(*arguments, code=4)
        assert "there is nothing to take back" in done.stderr
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("column", "message"),
    [("start_time", "pid 10 is another process now"), ("inode", "pid 10 runs another program now")],
    ids=["another process", "another program"],
)
def test_another_memory_is_left_alone(kept: Kept, column: str, message: str) -> None:
    kept.move()
    journal = sqlite3.connect(Path(kept.state["XDG_STATE_HOME"]) / "numamig" / "journal.sqlite")
    with journal:
        journal.execute(f"UPDATE job SET {column} = {column} - 1")
    journal.close()
    for arguments in (("undo",), ("undo", "1")):
        done = kept(*arguments, code=3)
        assert message in done.stderr
    assert kept.heap() == {1: PAGES}


def test_a_job_of_another_machine_is_not_listed_and_not_taken_back(kept: Kept) -> None:
    kept.move()
    kept.file.unlink()
    open_machine(kept.file, kept.numamig.scenario).close()
    assert kept.json("jobs")["jobs"] == []
    assert [job["job"] for job in kept.json("jobs", "--all")["jobs"]] == [1]
    assert "in another boot than this" in kept("undo", "1", code=3).stderr
    assert kept.heap() == {0: 3072, 1: 1024}


def test_old_jobs_are_forgotten_when_it_is_asked_for(kept: Kept) -> None:
    for _ in range(2):
        kept.move()
    db = sqlite3.connect(Path(kept.state["XDG_STATE_HOME"]) / "numamig" / "journal.sqlite")
    with db:
        db.execute("UPDATE job SET changed = changed - 10 * 86400 WHERE id = 1")
    db.close()
    assert len(kept.json("jobs", "--forget", "11")["jobs"]) == 2
    done = kept("jobs", "--forget", "9", "--json")
    assert done.stderr == "1 job forgotten\n"
    assert [job["job"] for job in json.loads(done.stdout)["jobs"]] == [2]
    kept.state["NUMAMIG_KEEP_DAYS"] = "soon"
    assert "NUMAMIG_KEEP_DAYS is 'soon'" in kept("jobs", code=2).stderr


def test_jobs_are_listed_where_nothing_can_be_written(kept: Kept) -> None:
    kept.move()
    place = Path(kept.state["XDG_STATE_HOME"]) / "numamig"
    db = sqlite3.connect(place / "journal.sqlite")
    with db:
        db.execute("UPDATE job SET changed = 1")  # long ago: to be forgotten
    db.close()
    full = 'ulimit -f 0; exec "$0" -m numamig "$@"'
    environment = {**os.environ, **kept.state, "PYTHONPATH": str(Path(__file__).parents[2])}
    backend = ("--scenario", str(kept.numamig.scenario), "--machine", str(kept.file))
    command = ["sh", "-c", full, sys.executable, *backend, "jobs", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert [(job["job"], job["moved_pages"]) for job in json.loads(done.stdout)["jobs"]] == [(1, 3072)]
    assert len(done.stderr.splitlines()) == 1
    assert "old jobs are not forgotten, and nothing can be moved" in done.stderr
    (place / "journal.sqlite").rename(place / "elsewhere")
    (place / "journal.sqlite").symlink_to("elsewhere")
    assert "is a symbolic link" in kept("jobs", code=3).stderr


def test_without_a_journal_nothing_moves(kept: Kept) -> None:
    kept.state["XDG_STATE_HOME"] = "/proc"
    done = kept("move", "10", "--to", "1", code=3)
    assert "no journal can be kept in /proc/numamig" in done.stderr
    assert "set XDG_STATE_HOME" in done.stderr
    assert kept.heap() == {0: 3072, 1: 1024}
