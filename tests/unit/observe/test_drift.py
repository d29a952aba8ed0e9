"""Where pages are after a job, counted and sampled; and that drift is put down to what caused it, or to nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from numamig.backends.base import MovePagesReturn
from numamig.backends.simulator.actors.balancing import Balancing
from numamig.backends.simulator.actors.demotion import Demotion
from numamig.backends.simulator.actors.second_tool import SecondTool
from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.memory import Backing, Flag
from numamig.backends.simulator.scenario import load_machine
from numamig.backends.simulator.workload import Workload, WorkloadPlan
from numamig.errors import TargetGone
from numamig.migrate.destination import Node
from numamig.migrate.job import Job
from numamig.migrate.plan import plan_request
from numamig.migrate.request import Request
from numamig.migrate.run import run_job
from numamig.model.finding import Severity
from numamig.model.pages import PageRuns, Ranges
from numamig.model.topology import NodeCounters, Switches
from numamig.observe.causes import Cause, Change, Movements, Surroundings, attribute, describe
from numamig.observe.drift import Drift, Watch
from numamig.observe.verify import Verified, verify
from numamig.resources import find_scenario
from tests.machines import PID, START, add_process, machine

PAGE = 4096
SECOND = 10**9
MS = 10**6


def part(first: int, last: int, node: int) -> tuple[int, int, int]:
    return START + first * PAGE, START + last * PAGE, node


def counted(backend: SimulatorBackend, *expected: tuple[int, int, int]) -> Verified:
    return verify(backend, backend.hold(backend.process(PID)), expected)


def watch(backend: SimulatorBackend, *expected: tuple[int, int, int], **how: object) -> Watch:
    return Watch(backend, backend.process(PID), expected, **how)  # type: ignore[arg-type]


def move(backend: SimulatorBackend, pages: NDArray[np.int64] | range, node: int) -> None:
    address = START + np.asarray(pages, np.uint64) * np.uint64(PAGE)
    answer = backend.move_pages(PID, address, np.full(len(address), node, np.int32))
    assert (answer.status == node).all()


def cause(drift: Drift) -> Cause:
    return Cause(drift.cause.check)


# --- verify ----------------------------------------------------------------------------------------------------------


def test_every_page_is_counted_once_in_place_elsewhere_or_absent() -> None:
    backend = machine()
    add_process(backend, [1] * 70 + [0] * 20 + [2] * 10 + [255] * 30)
    found = counted(backend, part(0, 100, 1), part(100, 120, 2))
    assert found == Verified(expected=120, in_place=70, elsewhere={0: 20, 2: 10}, page_size=PAGE)
    assert (found.present, found.absent, found.share) == (100, 20, 0.7)
    assert (found.in_place_bytes, found.elsewhere_bytes) == (70 * PAGE, {0: 20 * PAGE, 2: 10 * PAGE})


def test_nothing_expected_is_all_in_place() -> None:
    backend = machine()
    add_process(backend, [1] * 10)
    found = counted(backend, part(5, 5, 1))
    assert (found.expected, found.share) == (0, 1.0)


def test_huge_pages_that_ranges_share_count_in_each_for_what_lies_there() -> None:
    backend = machine()
    add_process(backend, [1] * 2048, huge=True)
    # Cut in the middle of huge pages, with a gap inside one: each base page belongs to one range.
    found = counted(backend, part(100, 700, 1), part(800, 900, 0), part(900, 1600, 1))
    assert (found.expected, found.in_place, found.elsewhere) == (1400, 1300, {1: 100})


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 12), st.sampled_from([0, 1, 2])), max_size=12), st.data())
def test_verify_counts_as_page_tables_do(gaps: list[tuple[int, int, int]], data: st.DataObject) -> None:
    layout = np.array(data.draw(st.lists(st.sampled_from([0, 1, 2, 255]), min_size=400, max_size=400)), np.uint8)
    backend = machine()
    add_process(backend, layout)
    expected, at = [], 0
    right = present = pages = 0
    for gap, length, node in gaps:
        first, last = min(at + gap, 400), min(at + gap + length, 400)
        expected.append(part(first, last, node))
        right += int((layout[first:last] == node).sum())
        present += int((layout[first:last] != 255).sum())
        pages, at = pages + last - first, last
    data.draw(st.randoms()).shuffle(expected)
    found = counted(backend, *expected)
    assert (found.expected, found.in_place, found.present) == (pages, right, present)


def test_after_a_job_all_is_where_the_job_says() -> None:
    backend = machine()
    add_process(backend, [0] * 5000 + [2] * 100, flags=dict.fromkeys(range(70), Flag.PINNED))
    job = Job(1, backend, plan_request(backend, Request(PID, Node(1), sources=(0,))))
    list(run_job(job, backend))
    assert counted(backend, part(0, 5000, 1)).elsewhere == {0: 70}


def test_a_process_that_ended_cannot_be_verified() -> None:
    backend = machine()
    add_process(backend, [1] * 10)
    hold = backend.hold(backend.process(PID))
    backend.machine.end(PID)
    with pytest.raises(TargetGone):
        verify(backend, hold, [part(0, 10, 1)])


# --- the sample ------------------------------------------------------------------------------------------------------


class NoWalks(SimulatorBackend):
    """Counts what a watch asks for."""

    def __init__(self, backend: SimulatorBackend) -> None:
        super().__init__(backend.machine)
        self.asked: list[int] = []
        self.walked_bytes = 0

    def move_pages(
        self, pid: int, addresses: NDArray[np.uint64], nodes: NDArray[np.int32] | None, flags: int = 2
    ) -> MovePagesReturn:
        assert nodes is None
        self.asked.append(len(addresses))
        return super().move_pages(pid, addresses, nodes, flags)

    def page_runs(self, pid: int, ranges: Ranges) -> Iterator[PageRuns]:
        self.walked_bytes += sum(end - start for start, end in ranges)
        return super().page_runs(pid, ranges)


def test_a_look_asks_for_a_few_thousand_pages_and_walks_nothing() -> None:
    plain = machine(1 << 22, 1 << 22)
    add_process(plain, np.ones(1 << 20, np.uint8))
    backend = NoWalks(plain)
    watched = watch(backend, part(0, 1 << 20, 1))
    assert sum(backend.asked) <= 4096
    backend.asked.clear()
    for _ in range(3):
        assert watched.look().in_place == 1.0
    assert len(backend.asked) == 3 and max(backend.asked) <= 4096 and backend.walked_bytes == 0


def test_sparse_memory_is_found_and_its_absent_pages_stay_absent() -> None:
    layout = np.full(1 << 20, 255, np.uint8)
    layout[::50] = 1
    plain = machine(1 << 22, 1 << 22)
    add_process(plain, layout)
    backend = NoWalks(plain)
    watched = watch(backend, part(0, 1 << 20, 1))
    assert sum(backend.asked) <= 8 * 4096
    backend.asked.clear()
    drift = watched.look()
    assert max(backend.asked) <= 2 * 4096
    assert backend.walked_bytes <= 9 * 32 * PAGE  # in each of nine questions, some absent pages are looked for twice
    assert drift.in_place == 1.0 and 0 < drift.error < 0.02
    assert abs(drift.pages - 20_972) < 3_000 and drift.pages + drift.absent == pytest.approx(1 << 20, abs=2)
    assert cause(drift) is Cause.NONE


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.97])
def test_the_estimate_holds_what_it_promises(share: float) -> None:
    pages = 200_000
    missed = 0
    for seed in range(40):
        backend = machine(1 << 19, 1 << 19)
        (backing,) = add_process(backend, np.ones(pages, np.uint8))
        watched = watch(backend, part(0, pages, 1), seed=seed)
        backing.node[np.random.default_rng(seed).permutation(pages)[: round(pages * (1 - share))]] = 0
        drift = watched.look()
        assert drift.error < 0.02
        missed += abs(drift.in_place - share) > drift.error
    assert missed <= 6  # of 40: two are to be expected


def test_what_is_small_is_known_exactly() -> None:
    backend = machine()
    add_process(backend, [1] * 1000 + [255] * 500)
    watched = watch(backend, part(0, 1500, 1))
    move(backend, range(10), 0)
    drift = watched.look()
    assert (drift.in_place, drift.error, drift.pages, drift.absent, drift.elsewhere) == (0.99, 0.0, 1000, 500, {0: 10})


# --- causes, seen happening ------------------------------------------------------------------------------------------


def test_a_machine_at_rest_does_not_drift() -> None:
    backend = machine()
    add_process(backend, [1] * 20_000)
    watched = watch(backend, part(0, 20_000, 1))
    for _ in range(5):
        backend.clock.sleep_ns(60 * SECOND)
        drift = watched.look()
        assert (drift.in_place, drift.elsewhere, drift.ended) == (1.0, {}, False)
        assert (cause(drift), drift.cause.severity) == (Cause.NONE, Severity.OK)


def test_busy_elsewhere_is_no_drift_of_these_pages() -> None:
    """Balancing moves the memory of another process all the time."""
    backend = machine(1 << 19, 1 << 19)
    add_process(backend, [1] * 20_000)
    add_process(backend, [0] * 40_000, pid=99, cpu_nodes=(1,))
    backend.machine.work(Workload(backend.machine, backend.machine.processes[99], WorkloadPlan(50.0)))
    Balancing().start(backend.machine)
    watched = watch(backend, part(0, 20_000, 1))
    backend.clock.sleep_ns(5 * SECOND)
    assert backend.node_counters().vmstat["numa_pages_migrated"] > 10_000
    assert cause(watched.look()) is Cause.NONE


def balanced(kernel: str = "linux-6.12") -> tuple[SimulatorBackend, list[Backing]]:
    """Threads on node 0, memory moved to node 1, and balancing on."""
    backend = machine(1 << 19, 1 << 19, 1 << 19, kernel=kernel)
    backings = add_process(backend, [1] * 50_000, cpu_nodes=(0,))
    backend.machine.work(Workload(backend.machine, backend.machine.processes[PID], WorkloadPlan(50.0)))
    Balancing().start(backend.machine)
    return backend, backings


@pytest.mark.parametrize("kernel", ["linux-6.1", "linux-6.12"])
def test_balancing_brings_pages_home(kernel: str) -> None:
    backend, (backing,) = balanced(kernel)
    watched = watch(backend, part(0, 50_000, 1))
    shares = []
    for _ in range(6):
        backend.clock.sleep_ns(SECOND // 2)
        drift = watched.look()
        shares.append(drift.in_place)
        truth = (backing.node == 1).mean()
        assert abs(drift.in_place - truth) <= drift.error + 1e-9
    assert shares[-1] < 0.1 and sorted(shares, reverse=True) == shares
    assert cause(drift) is Cause.BALANCING and set(drift.elsewhere) == {0}
    assert "locality" in drift.cause.reason and "hint faults" in drift.cause.reason
    assert "numa_balancing=0" in drift.cause.remedy


def test_a_second_tool_is_another_tool() -> None:
    backend = machine()
    add_process(backend, [1] * 20_000)
    SecondTool(PID, 0, at_ns=10 * MS, every_ns=100 * MS, pages=5000).start(backend.machine)
    watched = watch(backend, part(0, 20_000, 1))
    backend.clock.sleep_ns(SECOND // 4)
    drift = watched.look()
    assert drift.in_place == pytest.approx(0.25, abs=drift.error)
    assert [Cause(found.check) for found in drift.causes] == [Cause.TOOL]
    assert "numad" in drift.cause.remedy


def test_a_second_tool_while_balancing_is_on_where_no_thread_runs() -> None:
    """Balancing is at work on the same pages, but never takes them to node 2."""
    backend, _ = balanced()
    SecondTool(PID, 2, at_ns=10 * MS, every_ns=50 * MS, pages=10_000).start(backend.machine)
    watched = watch(backend, part(0, 50_000, 1))
    backend.clock.sleep_ns(SECOND // 2)
    assert cause(watched.look()) is Cause.TOOL


def test_demotion_is_told_by_its_counter_and_its_way() -> None:
    backend = machine(30_000, 60_000)
    dram, cxl = backend.machine.nodes[0], backend.machine.nodes[1]
    dram.tier, cxl.tier = 0, 1
    add_process(backend, [0] * 20_000)
    watched = watch(backend, part(0, 20_000, 0))
    dram.reserve_pages = 16_000
    Demotion().start(backend.machine)
    backend.clock.sleep_ns(SECOND)
    drift = watched.look()
    assert drift.in_place < 0.9 and cause(drift) is Cause.DEMOTION
    assert "demotion_enabled" in drift.cause.remedy


def test_pages_given_back_and_touched_again_were_not_migrated() -> None:
    backend = machine()
    (backing,) = add_process(backend, [1] * 10_000)
    watched = watch(backend, part(0, 10_000, 1))
    backing.node[:4000] = 255
    gone = watched.look()
    assert (gone.in_place, cause(gone)) == (1.0, Cause.RELEASED)
    assert abs(gone.absent - 4000) < 400
    backing.node[:4000] = 0
    back = watched.look()
    assert back.in_place == pytest.approx(0.6, abs=back.error)
    assert Cause.FAULTS in {Cause(found.check) for found in back.causes}


def test_new_pages_of_a_growing_process_are_new_faults() -> None:
    backend = machine()
    (backing,) = add_process(backend, [1] * 10_000 + [255] * 10_000)
    watched = watch(backend, part(0, 20_000, 1))
    backing.node[10_000:] = 0
    drift = watched.look()
    assert cause(drift) is Cause.FAULTS
    assert drift.in_place == pytest.approx(0.5, abs=0.05) and drift.absent < 10_000 / 512


def test_swapped_out_and_back_in_elsewhere_is_reclaim() -> None:
    backend = machine()
    (backing,) = add_process(backend, [1] * 10_000)
    watched = watch(backend, part(0, 10_000, 1))
    backing.node[:3000] = 0
    backend.machine.vmstat.update(pswpout=3000, pswpin=3000)
    drift = watched.look()
    assert cause(drift) is Cause.RECLAIM and "3,000 swapped in" in drift.cause.reason


def test_what_is_out_of_place_from_the_beginning_is_not_drift() -> None:
    backend = machine()
    add_process(backend, [1] * 9_000 + [0] * 1_000)
    watched = watch(backend, part(0, 10_000, 1))
    drift = watched.look()
    assert drift.in_place == pytest.approx(0.9, abs=drift.error)
    assert cause(drift) is Cause.BEFORE
    move(backend, range(9_000, 10_000), 1)
    assert cause(watched.look()) is Cause.NONE


def test_a_watch_that_begins_late_counts_from_the_end_of_the_job() -> None:
    backend = machine()
    add_process(backend, [1] * 10_000)
    kept = Movements.of(backend.node_counters()).as_dict()
    move(backend, range(5_000), 2)
    late = watch(backend, part(0, 10_000, 1), since=Movements(**kept)).look()  # type: ignore[arg-type]
    assert late.in_place == pytest.approx(0.5, abs=late.error)
    assert cause(late) is Cause.TOOL


def test_pages_that_come_back_need_no_cause_any_more() -> None:
    backend = machine()
    add_process(backend, [1] * 3_000)
    watched = watch(backend, part(0, 3_000, 1))
    move(backend, range(1_000), 0)
    assert cause(watched.look()) is Cause.TOOL
    move(backend, range(1_000), 1)
    assert cause(watched.look()) is Cause.NONE


def test_a_process_that_ends_is_said_to_have_ended() -> None:
    backend = machine()
    add_process(backend, [1] * 100)
    watched = watch(backend, part(0, 100, 1))
    backend.machine.end(PID)
    drift = watched.look()
    assert drift.ended and cause(drift) is Cause.PROCESS and str(PID) in drift.cause.reason
    add_process(backend, [0] * 100, start_time=2000)  # its pid is another's now
    assert watched.look().ended


def test_a_shipped_machine_on_which_balancing_takes_a_job_back(tmp_path: Path) -> None:
    scenario = tmp_path / "two-sockets.yaml"
    scenario.write_text(find_scenario("two-sockets").read_text() + "\nactors: [{kind: balancing}]\n")
    backend = SimulatorBackend(load_machine(scenario))
    redis = 2044
    job = Job(1, backend, plan_request(backend, Request(redis, Node(1), batch_pages=1 << 16)))
    list(run_job(job, backend))
    expected = [(region.start, region.end, 1) for region in backend.regions(redis)]
    watched = Watch(backend, backend.process(redis), expected)
    backend.clock.sleep_ns(10 * SECOND)
    drift = watched.look()
    assert drift.in_place < 0.9 and cause(drift) is Cause.BALANCING
    truth = verify(backend, backend.hold(backend.process(redis)), expected)
    assert abs(drift.in_place - truth.share) <= drift.error
    assert drift.pages == pytest.approx(truth.present, rel=0.05)


# --- causes, worked out ----------------------------------------------------------------------------------------------


def movements(migrated: int | None = 0, **counts: int) -> Movements:
    names = ("taken_ns", "balanced", "hint_faults", "demoted", "compacted", "reclaimed", "swapped_out", "swapped_in")
    return Movements(migrated=migrated, **{name: counts.get(name, 0) for name in names})


LOCALITY = Surroundings(Switches(balancing=1), frozenset({0}), {0: 0, 1: 0, 2: 1})
LEFT = Change({(1, 0): 100.0}, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("change", "counted_", "put_down_to"),
    [
        (LEFT, movements(100, balanced=100), {Cause.BALANCING: 100}),
        (LEFT, movements(100), {Cause.TOOL: 100}),
        (LEFT, movements(130, balanced=30), {Cause.BALANCING: 30, Cause.TOOL: 70}),
        (LEFT, movements(30), {Cause.TOOL: 30, Cause.FAULTS: 70}),
        (LEFT, movements(0), {Cause.FAULTS: 100}),
        (LEFT, movements(0, swapped_in=100), {Cause.RECLAIM: 100}),
        (LEFT, movements(None), {Cause.UNKNOWN: 100}),
        # Compaction may have been all of what was migrated, or a part of it.
        (LEFT, movements(100, compacted=500), {Cause.UNKNOWN: 100}),
        (LEFT, movements(500, compacted=450), {Cause.TOOL: 50, Cause.UNKNOWN: 50}),
        # Demotion never goes to a faster tier, balancing not where no thread runs: then there are better reasons.
        (LEFT, movements(200, demoted=100), {Cause.TOOL: 100}),
        (Change({(1, 2): 100.0}, 0, 0, 0), movements(200, demoted=100), {Cause.DEMOTION: 100}),
        (Change({(0, 1): 100.0}, 0, 0, 0), movements(200, balanced=100), {Cause.TOOL: 100}),
        (Change({(0, 1): 100.0}, 0, 0, 0), movements(100, balanced=100), {Cause.BALANCING: 100}),
        (Change({}, 50.0, 0, 0), movements(0), {Cause.FAULTS: 50}),
        (Change({}, 0.0, 50.0, 0), movements(0), {Cause.RELEASED: 50}),
        (Change({}, 0.0, 50.0, 0), movements(0, reclaimed=40), {Cause.RECLAIM: 50}),
        # An estimate that is a little more than what was counted.
        (Change({(1, 0): 100.0}, 0, 0, 5.0), movements(96, balanced=96), {Cause.BALANCING: 100}),
    ],
)
def test_pages_are_put_down_to_what_was_counted(
    change: Change, counted_: Movements, put_down_to: dict[Cause, int]
) -> None:
    assert attribute(change, counted_, LOCALITY) == pytest.approx(put_down_to)


@given(
    st.dictionaries(st.tuples(st.integers(0, 2), st.integers(0, 2)), st.floats(0.5, 1e6), max_size=5),
    st.floats(0, 1e6),
    st.floats(0, 1e6),
    st.lists(st.integers(0, 10**6), min_size=6, max_size=6),
)
def test_causes_add_up_and_none_is_given_more_than_was_counted(
    left: dict[tuple[int, int], float], fresh: float, gone: float, counts: list[int]
) -> None:
    migrated, balanced, demoted, compacted, reclaimed, swapped_in = counts
    interval = movements(
        migrated + balanced + demoted,
        balanced=balanced,
        demoted=demoted,
        compacted=compacted,
        reclaimed=reclaimed,
        swapped_in=swapped_in,
    )
    found = attribute(Change(left, fresh, gone, 0.0), interval, LOCALITY)
    assert sum(found.values()) == pytest.approx(sum(left.values()) + fresh + gone)
    for cause_, counted in ((Cause.BALANCING, balanced), (Cause.DEMOTION, demoted), (Cause.TOOL, migrated)):
        assert found.get(cause_, 0) <= counted * (1 + 1e-9)


@pytest.mark.parametrize("cause_", list(Cause))
def test_every_cause_has_words(cause_: Cause) -> None:
    found = describe(cause_, 12_345.6, movements(1, balanced=2), LOCALITY)
    assert found.check == cause_.value and found.reason and "{" not in found.reason
    assert ("12.3k" in found.reason) is (cause_ not in (Cause.NONE, Cause.PROCESS))
    assert "does not count" in describe(Cause.UNKNOWN, 5, movements(None), LOCALITY).reason


def test_what_was_counted_survives_being_kept_and_a_kernel_without_counters() -> None:
    before = Movements.of(NodeCounters(5, {}, {"pgmigrate_success": 10, "pgsteal_kswapd": 3, "pgsteal_direct": 4}))
    after = Movements.of(NodeCounters(9, {}, {"pgmigrate_success": 25, "pgsteal_kswapd": 3, "pgdemote_direct": 2}))
    assert Movements(**before.as_dict()) == before  # type: ignore[arg-type]
    assert (after.since(before).migrated, after.since(before).demoted, after.since(before).reclaimed) == (15, 2, 0)
    assert Movements.of(NodeCounters(9, {}, {})).since(before).migrated is None
