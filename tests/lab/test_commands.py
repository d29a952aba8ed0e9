"""The whole way: a process that numactl put on node 0, moved by the commands that users type."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from numamig.cli import main
from tests.lab.back_door import pages_by_node, wait_until_asleep

MEBIBYTES = 64
HOLD = f"""
import mmap, sys
memory = mmap.mmap(-1, {MEBIBYTES} << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
memory.madvise(int(sys.argv[1]))
for page in range(0, {MEBIBYTES} << 20, 4096):
    memory[page] = 1
print("ready", flush=True)
sys.stdin.read()
"""
_EXEC = """sys.stdin.readline()
import os
os.execv("/bin/sh", ["sh", "-c", "echo another; read line"])
"""
MADV_HUGEPAGE, MADV_NOHUGEPAGE = "14", "15"
PAGES = MEBIBYTES << 8


@pytest.fixture
def bound(request: pytest.FixtureRequest) -> Iterator[int]:
    """The pid of a process with 64 MiB that numactl put on node 0; of small pages unless parametrized otherwise."""
    advice = getattr(request, "param", MADV_NOHUGEPAGE)
    command = ["numactl", "--preferred=0", sys.executable, "-S", "-c", HOLD, advice]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        wait_until_asleep(child.pid)
        yield child.pid
        child.kill()


def numamig(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "numamig", *arguments], capture_output=True, text=True, check=False)


def as_json(*arguments: str) -> dict[str, object]:
    done = numamig(*arguments, "--json")
    assert done.returncode in (0, 1), done.stderr
    printed: dict[str, object] = json.loads(done.stdout)
    return printed


def outcomes(document: dict[str, object]) -> dict[str, int]:
    found = document["outcomes"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("bound", [MADV_NOHUGEPAGE, MADV_HUGEPAGE], ids=["4KiB", "huge"], indirect=True)
def test_move_and_replay_print_what_numa_maps_shows(bound: int, tmp_path: Path) -> None:
    before = pages_by_node(bound)
    assert before[0] >= PAGES

    moved = as_json("move", str(bound), "--from", "0", "--to", "1")
    first = pages_by_node(bound)
    assert outcomes(moved)["moved"] >= PAGES
    assert first.get(1, 0) - before.get(1, 0) == outcomes(moved)["moved"]
    assert before[0] - first.get(0, 0) == outcomes(moved)["moved"]
    assert moved["chosen"] == sum(outcomes(moved).values())
    assert moved["pid"] == bound

    profile = tmp_path / "to-node-2.yaml"
    profile.write_text(
        f"numamig: 1\ntitle: On to the node without CPUs\nbackend: linux\nsteps:\n"
        f"  - migrate:\n      process: {{pid: {bound}}}\n      to: 2\n"
        f"      pages: {{from: 1, kind: anon, at_least: 16MiB}}\n"
        f"  - expect: {{moved: '== {PAGES}', busy: '== 0'}}\n"
    )
    replayed = as_json("replay", str(profile))
    second = pages_by_node(bound)
    assert replayed["passed"] is True
    assert outcomes(replayed)["moved"] == PAGES
    assert second.get(2, 0) - first.get(2, 0) == PAGES
    assert first[1] - second.get(1, 0) == PAGES


def test_ctrl_c_ends_between_two_steps_and_the_account_is_true(bound: int) -> None:
    before = pages_by_node(bound)
    command = [
        sys.executable,
        "-m",
        "numamig",
        "move",
        str(bound),
        "--from",
        "0",
        "--to",
        "1",
        "--rate",
        "1MiB/s",
        "--json",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as moving:
        while pages_by_node(bound).get(1, 0) < before.get(1, 0) + 512:
            os.sched_yield()
        moving.send_signal(signal.SIGINT)
        out, _ = moving.communicate()
    after = pages_by_node(bound)
    document = json.loads(out)
    assert (moving.returncode, document["state"]) == (130, "cancelled")
    assert outcomes(document)["moved"] == after[1] - before.get(1, 0)
    assert outcomes(document)["not_tried"] > 0
    assert document["chosen"] == sum(outcomes(document).values()) == before[0]


def here(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """The same command within this process, since to start another takes emulated seconds: code, stdout, stderr."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


def test_map_and_ps_agree_with_numa_maps(bound: int, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = here(capsys, "map", str(bound), "--json")
    assert code == 0
    for region in json.loads(out)["regions"]:
        if region["kind"] in ("anon", "heap", "stack"):
            shown = {int(node): count // 4096 for node, count in region["bytes_by_node"].items()}
            assert shown == pages_by_node(bound, region["start"], region["end"]), region
    code, out, _ = here(capsys, "ps", "--json")
    assert code == 0
    (mine,) = [process for process in json.loads(out)["processes"] if process["pid"] == bound]
    assert mine["bytes_by_node"]["0"] >= MEBIBYTES << 20


def test_bad_input_is_one_line_and_moves_nothing(bound: int, capsys: pytest.CaptureFixture[str]) -> None:
    before = pages_by_node(bound)
    for arguments, code, words in (
        (["move", "4194000", "--to", "1"], 4, "no process"),
        (["move", "2", "--to", "1"], 3, "kernel thread"),
        (["move", str(bound), "--to", "9"], 2, "node 9 does not exist"),
        (["move", str(bound), "--to", "zero"], 2, "does not parse"),
        (["move", str(bound), "--from", "1-", "--to", "1"], 2, "does not parse"),
    ):
        ended, out, err = here(capsys, *arguments)
        assert (ended, out) == (code, "")
        assert words in err
        assert err.count("\n") == 1
    assert pages_by_node(bound) == before


def test_without_rights_it_says_which_capability(bound: int, capfd: pytest.CaptureFixture[str]) -> None:
    before = pages_by_node(bound)
    child = os.fork()
    if child == 0:
        # Nobody in particular from here on: a changed user loses every capability.
        os.setresuid(65534, 65534, 65534)
        try:
            main(["move", str(bound), "--to", "1"])
        except SystemExit as ended:
            sys.stderr.flush()
            os._exit(int(ended.code or 0))
        os._exit(99)
    _, status = os.waitpid(child, 0)
    captured = capfd.readouterr()
    assert (os.waitstatus_to_exitcode(status), captured.out) == (3, "")
    assert "CAP_SYS_PTRACE" in captured.err
    assert captured.err.count("\n") == 1
    assert pages_by_node(bound) == before


def test_nodes_and_doctor_see_the_machine(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = here(capsys, "nodes", "--json")
    nodes = json.loads(out)["nodes"]
    assert [(node["node"], node["cpus"]) for node in nodes] == [(0, [0]), (1, [1]), (2, [])]
    assert nodes[0]["distances"] == {"0": 10, "1": 20, "2": 30}
    code, out, _ = here(capsys, "doctor", "--json")
    assert code == 0
    assert not [finding for finding in json.loads(out)["findings"] if finding["severity"] == "error"]


def test_undo_puts_pages_back_and_refuses_another_program(bound: int) -> None:
    before = pages_by_node(bound)
    moved = as_json("move", str(bound), "--from", "0", "--to", "2", "--kind", "anon")
    assert pages_by_node(bound)[2] - before.get(2, 0) == outcomes(moved)["moved"] >= PAGES
    seen = moved["verified"]
    assert isinstance(seen, dict) and seen["in_place_pages"] == outcomes(moved)["moved"]

    back = as_json("undo", str(moved["job"]))
    assert outcomes(back)["moved"] == outcomes(moved)["moved"]
    assert pages_by_node(bound) == before


def test_undo_refuses_a_process_that_runs_another_program() -> None:
    command = [sys.executable, "-S", "-c", HOLD.replace("sys.stdin.read()", _EXEC), MADV_NOHUGEPAGE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None and child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        wait_until_asleep(child.pid)
        moved = as_json("move", str(child.pid), "--to", "2", "--kind", "anon")
        assert outcomes(moved)["moved"] >= PAGES
        child.stdin.write("now\n")
        child.stdin.flush()
        assert child.stdout.readline() == "another\n"
        wait_until_asleep(child.pid)
        refused = numamig("undo", str(moved["job"]))
        child.kill()
    assert refused.returncode == 3
    assert f"pid {child.pid} runs another program now" in refused.stderr
