"""``kill -9`` while pages of a real process move: undo puts every page where it was.

Where each page is comes from /proc/PID/pagemap and the page frames of each node, which numamig has no part in.
"""

from __future__ import annotations

import ctypes
import random
import re
from array import array
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from numamig.backends.linux.backend import LinuxBackend
from numamig.errors import UsageError
from numamig.migrate.destination import Node
from numamig.migrate.job import Job
from numamig.migrate.journal.record import Recorder
from numamig.migrate.request import Request
from numamig.migrate.run import run_job
from numamig.migrate.snapshot import JobState
from numamig.migrate.undo import Undoing, choose_to_undo, plan_undo
from numamig.model.outcome import Outcome
from tests.kills.child import EXACT, Doom, Phase, Task, carry_out, fork_and_kill
from tests.kills.explain import ABSENT, Layout, explain
from tests.lab.back_door import pages_by_node
from tests.lab.children import (
    APART,
    BIND,
    DEFAULT,
    MAP_PRIVATE_ANON_FIXED,
    MBIND,
    PAGE,
    PROT_READ_WRITE,
    START,
    Child,
    checked,
    forked,
    libc,
    make_area,
    mask,
    quiet,
)

KILLS = 20
SMALL, HUGE = 2048, 4 * 512
HUGE_START = START + APART
MADV_HUGEPAGE = 14
AREAS = ((START, SMALL), (HUGE_START, HUGE))


def make_areas() -> None:
    """Small pages on node 0, and huge ones, that may go anywhere."""
    make_area(pages=SMALL)
    size = HUGE * PAGE
    checked(libc.mmap(HUGE_START, size, PROT_READ_WRITE, MAP_PRIVATE_ANON_FIXED, -1, 0))
    checked(libc.madvise(HUGE_START, size, MADV_HUGEPAGE))
    checked(libc.syscall(MBIND, ctypes.c_void_p(HUGE_START), ctypes.c_ulong(size), BIND, *mask((0,)), 0))
    ctypes.memset(HUGE_START, 7, size)
    for start, pages in AREAS:
        checked(libc.syscall(MBIND, ctypes.c_void_p(start), ctypes.c_ulong(pages * PAGE), DEFAULT, *mask(()), 0))


def frames() -> list[tuple[int, int, int]]:
    """(first page frame, the one behind the last, node) of every zone."""
    found = []
    for zone in re.split(r"^Node ", Path("/proc/zoneinfo").read_text(), flags=re.MULTILINE)[1:]:
        spanned, first = re.search(r"spanned\s+(\d+)", zone), re.search(r"start_pfn:\s+(\d+)", zone)
        if spanned and first:
            found.append((int(first[1]), int(first[1]) + int(spanned[1]), int(zone.split(",")[0])))
    return found


def look(pid: int) -> Layout:
    """Where every page of the areas is."""
    layout = np.full(SMALL + HUGE, ABSENT, np.uint8)
    entries = array("Q")
    with open(f"/proc/{pid}/pagemap", "rb", buffering=0) as pagemap:
        for start, pages in AREAS:
            pagemap.seek(start // PAGE * 8)
            entries.frombytes(pagemap.read(pages * 8))
    every = np.array(entries, np.uint64)
    frame, present = every & np.uint64((1 << 55) - 1), every >> np.uint64(63) == 1
    for first, end, node in frames():
        layout[present & (frame >= first) & (frame < end)] = node
    by_node = {node: int((layout == node).sum()) for node in sorted({*layout.tolist()} - {ABSENT})}
    assert by_node == {n: p for n, p in sorted(pages_by_node(pid, START, HUGE_START + HUGE * PAGE).items()) if p}
    return layout


def places(_pid: int, address: NDArray[np.uint64]) -> NDArray[np.int64]:
    page = np.where(address < HUGE_START, address - np.uint64(START), address - np.uint64(HUGE_START)) // np.uint64(
        PAGE
    )
    return page.astype(np.int64) + np.where(address < HUGE_START, 0, SMALL)


class Killer:
    """One process whose pages are moved, killed and taken back."""

    def __init__(self, victim: Child, folder: Path) -> None:
        self.victim = victim
        self.environment = {"XDG_STATE_HOME": str(folder)}
        self.phases: Counter[Phase] = Counter()
        self.layout = look(victim.pid)
        self._known: set[tuple[int, int]] = set()
        self._backend = LinuxBackend()

    def kill(self, task: Task, doom: Doom, after_s: float | None) -> float:
        """Seconds that the child had."""
        end = fork_and_kill(lambda: carry_out(task, LinuxBackend(), doom), doom, after_s)
        if end.killed:
            self.phases[end.phase] += 1
        recorder = self.recorder()
        self.explain(recorder)
        recorder.close()
        return end.seconds

    def recorder(self) -> Recorder:
        return Recorder.open(self._backend, self.environment)

    def explain(self, recorder: Recorder) -> None:
        journal = recorder.journal
        with journal.transaction() as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        every = {(job.id, number) for job in journal.jobs() for number in journal.batch_numbers(job.id)}
        batches = [(self.victim.pid, journal.batch(*key)) for key in sorted(every - self._known)]
        after = look(self.victim.pid)
        explain(self.layout, after, [(pid, batch) for pid, batch in batches if batch is not None], places)
        self.layout, self._known = after, every
        assert all(recorder.locks.holder(job.image) is None for job in journal.jobs())

    def undo_last(self, before: Layout) -> None:
        recorder = self.recorder()
        try:
            moves = [job for job in recorder.journal.jobs() if job.kind == "move"]
            if not moves:
                assert (self.layout == before).all()
                return
            undoing = Undoing(recorder.journal, moves[-1])
            displaced = int((self.layout != before).sum())
            try:
                plan = plan_undo(self._backend, undoing)
            except UsageError:
                assert displaced == 0
                return
            record = recorder.begin(plan)
            job = Job(record.number, self._backend, plan, record, chooses=choose_to_undo(undoing))
            for _ in run_job(job, self._backend):
                pass
            done = job.snapshot()
            assert done.state is JobState.DONE
            assert done.outcomes[Outcome.MOVED] == displaced
            assert displaced + done.outcomes[Outcome.ALREADY_THERE] == done.chosen
            self.explain(recorder)
            assert (self.layout == before).all(), "undo left pages elsewhere"
        finally:
            recorder.close()


@pytest.fixture
def killer(tmp_path: Path) -> Iterator[Killer]:
    with quiet(), forked(make_areas) as victim:
        yield Killer(victim, tmp_path)


def test_after_undo_every_page_is_where_it_was(killer: Killer) -> None:
    chance = random.Random(20)
    before = killer.layout
    assert (before == 0).all()
    within = [(start, start + pages * PAGE) for start, pages in AREAS]

    def task() -> tuple[Task, int]:
        pages = chance.choice([100, 256, 700])
        request = Request(
            killer.victim.pid, Node(chance.choice([1, 2])), within=within, batch_pages=pages, most_calls=None
        )
        return Task(killer.environment, request), (SMALL + HUGE) // pages

    seconds = killer.kill(task()[0], Doom(), None)  # how long it takes when nobody disturbs it
    killer.undo_last(before)
    while killer.phases.total() < KILLS or (killer.phases.total() < 3 * KILLS and not set(killer.phases) >= set(EXACT)):
        (work, batches), kills = task(), killer.phases.total()
        if kills % 2:
            killer.kill(work, Doom(), chance.uniform(0, seconds))
        else:
            phase = EXACT[kills // 2 % len(EXACT)]
            nth = 2 if phase is Phase.IN_FLUSH else chance.randint(1, batches // 2)
            killer.kill(work, Doom(phase, nth, chance.random()), None)
        if kills % 5 == 4 and (killer.layout != before).any():
            recorder = killer.recorder()
            number = [job.id for job in recorder.journal.jobs() if job.kind == "move"][-1]
            recorder.close()
            killer.kill(Task(killer.environment, undo=number), Doom(Phase.IN_CALL, 2, 0.5), None)
        killer.undo_last(before)
    print(dict(killer.phases), f"{seconds:.2f} s a job")
    assert set(killer.phases) >= set(EXACT)
