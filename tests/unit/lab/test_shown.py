"""The process that is shown on a real machine: it counts, it is where it should be, and it never outlives its user."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.scenario import load_machine
from numamig.errors import RefusedError
from numamig.lab.shown import ShownProcess, Site, find_site
from numamig.model.topology import Topology
from numamig.resources import find_scenario

HERE = Site(0, 0, 16)
_DEADLINE_S = 60.0
STARTS = """
import sys, time
from numamig.lab.shown import ShownProcess, Site
with ShownProcess(Site(0, 0, 16)) as shown:
    print(shown.pid, flush=True)
    time.sleep(600)
"""


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + _DEADLINE_S
    while not condition():
        assert time.monotonic() < end, "never happened"
        os.sched_yield()


def is_there(pid: int) -> bool:
    """And no zombie, for which a container may have nobody."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def topology(name: str) -> Topology:
    return SimulatorBackend(load_machine(find_scenario(name))).topology()


def test_it_counts_its_accesses_and_ends() -> None:
    with ShownProcess(HERE) as shown:
        assert Path(f"/proc/{shown.pid}/comm").read_text() == "demo-db\n"
        until(shown.accesses_per_s)
        rate = shown.accesses_per_s()
        assert rate is not None and 1e4 < rate < 1e9
        maps = Path(f"/proc/{shown.pid}/smaps_rollup").read_text()
        assert int(maps.split("Anonymous:")[1].split()[0]) >= 16 << 10
    assert not is_there(shown.pid)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_it_ends_with_whoever_started_it(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTS], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as child:
        assert child.stdout is not None
        pid = int(child.stdout.readline())
        assert is_there(pid)
        child.send_signal(number)
        child.wait()
    until(lambda: not is_there(pid))


def test_where_it_cannot_be_that_is_said() -> None:
    with pytest.raises(RefusedError, match=r"did not start: .*node4711"):
        ShownProcess(Site(4711, 0, 16))


def test_it_runs_far_from_its_memory() -> None:
    assert find_site(topology("demo")) == Site(1, 2, 512)  # 31 is the longest way, and the CXL card has no CPUs
    assert find_site(topology("two-sockets"))[:2] in ((0, 1), (1, 0))


def test_one_node_is_none_too_many() -> None:
    several = topology("two-sockets")
    one = replace(several, nodes=several.nodes[:1])
    with pytest.raises(RefusedError, match="one memory node") as refused:
        find_site(one)
    assert "numamig lab --tour" in str(refused.value.hint)
