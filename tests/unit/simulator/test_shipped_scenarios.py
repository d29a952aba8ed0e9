"""The shipped scenarios load, show something, and do what their comments claim."""

from __future__ import annotations

import errno
import itertools
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from numamig.backends.base import MPOL_MF_MOVE, MPOL_MF_MOVE_ALL, UNWRITTEN
from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.memory import ABSENT
from numamig.backends.simulator.scenario import load_machine
from numamig.cli import cli
from numamig.model.workings import WorkloadFigures
from numamig.resources import find_scenario, profiles_folder

SHIPPED = sorted(path.stem for path in (profiles_folder() / "scenarios").glob("*.yaml"))
_BATCH = 1 << 12


class Rehearsal:
    """A machine from a shipped scenario, and moves on it."""

    def __init__(self, name: str) -> None:
        self.backend = SimulatorBackend(load_machine(find_scenario(name)))
        self.machine = self.backend.machine

    def move(
        self, pid: int, target: int, part: tuple[float, float] = (0, 1), flags: int = MPOL_MF_MOVE
    ) -> dict[int, int]:
        """Move what lies elsewhere, each folio named by its first page; how many got each status.

        :param part: from where to where in each region, 0 to 1
        """
        told: dict[int, int] = {}
        for region in self.machine.processes[pid].regions:
            node, pages = region.backing.node, np.arange(region.pages)
            index = np.flatnonzero((node != target) & (node != ABSENT) & (region.backing.heads(pages) == pages))
            index = index[(index >= part[0] * len(pages)) & (index < part[1] * len(pages))]
            for first in range(0, len(index), _BATCH):
                chunk = index[first : first + _BATCH]
                addresses = (region.start + chunk * region.backing.page_bytes).astype(np.uint64)
                answer = self.backend.move_pages(pid, addresses, np.full(len(chunk), target, np.int32), flags)
                for status, count in zip(*np.unique(answer.status, return_counts=True), strict=True):
                    told[int(status)] = told.get(int(status), 0) + int(count)
                if answer.errno == errno.ENOMEM:
                    return told
        return told

    def workload(self, pid: int) -> WorkloadFigures:
        return next(each for each in self.backend.workings().workloads if each.pid == pid)

    def speed(self, pid: int) -> float:
        return self.workload(pid).speed


def test_there_is_a_machine_for_every_taste() -> None:
    assert {
        "two-sockets",
        "four-node-db",
        "eight-nodes-two-packages",
        "dram-cxl",
        "hbm-dram",
        "full-target",
        "heavy-sharing",
        "every-state",
    } <= set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_each_says_what_it_shows_and_what_to_try(name: str) -> None:
    first, *lines = find_scenario(name).read_text().splitlines()
    assert first == "scenario: 1"
    comment = list(itertools.takewhile(lambda line: line.startswith("#"), lines))
    assert len(comment) >= 2
    assert lines[len(comment)].startswith("title: ")
    assert any(f"--scenario {name} " in line for line in comment)


@pytest.mark.parametrize("name", SHIPPED)
def test_commands_work_on_each(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    machine = load_machine(find_scenario(name))
    pid = next(p.pid for p in machine.processes.values() if not p.kernel_thread)
    for command in (["nodes"], ["ps"], ["map", str(pid)]):
        done = CliRunner().invoke(cli, ["--scenario", name, *command])
        assert done.exit_code == 0, (command, done.output)
        assert len(done.stdout.splitlines()) > 1


@pytest.mark.parametrize("name", SHIPPED)
def test_each_is_small_enough_to_load_at_once(name: str) -> None:
    machine = load_machine(find_scenario(name))
    backings = {id(r.backing): len(r.backing.node) for p in machine.processes.values() for r in p.regions}
    assert sum(backings.values()) * machine.page_bytes <= 64 << 30
    assert machine.workloads


def test_the_database_comes_home() -> None:
    rehearsal = Rehearsal("four-node-db")
    before, well_placed = rehearsal.speed(41127), rehearsal.speed(7734)
    rehearsal.move(41127, 1, flags=MPOL_MF_MOVE_ALL)
    assert rehearsal.speed(41127) / before == pytest.approx(1.48, abs=0.03)
    assert well_placed > 0.94


def test_two_sockets_pays_off() -> None:
    rehearsal = Rehearsal("two-sockets")
    assert rehearsal.speed(3120) == pytest.approx(0.6, abs=0.02)
    assert set(rehearsal.move(3120, 1)) == {1}
    assert rehearsal.workload(3120).local == pytest.approx(1.0)
    assert rehearsal.speed(3120) == pytest.approx(1.0)
    before = rehearsal.speed(2044)
    rehearsal.move(2044, 0)
    assert before > 0.96  # what is placed well has little to gain


def test_packages_not_every_remote_page_is_worth_moving() -> None:
    rehearsal = Rehearsal("eight-nodes-two-packages")
    near, far = rehearsal.speed(7001), rehearsal.speed(7002)
    for pid in (7001, 7002):
        rehearsal.move(pid, 1)
    assert rehearsal.speed(7001) / near == pytest.approx(1.12, abs=0.02)
    assert rehearsal.speed(7002) / far == pytest.approx(2.35, abs=0.05)
    other = Rehearsal("eight-nodes-two-packages")
    other.move(7002, 2)
    assert other.speed(7002) == pytest.approx(0.89, abs=0.01)  # any node of the package is nearly as good


def test_cxl_the_hot_tenth_is_nearly_all_of_the_gain() -> None:
    hot, cold = Rehearsal("dram-cxl"), Rehearsal("dram-cxl")
    before = hot.speed(5100)
    hot.move(5100, 0, (0, 0.1))
    cold.move(5100, 0, (0.5, 1))  # five times as many pages, as far as there is room
    gained, in_vain = hot.speed(5100) - before, cold.speed(5100) - before
    assert gained > 0.3
    assert in_vain < 0.03


def test_cxl_cold_memory_makes_room() -> None:
    rehearsal = Rehearsal("dram-cxl")
    told = rehearsal.move(5100, 0)
    assert told.get(UNWRITTEN, 0) > 0
    job = Rehearsal("dram-cxl")
    was = job.speed(5210)
    job.move(5210, 1)
    assert job.speed(5210) > 0.99 * was  # it hardly notices
    assert set(job.move(5100, 0)) == {0}
    assert job.speed(5100) == pytest.approx(1.0)


def test_hbm_is_for_bandwidth() -> None:
    rehearsal = Rehearsal("hbm-dram")
    streams, walk = rehearsal.speed(6001), rehearsal.speed(6002)
    assert streams < 0.65
    rehearsal.move(6001, 1)
    assert rehearsal.speed(6001) > 1.4 * streams
    assert rehearsal.speed(6002) > 1.5 * walk  # it has DRAM to itself
    alone = rehearsal.speed(6002)
    rehearsal.move(6002, 1)
    assert rehearsal.speed(6002) < alone  # the longer way, and nothing for it


def test_full_target_takes_what_fits() -> None:
    rehearsal = Rehearsal("full-target")
    node = rehearsal.machine.nodes[1]
    room, before = rehearsal.machine.room(node), rehearsal.speed(8100)
    told = rehearsal.move(8100, 1)
    assert told[UNWRITTEN] > 0
    assert rehearsal.machine.room(node) == 0
    on_target = sum(int((r.backing.node == 1).sum()) for r in rehearsal.machine.processes[8100].regions)
    assert on_target == room + (48 << 8)  # and its heap, which was there
    gained = rehearsal.speed(8100) - before
    assert 0.05 < gained < 0.35
    in_order = Rehearsal("full-target")
    in_order.move(8200, 0)
    assert set(in_order.move(8100, 1)) == {1}
    assert in_order.speed(8100) == pytest.approx(1.0)


def test_heavy_sharing_needs_the_wish_to_move_what_is_shared() -> None:
    rehearsal = Rehearsal("heavy-sharing")
    before = rehearsal.speed(4200)
    told = rehearsal.move(4200, 1)
    assert told[-errno.EACCES] > 0.99 * sum(told.values())
    assert rehearsal.speed(4200) == before
    began = rehearsal.machine.timeline.now_ns
    assert set(rehearsal.move(4200, 1, flags=MPOL_MF_MOVE_ALL)) == {1}
    shared_ns = rehearsal.machine.timeline.now_ns - began
    assert rehearsal.speed(4200) == pytest.approx(1.0)
    assert rehearsal.speed(4210) == pytest.approx(1.0)  # it was everybody's memory
    own = Rehearsal("two-sockets")
    began = own.machine.timeline.now_ns
    own.move(3120, 1)
    own_ns = own.machine.timeline.now_ns - began
    assert shared_ns > 2 * own_ns  # half as many pages, mapped 25 times each


def test_every_state_has_every_kind_of_page() -> None:
    rehearsal = Rehearsal("every-state")
    facts = rehearsal.backend.process_facts(900)
    assert (facts.may_move, facts.may_move_shared) == (True, False)
    process = rehearsal.machine.processes[900]
    told: set[int] = set()
    for region in process.regions:
        pages = np.arange(region.pages, dtype=np.uint64)
        addresses = np.uint64(region.start) + pages * np.uint64(4096)
        told |= set(rehearsal.backend.move_pages(900, addresses, None).status.tolist())
    assert told == {0, 1, -errno.ENOENT, -errno.EFAULT}
    answers = set(rehearsal.move(900, 1))
    assert {-errno.EBUSY, -errno.EACCES, UNWRITTEN} <= answers
