"""Several nodes in turn, node by node, and orders, on a real kernel: each page is asked for, and not by us."""

from __future__ import annotations

from collections import Counter

import pytest

from numamig.migrate.destination import FollowCpus, Interleave, NodeMap, interleave
from numamig.migrate.job import Job
from numamig.migrate.journal.record import Recorder
from numamig.migrate.order_mode import Order, OrderMode
from numamig.migrate.plan import plan_request
from numamig.migrate.request import Mapped, Request
from numamig.migrate.run import run_job
from numamig.migrate.undo import Undoing, choose_to_undo, plan_undo
from numamig.testing import Area
from tests.lab.back_door import page_nodes
from tests.lab.conftest import PAGE, LabWorkshop
from tests.lab.jobs import counts, migrate

PAGES = 1500
HUGE = 512


def in_turn(start: int, pages: int, turn: list[int], size: int, unit: int) -> list[int]:
    """By the definition: from address 0 on, one unit after the other."""
    return [turn[(start + number * size) // max(size, unit) % len(turn)] for number in range(pages)]


def unit_of(workshop: LabWorkshop) -> int:
    """Bytes of the largest folios below huge pages that memory may come in here, or of a page."""
    return max(workshop.backend.topology().folio_sizes, default=PAGE)


@pytest.mark.parametrize("batch", [64, 1000])
def test_pages_are_spread_in_turn(workshop: LabWorkshop, batch: int) -> None:
    target = workshop.start(Area(PAGES, 0), Area(3 * HUGE, 0, "huge"))
    small, large = target.starts
    wanted = in_turn(small, PAGES, [1, 2], PAGE, unit_of(workshop))
    job = migrate(workshop, target, Interleave((1, 2)), batch_pages=batch)
    assert counts(job) == {"moved": PAGES + 3 * HUGE}
    assert page_nodes(target.pid, small, PAGES) == wanted
    assert page_nodes(target.pid, large, 3, HUGE * PAGE) == in_turn(large, 3, [1, 2], HUGE * PAGE, PAGE)
    assert counts(migrate(workshop, target, Interleave((1, 2)))) == {}
    assert target.intact()


def test_weights_and_what_is_there_already(workshop: LabWorkshop) -> None:
    target = workshop.start(Area(PAGES, 1))
    (start,) = target.starts
    wanted = in_turn(start, PAGES, [0, 1, 1, 1, 2], PAGE, unit_of(workshop))
    job = migrate(workshop, target, interleave({0: 1, 1: 3, 2: 1}), batch_pages=333)
    assert page_nodes(target.pid, start, PAGES) == wanted
    assert counts(job) == {"moved": sum(node != 1 for node in wanted)}


def test_two_nodes_are_swapped_and_the_third_is_left_alone(workshop: LabWorkshop) -> None:
    target = workshop.start(Area(PAGES, 0), Area(HUGE, 1, "huge"), Area(300, 2))
    job = migrate(workshop, target, NodeMap(((0, 1), (1, 0))))
    assert job.moved == {(0, 1): PAGES, (1, 0): HUGE}
    assert [target.pages_by_node(number) for number in range(3)] == [{1: PAGES}, {0: HUGE}, {2: 300}]
    assert target.intact()


def test_pages_follow_the_cpus(workshop: LabWorkshop) -> None:
    target = workshop.start(Area(PAGES, 2))
    home = workshop.backend.process(target.pid).cpu_nodes
    migrate(workshop, target, FollowCpus())
    nodes = Counter(page_nodes(target.pid, target.starts[0], PAGES))
    assert len(nodes) == 1 and set(nodes) <= {0, 1} and home


def test_by_lot_and_no_more_than_so_many(workshop: LabWorkshop) -> None:
    target = workshop.start(Area(PAGES, 0))
    job = migrate(workshop, target, 1, order=Order(OrderMode.RANDOM, 5), most_pages=400, batch_pages=100)
    nodes = page_nodes(target.pid, target.starts[0], PAGES)
    assert counts(job) == {"moved": 400} and Counter(nodes) == {0: PAGES - 400, 1: 400}
    assert 0 in nodes[:400] and 1 in nodes[-400:]
    assert target.intact()


def test_private_pages_only(workshop: LabWorkshop) -> None:
    target = workshop.start(Area(400, 0), Area(300, 0, "shared"))
    job = migrate(workshop, target, 1, mapped=Mapped.PRIVATE)
    assert counts(job) == {"moved": 400}
    assert counts(migrate(workshop, target, 1, mapped=Mapped.SHARED, shared=True)) == {"moved": 300}
    assert target.pages_by_node(0) == {1: 400} and target.pages_by_node(1) == {1: 300}


def test_what_was_spread_is_put_back(workshop: LabWorkshop) -> None:
    target = workshop.start(Area(700, 0), Area(800, 2))
    backend = workshop.backend
    within = sorted((start, start + area.pages * PAGE) for start, area in zip(target.starts, target.areas, strict=True))
    recorder = Recorder.open(backend)
    request = Request(target.pid, Interleave((0, 1, 2)), within=within, most_calls=None)
    plan = plan_request(backend, request)
    record = recorder.begin(plan)
    list(run_job(Job(record.number, backend, plan, record), backend))
    record.unlock()
    assert len(set(page_nodes(target.pid, target.starts[0], 700))) == 3
    undoing = Undoing(recorder.journal, recorder.journal.job(record.number))
    back = plan_undo(backend, undoing)
    record = recorder.begin(back)
    list(run_job(Job(record.number, backend, back, record, chooses=choose_to_undo(undoing)), backend))
    recorder.close()
    assert [target.pages_by_node(number) for number in range(2)] == [{0: 700}, {2: 800}]
    assert target.intact()
