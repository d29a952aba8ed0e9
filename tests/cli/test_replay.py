"""``numamig replay``: the shipped profile, bad profiles, and reports that are the same to the byte."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from numamig.resources import profiles_folder
from tests.cli.conftest import Numamig
from tests.cli.test_hanging import read_until
from tests.cli.test_jobs import Kept

GOOD = """numamig: 1
title: Bring db home
backend: simulator
scenario: small.yaml
steps:
  - migrate:
      process: {name: db}
      pages: {from: 0, kind: heap}
      to: 1
      batch: {pages: 256}
      retry: {mode: never}
  - wait: 2s
  - expect: {moved: ">= 95%", busy: "== 0", remote: "<= 10%"}
"""


def write(numamig: Numamig, text: str) -> str:
    path = numamig.folder / "profile.yaml"
    path.write_text(text)
    return str(path)


def test_a_profile_moves_what_it_says_and_judges_it(numamig: Numamig) -> None:
    done = numamig("replay", write(numamig, GOOD), "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["passed"], report["chosen"], report["outcomes"]["moved"]) == (True, 3072, 3072)
    assert report["placement"] == {"10": {"0": 1 << 20, "1": 16 << 20}}
    migrated, waited, expected = report["steps"]
    assert migrated["migrate"][0]["steps"] == 12
    assert waited == {"wait": 2.0}
    assert [(v["what"], v["holds"]) for v in expected["expect"]] == [("moved", True), ("busy", True), ("remote", True)]


def test_an_expectation_that_fails_ends_with_1(numamig: Numamig) -> None:
    done = numamig("replay", write(numamig, GOOD.replace('remote: "<= 10%"', 'remote: "<= 1%"')))
    assert done.returncode == 1
    assert "FAILED remote <= 1%: 5.88%" in done.stdout


def test_without_expectations_pages_that_remain_end_with_1(numamig: Numamig) -> None:
    lines = [line for line in GOOD.splitlines() if "expect" not in line]
    assert numamig("replay", write(numamig, "\n".join(lines))).returncode == 0
    both = "\n".join(lines).replace(", kind: heap", "")
    assert numamig("replay", write(numamig, both)).returncode == 1


MUCH = """numamig: 1
title: A bit of everything
backend: simulator
scenario: small.yaml
variables: {target: 1}
steps:
  - migrate: {process: {name: db}, pages: {kind: heap}, to: "${target}", order: {mode: random, seed: 7}}
  - undo: {step: 1}
  - for_each:
      process: {user: ada, name: db}
      steps:
        - migrate: {pages: {kind: heap}, weights: {0: 1, 1: 2}, batch: {pages: 100}}
        - expect: {moved: ">= 90%", remote: "<= 90%"}
  - repeat: {times: 2, steps: [{wait: 3s}, {undo: last}, {migrate: {process: {name: db}, pages: {kind: heap}, to: 0}}]}
"""


def test_the_same_run_prints_the_same_bytes_whatever_was_done_before(numamig: Numamig) -> None:
    path = write(numamig, MUCH)
    states = [{"XDG_STATE_HOME": str(numamig.folder / name), "PYTHONHASHSEED": seed} for name, seed in ("a1", "b2")]
    numamig("replay", path, **states[1])
    reports = [numamig("replay", path, "--json", **state) for state in states]
    assert reports[0].returncode == 0, reports[0].stderr
    assert reports[0].stdout == reports[1].stdout
    assert [job["job"] for job in json.loads(reports[0].stdout)["steps"][1]["undo"]] == [2]


def test_nor_does_the_journal_of_a_kept_machine_show_in_a_report(numamig: Numamig) -> None:
    path = write(numamig, MUCH)
    reports = []
    for seed in ("1", "2"):
        kept = Kept(numamig)  # with a file of its own each time, and one journal for both
        reports.append(
            numamig("--machine", str(kept.file), "replay", path, "--json", PYTHONHASHSEED=seed, **kept.state)
        )
        assert reports[-1].returncode == 0, reports[-1].stderr
        kept.file.unlink()
    (journal,) = (numamig.folder / "state").rglob("journal.sqlite")
    with closing(sqlite3.connect(journal)) as db:
        ((last,),) = db.execute("SELECT max(id) FROM job")
    assert last == 2 * len(re.findall('"job":', reports[0].stdout))
    assert reports[0].stdout == reports[1].stdout


def test_variables_are_set_on_the_command_line(numamig: Numamig) -> None:
    path = write(numamig, MUCH)
    done = numamig("plan", path, "--set", "target=3", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["plans"][0]["to"] == {"node": 3}
    done = numamig("replay", path, "--set", "targe=3")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no variable of that name (did you mean 'target'?)" in done.stderr
    done = numamig("replay", path, "--set", "target=2")
    assert (done.returncode, done.stdout) == (2, "")
    assert "profile.yaml:7:61: node 2 does not exist" in done.stderr


def test_in_a_pipe_there_are_lines_and_on_a_terminal_a_bar(numamig: Numamig) -> None:
    path = write(numamig, GOOD)
    said = numamig("replay", path).stderr
    lines = said.splitlines()
    assert "job 1: db (10), 3,072 pages to node 1" in lines
    assert "job 1: done, 3,072 of 3,072 pages moved" in lines
    assert "job 1: 3,072 pages are where they were moved to" in lines
    assert "wait 2.0 s" in lines
    assert "\r" not in said and "[###" not in said
    shown = numamig.answered("", "replay", path).stderr
    assert "to node 1  [####" in shown and "100%" in shown


def test_what_was_seen_after_each_job_is_in_the_report(numamig: Numamig) -> None:
    path = write(numamig, GOOD)
    (job,) = json.loads(numamig("replay", path, "--json").stdout)["steps"][0]["migrate"]
    assert job["verified"] == {"in_place_pages": 3072, "elsewhere": {}, "absent_pages": 0}
    assert "verified       3,072 pages are where they were moved to" in numamig("replay", path).stdout


def test_a_fault_of_an_included_file_has_its_name(numamig: Numamig) -> None:
    (numamig.folder / "inner.yaml").write_text("numamig: 1\nsteps:\n  - migrate: {process: {name: dbx}, to: 9}\n")
    done = numamig("replay", write(numamig, GOOD + "  - include: inner.yaml\n"))
    assert (done.returncode, done.stdout) == (2, "")
    first, second = done.stderr.splitlines()
    assert "inner.yaml:3:15: no process has name dbx" in first + second
    assert "inner.yaml:3:41: node 9 does not exist" in first + second


def test_the_shipped_profile_keeps_its_promises_from_anywhere(numamig: Numamig) -> None:
    done = numamig("replay", "pull-database-to-its-cpus", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["passed"] is True
    assert report["outcomes"]["moved"] > 700_000


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("to: 1", "too: 1", ":9:7: unknown key 'too': did you mean 'to'?"),
        ("to: 1", "to: 2", ":9:11: node 2 does not exist or has no memory"),
        ("to: 1", "to: true", ":9:11: steps.0.migrate.to"),
        ("from: 0", "from: 0-", ":8:21: node list '0-' does not parse"),
        ("from: 0", "from: 7", ":8:21: node 7 does not exist"),
        ("from: 0", "from: 1", ":8:21: from and to are the same node"),
        ("kind: heap", "kind: heep", ":8:30: steps.0.migrate.pages.kind: input should be"),
        ("name: db", "name: mysql", ":7:7: no process has name mysql"),
        ("name: db", "user: ada", ":7:7: 3 processes have user ada (10, 11, 13)"),
        ("{name: db}", "{}", ":7:7: steps.0.migrate.process: say which process"),
        ("pages: 256", "pages: 0", ":10:22: steps.0.migrate.batch.pages"),
        ("mode: never", "mode: forever", ":11:21: steps.0.migrate.retry.mode"),
        ("mode: never", "deadline: 3s", ":11:25: steps.0.migrate.retry.deadline: is for mode: until, not for bounded"),
        ("wait: 2s", "wait: 2 fortnights", ":12:11: steps.1.wait: '2 fortnights' is not a duration"),
        ('">= 95%"', '"a lot"', ":13:21: steps.2.expect.moved: write a comparison"),
        ("busy:", "bussy:", ":13:31: unknown key 'bussy': did you mean 'busy'?"),
        ("numamig: 1", "numamig: 2", ":1:10: numamig"),
        ("kind: heap", "kind: special", ":8:30: steps.0.migrate.pages.kind: special regions"),
        ('moved: ">= 95%", busy: "== 0", remote: "<= 10%"', "", ":13:5: steps.2.expect: say what is expected"),
        ("small.yaml", "large.yaml", "there is no such file"),
        ("steps:", "steps: [", "profile.yaml:"),
    ],
)
def test_a_wrong_profile_is_refused_with_its_line(numamig: Numamig, old: str, new: str, fault: str) -> None:
    assert old in GOOD
    done = numamig("replay", write(numamig, GOOD.replace(old, new, 1)))
    assert (done.returncode, done.stdout) == (2, "")
    assert fault in done.stderr
    assert "Traceback" not in done.stderr


def test_a_profile_that_is_not_there(numamig: Numamig) -> None:
    done = numamig("replay", "no-such-thing")
    assert done.returncode == 2
    assert "(shipped: " in done.stderr and "pull-database-to-its-cpus" in done.stderr
    assert Path(numamig.folder).exists()


@pytest.mark.parametrize(
    ("second", "code", "words"),
    [
        ("{pid: 2}", 3, "kernel thread"),
        ("{pid: 12}", 3, "CAP_SYS_PTRACE"),
        ("{pid: 99}", 2, "no process with pid 99"),
    ],
)
def test_nothing_moves_when_a_later_step_cannot(numamig: Numamig, second: str, code: int, words: str) -> None:
    more = f"  - migrate: {{process: {second}, to: 1}}\n"
    done = numamig("replay", write(numamig, GOOD + more))
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
    assert "job 1" not in done.stderr


@pytest.mark.parametrize(
    ("who", "code", "moved"),
    [
        ("{cmdline: '^(db|other)$', which: all}", 1, [True, False]),  # other is root's
        ("{user: root, which: all}", 3, []),
    ],
)
def test_of_several_processes_one_that_is_refused_leaves_the_others(
    numamig: Numamig, who: str, code: int, moved: list[bool]
) -> None:
    text = GOOD.replace("{name: db}", who)
    done = numamig("replay", write(numamig, text), "--json")
    assert done.returncode == code, done.stderr
    assert "CAP_SYS_PTRACE" in done.stderr
    jobs = json.loads(done.stdout)["steps"][0]["migrate"] if done.stdout else []
    assert ["error" not in job for job in jobs] == moved
    assert all("CAP_SYS_PTRACE" in job["error"] for job in jobs if "error" in job)


NARROW = """numamig: 1
backend: simulator
scenario: small.yaml
steps:
  - migrate: {process: {name: db}, pages: {kind: heap}, to: 1}
  - migrate: {process: {name: db}, pages: {kind: heap}, to: 3}
"""


def placed(done: subprocess.CompletedProcess[str]) -> list[int]:
    """Nodes of db's memory when all is done."""
    return sorted(map(int, json.loads(done.stdout)["placement"]["10"]))


def test_warnings_are_refused_where_that_is_asked_for_and_what_was_done_before_is_told(numamig: Numamig) -> None:
    path = write(numamig, NARROW)  # node 3 has 8 MiB, and 16 are to go there
    done = numamig("replay", path, "--strict", "--json")
    assert (done.returncode, placed(done)) == (1, [0, 1])
    assert "--strict: room: " in done.stderr
    done = numamig("replay", path, "--json")  # nobody is there to be asked
    assert (done.returncode, placed(done)) == (1, [0, 1, 3])
    assert "warning  room: " in done.stderr and "--strict" not in done.stderr
    first = NARROW.replace("to: 1}", "to: 3}")
    done = numamig("replay", write(numamig, first), "--strict", "--json")
    assert (done.returncode, json.loads(done.stdout)["chosen"]) == (3, 0)
    done = numamig("replay", path, "--yes", "--strict")
    assert done.returncode == 2 and "leave one of the two out" in done.stderr


@pytest.mark.parametrize(
    ("answer", "options", "asked", "code", "nodes"),
    [("n", (), True, 130, [0, 1]), ("y", (), True, 1, [0, 1, 3]), ("n", ("--yes",), False, 1, [0, 1, 3])],
)
def test_warnings_are_asked_about_on_a_terminal(
    numamig: Numamig, answer: str, options: tuple[str, ...], asked: bool, code: int, nodes: list[int]
) -> None:
    done = numamig.answered(answer, "replay", write(numamig, NARROW), "--json", *options)
    assert (done.returncode, placed(done)) == (code, nodes)
    assert ("Go on? [Y/n]" in done.stderr) is asked


def test_a_dry_run_says_what_plan_says(numamig: Numamig) -> None:
    path = write(numamig, NARROW)
    done = numamig("replay", path, "--dry-run", "--strict")
    planned = numamig("plan", path, "--strict")
    assert (done.returncode, done.stdout) == (planned.returncode, planned.stdout)
    assert done.returncode == 3 and "room" in done.stdout and "job 1" not in done.stderr


def test_shared_pages_without_the_right_are_refused_before_the_first_step(numamig: Numamig) -> None:
    more = "  - migrate: {process: {name: db}, to: 0, shared: true}\n"
    done = numamig("replay", write(numamig, GOOD + more))
    assert (done.returncode, done.stdout) == (3, "")
    assert "CAP_SYS_NICE" in done.stderr


def test_a_profile_says_how_gently_and_until_when(numamig: Numamig, tmp_path: Path) -> None:
    profile = tmp_path / "gently.yaml"
    profile.write_text(
        "numamig: 1\ntitle: Gently\nbackend: simulator\nsteps:\n  - migrate:\n      process: {name: train.py}\n"
        "      pages: {from: 2}\n      to: 1\n      batch: {pages: 1024, calls: 20, reserve: 1GiB}\n"
        "      retry: {mode: until, deadline: 3s}\n      critical: true\n"
    )
    done = numamig("replay", str(profile), "--json")
    assert done.returncode == 0, done.stderr
    (job,) = json.loads(done.stdout)["steps"][0]["migrate"]
    # 20 calls a second: a twentieth of a second from the beginning of one to that of the next.
    assert (job["steps"] - 1) / 20 <= job["seconds"] < (job["steps"] + 1) / 20


@pytest.mark.parametrize("kind", ["profile", "scenario"])
def test_the_schema_of_the_command_is_the_one_beside_the_profiles(numamig: Numamig, kind: str) -> None:
    done = numamig("schema", kind)
    assert (done.returncode, done.stdout) == (0, (profiles_folder() / "schema" / f"{kind}.json").read_text())


def test_ctrl_c_is_heard_while_a_call_hangs_and_the_second_one_leaves(numamig: Numamig) -> None:
    kept = Kept(numamig)
    path = write(numamig, GOOD)
    arguments = [sys.executable, "-m", "tests.cli.hanging_call", str(kept.file), "hang", "replay", path, "--json"]
    with subprocess.Popen(
        arguments,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, **kept.state},
    ) as child:
        try:
            read_until(child.stdout, "hangs")
            read_until(child.stderr, "in the kernel for")
            child.send_signal(signal.SIGINT)
            read_until(child.stderr, "stopping when the kernel returns")
            child.send_signal(signal.SIGINT)
            read_until(child.stderr, "numamig: job 1 is left as it is")
            assert child.wait() == 130
        finally:
            child.kill()
    assert kept.json("jobs")["jobs"][0]["state"] == "interrupted"
    assert kept.heap() == {0: 2560, 1: 1536}
    kept("undo", "1")
    assert kept.heap() == {0: 3072, 1: 1024}
