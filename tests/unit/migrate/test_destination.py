"""Where pages go: to several nodes in turn, from node to node, after the CPUs; checked in the page tables."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.memory import Backing, Flag
from numamig.backends.simulator.process import SimProcess, SimRegion
from numamig.backends.simulator.scenario import ScenarioFile, build_machine
from numamig.errors import UsageError
from numamig.migrate.destination import (
    Destination,
    FollowCpus,
    Interleave,
    Node,
    NodeMap,
    destination_from,
    interleave,
    node_by_node,
    parse_node_map,
    parse_weights,
)
from numamig.migrate.job import Job
from numamig.migrate.journal.record import Recorder
from numamig.migrate.order_mode import Order, OrderMode
from numamig.migrate.plan import Plan, plan_request
from numamig.migrate.request import Mapped, Request
from numamig.migrate.run import run_job
from numamig.migrate.undo import Undoing, choose_to_undo, plan_undo
from numamig.model.outcome import Outcome
from tests.machines import PID, START, add_process, machine, pages_by_node


def moved(backend: SimulatorBackend, to: Destination, **asked: object) -> tuple[Plan, Job]:
    """A job to its end, whose account adds up."""
    values = {"most_calls": None, "reserve_bytes": 0, "batch_pages": 100, **asked}
    plan = plan_request(backend, Request(PID, to, **values))  # type: ignore[arg-type]
    job = Job(1, backend, plan)
    list(run_job(job, backend))
    done = job.snapshot()
    assert done.outcomes.total == done.chosen == sum(row.pages for row in job.ledger())
    return plan, job


def in_turn(pages: int, unit: int, *turn: int) -> NDArray[np.uint8]:
    """Where pages from START on belong, by the definition: unit by unit, from address 0 on."""
    number = (START // 4096 + np.arange(pages)) // unit
    return np.array(turn, np.uint8)[number % len(turn)]


@pytest.mark.parametrize("layout", [[0] * 1000, [0, 1] * 500, [2] * 400 + [0] * 600])
@pytest.mark.parametrize("batch", [1, 7, 512, 4096])
def test_pages_are_spread_over_nodes_in_turn(layout: list[int], batch: int) -> None:
    backend = machine(kernel="linux-6.1")
    (backing,) = add_process(backend, layout)
    before, wanted = backing.node.copy(), in_turn(1000, 1, 1, 2)
    plan, job = moved(backend, Interleave((1, 2)), batch_pages=batch)
    assert np.array_equal(backing.node, wanted)
    assert plan.pages == job.snapshot().outcomes[Outcome.MOVED] == int((before != wanted).sum())
    assert plan.bytes_to == {node: 4096 * int(((before != wanted) & (wanted == node)).sum()) for node in (1, 2)}
    again, _ = moved(backend, Interleave((1, 2)))
    assert again.pages == 0


def test_weights_are_pages_in_a_row() -> None:
    backend = machine(kernel="linux-6.1")
    (backing,) = add_process(backend, [0] * 1200)
    moved(backend, parse_weights("1:3,2:1"))
    assert np.array_equal(backing.node, in_turn(1200, 1, 1, 1, 1, 2))
    assert pages_by_node(backing) == {1: 900, 2: 300}


def test_huge_pages_stay_whole_and_take_turns() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 512 * 6, huge=True)
    moved(backend, Interleave((0, 2)), batch_pages=1024)
    nodes = backing.node.reshape(6, 512)
    assert (nodes == nodes[:, :1]).all()
    assert sorted(nodes[:, 0].tolist()) == [0, 0, 0, 2, 2, 2]


def test_two_nodes_are_swapped_in_one_go_and_what_is_elsewhere_stays() -> None:
    backend = machine()
    rng = np.random.default_rng(3)
    layout = rng.integers(0, 3, 3000).astype(np.uint8)
    (backing,) = add_process(backend, layout)
    _, job = moved(backend, NodeMap(((0, 1), (1, 0))))
    assert np.array_equal(backing.node, np.array([1, 0, 2], np.uint8)[layout])
    assert job.snapshot().moved == {(0, 1): int((layout == 0).sum()), (1, 0): int((layout == 1).sum())}


def test_pages_follow_the_cpus() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 100 + [1] * 200 + [2] * 300, cpu_nodes=(2,))
    plan, _ = moved(backend, FollowCpus())
    assert pages_by_node(backing) == {2: 600}
    assert plan.request.to == NodeMap(((0, 2), (1, 2)))


def test_what_runs_everywhere_has_nothing_to_follow() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0, 1, 2] * 10, cpu_nodes=(0, 1, 2))
    plan, _ = moved(backend, FollowCpus())
    assert plan.pages == 0 and pages_by_node(backing) == {0: 10, 1: 10, 2: 10}
    assert any(finding.check == "pages" for finding in plan.warnings)


def test_where_it_runs_must_be_known_to_follow() -> None:
    backend = machine()
    add_process(backend, [0] * 10, cpu_nodes=())
    with pytest.raises(UsageError, match="not known where the process runs"):
        plan_request(backend, Request(PID, FollowCpus()))


def test_each_receiving_node_keeps_its_reserve() -> None:
    backend = machine(1 << 18, 1 << 18, 300)  # node 2 is small
    (backing,) = add_process(backend, [0] * 1000)
    plan, job = moved(backend, Interleave((1, 2)), reserve_bytes=200 * 4096, batch_pages=64)
    assert "node 2" in next(finding.reason for finding in plan.warnings if finding.check == "room")
    where = pages_by_node(backing)
    assert where[1] == 500 and 64 < where[2] <= 100
    assert job.snapshot().outcomes[Outcome.NO_ROOM] + where[2] <= 500
    assert backend.node_counters().free_bytes[2] >= 200 * 4096


def test_an_undo_puts_back_what_was_spread() -> None:
    backend = machine()
    rng = np.random.default_rng(5)
    layout = rng.integers(0, 3, 2000).astype(np.uint8)
    (backing,) = add_process(backend, layout)
    recorder = Recorder.open(backend)
    plan = plan_request(backend, Request(PID, interleave({0: 1, 1: 2, 2: 3}), most_calls=None, reserve_bytes=0))
    record = recorder.begin(plan)
    list(run_job(Job(record.number, backend, plan, record), backend))
    assert not np.array_equal(backing.node, layout)
    entry = recorder.journal.job(record.number)
    assert Request.from_dict(json.loads(json.dumps(entry.request))) == plan.request
    undoing = Undoing(recorder.journal, entry)
    back = plan_undo(backend, undoing)
    record = recorder.begin(back)
    list(run_job(Job(record.number, backend, back, record, chooses=choose_to_undo(undoing)), backend))
    assert np.array_equal(backing.node, layout)
    recorder.close()


@pytest.mark.parametrize("order", list(OrderMode))
@pytest.mark.parametrize("most", [1, 250, 999])
def test_no_more_is_chosen_than_was_asked_for(order: OrderMode, most: int) -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 1000)
    plan, job = moved(backend, Node(1), most_pages=most, order=Order(order, 7))
    assert plan.pages == most == job.snapshot().chosen
    assert pages_by_node(backing) == {0: 1000 - most, 1: most}


def test_a_limit_holds_when_the_rest_is_sent_elsewhere() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 1000)
    plan = plan_request(backend, Request(PID, Node(1), most_calls=None, batch_pages=100, most_pages=500))
    job = Job(1, backend, plan)
    job.step()
    job.step()
    job.retarget(Node(2), "elsewhere")
    list(run_job(job, backend))
    assert pages_by_node(backing) == {0: 500, 1: 200, 2: 300}


def test_only_what_others_map_or_do_not() -> None:
    for mapped, expected in ((Mapped.SHARED, 300), (Mapped.PRIVATE, 700)):
        backend = machine()
        (backing,) = add_process(backend, [0] * 1000)
        backing.sharers[:300] = 2
        plan, _ = moved(backend, Node(1), mapped=mapped, shared=True)
        assert plan.pages == expected and pages_by_node(backing) == {0: 1000 - expected, 1: expected}


def test_only_huge_pages_or_only_small_ones() -> None:
    for huge in (True, False):
        backend = machine()
        large, small = Backing.untouched(1024), Backing.untouched(100)
        backend.machine.place(large, 0, np.zeros(1024, np.uint8), Flag.LARGE)
        backend.machine.place(small, 0, np.zeros(100, np.uint8), 0)
        regions = [SimRegion(START, large), SimRegion(START + (8 << 20), small)]
        backend.machine.add(SimProcess(PID, "app", regions=regions))
        plan, _ = moved(backend, Node(1), huge=huge)
        assert plan.pages == (1024 if huge else 100)
        assert pages_by_node(large) == {int(huge): 1024} and pages_by_node(small) == {int(not huge): 100}


def test_regions_by_size() -> None:
    backend = machine()
    small, large = add_process(backend, [0] * 10, [0] * 1000)
    assert moved(backend, Node(1), least_region_bytes=11 * 4096)[0].pages == 1000
    assert moved(backend, Node(2), most_region_bytes=10 * 4096)[0].pages == 10
    assert pages_by_node(small) == {2: 10} and pages_by_node(large) == {1: 1000}


@pytest.mark.parametrize(
    ("sources", "targets", "expected"),
    [
        ([0], [1], Node(1)),
        ([0, 1, 2], [1], Node(1)),
        ([0, 1], [2, 3], NodeMap(((0, 2), (1, 3)))),
        ([0, 1], [1, 2], NodeMap(((0, 1), (1, 2)))),
        ([0, 1, 2, 3], [2, 3], NodeMap(((0, 2), (1, 3)))),  # of unlike number: what is on a target stays
        ([0, 1, 2], [3, 4], NodeMap(((0, 3), (1, 4), (2, 3)))),
        ([0, 1], [0, 1], NodeMap(())),
    ],
)
def test_from_and_to_are_those_of_migrate_pages(sources: list[int], targets: list[int], expected: Destination) -> None:
    assert node_by_node(sources, targets) == expected


@given(
    st.one_of(
        st.integers(0, 63).map(Node),
        st.lists(st.integers(0, 63), min_size=1, unique=True).map(lambda nodes: Interleave(tuple(sorted(nodes)))),
        st.dictionaries(st.integers(0, 63), st.integers(1, 255), min_size=1).map(interleave),
        st.dictionaries(st.integers(0, 63), st.integers(0, 63)).map(
            lambda pairs: NodeMap(tuple(sorted(pairs.items())))
        ),
        st.just(FollowCpus()),
    )
)
def test_json_says_all_of_it(to: Destination) -> None:
    assert destination_from(json.loads(json.dumps(to.as_dict()))) == to


@pytest.mark.parametrize(
    "text", ["", "1", "1:", ":1", "1:0", "1:256", "a:b", "1:1,1:2", "-1:2", "1:2:3", "1:2,", "٣:1"]
)
def test_weights_that_are_none(text: str) -> None:
    with pytest.raises(UsageError):
        parse_weights(text)


@pytest.mark.parametrize("text", ["", "1", "0:0", "0:1,0:2", "x:1", "0>1"])
def test_node_maps_that_are_none(text: str) -> None:
    with pytest.raises(UsageError):
        parse_node_map(text)


def test_a_node_that_is_not_there() -> None:
    backend = machine()
    add_process(backend, [0] * 10)
    for to in (Interleave((1, 7)), parse_weights("7:1,1:1"), parse_node_map("0:7"), parse_node_map("7:0")):
        with pytest.raises(UsageError, match="node 7 does not exist"):
            plan_request(backend, Request(PID, to))


@pytest.mark.parametrize("batch", [7, 64, 333, 1000])
def test_folios_that_cannot_be_seen_are_spread_whole(batch: int) -> None:
    regions = [{"size": 1500 * 4096, "nodes": {0: 1}}, {"size": "1MiB", "nodes": {0: 1}, "folio": "64KiB"}]
    nodes = [{"id": node, "cpus": f"{node}", "memory": "64MiB"} for node in range(3)]
    said = {"scenario": 1, "title": "folios", "kernel": "linux-6.12", "seed": 1, "nodes": nodes}
    said["processes"] = [{"name": "work", "pid": PID, "regions": regions}]
    backend = SimulatorBackend(build_machine(ScenarioFile.model_validate(said)))
    plan, job = moved(backend, Interleave((1, 2)), batch_pages=batch)
    assert plan.pages == job.snapshot().outcomes[Outcome.MOVED] == job.snapshot().chosen == 1756
    small, large = (region.backing.node for region in backend.machine.process(PID).regions)
    assert (large.reshape(16, 16) == large.reshape(16, 16)[:, :1]).all()
    first = backend.machine.process(PID).regions[0].start // 4096
    assert np.array_equal(small, np.array([1, 2], np.uint8)[(first + np.arange(1500)) // 16 % 2])
