"""What people see: order and choice of ``ps``, columns that line up, the width of the terminal, and colour."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from fcntl import ioctl
from pathlib import Path
from termios import TIOCSWINSZ

import pytest

from numamig.cli.table import print_table
from tests.cli.conftest import Numamig


def pids(numamig: Numamig, *arguments: str) -> list[int]:
    return [process["pid"] for process in numamig.json("ps", *arguments)["processes"]]


def test_ps_is_sorted_as_asked_for(numamig: Numamig) -> None:
    assert pids(numamig) == [10, 12, 13, 11]
    assert pids(numamig, "--sort", "pid") == [10, 11, 12, 13]
    assert pids(numamig, "--sort", "rss") == [10, 12, 13, 11]
    assert pids(numamig, "--sort", "name") == [10, 13, 11, 12]
    assert pids(numamig, "--sort", "user") == [10, 11, 13, 12]
    assert pids(numamig, "--sort", "node1")[0] == 10
    assert pids(numamig, "--sort", "node0") == [10, 13, 11, 12]  # of 12 nothing may be seen
    wrong = numamig.small("ps", "--sort", "node7")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr == "numamig: node 7 does not exist or has no memory (nodes with memory here: 0-1,3)\n"
    assert "remote, rss, name, user, pid, or a node like node0" in numamig.small("ps", "--sort", "size").stderr


def test_ps_lists_those_that_are_meant(numamig: Numamig) -> None:
    assert pids(numamig, "--user", "ada", "--sort", "pid") == [10, 11, 13]
    assert pids(numamig, "--user", "root", "--user", "nobody") == [12]
    assert pids(numamig, "--name", "d?", "--name", "help*") == [10, 11]
    assert pids(numamig, "--name", "d") == []
    assert pids(numamig, "--filter", "HELP", "--user", "ada") == [11]
    assert pids(numamig, "--at-least", "2MiB", "--sort", "pid") == [10, 12, 13]
    assert pids(numamig, "--sort", "rss", "--limit", "2") == [10, 12]
    assert pids(numamig, "--limit", "1") == [10]
    assert pids(numamig, "--at-least", "1.5MiB", "--sort", "pid") == [10, 12, 13]
    assert pids(numamig, "--at-least", "3MiB") == [10]
    assert pids(numamig, "--all", "--sort", "pid") == [10, 11, 12, 13]
    done = numamig.small("ps", "--all", "--at-least", "1GiB")
    assert done.returncode == 2 and "leave one of the two out" in done.stderr


def test_columns_line_up_whatever_the_letters(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["name", "n"], [["データベース", "1"], ["db", "22"], ["e\x1b[31m", "3"]], left=frozenset({"name"}))
    assert capsys.readouterr().out.splitlines() == [
        "name           n",
        "データベース   1",
        "db            22",
        "e␛[31m         3",
    ]


def on_a_terminal(numamig: Numamig, columns: int, *arguments: str, **environment: str) -> str:
    """What a terminal of that width is sent."""
    ours, theirs = os.openpty()
    ioctl(theirs, TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    command = [sys.executable, "-m", "numamig", "--scenario", str(numamig.scenario), *arguments]
    plain = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")}
    said = b""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).parents[2],
        env={**plain, "TERM": "xterm-256color", **environment},
    ):
        os.close(theirs)
        try:
            while piece := os.read(ours, 4096):
                said += piece
        except OSError:  # EIO: nobody has the other end any more
            pass
    os.close(ours)
    return said.decode().replace("\r\n", "\n")


def test_a_table_is_no_wider_than_the_terminal(numamig: Numamig) -> None:
    numamig.scenario.write_text(numamig.scenario.read_text().replace("name: helper", "name: a-name-so-long"))
    wide = numamig.small("ps").stdout
    assert "a-name-so-long" in wide
    room = max(map(len, wide.splitlines()))
    assert on_a_terminal(numamig, room, "ps", "--color", "never") == wide
    narrow = on_a_terminal(numamig, room - 5, "ps", "--color", "never")
    assert max(map(len, narrow.splitlines())) == room - 5
    assert "  a-name-s…  ada " in narrow
    assert [line.split()[-1] for line in narrow.splitlines()] == [line.split()[-1] for line in wide.splitlines()]
    assert numamig.small("ps").stdout == numamig("--scenario", str(numamig.scenario), "ps", COLUMNS="40").stdout


def test_colour_is_for_terminals_that_want_it(numamig: Numamig) -> None:
    assert "\x1b[1m" in on_a_terminal(numamig, 200, "ps")
    assert "\x1b" not in on_a_terminal(numamig, 200, "ps", NO_COLOR="1")
    assert "\x1b" not in on_a_terminal(numamig, 200, "ps", TERM="dumb")
    assert "\x1b" not in on_a_terminal(numamig, 200, "ps", "--color", "never")
    assert "\x1b" not in on_a_terminal(numamig, 200, "--color", "never", "ps")
    assert "\x1b[1m" in on_a_terminal(numamig, 200, "--color", "never", "ps", "--color", "always", NO_COLOR="1")
    assert "\x1b" not in numamig.small("ps").stdout
    assert "\x1b[1m" in numamig.small("ps", "--color", "always").stdout
    assert "\x1b[1m" in numamig.small("--color", "always", "ps").stdout
    assert "\x1b" not in numamig.small("ps", "--json", "--color", "always").stdout
    assert "\x1b[3" in numamig.small("doctor", "--color", "always").stdout
