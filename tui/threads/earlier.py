"""Jobs of an earlier run whose process still lives: what can be gone on with, and what can be taken back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from numamig.backends.base import Backend
from numamig.errors import NumamigError
from numamig.migrate.destination import destination_from
from numamig.migrate.journal.record import Recorder, boot_of
from numamig.migrate.resume import moved_pages
from numamig.migrate.undo import can_be_taken_back, demand_same_memory

__all__ = ["EarlierJob", "earlier_jobs"]

_MOST = 50


@dataclass(frozen=True, slots=True)
class EarlierJob:
    """As the journal has it, and as its process is now."""

    number: int
    pid: int
    name: str
    way: str
    """``to node 1``, ``undo of 7``."""
    moved_bytes: int
    state: str
    can_go_on: bool
    can_be_undone: bool


def earlier_jobs(backend: Backend, recorder: Recorder, known: frozenset[int]) -> tuple[EarlierJob, ...]:
    """The latest first, not those that are ``known``. Reads the journal, and looks at every process.

    :raises JournalError: it cannot be read.
    """
    found = _found(backend, recorder, known)
    return tuple(job for _, job in zip(range(_MOST), found, strict=False))


def _found(backend: Backend, recorder: Recorder, known: frozenset[int]) -> Iterator[EarlierJob]:
    journal = recorder.journal
    for entry in reversed(journal.jobs(boot_of(backend))):
        if entry.id in known or entry.backend != backend.name:
            continue
        try:
            demand_same_memory(backend, entry)
        except NumamigError:
            continue  # pages do not outlive their process
        alone = recorder.locks.holder(entry.image) is None
        goes_on = entry.kind == "move" and entry.state != "done" and alone
        undone = can_be_taken_back(journal, entry)
        if goes_on or undone:
            left_open = alone and entry.state in ("running", "held")
            yield EarlierJob(
                number=entry.id,
                pid=entry.image.pid,
                name=entry.name,
                way=f"undo of {entry.undoes}" if entry.kind == "undo" else destination_from(entry.request["to"]).words,
                moved_bytes=moved_pages(journal, entry) * entry.page_size,
                state="interrupted" if left_open else entry.reason or entry.state,
                can_go_on=goes_on,
                can_be_undone=undone,
            )
