"""Writing down one job as it goes."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from numamig.backends.base import Backend, TellsMemoryImage
from numamig.migrate.batch import Batch
from numamig.migrate.journal.locks import WriterLocks
from numamig.migrate.journal.packing import pack_batch, pack_left
from numamig.migrate.journal.place import state_directory
from numamig.migrate.journal.store import JobEntry, Journal
from numamig.migrate.mover import BatchResult
from numamig.migrate.plan import Plan
from numamig.migrate.request import Request
from numamig.model.outcome import OutcomeCounts
from numamig.model.process import MemoryImage, Process
from numamig.model.topology import NodeCounters
from numamig.observe.causes import Movements

__all__ = ["JobRecord", "Recorder", "boot_of", "image_of", "running"]

_NOBODY = 0xFFFF_FFFF
"""In /proc/self/loginuid: nobody logged in."""
_Region = tuple[int, int, str, str]
"""(start, end, kind, path)."""


class Recorder:
    """The journal and the locks of a machine: every job that moves pages for somebody has a record from here."""

    closing: ClassVar[Callable[[Recorder], None] | None] = None
    """Is told of each one before it closes: whoever writes down what others do."""

    def __init__(self, journal: Journal, locks: WriterLocks, backend: Backend) -> None:
        self.journal = journal
        self.locks = locks
        self.begun: list[int] = []
        """Jobs that were begun, or gone on with, by this one."""
        self.backend = backend

    @classmethod
    def open(cls, backend: Backend, environment: Mapping[str, str] = os.environ) -> Recorder:
        """In the user's state directory; in memory for a machine that does not outlive this process.

        :raises JournalError: the journal cannot be opened, or is not to be trusted.
        """
        if not backend.capabilities.lasting:
            return cls(Journal(None), WriterLocks(None), backend)
        place = state_directory(environment)
        journal = Journal(place / "journal.sqlite")
        journal.prune(boot=boot_of(backend))
        return cls(journal, WriterLocks(place / "locks"), backend)

    def begin(self, plan: Plan) -> JobRecord:
        """A record for a job that has not moved anything yet.

        :raises JournalError: it cannot be written.
        """
        backend, process = self.backend, plan.process
        image = image_of(backend, process)
        number = self.journal.new_job(
            {
                "kind": "move" if plan.undoes is None else "undo",
                "undoes": plan.undoes,
                "backend": backend.name,
                "machine": backend.capabilities.machine,
                **_actor(),
                "boot": image.boot,
                "pid": image.pid,
                "start_time": image.start_time,
                "device": image.executable[0],
                "inode": image.executable[1],
                "layout": json.dumps(image.layout),
                "name": process.name,
                "page_size": plan.page_size,
                "planned": plan.pages,
                "request": json.dumps(plan.request.as_dict()),
                "regions": json.dumps(_regions(plan)),
            }
        )
        self.begun.append(number)
        return JobRecord(self, number, image)

    def go_on(self, entry: JobEntry) -> JobRecord:
        """The record of a job that was left unfinished."""
        self.begun.append(entry.id)
        return JobRecord(self, entry.id, entry.image)

    def close(self) -> None:
        try:
            if Recorder.closing is not None:
                Recorder.closing(self)
        finally:
            self.journal.close()


class JobRecord:
    """One job's part of the journal. One thread writes batches; acts may come from any."""

    def __init__(self, recorder: Recorder, number: int, image: MemoryImage) -> None:
        self.number = number
        self.image = image
        self._recorder = recorder
        self._next = recorder.journal.batch_numbers(number).stop
        self._settled: tuple[bytes, int, int] | None = None
        """Result that is not written yet: what was left, duration of the calls, number of the batch."""
        self._locked = False
        self._lock = threading.Lock()
        self.before = OutcomeCounts()
        """Of an earlier run of the same job: added to what this one comes to."""

    @property
    def journal(self) -> Journal:
        return self._recorder.journal

    def lock(self) -> None:
        """Be the only one who moves pages of this process; until ``unlock``.

        :raises RefusedError: somebody else is.
        """
        with self._lock:
            if not self._locked:
                self._recorder.locks.take(self.image)
                self._locked = True

    def unlock(self) -> None:
        """A second time is no error."""
        with self._lock:
            if self._locked:
                self._locked = False
                self._recorder.locks.give_back(self.image)

    def intend(self, batch: Batch, pages: int) -> None:
        """Write down what is going to be moved, and what became of the batch before.

        :raises JournalError: it could not be written, and so may not be moved.
        """
        packed = pack_batch(batch)
        with self._recorder.journal.transaction() as db:
            self._write_result(db)
            db.execute(
                "INSERT INTO batch (job, number, intended, pages) VALUES (?, ?, ?, ?)",
                (self.number, self._next, packed, pages),
            )
        self._settled = None
        self._next += 1

    def settle(self, result: BatchResult) -> None:
        """What became of the batch that was intended last; written with the next one, or by ``flush``."""
        self._settled = (pack_left(result.left), sum(result.call_ns), self._next - 1)

    def flush(self, state: str, reason: str, outcomes: OutcomeCounts, counters: NodeCounters | None = None) -> None:
        """Write down all that is known.

        :param counters: of the machine when the job ended: what they say later tells what moved pages since
        :raises JournalError: it could not be written.
        """
        counts = json.dumps({outcome.key: pages for outcome, pages in (self.before + outcomes).items() if pages})
        with self._recorder.journal.transaction() as db:
            self._write_result(db)
            db.execute(
                "UPDATE job SET state = ?, reason = ?, outcomes = ?, counters = ?, changed = ? WHERE id = ?",
                (state, reason, counts, _movements(counters), time.time(), self.number),
            )
        self._settled = None

    def act(self, what: str) -> None:
        """Somebody did something about the job: "run", "hold", "cancel".

        :raises JournalError: it could not be written.
        """
        with self._recorder.journal.transaction() as db:
            self._write_act(db, what)

    def rewrite(self, request: Request, planned: int, what: str) -> None:
        """Somebody wants something else of the job: what it is gone on with by, whoever does so.

        :param planned: base pages, those that had their turn among them
        :param what: the act
        :raises JournalError: it could not be written, and so may not be done.
        """
        with self._recorder.journal.transaction() as db:
            db.execute(
                "UPDATE job SET request = ?, planned = ? WHERE id = ?",
                (json.dumps(request.as_dict()), planned, self.number),
            )
            self._write_act(db, what)

    def widen(self, plan: Plan) -> None:
        """It is gone on with, also in memory that was mapped since it began; and that too can be taken back.

        :raises JournalError: it could not be written, and so may not be moved.
        """
        with self._recorder.journal.transaction() as db:
            (before,) = db.execute("SELECT regions FROM job WHERE id = ?", (self.number,)).fetchone()
            regions = json.dumps(_joined([tuple(each) for each in json.loads(before)], _regions(plan)))
            db.execute("UPDATE job SET regions = ? WHERE id = ?", (regions, self.number))

    def _write_act(self, db: Any, what: str) -> None:
        actor = _actor()
        db.execute(
            "INSERT INTO act (at, job, what, host, login_uid, uid) VALUES (?, ?, ?, ?, ?, ?)",
            (time.time(), self.number, what, actor["host"], actor["login_uid"], actor["uid"]),
        )

    def _write_result(self, db: Any) -> None:
        if self._settled is not None:
            left, call_ns, number = self._settled
            db.execute(
                "UPDATE batch SET left = ?, call_ns = ? WHERE job = ? AND number = ?",
                (left, call_ns, self.number, number),
            )


def running(plan: Plan) -> str:
    """The act of letting a job run, with the warnings that were accepted by it: "run, accepting: balancing, shared"."""
    checks = dict.fromkeys(finding.check for finding in plan.warnings)
    return f"run, accepting: {', '.join(checks)}" if checks else "run"


def boot_of(backend: Backend) -> str:
    """Which boot of a machine this is; "" where it does not tell."""
    return backend.boot_id if isinstance(backend, TellsMemoryImage) else ""


def image_of(backend: Backend, process: Process) -> MemoryImage:
    """Which memory a process has now; as much of it as the backend can tell."""
    if isinstance(backend, TellsMemoryImage):
        return backend.memory_image(process.pid)
    return MemoryImage("", process.pid, process.start_time, (0, 0), ())


def _regions(plan: Plan) -> list[_Region]:
    """What is selected, ascending."""
    parts = zip(plan.selected, plan.ranges, strict=True)
    return [(start, end, region.kind.value, region.path) for region, (start, end) in parts]


def _joined(before: list[_Region], now: list[_Region]) -> list[_Region]:
    """What is there now, and what of the earlier regions is nowhere in it; ascending, without overlaps."""
    joined, nth = list(now), 0
    for start, end, kind, path in before:
        while nth < len(now) and now[nth][1] <= start:
            nth += 1
        later = nth
        while later < len(now) and now[later][0] < end:
            if start < now[later][0]:
                joined.append((start, now[later][0], kind, path))
            start = now[later][1]
            later += 1
        if start < end:
            joined.append((start, end, kind, path))
    return sorted(joined)


def _movements(counters: NodeCounters | None) -> str:
    return "" if counters is None else json.dumps(Movements.of(counters).as_dict())


def _actor() -> dict[str, object]:
    try:
        login = int(Path("/proc/self/loginuid").read_text())
    except (OSError, ValueError):
        login = _NOBODY
    return {"host": os.uname().nodename, "login_uid": None if login == _NOBODY else login, "uid": os.getuid()}
