"""``numamig jobs``: what was moved, by whom, and what is unfinished."""

from __future__ import annotations

import pwd
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from numamig.cli.narrate import narrate
from numamig.cli.options import Shared, print_json
from numamig.cli.options import command as numamig_command
from numamig.cli.table import print_table
from numamig.errors import JournalError, UsageError
from numamig.text import plain
from numamig.units import format_bytes

if TYPE_CHECKING:
    from numamig.backends.base import Backend
    from numamig.migrate.journal.record import Recorder
    from numamig.migrate.journal.store import JobEntry

__all__ = ["command"]


@numamig_command("jobs")
@click.argument("job", type=click.IntRange(min=1), required=False)
@click.option("--all", "everything", is_flag=True, help="Also those of other machines and of earlier boots.")
@click.option("--steps", "with_steps", is_flag=True, help="The steps of JOB: numbers, as undo --steps takes them.")
@click.option(
    "--forget",
    type=click.IntRange(min=1),
    metavar="DAYS",
    help="Forget, now, jobs that nothing was done about for so long; otherwise that takes 30 days.",
)
def command(
    shared: Shared, job: int | None, everything: bool, with_steps: bool, forget: int | None, as_json: bool
) -> None:
    """What ran, what is unfinished, and who did it; with a number, everything about one JOB.

    \b
    Examples:
      numamig jobs
      numamig jobs 17 --json
      numamig jobs 17 --steps
      numamig resume 17
      numamig undo 17
      numamig jobs --forget 7

    Jobs that nothing was done about for 30 days are forgotten by themselves, or for NUMAMIG_KEEP_DAYS, where the
    environment has that. Those of this boot that are held or running stay, and so does what a kept undo took back.
    """
    if with_steps and job is None:
        raise UsageError("--steps is of one job", hint="numamig jobs 17 --steps")
    from numamig.migrate.journal.place import DAY_S
    from numamig.migrate.journal.record import boot_of

    backend = shared.open()
    with _looking(backend) as recorder:
        if forget is not None:
            count = recorder.journal.prune(forget * DAY_S, boot=boot_of(backend))
            narrate(f"{count} job{'s' * (count != 1)} forgotten")
        if job is not None:
            _tell(recorder, recorder.journal.job(job), with_steps=with_steps, as_json=as_json)
            return
        entries = [entry for entry in recorder.journal.jobs() if everything or _is_here(backend, entry)]
        if as_json:
            print_json({"jobs": [_as_dict(recorder, entry) for entry in entries]})
        elif entries:
            _print(recorder, entries)
        else:
            click.echo("nothing was moved here since it was started", err=True)


@contextmanager
def _looking(backend: Backend) -> Iterator[Recorder]:
    """The journal, as far as it can be read: who only looks need not be able to write."""
    from numamig.migrate.journal.record import Recorder

    try:
        recorder = Recorder.open(backend)
    except JournalError as error:
        recorder = _to_read(backend, error)
    try:
        yield recorder
    finally:
        recorder.close()


def _to_read(backend: Backend, error: JournalError) -> Recorder:
    """
    :param error: why it cannot be written; raised where it cannot be read either, or is not to be trusted
    """
    from numamig.migrate.journal.locks import WriterLocks
    from numamig.migrate.journal.place import state_directory
    from numamig.migrate.journal.record import Recorder
    from numamig.migrate.journal.store import Journal

    try:
        place = state_directory(create=False)
        recorder = Recorder(Journal(place / "journal.sqlite", writes=False), WriterLocks(place / "locks"), backend)
    except JournalError:
        raise error from None
    narrate(f"numamig: {plain(error.message)}; old jobs are not forgotten, and nothing can be moved")
    return recorder


def _is_here(backend: Backend, entry: JobEntry) -> bool:
    """Of this machine and this boot: what can still be taken back."""
    from numamig.migrate.journal.record import boot_of

    return entry.backend == backend.name and entry.image.boot == boot_of(backend)


def _state(recorder: Recorder, entry: JobEntry) -> str:
    """As it is now: the journal of a job that was killed still says that it runs."""
    if entry.state not in ("running", "held"):
        return entry.reason if entry.state == "stopped" else entry.state
    holder = recorder.locks.holder(entry.image)
    return "interrupted" if holder is None else f"{entry.state} (numamig {holder})" if holder else entry.state


def _as_dict(recorder: Recorder, entry: JobEntry) -> dict[str, object]:
    request = entry.request
    return {
        "job": entry.id,
        "kind": entry.kind,
        "undoes": entry.undoes,
        "state": _state(recorder, entry),
        "reason": entry.reason,
        "pid": entry.image.pid,
        "start_time": entry.image.start_time,
        "name": entry.name,
        "to": None if entry.kind == "undo" else request["to"],
        "moved_pages": recorder.journal.moved_pages(entry.id, entry.page_size),
        "page_size": entry.page_size,
        "planned_pages": entry.planned,
        "outcomes": {outcome.key: pages for outcome, pages in entry.outcomes.items()},
        "backend": entry.backend,
        "machine": entry.machine,
        "host": entry.host,
        "boot": entry.image.boot,
        "login_uid": entry.login_uid,
        "uid": entry.uid,
        "created": round(entry.created, 3),
        "changed": round(entry.changed, 3),
        "journal_bytes": recorder.journal.size_bytes(entry.id),
    }


def _print(recorder: Recorder, entries: list[JobEntry]) -> None:
    rows = [
        [
            str(entry.id),
            time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.created)),
            _who(entry),
            entry.name,
            str(entry.image.pid),
            _what(entry),
            format_bytes(recorder.journal.moved_pages(entry.id, entry.page_size) * entry.page_size),
            _state(recorder, entry),
        ]
        for entry in entries
    ]
    left = frozenset({"when", "who", "process", "what", "state"})
    print_table(["job", "when", "who", "process", "pid", "what", "moved", "state"], rows, left=left)


def _what(entry: JobEntry) -> str:
    from numamig.migrate.destination import destination_from

    return f"undo of {entry.undoes}" if entry.kind == "undo" else destination_from(entry.request["to"]).words


def _who(entry: JobEntry) -> str:
    """Who logged in, and as whom it was done, where that is somebody else."""
    login, did = entry.login_uid, entry.uid
    return _user(did) if login is None or login == did else f"{_user(login)} as {_user(did)}"


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _tell(recorder: Recorder, entry: JobEntry, *, with_steps: bool, as_json: bool) -> None:
    from numamig.cli.retold import account_as_dict, print_account, print_steps, step_as_dict
    from numamig.migrate.retold import retell, steps

    journal = recorder.journal
    acts = journal.acts(entry.id)
    if as_json:
        said = [
            {"at": round(at, 3), "what": what, "host": host, "login_uid": login, "uid": uid}
            for at, what, host, login, uid in acts
        ]
        about = {**_as_dict(recorder, entry), **account_as_dict(entry, retell(journal, entry))}
        every = {"steps": [step_as_dict(step) for step in steps(journal, entry)]} if with_steps else {}
        print_json({**about, "request": dict(entry.request), "acts": said, **every})
        return
    if with_steps:
        print_steps(steps(journal, entry))
        return
    _print(recorder, [entry])
    print_account(entry, retell(journal, entry))
    for at, what, host, login, uid in acts:
        who = _user(uid) if login is None or login == uid else f"{_user(login)} as {_user(uid)}"
        click.echo(f"  {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(at))}  {what} by {who} on {host}")
