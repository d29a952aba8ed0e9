"""Folios that page readers show as base pages: the kernel moves all of one, whatever part of it was named."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.scenario import ScenarioFile, build_machine
from numamig.migrate.destination import Node
from numamig.migrate.job import Job
from numamig.migrate.journal.record import Recorder
from numamig.migrate.plan import plan_request
from numamig.migrate.request import Request
from numamig.migrate.run import run_job
from numamig.migrate.undo import Undoing, choose_to_undo, plan_undo

PID = 10
PAGES = 1536


def machine(folio: str, pattern: str, seed: int) -> SimulatorBackend:
    region = {"size": PAGES * 4096, "nodes": {0: 2, 1: 1}, "folio": folio, "pattern": pattern}
    nodes = [{"id": node, "cpus": f"{node}", "memory": "64MiB"} for node in range(3)]
    return SimulatorBackend(
        build_machine(
            ScenarioFile.model_validate(
                {
                    "scenario": 1,
                    "title": "folios",
                    "kernel": "linux-6.12",
                    "seed": seed,
                    "nodes": nodes,
                    "processes": [{"name": "work", "pid": PID, "regions": [region]}],
                }
            )
        )
    )


def layout(backend: SimulatorBackend) -> np.ndarray:
    """Node of each page, from the page tables."""
    return np.concatenate([region.backing.node for region in backend.machine.process(PID).regions])


@given(
    st.sampled_from(["16KiB", "64KiB", "256KiB"]),
    st.sampled_from(["blocks", "halves", "random", "interleave"]),
    st.integers(64, 700),
    st.sampled_from([None, (0,), (1,)]),
    st.integers(0, 2),
    st.integers(0, 2**20),
)
def test_what_moves_is_what_the_account_says_and_what_undo_puts_back(
    folio: str, pattern: str, batch: int, sources: tuple[int, ...] | None, target: int, seed: int
) -> None:
    assume(sources != (target,))
    backend = machine(folio, pattern, seed)
    before = layout(backend)
    plan = plan_request(backend, Request(PID, Node(target), sources=sources, batch_pages=batch, most_calls=None))
    recorder = Recorder.open(backend)
    record = recorder.begin(plan)
    job = Job(record.number, backend, plan, record)
    job.run()
    for _ in range(3):
        job.step()
        moved = sum(row.pages for row in job.ledger() if row.outcome.key == "moved")
        assert moved == (layout(backend) != before).sum()
    job.cancel()
    if (layout(backend) != before).any():
        undoing = Undoing(recorder.journal, recorder.journal.job(job.number))
        back = plan_undo(backend, undoing)
        for _ in run_job(Job(2, backend, back, recorder.begin(back), chooses=choose_to_undo(undoing)), backend):
            pass
    assert (layout(backend) == before).all()


@pytest.mark.parametrize(("batch", "first"), [(512, 512), (133, 128), (16, 16), (17, 16), (5, 4)])
def test_a_batch_ends_where_a_folio_may_end(batch: int, first: int) -> None:
    backend = machine("64KiB", "blocks", 1)
    job = Job(1, backend, plan_request(backend, Request(PID, Node(2), batch_pages=batch, most_calls=None)))
    job.run()
    job.step()
    assert job.snapshot().chosen == first
