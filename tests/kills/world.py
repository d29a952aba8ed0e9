"""A machine in a file and a journal beside it: who looks after a kill whether all of it can be explained.

Where pages are is read from the arrays of the machine file; what was to be moved from the journal. Neither the page
readers nor the arithmetic of undo have a part in it.
"""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.machine import Machine
from numamig.backends.simulator.machinefile import open_machine
from numamig.backends.simulator.memory import ABSENT, PAGE, Backing, Flag
from numamig.errors import UsageError
from numamig.migrate.job import Job
from numamig.migrate.journal.record import Recorder
from numamig.migrate.journal.store import BatchEntry, JobEntry
from numamig.migrate.request import Request
from numamig.migrate.run import run_job
from numamig.migrate.snapshot import JobState
from numamig.migrate.undo import Undoing, choose_to_undo, plan_undo
from numamig.model.outcome import Outcome
from tests.kills.child import Doom, End, Task, carry_out, fork_and_kill
from tests.kills.explain import Layout, explain

__all__ = ["NODES", "PIDS", "World"]

SCENARIO = """scenario: 1
title: to be killed
seed: {seed}
kernel: {kernel}
nodes:
  - {{id: 0, cpus: 0-1, memory: 64MiB, used: 2MiB}}
  - {{id: 1, cpus: 2-3, memory: 64MiB, cache: 30MiB}}
  - {{id: 3, memory: 64MiB}}
processes:
  - name: scattered
    pid: 10
    threads: 2
    runs_on: [1]
    regions:
      - {{kind: heap, size: 6MiB, nodes: {{0: 2, 1: 1, 3: 1}}, pattern: random, present: 90%, pinned: 1%, busy: 1%,
         swapped: 3%, zero: 3%, hinted: 2%, writeback: 1%}}
      - {{kind: shmem, size: 1MiB, nodes: {{0: 1, 1: 1}}, pattern: interleave, share: pool}}
  - name: huge
    pid: 11
    runs_on: [0]
    regions:
      - {{kind: shmem, size: 1MiB, share: pool}}
      - {{kind: anon, size: 9MiB, nodes: {{0: 1, 3: 1}}, huge: true, pattern: random}}
      - {{kind: heap, size: 2MiB, nodes: {{0: 1}}}}
      - {{kind: anon, size: 3MiB, nodes: {{0: 2, 1: 1}}, pattern: random{folios}}}
  - name: holes
    pid: 12
    runs_on: [0]
    regions:
      - {{kind: anon, size: 12MiB, nodes: {{0: 3, 1: 1}}, present: 20%, extent: 64KiB}}
      - {{kind: anon, size: 1MiB, nodes: {{3: 1}}, locked: true}}
      - {{kind: anon, size: 1MiB}}
"""
PIDS, NODES = (10, 11, 12), (0, 1, 3)
KERNELS = {"linux-6.12": ", folio: 64KiB", "linux-6.1": ""}
"""And what is said of regions that may come in folios of several pages."""
_Key = tuple[int, int]
"""(job, number) of a batch."""


class World:
    """One machine and one journal, killed again and again."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder = folder
        self._file = folder / "m.numamig"
        scenario = folder / "killed.yaml"
        kernel, folios = list(KERNELS.items())[seed % len(KERNELS)]
        scenario.write_text(SCENARIO.format(seed=seed, kernel=kernel, folios=folios))
        with open_machine(self._file, scenario) as machine:
            self.layout = where(machine)
            self._elsewhere = elsewhere(machine)
        self._journals = 0
        self.begin_journal()

    def begin_journal(self) -> None:
        """Another directory of state, in which nothing is yet."""
        self._journals += 1
        self.environment = {"XDG_STATE_HOME": str(self._folder / f"state{self._journals}")}
        self._known: set[_Key] = set()
        self.jobs: dict[int, JobEntry] = {}
        """As the journal has them."""

    def pages(self, request: Request) -> int:
        """That a request is about, and a few more."""
        with open_machine(self._file) as machine:
            nodes = [region.backing.node for region in machine.process(request.pid).regions]
            return sum(int(((node != request.to.nodes[0]) & (node != ABSENT)).sum()) for node in nodes)

    def kill(self, task: Task, doom: Doom, after_s: float | None) -> tuple[End, int | None]:
        """Let a child do its task and be killed, then look whether what it left can be explained; and its new job."""

        def work() -> None:
            with open_machine(self._file) as machine:
                carry_out(task, SimulatorBackend(machine), doom)

        end = fork_and_kill(work, doom, after_s)
        before = set(self.jobs)
        with self._opened() as (machine, recorder):
            self._explain(machine, recorder)
        new = self.jobs.keys() - before
        assert len(new) <= 1
        return end, next(iter(new), None)

    @contextmanager
    def _opened(self) -> Iterator[tuple[Machine, Recorder]]:
        self._demand_whole_journal()
        with open_machine(self._file) as machine:
            recorder = Recorder.open(SimulatorBackend(machine), self.environment)
            try:
                yield machine, recorder
            finally:
                recorder.close()

    def _explain(self, machine: Machine, recorder: Recorder) -> None:
        """What has changed since it was looked at last is what new batches in the journal say, and nothing else."""
        self.jobs = {job.id: job for job in recorder.journal.jobs()}
        every = {(job, n) for job in self.jobs for n in recorder.journal.batch_numbers(job)}
        new = sorted(every - self._known)
        assert len({job for job, _ in new}) <= 1
        batches = [self._batch(recorder, key) for key in new]
        assert all(batch.left is not None for _, batch in batches[:-1]), "it went on without writing a result down"
        after = where(machine)
        explain(self.layout, after, batches, functools.partial(places, machine))
        self.layout, self._known = after, every
        assert elsewhere(machine) == self._elsewhere, "free and used memory do not add up"
        assert all(node.free_pages >= 0 for node in machine.nodes.values())
        for job in self.jobs.values():
            assert recorder.locks.holder(job.image) is None, "the writer's lock outlives its holder"

    def demand_explained_by(self, number: int, before: Layout) -> None:
        """What a killed and a resumed run of one job have done, by all that the journal says of it now."""
        with self._opened() as (machine, recorder):
            numbers = recorder.journal.batch_numbers(number)
            batches = [self._batch(recorder, (number, n)) for n in numbers]
            explain(before, self.layout, batches, functools.partial(places, machine))

    def undo(self, number: int, before: Layout) -> None:
        """Take a job back, to the end: every page must be where it was."""
        with self._opened() as (machine, recorder):
            backend = SimulatorBackend(machine)
            undoing = Undoing(recorder.journal, recorder.journal.job(number))
            displaced = int((self.layout != before).sum())
            try:
                plan = plan_undo(backend, undoing)
            except UsageError as error:
                assert displaced == 0, error
                assert "moved no page" in error.message or "was taken back" in error.message
                return
            record = recorder.begin(plan)
            job = Job(record.number, backend, plan, record, chooses=choose_to_undo(undoing))
            for _ in run_job(job, backend):
                pass
            done = job.snapshot()
            assert done.state is JobState.DONE
            assert done.outcomes.total == done.chosen == sum(row.pages for row in job.ledger())
            assert done.outcomes[Outcome.MOVED] == displaced
            assert displaced + done.outcomes[Outcome.ALREADY_THERE] == done.chosen <= plan.pages
            self._explain(machine, recorder)
        assert (self.layout == before).all(), "undo left pages elsewhere"

    def _batch(self, recorder: Recorder, key: _Key) -> tuple[int, BatchEntry]:
        batch = recorder.journal.batch(*key)
        assert batch is not None
        return self.jobs[key[0]].image.pid, batch

    def _demand_whole_journal(self) -> None:
        path = Path(self.environment["XDG_STATE_HOME"]) / "numamig" / "journal.sqlite"
        if path.exists():
            db = sqlite3.connect(path)
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert db.execute("PRAGMA foreign_key_check").fetchall() == []
            db.close()


def backings(machine: Machine) -> list[Backing]:
    return list({id(b): b for p in machine.processes.values() for b in p.backings}.values())


def where(machine: Machine) -> Layout:
    return np.concatenate([backing.node for backing in backings(machine)])


def elsewhere(machine: Machine) -> dict[int, int]:
    """Of each node, what is neither free nor page cache nor a process's."""
    taken = np.concatenate([b.node[b.flags & int(Flag.ZERO) == 0] for b in backings(machine)])
    return {
        n.id: n.total_pages - n.free_pages - n.cache_pages - int((taken == n.id).sum()) for n in machine.nodes.values()
    }


def places(machine: Machine, pid: int, address: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Where in a layout pages of a process are."""
    first, end = {}, 0
    for backing in backings(machine):
        first[id(backing)], end = end, end + len(backing.node)
    place = np.full(len(address), -1, np.int64)
    for region in machine.process(pid).regions:
        inside = (address >= region.start) & (address < region.end)
        page = (address[inside] - np.uint64(region.start)).astype(np.int64) // PAGE
        place[inside] = first[id(region.backing)] + region.first + page
    assert (place >= 0).all(), "pages that are nobody's"
    return place
