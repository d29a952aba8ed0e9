"""A call that hangs in the kernel: the command says so, hears ctrl-c, and can be left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from tests.cli.conftest import Numamig
from tests.cli.test_jobs import Kept, outcomes

MOVE = ("move", "10", "--from", "0", "--to", "1", "--kind", "heap", "--pages", "512", "--json")


@pytest.fixture
def kept(numamig: Numamig) -> Kept:
    return Kept(numamig)


@contextmanager
def command(kept: Kept, act: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.cli.hanging_call", str(kept.file), act, *MOVE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, **kept.state},
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def read_until(stream: IO[str] | None, words: str) -> str:
    assert stream is not None
    for line in stream:
        if words in line:
            return line
    raise AssertionError(f"it ended without {words!r}")


def test_it_is_said_and_the_second_ctrl_c_leaves(kept: Kept) -> None:
    with command(kept, "hang") as child:
        read_until(child.stdout, "hangs")
        line = read_until(child.stderr, "in the kernel for")
        assert line == "numamig: in the kernel for 5 s; cancel waits for it\n"
        child.send_signal(signal.SIGINT)
        read_until(child.stderr, "stopping when the kernel returns")
        child.send_signal(signal.SIGINT)
        read_until(child.stderr, "numamig: job 1 is left as it is")
        assert child.wait() == 130
    assert kept.heap() == {0: 2048, 1: 2048}
    (job,) = kept.json("jobs")["jobs"]
    assert job["state"] == "interrupted"
    assert [act["what"] for act in kept.json("jobs", "1")["acts"]] == ["run", "leave"]
    assert outcomes(kept.json("undo", "1")) == {"moved": 1024}
    assert kept.heap() == {0: 3072, 1: 1024}


def test_the_first_ctrl_c_waits_for_the_call_and_for_no_other(kept: Kept) -> None:
    with command(kept, "hang") as child:
        read_until(child.stdout, "hangs")
        read_until(child.stderr, "in the kernel for")
        child.send_signal(signal.SIGINT)
        read_until(child.stderr, "stopping when the kernel returns")
        assert child.stdin is not None and child.stdout is not None
        print(file=child.stdin, flush=True)
        account = json.loads(child.stdout.read())
        assert child.wait() == 130
    assert (account["state"], outcomes(account)) == ("cancelled", {"moved": 1536, "not_tried": 1536})
    assert kept.heap() == {0: 1536, 1: 2560}


def test_what_fails_beside_is_told_as_what_fails_here(kept: Kept) -> None:
    with command(kept, "raise") as child:
        _, said = child.communicate()
    assert child.returncode == 70
    assert said.endswith("numamig: internal error: ValueError: the third call (NUMAMIG_DEBUG=1 shows where)\n")
