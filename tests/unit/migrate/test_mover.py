"""One batch through the seam, in the cases where the kernel's answer hides what happened."""

from __future__ import annotations

import errno

import numpy as np
import pytest

from numamig.backends.base import MPOL_MF_MOVE, MovePagesReturn
from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.memory import HUGE_PAGES, PAGE, Flag
from numamig.backends.simulator.process import Caller
from numamig.migrate.batch import Batch
from numamig.migrate.mover import BatchResult, Stop, move_batch
from numamig.model.outcome import Outcome
from tests.machines import PID, START, add_process, machine, pages_by_node


def batch(pages: list[int], target: int | list[int], source: int = 0, size: int = PAGE) -> Batch:
    address = np.uint64(START) + np.array(pages, np.uint64) * np.uint64(PAGE)
    targets = np.broadcast_to(np.array(target, np.int32), len(pages)).copy()
    return Batch(address, np.full(len(pages), size, np.int64), np.full(len(pages), source, np.int16), targets)


def move(backend: SimulatorBackend, chosen: Batch, *, shared: bool = False, threads: int = 1) -> BatchResult:
    result = move_batch(backend, PID, chosen, PAGE, shared=shared, threads=threads)
    assert result.outcomes.total == chosen.size_bytes.sum() // PAGE
    return result


def counts(result: BatchResult) -> dict[str, int]:
    return {outcome.key: pages for outcome, pages in result.outcomes.items() if pages}


def test_all_pages_move_in_one_call() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 100)
    result = move(backend, batch(list(range(100)), 1))
    assert counts(result) == {"moved": 100}
    assert result.moved == {(0, 1): 100}
    assert len(result.call_ns) == 1
    assert pages_by_node(backing) == {1: 100}


def test_a_pinned_page_is_busy_and_the_hidden_rest_of_its_run_is_moved() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 8, flags={3: Flag.PINNED})
    result = move(backend, batch(list(range(8)), 1))
    assert counts(result) == {"moved": 7, "busy": 1}
    assert result.left.ranges() == [(START + 3 * PAGE, START + 4 * PAGE)]
    assert pages_by_node(backing) == {0: 1, 1: 7}


def test_runs_behind_a_failed_one_are_tried_again_and_the_pinned_page_is_not() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 8, flags={1: Flag.PINNED})
    result = move(backend, batch(list(range(8)), [1, 1, 1, 1, 2, 2, 1, 1]))
    assert counts(result) == {"moved": 7, "busy": 1}
    assert pages_by_node(backing) == {0: 1, 1: 5, 2: 2}
    assert len(result.call_ns) == 2


def test_a_page_off_the_lru_is_busy() -> None:
    backend = machine()
    add_process(backend, [0] * 4, flags={2: Flag.ISOLATED})
    assert counts(move(backend, batch(list(range(4)), 1))) == {"moved": 3, "busy": 1}


def test_the_second_name_of_a_huge_page_is_not_believed_when_it_says_busy() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * HUGE_PAGES, huge=True)
    result = move(backend, batch(list(range(HUGE_PAGES)), 1))
    assert counts(result) == {"moved": HUGE_PAGES}
    assert pages_by_node(backing) == {1: HUGE_PAGES}


def test_a_huge_page_counts_its_base_pages() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 2 * HUGE_PAGES, huge=True)
    result = move(backend, batch([0, HUGE_PAGES], 1, size=HUGE_PAGES * PAGE))
    assert counts(result) == {"moved": 2 * HUGE_PAGES}
    assert pages_by_node(backing) == {1: 2 * HUGE_PAGES}


def test_a_huge_page_that_is_split_at_a_full_target_is_counted_in_pieces() -> None:
    backend = machine(1 << 18, 700)
    (backing,) = add_process(backend, [0] * 2 * HUGE_PAGES, huge=True)
    result = move(backend, batch([0, HUGE_PAGES], 1, size=HUGE_PAGES * PAGE))
    assert counts(result) == {"moved": 700, "no_room": 2 * HUGE_PAGES - 700}
    assert result.stop is Stop.NO_ROOM
    assert pages_by_node(backing) == {0: 2 * HUGE_PAGES - 700, 1: 700}
    assert result.left.ranges() == [(START + 700 * PAGE, START + 2 * HUGE_PAGES * PAGE)]


def test_enomem_half_way_hides_what_moved() -> None:
    backend = machine(1 << 18, 58_293)
    (backing,) = add_process(backend, [0] * 75_000)
    result = move(backend, batch(list(range(75_000)), 1))
    assert counts(result) == {"moved": 58_293, "no_room": 75_000 - 58_293}
    assert result.stop is Stop.NO_ROOM
    assert pages_by_node(backing) == {0: 75_000 - 58_293, 1: 58_293}


def test_another_target_may_still_have_room() -> None:
    backend = machine(1 << 18, 10, 1 << 18)
    (backing,) = add_process(backend, [0] * 100)
    result = move(backend, batch(list(range(100)), [1] * 50 + [2] * 50))
    assert counts(result) == {"moved": 60, "no_room": 40}
    assert result.stop is None
    assert pages_by_node(backing) == {0: 40, 1: 10, 2: 50}


@pytest.mark.parametrize(("shared", "expected"), [(False, {"shared": 4}), (True, {"moved": 4})])
def test_shared_pages_move_only_when_asked_to(shared: bool, expected: dict[str, int]) -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 4)
    backing.sharers[:] = 2
    assert counts(move(backend, batch(list(range(4)), 1), shared=shared)) == expected


@pytest.mark.parametrize(
    ("kernel", "trace", "expected"),
    [
        ("linux-6.1", False, {"moved": 6, "hinted": 2}),
        ("linux-6.1", True, {"moved": 8}),
        ("linux-6.12", False, {"moved": 8}),
    ],
)
def test_pages_marked_by_numa_balancing_are_never_called_absent(
    kernel: str, trace: bool, expected: dict[str, int]
) -> None:
    backend = machine(kernel=kernel, caller=Caller(trace=trace))
    (backing,) = add_process(backend, [0] * 8, flags={2: Flag.HINTED, 5: Flag.HINTED})
    assert counts(move(backend, batch(list(range(8)), 1))) == expected
    assert pages_by_node(backing).get(1) == expected["moved"]


@pytest.mark.parametrize("kernel", ["linux-6.1", "linux-6.12"])
def test_pages_that_went_away_are_absent_or_unmapped(kernel: str) -> None:
    backend = machine(kernel=kernel)
    add_process(backend, [0, 255, 0, 255], flags={3: Flag.SWAPPED})
    assert counts(move(backend, batch([0, 1, 2, 3, 4], 1))) == {"moved": 2, "absent": 2, "unmapped": 1}


@pytest.mark.parametrize("threads", [2, 3])
def test_calls_made_together_settle_like_one(threads: int) -> None:
    layout = ([0] * 300 + [1] * 3 + [255]) * 4
    flags = {7: Flag.PINNED, 400: Flag.ISOLATED, 900: Flag.PINNED}
    answers = []
    for calls in (1, threads):
        backend = machine()
        (backing,) = add_process(backend, layout, flags=flags)
        chosen = batch([page for page, node in enumerate(layout) if node == 0], 2)
        answers.append((counts(move(backend, chosen, threads=calls)), pages_by_node(backing)))
    assert answers[0] == answers[1]
    assert answers[0][0] == {"moved": 1197, "busy": 3}


def test_calls_made_together_overlap_in_time() -> None:
    took = []
    for threads in (1, 2):
        backend = machine()
        add_process(backend, [0] * 4096)
        took.append(sum(move(backend, batch(list(range(4096)), 1), threads=threads).call_ns))
    assert took[1] < 0.6 * took[0]


def test_a_process_that_ended_is_gone() -> None:
    backend = machine()
    add_process(backend, [0] * 4)
    backend.machine.end(PID)
    result = move(backend, batch(list(range(4)), 1))
    assert counts(result) == {"gone": 4}
    assert result.stop is Stop.TARGET_GONE


def test_a_cpuset_that_forbids_the_target_refuses() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 4, mems_allowed=frozenset({0}))
    result = move(backend, batch(list(range(4)), 1))
    assert counts(result) == {"refused": 4}
    assert result.stop is Stop.NODE_REFUSED
    assert pages_by_node(backing) == {0: 4}


def test_rights_that_are_lost_refuse() -> None:
    backend = machine(caller=Caller("nobody", sys_nice=False, sys_ptrace=False, sys_admin=False))
    add_process(backend, [0] * 4, user="postgres")
    result = move(backend, batch(list(range(4)), 1))
    assert counts(result) == {"refused": 4}
    assert result.stop is Stop.NO_RIGHTS


def test_a_bad_node_in_the_middle_leaves_what_moved_before_it() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 6)
    result = move(backend, batch(list(range(6)), [1, 1, 2, 2, 7, 7]))
    assert counts(result) == {"moved": 4, "refused": 2}
    assert result.stop is Stop.NODE_OFFLINE
    assert pages_by_node(backing) == {0: 2, 1: 2, 2: 2}


class DiesAtCall(SimulatorBackend):
    """Its process ends right before one of the moving calls."""

    def __init__(self, inner: SimulatorBackend, call: int) -> None:
        super().__init__(inner.machine)
        self.call = call

    def move_pages(self, pid, addresses, nodes, flags=MPOL_MF_MOVE):  # type: ignore[no-untyped-def]
        if nodes is None:
            self.call -= 1
            if self.call == 0:
                self.machine.end(pid)
        return super().move_pages(pid, addresses, nodes, flags)


def test_a_process_that_ends_between_the_call_and_the_question_is_gone() -> None:
    backend = DiesAtCall(machine(), 1)
    add_process(backend, [0] * 8, flags={3: Flag.PINNED})
    assert counts(move(backend, batch(list(range(8)), 1))) == {"gone": 8}


class Answers(SimulatorBackend):
    def move_pages(self, pid, addresses, nodes, flags=MPOL_MF_MOVE):  # type: ignore[no-untyped-def]
        return MovePagesReturn(-1, errno.ENOANO, np.full(len(addresses), -(1 << 31), np.int32))


def test_an_errno_that_no_kernel_should_answer_is_booked_all_the_same() -> None:
    inner = machine()
    add_process(inner, [0] * 2)
    result = move(Answers(inner.machine), batch([0, 1], 1))
    assert counts(result) == {"refused": 2}
    assert result.stop is Stop.UNEXPECTED


def test_outcome_words() -> None:
    assert Outcome.ALREADY_THERE.key == "already_there"
    assert Outcome.ALREADY_THERE.words == "already there"
