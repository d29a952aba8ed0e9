"""The journal: an SQLite file that says of every job what it was going to move, and what became of it.

A batch is written before its call, and its result after it: with the next batch, or when the job pauses. A process that
is killed between the two leaves a batch without a result, which says that any part of it may have moved.

WAL with synchronous=NORMAL: nothing waits for the disk after each batch, since pages do not outlive a boot either; what
was committed survives the end of the process, however it comes. Source: sqlite.org/wal.html ("Performance").
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numamig.errors import JournalError, UsageError
from numamig.migrate.journal.packing import left_bytes
from numamig.migrate.journal.place import demand_private, kept_for_s, make_private
from numamig.migrate.journal.schema import COLUMNS, FROM_1, SCHEMA, VERSION, connect, connect_to_read
from numamig.model.outcome import Outcome, OutcomeCounts
from numamig.model.process import MemoryImage

__all__ = ["BatchEntry", "JobEntry", "Journal"]

_TOGETHER = 1024  # batches


@dataclass(frozen=True, slots=True)
class JobEntry:
    """A job as the journal has it."""

    id: int
    kind: str
    """ "move" or "undo"."""
    undoes: int | None
    """The job that an undo takes back."""
    backend: str
    machine: str
    host: str
    login_uid: int | None
    """Who logged in, whatever rights were taken since; None where the kernel does not tell."""
    uid: int
    image: MemoryImage
    name: str
    page_size: int
    planned: int
    """Base pages of the plan."""
    request: Mapping[str, Any]
    regions: tuple[tuple[int, int, str, str], ...]
    """(start, end, kind, path) of what was selected."""
    state: str
    reason: str
    outcomes: OutcomeCounts
    counters: Mapping[str, int] | None
    """What the machine had counted when it ended (``numamig.observe.causes.Movements``); None where it did not."""
    created: float
    """Seconds since 1970, as is ``changed``."""
    changed: float


@dataclass(frozen=True, slots=True)
class BatchEntry:
    """A batch as the journal has it."""

    number: int
    intended: bytes
    left: bytes | None
    """What did not move; None where nobody lived to write it."""
    pages: int
    """Base pages in all."""


class Journal:
    """Open for reading and writing; any thread may ask, one at a time gets an answer.

    :param path: None for one in memory, for machines that do not outlive this process
    :param writes: False to read one that is there, also where nothing can be written
    :raises JournalError: it cannot be opened, is somebody else's, or of a later version.
    """

    def __init__(self, path: Path | None, *, writes: bool = True) -> None:
        self.path = path
        self._lock = threading.RLock()
        if path is not None:
            if writes:
                make_private(path)
            # SQLite follows links, and takes what it finds in them for pages of the journal.
            demand_private(*(path.with_name(path.name + end) for end in ("", "-wal", "-shm", "-journal")))
        with self._errors():
            if path is not None and not writes:
                self._db = connect_to_read(path)
            else:
                self._db = connect(":memory:" if path is None else str(path))
                self._db.execute("PRAGMA foreign_keys=ON")
                self._db.execute("PRAGMA synchronous=NORMAL")
                if path is not None:
                    self._db.execute("PRAGMA auto_vacuum=INCREMENTAL")
                    self._db.execute("PRAGMA journal_mode=WAL")
            self._prepare()

    def _prepare(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise JournalError(
                f"{self.path} was written by a later numamig (format {version})", hint="use that, or move the file away"
            )
        if version < VERSION:
            with self.transaction():
                (version,) = self._db.execute("PRAGMA user_version").fetchone()  # somebody may have been quicker
                if version == 0:
                    for statement in SCHEMA.split(";"):
                        self._db.execute(statement)
                elif version == 1:
                    self._db.execute(FROM_1)
                self._db.execute(f"PRAGMA user_version={VERSION}")

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise JournalError(
                f"the journal {self.path or 'in memory'} cannot be used: {error}",
                hint="nothing is moved without it: free some space, move the file away, or set XDG_STATE_HOME",
            ) from None

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of it or nothing.

        :raises JournalError: it could not be written.
        """
        with self._lock, self._errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def new_job(self, columns: Mapping[str, object]) -> int:
        """A job that has not begun; its number, which no other job ever had."""
        now = time.time()
        values = {
            "state": "held",
            "reason": "",
            "outcomes": "{}",
            "counters": "",
            "created": now,
            "changed": now,
            **columns,
        }
        with self.transaction() as db:
            names, marks = ", ".join(values), ", ".join("?" * len(values))
            cursor = db.execute(f"INSERT INTO job ({names}) VALUES ({marks})", tuple(values.values()))  # noqa: S608
            assert cursor.lastrowid is not None
            return cursor.lastrowid

    def jobs(self, boot: str | None = None) -> list[JobEntry]:
        """All that there are, or those of one boot of one machine; the oldest first."""
        with self._lock, self._errors():
            where, values = ("", ()) if boot is None else ("WHERE boot = ?", (boot,))
            rows = self._db.execute(f"SELECT {COLUMNS} FROM job {where} ORDER BY id", values).fetchall()  # noqa: S608
        return [_job(row) for row in rows]

    def job(self, number: int) -> JobEntry:
        """
        :raises UsageError: there is none.
        """
        with self._lock, self._errors():
            row = self._db.execute(f"SELECT {COLUMNS} FROM job WHERE id = ?", (number,)).fetchone()  # noqa: S608
        if row is None:
            raise UsageError(f"there is no job {number} in the journal", hint="numamig jobs lists them")
        return _job(row)

    def batch_numbers(self, job: int) -> range:
        """From the first to the last."""
        with self._lock, self._errors():
            first, last = self._db.execute(
                "SELECT min(number), max(number) FROM batch WHERE job = ?", (job,)
            ).fetchone()
        return range(0) if first is None else range(first, last + 1)

    def batch(self, job: int, number: int) -> BatchEntry | None:
        """None where there is none with that number."""
        with self._lock, self._errors():
            row = self._db.execute(
                "SELECT number, intended, left, pages FROM batch WHERE job = ? AND number = ?", (job, number)
            ).fetchone()
        return None if row is None else BatchEntry(*row)

    def batches(self, job: int) -> Iterator[BatchEntry]:
        """All of them in their order, some at a time: others may write in between."""
        last = -1
        while True:
            with self._lock, self._errors():
                rows = self._db.execute(
                    "SELECT number, intended, left, pages FROM batch WHERE job = ? AND number > ?"
                    " ORDER BY number LIMIT ?",
                    (job, last, _TOGETHER),
                ).fetchall()
            yield from (BatchEntry(*row) for row in rows)
            if len(rows) < _TOGETHER:
                return
            last = rows[-1][0]

    def set_left(self, job: int, number: int, left: bytes) -> None:
        """What was found out later about a batch without a result."""
        with self.transaction() as db:
            db.execute("UPDATE batch SET left = ? WHERE job = ? AND number = ?", (left, job, number))

    def moved_pages(self, job: int, page_size: int) -> int:
        """Base pages that were moved; those of a batch without a result are not among them."""
        with self._lock, self._errors():
            (meant,) = self._db.execute(
                "SELECT ifnull(sum(pages), 0) FROM batch WHERE job = ? AND left IS NOT NULL", (job,)
            ).fetchone()
            some = self._db.execute("SELECT left FROM batch WHERE job = ? AND length(left) > 0", (job,))
            stayed = 0
            while rows := some.fetchmany(_TOGETHER):
                stayed += left_bytes(b"".join(left for (left,) in rows))
        return int(meant) - stayed // page_size

    def size_bytes(self, job: int) -> int:
        """What the batches of a job take."""
        with self._lock, self._errors():
            (size,) = self._db.execute(
                "SELECT sum(length(intended) + ifnull(length(left), 0) + 24) FROM batch WHERE job = ?", (job,)
            ).fetchone()
        return size or 0

    def acts(self, job: int) -> list[tuple[float, str, str, int | None, int]]:
        """(at, what, host, login uid, uid) of everything that was done about a job."""
        with self._lock, self._errors():
            return self._db.execute(
                "SELECT at, what, host, login_uid, uid FROM act WHERE job = ? ORDER BY rowid", (job,)
            ).fetchall()

    def prune(self, older_than_s: float | None = None, now: float | None = None, *, boot: str | None = None) -> int:
        """Forget jobs that nothing was done about for so long, and that no younger one takes back; how many.

        :param older_than_s: None for what the user set, or 30 days
        :param boot: this one: those of it that did not end can still be gone on with, and stay
        """
        before = (time.time() if now is None else now) - (kept_for_s() if older_than_s is None else older_than_s)
        with self.transaction() as db:
            count = db.execute(
                "DELETE FROM job WHERE id NOT IN (WITH RECURSIVE kept (id) AS ("
                " SELECT id FROM job WHERE changed >= ? OR (boot = ? AND state IN ('held', 'running'))"
                " UNION SELECT job.undoes FROM job JOIN kept USING (id) WHERE job.undoes IS NOT NULL"
                ") SELECT id FROM kept)",
                (before, boot),
            ).rowcount
        if count and self.path is not None:
            with self._lock, self._errors():
                # It gives back a page at each step, and execute() makes but one.
                self._db.executescript("PRAGMA incremental_vacuum")
        return count


def _job(row: tuple[Any, ...]) -> JobEntry:
    said = dict(zip(COLUMNS.replace(" ", "").split(","), row, strict=True))
    image = MemoryImage(
        said.pop("boot"),
        said.pop("pid"),
        said.pop("start_time"),
        (said.pop("device"), said.pop("inode")),
        tuple(json.loads(said.pop("layout"))),
    )
    said["request"] = json.loads(said["request"])
    said["regions"] = tuple(tuple(each) for each in json.loads(said["regions"]))
    said["counters"] = json.loads(said["counters"]) if said["counters"] else None
    counts = json.loads(said["outcomes"])
    said["outcomes"] = OutcomeCounts.of({outcome: counts.get(outcome.key, 0) for outcome in Outcome})
    return JobEntry(image=image, **said)
