"""Choosing while pages move: the same batches, the same account, and nothing lost where it was in vain."""

from __future__ import annotations

import dataclasses
import threading

import numpy as np
import pytest

from numamig.backends.base import MPOL_MF_MOVE, Capabilities, MovePagesReturn
from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.memory import PAGE, Flag
from numamig.migrate.destination import Node
from numamig.migrate.job import Job
from numamig.migrate.plan import plan_request
from numamig.migrate.request import Request
from numamig.migrate.run import run_job
from tests.machines import PID, START, add_process, machine, pages_by_node

LAYOUT = ([0] * 70 + [1] * 5 + [255] * 9 + [2] * 40) * 6


def choosing() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("numamig-choose")}


class RealTime(SimulatorBackend):
    """The simulated machine, as one on which other threads go on during a call."""

    def __init__(self, virtual_time: bool) -> None:
        super().__init__(machine().machine)
        self.virtual_time = virtual_time
        self.ahead = 0
        self._before = choosing()
        """Of jobs that other tests have left unfinished."""

    @property
    def capabilities(self) -> Capabilities:
        return dataclasses.replace(super().capabilities, virtual_time=self.virtual_time)

    @property
    def choosing(self) -> set[threading.Thread]:
        """Threads that choose batches for jobs on this machine."""
        return choosing() - self._before

    def move_pages(
        self, pid: int, addresses: np.ndarray, nodes: np.ndarray | None, flags: int = MPOL_MF_MOVE
    ) -> MovePagesReturn:
        if nodes is not None and len(nodes):
            self.ahead += len(self.choosing)
        return super().move_pages(pid, addresses, nodes, flags)


def new_job(backend: SimulatorBackend, **asked: object) -> Job:
    return Job(1, backend, plan_request(backend, Request(PID, Node(1), **asked)))  # type: ignore[arg-type]


@pytest.mark.parametrize("batch", [1, 7, 64, 1000])
def test_it_makes_no_difference_to_the_account(batch: int) -> None:
    ends = []
    for virtual_time in (True, False):
        backend = RealTime(virtual_time)
        flags = {3: Flag.PINNED, 80: Flag.ISOLATED, 200: Flag.PINNED}
        (backing,) = add_process(backend, LAYOUT, flags=flags)
        job = new_job(backend, sources=(0,), batch_pages=batch)
        seen = [type(event).__name__ for event in run_job(job, backend)]
        snapshot = job.snapshot()
        ends.append((seen, snapshot.outcomes.as_dict(), snapshot.moved, snapshot.passes, pages_by_node(backing)))
        assert bool(backend.ahead) == (not virtual_time and batch < 420)
    assert ends[0] == ends[1]


def test_cancelling_counts_what_was_chosen_in_vain_as_not_tried() -> None:
    backend = RealTime(virtual_time=False)
    add_process(backend, [0] * 100)
    job = new_job(backend, batch_pages=10)
    job.run()
    job.step()
    job.cancel()
    snapshot = job.snapshot()
    assert {o.key: n for o, n in snapshot.outcomes.items() if n} == {"moved": 10, "not_tried": 90}
    assert not backend.choosing


def test_another_size_of_batch_is_obeyed_at_once() -> None:
    backend = RealTime(virtual_time=False)
    add_process(backend, [0] * 100)
    job = new_job(backend, batch_pages=50)
    job.run()
    job.step()
    job.pacer.batch_pages = 3
    job.step()
    assert job.snapshot().chosen == 53
    job.cancel()


def test_what_was_chosen_long_ago_is_chosen_anew() -> None:
    backend = RealTime(virtual_time=False)
    (backing,) = add_process(backend, [0] * 30)
    job = new_job(backend, sources=(0,), batch_pages=10)
    job.run()
    job.step()
    # Somebody else moves what is next, and time passes.
    where = START + np.arange(10, 20, dtype=np.uint64) * PAGE
    assert backend.move_pages(PID, where, np.full(10, 2, np.int32)).returned == 0
    backend.clock.sleep_ns(2 * 10**9)
    job.step()
    assert job.snapshot().state.ended
    assert pages_by_node(backing) == {1: 20, 2: 10}


def test_a_process_that_ends_meanwhile_is_gone() -> None:
    backend = RealTime(virtual_time=False)
    add_process(backend, [0] * 30)
    job = new_job(backend, batch_pages=10)
    job.run()
    job.step()
    backend.machine.end(PID)
    while not job.state.ended:
        job.step()
    assert {o.key: n for o, n in job.snapshot().outcomes.items() if n} == {"moved": 10, "gone": 20}
