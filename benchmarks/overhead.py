"""What the engine adds to the calls: a job with its journal, against the same calls made one after the other.

Both move all pages of a process to another node and back, in the same batches; or, where there are three nodes, pages
that lie on two of them by chance to the third. The bare calls are handed addresses that were laid out before. A job is
timed from being queued to its end; its plan is made before.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.pairs import ratio, take_turns
from numamig.backends.base import MPOL_MF_MOVE, Backend
from numamig.migrate.account import Account
from numamig.migrate.ahead import ChooserAhead
from numamig.migrate.chooser import Chooser
from numamig.migrate.destination import Node
from numamig.migrate.guard import Guard
from numamig.migrate.job import Job
from numamig.migrate.journal.locks import WriterLocks
from numamig.migrate.journal.record import JobRecord, Recorder
from numamig.migrate.journal.store import Journal
from numamig.migrate.pacing import Pacer
from numamig.migrate.plan import plan_request
from numamig.migrate.queue import JobQueue
from numamig.migrate.request import Request
from numamig.migrate.stream import EventStream
from numamig.model.outcome import Outcome

__all__ = ["measure", "recorder_in", "run_queued"]

_LARGE, _SMALL = 4096, 512
"""Pages a call."""


class Movers:
    """The two ways; each moves all pages and returns its duration in ns."""

    def __init__(
        self, backend: Backend, recorder: Recorder, pid: int, area: tuple[int, int], nodes: Sequence[int]
    ) -> None:
        """
        :param area: first address of what is moved, and the first behind it
        :param nodes: two or more, with room for all of it
        """
        self._backend = backend
        self._recorder = recorder
        self._pid = pid
        self._nodes = nodes
        self._area = area
        self._every = np.arange(*area, backend.topology().page_size, dtype=np.uint64)
        self._random = np.random.default_rng(1)
        self.pages = len(self._every)
        self.spent: dict[str, int] | None = None
        """Where the time of jobs is to be put down, by part; ns."""

    def gather(self) -> None:
        """All pages on the first node."""
        self._to(self._nodes[0], _LARGE)

    def bare(self, batch: int) -> int:
        """The calls, there and back."""
        return self._to(self._nodes[1], batch) + self._to(self._nodes[0], batch)

    def engine(self, batch: int) -> int:
        """A job there and one back."""
        return self._job(self._nodes[1], batch) + self._job(self._nodes[0], batch)

    def bare_scattered(self, batch: int) -> int:
        """The calls for pages that lie on two nodes by chance."""
        self._scatter()
        return self._to(self._nodes[2], batch)

    def engine_scattered(self, batch: int) -> int:
        """A job for such pages."""
        self._scatter()
        return self._job(self._nodes[2], batch)

    def _scatter(self) -> None:
        where = self._random.integers(0, 2, self.pages)
        for nth in (0, 1):
            self._calls(self._every[where == nth], self._nodes[nth], _LARGE)

    def _to(self, node: int, batch: int) -> int:
        return self._calls(self._every, node, batch)

    def _calls(self, pages: NDArray[np.uint64], node: int, batch: int) -> int:
        addresses = [pages[at : at + batch] for at in range(0, len(pages), batch)]
        batches = [(each, np.full(len(each), node, np.int32)) for each in addresses]
        move_pages, answers = self._backend.move_pages, []
        began = time.perf_counter_ns()
        for address, target in batches:
            answers.append(move_pages(self._pid, address, target, MPOL_MF_MOVE))
        took = time.perf_counter_ns() - began
        stayed = sum(int((answer.status != node).sum()) for answer in answers)
        if stayed:
            raise SystemExit(f"{stayed} of {len(pages)} pages did not move")
        return took

    def _job(self, node: int, batch: int) -> int:
        queue = JobQueue(self._backend, self._recorder, verifies=False)
        request = Request(self._pid, Node(node), within=[self._area], batch_pages=batch, most_calls=None)
        plan = plan_request(self._backend, request)
        with _clocks(type(self._backend), self.spent):
            began = time.perf_counter_ns()
            number = queue.add(plan)
            run_queued(queue, number)
            took = time.perf_counter_ns() - began
        outcomes = queue.snapshot(number).outcomes
        if outcomes.total != self.pages or outcomes[Outcome.MOVED] != self.pages:
            raise SystemExit(f"not all of {self.pages} pages moved: {outcomes}")
        return took


def run_queued(queue: JobQueue, number: int) -> None:
    """Run a job to its end, as whoever steps a queue does."""
    queue.run(number)
    while (ready := queue.claim()) is not None:
        queue.step(ready)


def recorder_in(folder: Path, backend: Backend) -> Recorder:
    """A journal in a file, on whatever machine."""
    return Recorder(Journal(folder / "journal.sqlite"), WriterLocks(folder / "locks"), backend)


def measure(
    backend: Backend, pid: int, area: tuple[int, int], nodes: Sequence[int], *, rounds: int, parts: bool = False
) -> dict[str, object]:
    """Time of the engine divided by that of the bare calls, at 4,096 and at 512 pages a call; median of the pairs.

    :param parts: also where the engine's time goes
    """
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        recorder = recorder_in(Path(folder), backend)
        try:
            movers = Movers(backend, recorder, pid, area, nodes)
            movers.gather()
            pairs = {"": (movers.bare, movers.engine, _LARGE), "_512": (movers.bare, movers.engine, _SMALL)}
            if len(nodes) > 2:
                pairs["_scattered"] = (movers.bare_scattered, movers.engine_scattered, _LARGE)
            for name, (bare, engine, batch) in pairs.items():
                found |= _compared(name, partial(bare, batch), partial(engine, batch), rounds)
                if parts:
                    found[f"parts{name}"] = _parts(movers, partial(engine, batch))
            return found
        finally:
            recorder.close()


def _compared(name: str, bare: Callable[[], int], engine: Callable[[], int], rounds: int) -> dict[str, object]:
    took = take_turns({"bare": bare, "engine": engine}, rounds)
    each = sorted(a / b for a, b in zip(took["engine"], took["bare"], strict=True))
    return {
        f"overhead_ratio{name}": ratio(took["engine"], took["bare"]),
        f"overhead_ratio{name}_spread": [round(each[0], 3), round(each[-1], 3)],
        f"milliseconds{name}": {way: [round(ns / 1e6) for ns in figures] for way, figures in took.items()},
    }


def _parts(movers: Movers, engine: Callable[[], int]) -> dict[str, float]:
    """Shares of a job's time. ``choose`` is in another thread, mostly while a call is made; all others are in turn, and
    ``chosen`` is what it has to be waited for."""
    spent: dict[str, int] = {}
    movers.spent = spent
    took = engine()
    movers.spent = None
    rest = took - sum(ns for name, ns in spent.items() if name != "choose")
    return {name: round(ns / took, 4) for name, ns in {**spent, "rest": rest}.items()}


@contextmanager
def _clocks(backend: type, spent: dict[str, int] | None) -> Iterator[None]:
    """Have the parts of the engine add up their time meanwhile, each without what it calls of the others.

    The clocks themselves take some.
    """
    with ExitStack() as clocked:
        for name, owner, method in (
            ("calls", backend, "move_pages"),
            ("choose", Chooser, "next_batch"),
            ("begin", Recorder, "begin"),
            ("intend", JobRecord, "intend"),
            ("settle", JobRecord, "settle"),
            ("flush", JobRecord, "flush"),
            ("act", JobRecord, "act"),
            ("account", Account, "book"),
            ("room", Guard, "allows"),
            ("breaker_begin", Guard, "begin"),
            ("breaker", Guard, "moved"),
            ("pacing", Pacer, "after_batch"),
            ("hold", backend, "hold"),
            ("chosen", ChooserAhead, "next_batch"),
            ("close", ChooserAhead, "close"),
            ("ahead", ChooserAhead, "choose_ahead"),
            ("lock", JobRecord, "lock"),
            ("unlock", JobRecord, "unlock"),
            ("end_pass", Account, "end_pass"),
            ("events", EventStream, "publish"),
            ("job", Job, "step"),
            ("add", JobQueue, "add"),
            ("claim", JobQueue, "claim"),
            ("step", JobQueue, "step"),
        ):
            if spent is not None:
                clocked.enter_context(_clock(owner, method, spent, name))
        yield


@contextmanager
def _clock(owner: Any, method: str, spent: dict[str, int], name: str) -> Iterator[None]:
    plain: Callable[..., object] = getattr(owner, method)
    spent.setdefault(name, 0)

    def clocked(*values: Any, **named: Any) -> object:
        outer, _within.ns = getattr(_within, "ns", 0), 0
        began = time.perf_counter_ns()
        try:
            return plain(*values, **named)
        finally:
            took = time.perf_counter_ns() - began
            spent[name] += took - _within.ns
            _within.ns = outer + took

    setattr(owner, method, clocked)
    try:
        yield
    finally:
        setattr(owner, method, plain)


_within = threading.local()
"""ns that this thread spent in clocked methods called by the one that it is in."""
