"""The moving call of 2004: its answers, its roll-back, its retries, its locks, and one intact copy at every event."""

from __future__ import annotations

import errno
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from numamig.backends.base import MPOL_MF_MOVE, MPOL_MF_MOVE_ALL, UNWRITTEN, MovePagesCall
from numamig.backends.simulator.access import AccessModel
from numamig.backends.simulator.actors.second_tool import SecondTool
from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.kernels import KERNELS, Retry
from numamig.backends.simulator.machine import Machine
from numamig.backends.simulator.memory import ABSENT, Backing, Flag, SimNode
from numamig.backends.simulator.process import SimProcess, SimRegion
from numamig.backends.simulator.remap import remap
from numamig.backends.simulator.remap_settings import Executor, RemapSettings, RetryPlan
from numamig.backends.simulator.remap_victims import Victims
from numamig.backends.simulator.workload import Workload, WorkloadPlan

HOLD, RESCAN = "ia64-2004-hold-lock", "ia64-2004-rescan"
BOTH = pytest.mark.parametrize("kernel", [HOLD, RESCAN])
PID, START, PAGE = 77, 0x2000000000, 16384
COPY_NS = 128 * 450


@dataclass
class Case:
    """A machine of two nodes with two CPUs each, and one process on it."""

    machine: Machine
    process: SimProcess
    backing: Backing

    @property
    def backend(self) -> SimulatorBackend:
        return SimulatorBackend(self.machine)

    def addresses(self, *pages: int) -> NDArray[np.uint64]:
        return np.uint64(START) + np.array(pages, np.uint64) * np.uint64(PAGE)

    def work(self, *, heat: list[int] | None = None, nodes: tuple[int, ...] = (1,), threads: int = 2) -> Workload:
        """Threads on a node touch its pages, all alike or by heat."""
        self.process.cpu_nodes, self.process.threads = nodes, threads
        if heat is not None:
            self.backing.heat = np.array(heat, np.uint8)
        return self.machine.work(Workload(self.machine, self.process, WorkloadPlan(100.0)))

    def at(self, then_ns: int, page: int, flag: Flag, *, on: bool = False) -> None:
        """A page loses (or gets) a flag later."""

        def change() -> Generator[simpy.Event, None, None]:
            yield self.machine.timeline.timeout(then_ns - self.machine.timeline.now_ns)
            bit = np.uint8(flag)
            self.backing.flags[page] = self.backing.flags[page] | bit if on else self.backing.flags[page] & ~bit

        self.machine.timeline.process(change())

    def step_through(self, victims: Victims, *, move_all: bool = False) -> tuple[int, NDArray[np.int32]]:
        """The call, with the books checked after every event."""
        status = np.full(len(victims.addresses), UNWRITTEN, np.int32)
        call = self.machine.timeline.process(remap(self.machine, self.process, victims, status, move_all=move_all))
        while not call.processed:
            self.machine.timeline.step()
            self.check()
        assert not sum(self.machine.remapping.new_pages.values())
        assert not self.machine.remapping.locked_pages
        assert isinstance(call.value, int)
        return call.value, status

    def check(self) -> None:
        """Every page has one place, and every page frame one use."""
        backings = {id(r.backing): r.backing for p in self.machine.processes.values() for r in p.regions}
        for node in self.machine.nodes.values():
            mapped = sum(int((backing.node == node.id).sum()) for backing in backings.values())
            new = self.machine.remapping.new_pages[node.id]
            assert new >= 0 and node.free_pages >= 0
            assert node.free_pages + mapped + new == node.total_pages
        for backing in backings.values():
            assert int((backing.node != ABSENT).sum()) == backing.resident_pages


def build(
    kernel: str, nodes: list[int], *, free: tuple[int, int] = (1000, 1000), settings: RemapSettings | None = None
) -> Case:
    cpus = ((0, 1), (2, 3))
    distances = {(a, b): 10 if a == b else 22 for a in (0, 1) for b in (0, 1)}
    latencies = {pair: 200.0 if distance == 10 else 450.0 for pair, distance in distances.items()}
    access = AccessModel(distances, 200.0, latencies, line_bytes=128)
    placed = [nodes.count(n) for n in (0, 1)]
    sim_nodes = [SimNode(n, cpus[n], free[n] + placed[n], free[n] + placed[n]) for n in (0, 1)]
    machine = Machine(sim_nodes, distances, KERNELS[kernel], access=access)
    if settings is not None:
        machine.remapping.settings = settings
    backing = Backing.untouched(len(nodes), page_bytes=PAGE)
    machine.place(backing, 0, np.array(nodes, np.uint8))
    process = machine.add(SimProcess(PID, "victim", regions=[SimRegion(START, backing)]))
    return Case(machine, process, backing)


def retrying(mode: Retry, **plan: int | None) -> RemapSettings:
    return RemapSettings(retry=RetryPlan(mode, **plan))  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_at_every_event_each_page_is_in_one_place_and_each_frame_has_one_use(data: st.DataObject) -> None:
    """Whatever is busy, however it is retried, wherever room ends, and also where the process ends meanwhile."""
    kernel = data.draw(st.sampled_from([HOLD, RESCAN]))
    pages = data.draw(st.integers(1, 12))
    nodes = data.draw(st.lists(st.sampled_from([0, 0, 1, ABSENT]), min_size=pages, max_size=pages))
    mode = data.draw(st.sampled_from(list(Retry)))
    case = build(
        kernel, nodes, free=(3, data.draw(st.sampled_from([2, 100]))), settings=retrying(mode, deadline_ns=300_000)
    )
    if data.draw(st.booleans()):
        case.work(heat=data.draw(st.lists(st.integers(1, 255), min_size=pages, max_size=pages)))
    flags = st.sampled_from([Flag.PINNED, Flag.ISOLATED, Flag.WRITEBACK])
    for page, flag in data.draw(st.dictionaries(st.integers(0, pages - 1), flags, max_size=3)).items():
        case.backing.flags[page] |= np.uint8(flag)
        if data.draw(st.booleans()):
            case.at(data.draw(st.integers(1, 3_000_000)), page, flag)
    if data.draw(st.booleans()):
        ends_ns = data.draw(st.integers(1, 800_000))

        def end() -> Generator[simpy.Event, None, None]:
            yield case.machine.timeline.timeout(ends_ns)
            case.machine.end(PID)

        case.machine.timeline.process(end())
    targets = data.draw(st.lists(st.sampled_from([0, 1, 1, 1]), min_size=pages, max_size=pages))
    before = case.backing.node.copy()
    failed, status = case.step_through(Victims(case.addresses(*range(pages)), np.array(targets, np.int32)))
    assert failed in (0, -errno.ENOMEM, -errno.ESRCH)
    came_to = status != UNWRITTEN
    assert failed or came_to.all()
    good = status >= 0
    assert (case.backing.node[good] == status[good]).all()
    assert (case.backing.node[~good] == before[~good]).all()


@BOTH
def test_minor_errors_are_counted_and_the_scan_goes_on(kernel: str) -> None:
    case = build(kernel, [0, 0, 0, 1, 255, 0])
    case.backing.flags[1] |= np.uint8(Flag.PINNED)
    answer = case.backend.move_pages(PID, case.addresses(*range(7)), np.full(7, 1, np.int32))
    assert (answer.returned, answer.errno) == (0, 0)
    assert answer.status.tolist() == [1, -errno.EBUSY, 1, 1, -errno.ENOENT, 1, -errno.EFAULT]
    assert case.backing.node.tolist() == [1, 0, 1, 1, 255, 1]
    moving = case.machine.workings().moving
    assert moving.outcomes == {"moved": 3, "already_there": 1, "EBUSY": 1, "ENOENT": 1, "EFAULT": 1}
    assert moving.pages == {(0, 1): 3}


@BOTH
def test_a_catastrophic_error_stops_the_scan_and_what_moved_stays(kernel: str) -> None:
    case = build(kernel, [0] * 6, free=(0, 4))
    failed, status = case.step_through(Victims(case.addresses(*range(6)), np.full(6, 1, np.int32)))
    assert failed == -errno.ENOMEM
    assert status.tolist() == [1, 1, 1, 1, UNWRITTEN, UNWRITTEN]
    assert case.backing.node.tolist() == [1, 1, 1, 1, 0, 0]
    answer = case.backend.move_pages(PID, case.addresses(4), np.full(1, 1, np.int32))
    assert (answer.returned, answer.errno, answer.status.tolist()) == (-1, errno.ENOMEM, [UNWRITTEN])


@BOTH
@pytest.mark.parametrize("flag", [Flag.PINNED, Flag.ISOLATED, Flag.WRITEBACK])
def test_what_is_busy_is_rolled_back(kernel: str, flag: Flag) -> None:
    case = build(kernel, [0, 0], settings=retrying(Retry.NEVER))
    case.backing.flags[0] |= np.uint8(flag)
    failed, status = case.step_through(Victims(case.addresses(0, 1), np.full(2, 1, np.int32)))
    assert (failed, status.tolist()) == (0, [-errno.EBUSY, 1])
    assert case.backing.node.tolist() == [0, 1]
    assert case.machine.vmstat["pgmigrate_fail"] == 1


@BOTH
@pytest.mark.parametrize("mode", [Retry.BOUNDED, Retry.UNTIL])
def test_writeback_is_waited_for_and_then_over(kernel: str, mode: Retry) -> None:
    """All that is being written as the list begins is written at the same time: it is waited for once."""
    case = build(kernel, [0] * 10, settings=retrying(mode))
    case.backing.flags[[2, 5, 6]] |= np.uint8(Flag.WRITEBACK | Flag.MLOCKED)
    failed, status = case.step_through(Victims(case.addresses(*range(10)), np.full(10, 1, np.int32)))
    assert (failed, status.tolist()) == (0, [1] * 10)
    assert case.backing.flags.tolist() == [Flag.MLOCKED if page in (2, 5, 6) else 0 for page in range(10)]
    phases, lock = case.machine.workings().moving.phases_ns, case.machine.workings().lock
    written_ns = round(case.machine.remapping.settings.costs.writeback_ns)
    assert written_ns - 3 * 2 * COPY_NS < phases["writeback"] < written_ns
    assert (lock.longest_hold_ns > written_ns) == (kernel == HOLD)  # whoever faults waits for the disk
    assert case.machine.vmstat["pgmigrate_fail"] == 0


@BOTH
def test_who_ends_while_a_page_of_it_is_written_is_gone(kernel: str) -> None:
    case = build(kernel, [0] * 2)
    case.backing.flags[0] |= np.uint8(Flag.WRITEBACK)

    def end() -> Generator[simpy.Event, None, None]:
        yield case.machine.timeline.timeout(1_000_000)
        case.machine.end(PID)

    case.machine.timeline.process(end())
    failed, status = case.step_through(Victims(case.addresses(0, 1), np.full(2, 1, np.int32)))
    assert (failed, status.tolist()) == (-errno.ESRCH, [UNWRITTEN] * 2)
    assert case.backing.node.tolist() == [0, 0]


@BOTH
def test_retry_modes(kernel: str) -> None:
    """A page is busy for 1 ms: skipped, given up, or waited for; and the second pass comes late enough for it."""

    def outcome(plan: RemapSettings) -> tuple[int, int]:
        case = build(kernel, [0], settings=plan)
        case.backing.flags[0] |= np.uint8(Flag.PINNED)
        case.at(1_000_000, 0, Flag.PINNED)
        _, status = case.step_through(Victims(case.addresses(0), np.full(1, 1, np.int32)))
        return int(status[0]), case.machine.vmstat["pgmigrate_fail"]

    assert outcome(retrying(Retry.NEVER)) == (-errno.EBUSY, 1)
    bounded = {"attempts": 3, "pause_ns": 100_000}
    assert outcome(retrying(Retry.BOUNDED, **bounded, second_pass_ns=None)) == (-errno.EBUSY, 3)
    assert outcome(retrying(Retry.BOUNDED, **bounded, second_pass_ns=2_000_000)) == (1, 3)
    until = {"pause_ns": 100_000, "second_pass_ns": None}
    status, tries = outcome(retrying(Retry.UNTIL, deadline_ns=10_000_000, **until))
    assert status == 1 and 8 <= tries <= 11
    status, tries = outcome(retrying(Retry.UNTIL, deadline_ns=500_000, **until))
    assert status == -errno.EBUSY and 4 <= tries <= 6


def test_until_under_a_lock_held_keeps_everybody_waiting() -> None:
    """What the two sides quarrelled about, at its worst: one busy page, and the lock is held all that time."""
    longest = {}
    for kernel in (HOLD, RESCAN):
        plan = retrying(Retry.UNTIL, deadline_ns=5_000_000, second_pass_ns=None)
        case = build(kernel, [0] * 4, settings=plan)
        case.backing.flags[2] |= np.uint8(Flag.PINNED)
        case.backend.move_pages(PID, case.addresses(*range(4)), np.full(4, 1, np.int32))
        longest[kernel] = case.machine.workings().lock.longest_hold_ns
    assert longest[HOLD] > 5_000_000
    assert longest[RESCAN] < 100_000


@BOTH
def test_heat_raises_the_chance_to_be_busy(kernel: str) -> None:
    case = build(kernel, [0] * 400, settings=retrying(Retry.NEVER))
    case.work(heat=[255] * 20 + [1] * 380, threads=4, nodes=(0, 1))
    _, status = case.step_through(Victims(case.addresses(*range(400)), np.full(400, 1, np.int32)))
    hot, cold = (status[:20] < 0).mean(), (status[20:] < 0).mean()
    assert hot > 5 * cold
    assert cold < 0.02


@BOTH
def test_shared_pages_move_with_all_their_mappings_or_not_at_all(kernel: str) -> None:
    case = build(kernel, [0] * 3)
    case.machine.add(SimProcess(PID + 1, "sharer", regions=[SimRegion(START, case.backing)]))
    victims = Victims(case.addresses(0, 1, 2), np.full(3, 1, np.int32))
    assert case.step_through(victims)[1].tolist() == [-errno.EACCES] * 3
    assert case.step_through(victims, move_all=True)[1].tolist() == [1, 1, 1]


@BOTH
def test_the_lock_of_a_sharer_is_tried_and_not_waited_for(kernel: str) -> None:
    case = build(kernel, [0], settings=retrying(Retry.NEVER))
    sharer = case.machine.add(SimProcess(PID + 1, "sharer", regions=[SimRegion(START, case.backing)]))
    lock = case.machine.remapping.locks.of(sharer)
    case.machine.timeline.run(case.machine.timeline.process(lock.take()))
    answer = case.backend.move_pages(PID, case.addresses(0), np.full(1, 1, np.int32), MPOL_MF_MOVE_ALL)
    assert answer.status.tolist() == [-errno.EBUSY]


def test_a_long_list_is_taken_in_pieces_and_a_range_is_not() -> None:
    case = build(HOLD, [0] * 5000, free=(1000, 6000))
    case.backend.move_pages(PID, case.addresses(*range(5000)), np.full(5000, 1, np.int32))
    assert case.machine.workings().lock.holds == 3
    case = build(HOLD, [0] * 5000, free=(1000, 6000))
    status = np.full(5000, UNWRITTEN, np.int32)
    call = remap(case.machine, case.process, Victims.all_of(case.machine, case.process, 1), status)
    case.machine.timeline.run(case.machine.timeline.process(call))
    assert case.machine.workings().lock.holds == 1
    assert (status == 1).all() and (case.backing.node == 1).all()


def test_a_range_is_what_lies_in_it() -> None:
    case = build(RESCAN, [0, 0, 255, 0, 0])
    victims = Victims.in_range(case.machine, case.process, START + PAGE, START + 4 * PAGE, 1)
    assert victims.addresses.tolist() == case.addresses(1, 3).tolist()
    failed, status = case.step_through(victims)
    assert (failed, status.tolist()) == (0, [1, 1])
    assert case.backing.node.tolist() == [0, 1, 255, 1, 0]


def test_holding_is_one_long_hold_and_rescanning_many_short_ones() -> None:
    figures = {}
    for kernel in (HOLD, RESCAN):
        case = build(kernel, [0] * 1000, free=(0, 2000))
        case.backend.move_pages(PID, case.addresses(*range(1000)), np.full(1000, 1, np.int32))
        figures[kernel] = case.machine.workings().lock
        took_ns = case.machine.timeline.now_ns
        if kernel == HOLD:
            assert took_ns == figures[kernel].held_ns
            assert took_ns > 1000 * COPY_NS
    assert (figures[HOLD].holds, figures[RESCAN].holds) == (1, 1000)
    assert figures[HOLD].longest_hold_ns > 100 * figures[RESCAN].longest_hold_ns


def test_who_faults_waits_for_the_whole_list_or_for_one_page() -> None:
    waits = {}
    for kernel in (HOLD, RESCAN):
        case = build(kernel, [0] * 1000, free=(0, 2000))
        workload = case.work(nodes=(0,), threads=1)
        case.backend.move_pages(PID, case.addresses(*range(1000)), np.full(1000, 1, np.int32))
        case.machine.timeline.advance_to(case.machine.timeline.now_ns + 1_000_000)
        lock, fared = case.machine.workings().lock, case.machine.workings().workloads[0]
        assert workload.waits and lock.waiting == 0
        waits[kernel] = fared.longest_stall_ns
        assert fared.stalled_ns >= fared.longest_stall_ns > 0
    assert waits[HOLD] > 1000 * COPY_NS / 2
    assert waits[RESCAN] < 10 * COPY_NS


def test_who_waits_is_counted_while_it_waits() -> None:
    case = build(HOLD, [0] * 1000, free=(0, 2000))
    case.work(nodes=(0, 1), threads=4)
    status = np.full(1000, UNWRITTEN, np.int32)
    victims = Victims(case.addresses(*range(1000)), np.full(1000, 1, np.int32))
    call = case.machine.timeline.process(remap(case.machine, case.process, victims, status))
    case.machine.timeline.advance_to(500 * COPY_NS)
    lock = case.machine.workings().lock
    assert lock.waiting == 3  # the fourth thread's CPU is the one that moves
    assert lock.longest_wait_ns > 0 and lock.longest_hold_ns == case.machine.timeline.now_ns
    case.machine.timeline.run(call)
    case.machine.timeline.advance_to(case.machine.timeline.now_ns + 1_000_000)
    assert case.machine.workings().lock.waiting == 0


@pytest.mark.parametrize(("executor", "loses"), [(Executor.PULL, 1), (Executor.PUSH, 0)])
def test_who_executes_loses_the_time(executor: Executor, loses: int) -> None:
    case = build(HOLD, [0] * 100, settings=RemapSettings(executor))
    idle = case.machine.add(SimProcess(PID + 1, "other", threads=4, cpu_nodes=(0, 1)))
    own = Backing.untouched(4, page_bytes=PAGE)
    case.machine.nodes[0].total_pages += 4
    case.machine.nodes[0].free_pages += 4
    case.machine.place(own, 0, np.zeros(4, np.uint8))
    idle.regions.append(SimRegion(START << 1, own))
    workload = case.machine.work(Workload(case.machine, idle, WorkloadPlan(100.0)))
    case.backend.move_pages(PID, case.addresses(*range(100)), np.full(100, 1, np.int32))
    took_ns = case.machine.timeline.now_ns
    case.machine.timeline.advance_to(10 * took_ns)
    done = workload.accesses() * workload.period_ns()
    behind = done.max() - done
    assert np.flatnonzero(behind > took_ns / 2).size == 1
    assert workload.thread_nodes[int(np.argmax(behind))] == loses
    assert behind.max() == pytest.approx(took_ns, rel=0.01)


def test_an_idle_cpu_costs_nobody_anything() -> None:
    case = build(HOLD, [0] * 100)
    workload = case.work(nodes=(1,), threads=1)
    case.backing.heat = np.zeros(100, np.uint8)  # it touches none of them
    workload.backings.clear()
    case.backend.move_pages(PID, case.addresses(*range(100)), np.full(100, 1, np.int32))
    done = workload.accesses() * workload.period_ns()
    assert done[0] == pytest.approx(case.machine.timeline.now_ns)


@BOTH
def test_time_is_told_by_phase(kernel: str) -> None:
    case = build(kernel, [0] * 100)
    case.backend.move_pages(PID, case.addresses(*range(100)), np.full(100, 1, np.int32))
    phases = case.machine.workings().moving.phases_ns
    assert set(phases) >= {"allocation", "locks", "scan", "flush", "page tables", "copy"}
    assert phases["copy"] == 100 * COPY_NS
    assert sum(phases.values()) == pytest.approx(case.machine.timeline.now_ns, rel=1e-3)


@BOTH
def test_the_same_call_takes_the_same_time_again(kernel: str) -> None:
    ends = set()
    for _ in range(2):
        case = build(kernel, [0] * 300)
        case.work(threads=4, nodes=(0, 1))
        case.backend.move_pages(PID, case.addresses(*range(300)), np.full(300, 1, np.int32))
        ends.add((case.machine.timeline.now_ns, case.machine.workings().lock))
    assert len(ends) == 1


def test_calls_that_go_together_wait_for_each_other_where_the_lock_is_held() -> None:
    took = {}
    for kernel in (HOLD, RESCAN):
        alone, both = build(kernel, [0] * 200), build(kernel, [0] * 200)
        calls = [
            MovePagesCall(PID, both.addresses(*range(first, first + 100)), np.full(100, 1, np.int32), MPOL_MF_MOVE)
            for first in (0, 100)
        ]
        alone.backend.move_pages_together(calls[:1])
        answers = both.backend.move_pages_together(calls)
        both.check()
        assert all((answer.status == 1).all() for answer in answers)
        took[kernel] = both.machine.timeline.now_ns / alone.machine.timeline.now_ns
    assert took[HOLD] == pytest.approx(2, abs=0.05)
    assert took[RESCAN] < 1.2


@BOTH
def test_a_second_tool_and_this_one_never_move_a_page_at_the_same_time(kernel: str) -> None:
    """Both go for the same pages: each ends where one of them put it, and no frame is lost."""
    case = build(kernel, [0] * 300, free=(1000, 1000))
    tool = SecondTool(PID, to=1, at_ns=1_000_000, call_pages=100)
    tool.start(case.machine)
    failed, status = case.step_through(Victims(case.addresses(*range(299, -1, -1)), np.full(300, 1, np.int32)))
    case.machine.timeline.advance_to(case.machine.timeline.now_ns + 1_000_000_000)
    case.check()
    assert failed == 0 and (case.backing.node == 1).all()
    told = np.concatenate([status, *(answer.status for answer in tool.answers)])
    assert set(told.tolist()) <= {1, -errno.EBUSY} and tool.answers
    assert case.machine.workings().moving.pages == {(0, 1): 300}
