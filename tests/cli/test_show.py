"""``numamig show`` on a simulated machine, and on this one."""

from __future__ import annotations

import json
import os

import pytest

from numamig.cli import _complain
from numamig.cli.show import policy_of
from numamig.errors import ExitCode
from numamig.model.process import Region, RegionKind, RegionPolicy
from tests.cli.conftest import SCENARIO, Numamig

MIB = 1 << 20


def test_everything_about_a_process(numamig: Numamig) -> None:
    seen = numamig.json("show", "10")
    assert (seen["pid"], seen["name"], seen["user"], seen["start_time"]) == (10, "db", "ada", 1001)
    assert (seen["threads"], seen["threads_by_node"]) == (1, {"1": 1})
    assert (seen["bytes_by_node"], seen["unknown_bytes"], seen["estimated"]) == (
        {"0": 13 * MIB, "1": 4 * MIB},
        0,
        False,
    )
    assert (seen["mems_allowed"], seen["cgroup"]) == (None, "/")
    assert (seen["may_look"], seen["may_move"], seen["may_move_shared"]) == (True, True, False)
    assert seen["obstacle"]
    assert "policies" not in seen


def test_as_a_list_for_people(numamig: Numamig) -> None:
    lines = numamig.small("show", "10").stdout.splitlines()
    assert lines[0] == "db (10)"
    told = {line[:11].strip(): line[11:] for line in lines[1:]}
    assert told["memory"] == "17.0M resident: 13.0M on node 0, 4.0M on node 1 (counted)"
    assert told["threads"] == "1: 1 on node 1"
    assert told["cpuset"] == "all memory nodes: 0-1,3"
    assert told["you may"] == "see its pages, move them"
    assert told["but"]


def test_what_others_have_is_not_shown_but_who_they_are_is(numamig: Numamig) -> None:
    seen = numamig.json("show", "12")
    assert (seen["user"], seen["bytes_by_node"], seen["may_look"]) == ("root", None, False)
    assert "on nodes that you may not see" in numamig.small("show", "12").stdout
    assert "you may  nothing" in numamig.small("show", "12").stdout
    assert numamig.json("show", "2")["kernel_thread"] is True


def test_a_cpuset_is_told_and_a_move_out_of_it_refused(numamig: Numamig) -> None:
    numamig.scenario.write_text(SCENARIO.replace("    pid: 10\n", "    pid: 10\n    mems: [0, 1]\n"))
    assert numamig.json("show", "10")["mems_allowed"] == [0, 1]
    assert "only memory nodes 0-1" in numamig.small("show", "10").stdout
    done = numamig.small("move", "10", "--to", "3", "--yes")
    assert (done.returncode, done.stdout) == (3, "")
    assert "the cpuset of pid 10 allows nodes 0-1 only" in done.stderr
    planned = numamig.small("move", "10", "--to", "3", "--dry-run", "--json")
    assert planned.returncode == 3
    findings = {finding["check"]: finding for finding in json.loads(planned.stdout)["findings"]}
    assert findings["cpuset"]["severity"] == "error"
    assert "cpuset.mems of its control group /" in findings["cpuset"]["remedy"]
    assert numamig.small("move", "10", "--to", "1", "--kind", "heap").returncode == 0


def test_policies_are_a_table_of_regions(numamig: Numamig) -> None:
    seen = numamig.json("show", "10", "--policies")
    assert [(p["kind"], p["policy"]) for p in seen["policies"]] == [("heap", "default"), ("shmem", "default")]
    text = numamig.small("show", "10", "--policies").stdout
    assert text.splitlines()[-3].split() == ["address", "size", "kind", "policy", "path"]


def test_hostile_names_stay_harmless(numamig: Numamig) -> None:
    done = numamig.small("show", "13", "--policies")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout and "\a" not in done.stdout
    assert "e␛[31mvil (13)" in done.stdout


def test_what_is_complained_about_stays_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    _complain("the cpuset of /\x1b[2J", "widen /\u202e\nor not", ExitCode.REFUSED)
    assert capsys.readouterr().err == "numamig: the cpuset of /␛[2J (widen /\\u202e\nor not)\n"


def test_who_is_not_there(numamig: Numamig) -> None:
    for arguments, code in ((["show", "99"], 4), (["show", "0"], 2), (["show"], 2), (["show", "12", "--policies"], 3)):
        done = numamig.small(*arguments)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1)


def test_help(numamig: Numamig) -> None:
    done = numamig("show", "--help")
    assert done.returncode == 0
    assert "--policies" in done.stdout and "--json" in done.stdout
    assert "  show " in numamig("--help").stdout


def test_this_machine(numamig: Numamig) -> None:
    done = numamig("show", str(os.getpid()), "--policies", "--json")
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["pid"] == os.getpid()
    assert sum(seen["threads_by_node"].values()) == seen["threads"]
    assert sum(seen["bytes_by_node"].values()) > MIB
    known = [region["policy"] for region in seen["policies"] if region["kind"] != "special"]
    assert known.count(None) < len(known) / 10


def region(start: int, end: int) -> Region:
    return Region(start, end, RegionKind.STACK, "rw-p")


def test_regions_that_changed_between_the_two_looks() -> None:
    told = [RegionPolicy(0x2000, "default"), RegionPolicy(0x5000, "bind:0"), RegionPolicy(0x6000, "default")]
    assert policy_of(region(0x1000, 0x3000), told) == "default"  # a stack that has grown
    assert policy_of(region(0x5000, 0x6000), told) == "bind:0"
    assert policy_of(region(0x5000, 0x7000), told) is None  # merged of two that differ
    assert policy_of(region(0x3000, 0x5000), told) is None  # new
